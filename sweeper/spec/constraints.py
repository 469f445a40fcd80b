"""Constraints between parameters: `finetune.clip.low < finetune.clip.high`. A language of its own, never run
as Python: numbers, text, dotted names, + - * /, comparisons, `and`, `or`, `not` and brackets.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from trainer.values import Scalar

LONGEST = 300  # characters
ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ORDER: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EQUALITY: dict[type[ast.AST], Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
COMPARE = ORDER | EQUALITY
LANGUAGE = "numbers, names, + - * /, < <= > >= == !=, and, or, not"
NUMBER, TRUTH, OTHER = "a number", "true or false", "text or null"


class BadConstraint(ValueError):
    """A sentence."""


class Constraint:
    """Raises BadConstraint where the text is none."""

    def __init__(self, text: str):
        self.text = text
        self._root = _parse(text)
        self.names = sorted({_name(node) for node in _names(self._root)})

    def check(self, values: Mapping[str, list[Scalar]]) -> None:
        """Raises BadConstraint where an operation would not fit its operands. values: some of each name's."""
        if not self.names or _kinds(self._root, values) != {TRUTH}:
            raise BadConstraint(
                f"{self.text!r} compares no parameters; as in finetune.clip.low < finetune.clip.high"
            )

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Where one of its names does not exist, it asks for nothing. What divides by zero does not hold."""
        if any(name not in values for name in self.names):
            return True
        try:
            return bool(_value(self._root, values))
        except ArithmeticError:
            return False


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise BadConstraint(f"at most {LONGEST} characters, not {len(text)}")
    try:
        root = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise BadConstraint(f"{text!r} is no comparison; it may have {LANGUAGE}") from None
    for node in _parts(root):
        if not _known(node):
            said = ast.get_source_segment(text.strip(), node) or text
            raise BadConstraint(f"{said!r} is not read; a constraint has {LANGUAGE}")
    return root


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """Every node that stands for a value; a dotted name is one."""
    yield node
    if isinstance(node, ast.BinOp):
        yield from (*_parts(node.left), *_parts(node.right))
    elif isinstance(node, ast.UnaryOp):
        yield from _parts(node.operand)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _parts(each)
    elif isinstance(node, ast.Compare):
        for each in (node.left, *node.comparators):
            yield from _parts(each)


def _known(node: ast.expr) -> bool:
    match node:
        case ast.BinOp():
            return type(node.op) in ARITHMETIC
        case ast.UnaryOp():
            return isinstance(node.op, ast.Not | ast.USub | ast.UAdd)
        case ast.Compare():
            return all(type(op) in COMPARE for op in node.ops)
        case ast.Constant():
            return node.value is None or isinstance(node.value, bool | int | float | str)
        case ast.Attribute():
            return _known(node.value) and not isinstance(node.value, ast.Constant)
    return isinstance(node, ast.BoolOp | ast.Name)


def _names(root: ast.expr) -> Iterator[ast.expr]:
    return (node for node in _parts(root) if isinstance(node, ast.Name | ast.Attribute))


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


def _value(node: ast.expr, values: Mapping[str, Scalar]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.BinOp():
            return ARITHMETIC[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, values)
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, values)
        case ast.UnaryOp():
            return _value(node.operand, values)
        case ast.BoolOp(op=ast.And()):
            return all(_value(each, values) for each in node.values)
        case ast.BoolOp():
            return any(_value(each, values) for each in node.values)
        case ast.Compare():
            sides = [_value(each, values) for each in (node.left, *node.comparators)]
            pairs = zip(node.ops, pairwise(sides), strict=True)
            return all(COMPARE[type(op)](*pair) for op, pair in pairs)
    return values[_name(node)]


def _kinds(node: ast.expr, values: Mapping[str, list[Scalar]]) -> set[str]:
    """Of what the node can be; raises BadConstraint where an operation would not fit."""
    match node:
        case ast.Constant():
            return {_kind(node.value)}
        case ast.BinOp():
            _only(NUMBER, (node.left, node.right), values)
            return {NUMBER}
        case ast.UnaryOp(op=ast.Not()):
            _only(TRUTH, (node.operand,), values)
            return {TRUTH}
        case ast.UnaryOp():
            _only(NUMBER, (node.operand,), values)
            return {NUMBER}
        case ast.BoolOp():
            _only(TRUTH, node.values, values)
            return {TRUTH}
        case ast.Compare():
            sides = (node.left, *node.comparators)
            for op, pair in zip(node.ops, pairwise(sides), strict=True):
                if type(op) in ORDER:
                    _only(NUMBER, pair, values)
                else:
                    for each in pair:
                        _kinds(each, values)
            return {TRUTH}
    return {_kind(value) for value in values[_name(node)]}


def _only(kind: str, nodes: Any, values: Mapping[str, list[Scalar]]) -> None:
    for node in nodes:
        for found in sorted(_kinds(node, values) - {kind}):
            raise BadConstraint(f"{ast.unparse(node)} is {found} where {kind} is needed")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return TRUTH
    return NUMBER if isinstance(value, int | float) else OTHER
