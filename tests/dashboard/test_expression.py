"""The filter's language: what it keeps, that it equals pandas, and that a wrong one is a sentence."""

import contextlib
import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.expression import LONGEST, WrongExpression, kept

ROWS = pd.DataFrame(
    {
        "val_ppl": [100.0, 150.0, np.nan],
        "finetune.block_size": [4, 8, 16],
        "finetune.schedule.name": ["cosine", None, "Gaussian"],
        "a.mu": [0.1, np.nan, 0.3],
        "b.mu": [1, 2, 3],
        "zero_shot_ppl/lm1b": [1.0, 2.0, 3.0],
        "ema": [True, None, False],
    },
    index=[5, 6, 7],
)


def keeps(text: str, rows: pd.DataFrame = ROWS) -> list[bool]:
    return kept(text, list(rows), lambda name: rows[name], len(rows)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("finetune.block_size <= 8 and val_ppl < 120", [True, False, False]),
        ("block_size in (4, 16)", [True, False, True]),
        ("block_size not in [4]", [False, True, True]),
        ("'COS' in finetune.schedule.name", [True, False, False]),
        ("finetune.schedule.name == 'cosine' or finetune.schedule.name == none", [True, True, False]),
        ("val_ppl is none", [False, False, True]),
        ("val_ppl != none", [True, True, False]),
        ("not val_ppl < 120", [False, True, True]),
        ("4 < block_size < 16", [False, True, False]),
        ("a.mu * 10 - 1 > -b.mu", [True, False, True]),
        ("`zero_shot_ppl/lm1b` >= 2", [False, True, True]),
        ("ema", [True, False, False]),
        ("not ema", [False, True, True]),
        ("ema == false", [False, False, True]),
        ("val_ppl / 0 > 1", [True, True, False]),
        ("1 < 2", [True, True, True]),
    ],
)
def test_what_an_expression_keeps(text: str, expected: list[bool]) -> None:
    assert keeps(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("val_ppl <", "cannot be read"),
        ("   ", "cannot be read"),
        ("val_ppl", "neither true nor false"),
        ("mu > 1", "mu may be a.mu or b.mu"),
        ("nosuch > 1", "no column nosuch"),
        ("finetune.schedule.name < 3", "finetune.schedule.name is no number"),
        ("val_ppl < 'x'", "'x' is no number"),
        ("3 in val_ppl", "only text is part of a text"),
        ("__import__('os').system('true')", "nothing that a filter knows"),
        ("val_ppl.__class__ == 1", "no column val_ppl.__class__"),
        ("val_ppl[0] > 1", "nothing that a filter knows"),
        ("[x for x in val_ppl]", "nothing that a filter knows"),
        ("(lambda: 1)() > 1", "nothing that a filter knows"),
        ("9 ** 9 ** 9 > 1", "nothing that a filter knows"),
        ("'a' * 999999999 == 'a'", "'a' is no number"),
        ("-" * 450 + "1 > 0", ""),
        ("(" * 250 + "1" + ")" * 240, "cannot be read"),
        ("x" * (LONGEST + 1), "characters"),
    ],
)
def test_a_wrong_expression_is_a_sentence(text: str, said: str) -> None:
    if not said:  # deep, but sound
        assert keeps(text) == [True] * 3
        return
    with pytest.raises(WrongExpression, match=said.replace("(", r"\(")) as wrong:
        keeps(text)
    assert str(wrong.value).endswith(".")
    assert "\n" not in str(wrong.value)


def test_the_end_of_a_name_is_that_of_a_searched_one_first() -> None:
    found = kept("mu > 1", list(ROWS), lambda name: ROWS[name], len(ROWS), ["b.mu"])
    assert found.tolist() == [False, True, True]


@given(st.text(max_size=60))
def test_no_text_at_all_ends_otherwise(text: str) -> None:
    """Nor in anything but a bool a row."""
    with contextlib.suppress(WrongExpression):
        assert len(keeps(text)) == len(ROWS)


SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8),
    st.sampled_from(sorted(SIGNS)),
    st.sampled_from(sorted(SIGNS)),
    st.floats(-1e6, 1e6),
    st.sampled_from(["and", "or"]),
    st.booleans(),
)
def test_it_keeps_what_pandas_would(
    cells: list[tuple[float, float]], one: str, other: str, bound: float, join: str, turned: bool
) -> None:
    rows = pd.DataFrame(cells, columns=["x.a", "y"])
    text = f"x.a {one} {bound!r} {join} {'not ' if turned else ''}y {other} x.a"
    second = SIGNS[other](rows["y"], rows["x.a"])
    expected = {"and": operator.and_, "or": operator.or_}[join](
        SIGNS[one](rows["x.a"], bound), ~second if turned else second
    )
    assert keeps(text, rows) == expected.tolist()
