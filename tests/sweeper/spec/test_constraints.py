"""The language of constraints, and that no proposal of any sampler breaks one."""

import math
import operator
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.search.proposals import Outcome, Proposals
from sweeper.spec.constraints import BadConstraint, Constraint
from tests.sweeper.conftest import ENDLESS
from tests.sweeper.driving import make_spec, run_to_end, told

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
COMPARISON: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
VALUES = {"a.b": 3, "c": 0.25, "d.e_f.g": -2}
Meaning = tuple[str, Callable[[], Any]]  # a text, and what it means


def _binary(signs: dict[str, Callable[[Any, Any], Any]]) -> Callable[[Any], Meaning]:
    def made(parts: tuple[str, Meaning, Meaning]) -> Meaning:
        sign, (left, first), (right, second) = parts
        return f"({left}) {sign} ({right})", lambda: signs[sign](first(), second())

    return made


def _numbers() -> st.SearchStrategy[Meaning]:
    leaves = st.one_of(
        st.sampled_from(sorted(VALUES)).map(lambda name: (name, lambda: VALUES[name])),
        st.integers(0, 9).map(lambda n: (str(n), lambda: n)),
        st.floats(0, 10, allow_nan=False).map(lambda x: (repr(x), lambda: x)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(sorted(ARITHMETIC)), inner, inner).map(_binary(ARITHMETIC)),
            inner.map(lambda each: (f"-({each[0]})", lambda: -each[1]())),
        ),
        max_leaves=4,
    )


def _truths() -> st.SearchStrategy[Meaning]:
    number = _numbers()
    compared = st.tuples(st.sampled_from(sorted(COMPARISON)), number, number).map(_binary(COMPARISON))
    return st.recursive(
        compared,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(
                lambda two: (f"({two[0][0]}) and ({two[1][0]})", lambda: two[0][1]() and two[1][1]())
            ),
            st.tuples(inner, inner).map(
                lambda two: (f"({two[0][0]}) or ({two[1][0]})", lambda: two[0][1]() or two[1][1]())
            ),
            inner.map(lambda each: (f"not ({each[0]})", lambda: not each[1]())),
        ),
        max_leaves=3,
    )


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(_truths())
def test_it_means_what_it_says(said: Meaning) -> None:
    text, meaning = said
    if len(text) > 300:
        return
    constraint = Constraint(text)
    try:
        wanted = bool(meaning())
    except ArithmeticError:
        wanted = False  # what divides by zero does not hold
    assert constraint.holds(VALUES) == wanted
    assert set(constraint.names) <= set(VALUES)
    if constraint.names:
        constraint.check({name: [value] for name, value in VALUES.items()})
        assert constraint.holds({})  # nothing is asked of what does not exist


def test_chains_text_and_truth() -> None:
    chain = Constraint("1 < a.b <= 3 != 4")
    assert [chain.holds({"a.b": value}) for value in (1, 2, 3, 3.5)] == [False, True, True, False]
    text = Constraint("name == 'gaussian' or b > 2")
    assert [text.holds({"name": "x", "b": b}) for b in (2, 3)] == [False, True]
    text.check({"name": ["gaussian", None], "b": [1]})
    assert Constraint("not flag or b > 2").holds({"flag": False, "b": 1})


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "a[0] < 1", "(lambda: 1)() < a", "[a] < [1]", "a if a else a < 1",
        "a ** 2 < 1", "a % 2 < 1", "a // 2 < 1", "a in b", "a is b", "f'{a}' < 'b'", "'x'.y < 1", "1j < a",
        "a @ b < 1", "a & b", "b'x' < a", "{} == a", "a <", "a < 1; a", "a = 1", "import os", "", "a <\0 b",
        "(" * 150 + "a" + ")" * 140, "a := 1", "await a", "...", "a < b # c\nb", "a.b().c < 1", "*a < b",
    ],
)  # fmt: skip
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(BadConstraint) as caught:
        Constraint(text).check({"a": [1], "b": [1]})
    assert "\n" not in str(caught.value).replace(text, "")


# --- the space ---------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True),
    st.integers(1, 8),
    st.sampled_from(["batch_size * steps", "batch_size + steps", "steps - batch_size"]),
    st.sampled_from(["<", ">=", "!="]),
    st.integers(-10, 120),
)
def test_the_grid_is_what_brute_force_finds(
    steps: list[int], most: int, left: str, sign: str, right: int
) -> None:
    named = left.replace("batch_size", "finetune.batch_size").replace("steps", "finetune.steps")
    text = f"""
name: test
space:
  finetune.steps: {{choice: {steps}}}
  finetune.batch_size: {{int: [1, {most + 1}], when: {{finetune.schedule.name: cosine}}}}
  finetune.schedule.name: {{choice: [loglinear, cosine]}}
constraints: ["{named} {sign} {right}"]
search: {{trials: 1}}
"""
    meaning = {
        "batch_size * steps": operator.mul,
        "batch_size + steps": operator.add,
        "steps - batch_size": lambda b, s: s - b,
    }
    wanted: list[dict[str, Any]] = [
        {"finetune.steps": s, "finetune.schedule.name": "cosine", "finetune.batch_size": b}
        for s, b in product(steps, range(1, most + 2))
        if COMPARISON[sign](meaning[left](b, s), right)
    ]
    # Where it has no batch size, the constraint asks nothing.
    wanted += [{"finetune.steps": s, "finetune.schedule.name": "loglinear"} for s in steps]
    space = make_spec(text=text).space
    points = list(space.points())
    assert sorted(map(str, map(sorted, map(dict.items, points)))) == sorted(
        map(str, map(sorted, map(dict.items, wanted)))
    )
    assert space.size() == len(points)
    for point in wanted:
        assert space.problem(point) is None
        assert space.example(point) == point


@pytest.mark.parametrize("sampler", ENDLESS)
def test_no_proposal_breaks_a_constraint(sampler: str, small_samplers: None) -> None:
    """Also where what the sampler learns draws it to the border: less is better beyond it."""
    text = """
name: test
space:
  finetune.clip.low: {uniform: [0, 1]}
  finetune.clip.high: {uniform: [0, 1]}
constraints: [finetune.clip.low + 0.1 < finetune.clip.high, finetune.clip.high < 0.6]
search: {trials: 60}
"""
    proposals = Proposals(make_spec(f"search.sampler={sampler}", text=text), [], {})
    for number in range(60):
        proposal = proposals.ask()
        assert proposal is not None
        assert proposal.number == number
        low, high = proposal.params["finetune.clip.low"], proposal.params["finetune.clip.high"]
        assert low + 0.1 < high < 0.6
        proposals.tell(number, Outcome((high - low,)))


def test_a_constraint_that_nothing_satisfies_ends_the_search_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.search.proposals.AT_RANDOM", 30)
    monkeypatch.setattr("sweeper.driver.search.AT_RANDOM", 30)
    spec = make_spec(
        "space.finetune.lr.uniform=[0.001, 0.002]", "constraints=['finetune.lr * 1000 == 3']",
        "always=[{finetune.lr: 0.003}]", "always_seeds=1",
    )  # fmt: skip
    url = f"sqlite:///{tmp_path}/s.db"
    run_to_end(url, spec, tmp_path)
    found = told(url)
    assert found["sweep"] == ("complete", "the search has ended: 50 proposals in a row broke a constraint")
    assert [trial[1] for trial in found["trials"]] == ["baseline"]


def test_a_value_that_is_no_number_is_below_nothing() -> None:
    assert not Constraint("a < 1e300 * 1e300 - 1e300 * 1e300").holds({"a": 1})
    assert not math.isfinite(1e300 * 1e300)
