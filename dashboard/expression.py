"""Which rows does an expression keep? 'finetune.block_size <= 8 and val_ppl < 180': a small language.

Python reads it into a tree, and this file walks the tree over columns. Nothing is called, no attribute is
looked up: a name is a column, and what is not listed here is refused in a sentence.

    and  or  not     <  <=  >  >=  ==  !=     in (4, 8)     'cos' in finetune.schedule.name     + - * /

Of a missing value no order holds, and it equals `none` alone. The end of a name is enough where no other
ends alike, or no other of those that are searched. A name with a sign in it stands in backquotes:
`zero_shot_ppl/lm1b`.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd

from dashboard.values import is_number, missing

LONGEST = 500  # characters
CONSTANTS = {"true": True, "false": False, "none": None}
ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ORDER: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EQUAL = {ast.Eq: True, ast.Is: True, ast.NotEq: False, ast.IsNot: False}
WITHIN = {ast.In: True, ast.NotIn: False}


class WrongExpression(ValueError):
    """Why it means nothing, as one sentence."""


def kept(
    text: str,
    names: Collection[str],
    column: Callable[[str], pd.Series],
    count: int,
    first: Collection[str] = (),
) -> np.ndarray:
    """A bool for each of `count` rows. column: of a name. first: names that an end is looked for in before
    all others. Raises WrongExpression."""
    if len(text) > LONGEST:
        raise WrongExpression(f"The expression has over {LONGEST} characters.")
    quoted: list[str] = []

    def placeholder(found: re.Match[str]) -> str:
        quoted.append(found[1])
        return f"quoted_{len(quoted) - 1}"

    try:
        tree = ast.parse(re.sub(r"`([^`]*)`", placeholder, text.strip()), mode="eval")
        with np.errstate(all="ignore"):
            found = _Rows(names, column, count, quoted, first).truth(tree.body)
    except SyntaxError as error:
        raise WrongExpression(f"The expression cannot be read: {error.msg}.") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise (
            error if isinstance(error, WrongExpression) else WrongExpression("The expression cannot be read.")
        ) from None
    return np.broadcast_to(np.asarray(found), count).copy()


class _Rows:
    """Values of a tree's parts: numbers as floats, truths as bools, all else as objects."""

    def __init__(
        self,
        names: Collection[str],
        column: Callable[[str], pd.Series],
        count: int,
        quoted: list[str],
        first: Collection[str],
    ) -> None:
        self.names, self.column, self.count, self.quoted, self.first = names, column, count, quoted, first

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.BoolOp(op, values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return join.reduce([np.broadcast_to(self.truth(each), self.count) for each in values])
            case ast.UnaryOp(ast.Not(), operand):
                return ~np.asarray(self.truth(operand))
            case ast.UnaryOp(ast.USub(), operand):
                return -self.number(operand)
            case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
                return ARITHMETIC[type(op)](self.number(left), self.number(right))
            case ast.Compare(left, ops, comparators):
                ends = [left, *comparators]
                pairs = zip(ends[:-1], ops, ends[1:], strict=True)
                return np.logical_and.reduce(
                    [np.broadcast_to(self.compared(*pair), self.count) for pair in pairs]
                )
            case ast.Constant(bool() | None | str() as value):
                return value
            case ast.Constant(int() | float() as value):
                return np.float64(value)
            case ast.Name() | ast.Attribute():
                return self.named(node)
        raise WrongExpression(f"{_written(node)} is nothing that a filter knows.")

    def compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        if type(op) in WITHIN:
            return self.within(left, right) == WITHIN[type(op)]
        if type(op) in EQUAL:
            return _equal(self.value(left), self.value(right)) == EQUAL[type(op)]
        return ORDER[type(op)](self.number(left), self.number(right))

    def within(self, left: ast.expr, right: ast.expr) -> Any:
        """'cos' in NAME: part of its text. NAME in (4, 8): one of them."""
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            each = [_equal(self.value(left), self.value(one)) for one in right.elts]
            return np.logical_or.reduce([np.zeros(self.count, bool), *each])
        part, texts = self.value(left), self.value(right)
        if not isinstance(part, str):
            raise WrongExpression(f"{_written(left)} in {_written(right)}: only text is part of a text.")
        return np.array([not missing(text) and part.lower() in str(text).lower() for text in _many(texts)])

    def named(self, node: ast.expr) -> Any:
        name = _written(node)
        if name in CONSTANTS:
            return CONSTANTS[name]
        if re.fullmatch(r"quoted_\d+", name):
            name = self.quoted[int(name.removeprefix("quoted_"))]
        if name not in self.names:
            ends = [each for each in self.first if each.endswith(f".{name}")]
            ends = ends or [each for each in self.names if each.endswith(f".{name}")]
            if len(ends) > 1:
                raise WrongExpression(f"{name} may be {' or '.join(sorted(ends)[:5])}.")
            if not ends:
                raise WrongExpression(f"There is no column {name[:80]}.")
            (name,) = ends
        cells = self.column(name)
        if is_number(cells) or cells.dtype.kind in "fi":
            return pd.to_numeric(cells).to_numpy(float)
        return cells.to_numpy(object)

    def number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
            return value
        if isinstance(value, np.ndarray) and all(missing(each) for each in value):
            return np.full(self.count, np.nan)
        raise WrongExpression(f"{_written(node)} is no number.")

    def truth(self, node: ast.expr) -> Any:
        value = self.value(node)
        if _is_truth(value):
            return value
        if isinstance(value, np.ndarray) and all(missing(v) or isinstance(v, bool) for v in value):
            return np.array([v is True for v in value])
        raise WrongExpression(f"{_written(node)} is neither true nor false: compare it, as in val_ppl < 180.")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool)


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, np.ndarray) else [value]


def _equal(left: Any, right: Any) -> Any:
    """Element by element; text as text, numbers as numbers, what is missing to none alone."""
    if left is None or right is None:
        given = right if left is None else left
        found = np.array([missing(each) for each in _many(given)])
    elif isinstance(left, np.ndarray | np.floating) and isinstance(right, np.ndarray | np.floating):
        found = np.asarray(left == right)
    else:
        one, other = _many(left), _many(right)
        longest = max(len(one), len(other))
        one, other = (each * longest if len(each) == 1 else each for each in (one, other))
        found = np.array([type(a) is type(b) and a == b for a, b in zip(one, other, strict=True)], bool)
    return found if isinstance(left, np.ndarray) or isinstance(right, np.ndarray) else bool(found.all())


def _written(node: ast.expr) -> str:
    return ast.unparse(node)[:80]
