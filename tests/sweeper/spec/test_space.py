"""The space: the order of questions, conditions, counting, grids."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from pydantic import TypeAdapter, ValidationError

from sweeper.spec.dimensions import KINDS, AnyDimension
from sweeper.spec.space import ConditionCycle, Space


def space(**dimensions: dict) -> Space:
    made = {
        name.replace("__", "."): TypeAdapter(AnyDimension).validate_python(d)
        for name, d in dimensions.items()
    }
    return Space(made)


class Asked:
    """A trial that notes what it is asked, and answers with the first or the lowest."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def suggest_categorical(self, name, choices):
        self.calls.append(("categorical", name, tuple(choices)))
        return choices[0]

    def suggest_float(self, name, low, high, *, log=False):
        self.calls.append(("float", name, low, high, log))
        return low

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.calls.append(("int", name, low, high, log))
        return low


def test_every_kind_asks_for_what_it_says() -> None:
    trial = Asked()
    space(
        a={"choice": [4, "x", None]},
        b={"uniform": [0, 1]},
        c={"log_uniform": [1e-4, 1]},
        d={"int": [2, 5]},
        e={"log_int": [1, 100]},
    ).suggest(trial)
    assert trial.calls == [
        ("categorical", "a", (4, "x", None)),
        ("float", "b", 0.0, 1.0, False),
        ("float", "c", 1e-4, 1.0, True),
        ("int", "d", 2, 5, False),
        ("int", "e", 1, 100, True),
    ]


@pytest.mark.parametrize("word", KINDS)
def test_every_kind_holds_what_it_proposes_and_what_it_is_tried_with(word: str) -> None:
    dimension = KINDS[word].model_validate({word: [1, 3]})
    values = [dimension.suggest(Asked(), "a"), *dimension.probes(), *(dimension.values() or ())]
    assert all(dimension.holds(value) for value in values)
    assert not dimension.holds(4)
    assert space(a={word: [1, 3]}).dimensions["a"] == dimension


def test_a_condition_is_asked_before_what_depends_on_it_whatever_the_order_of_the_file() -> None:
    dimensions = {
        "a.mu": {"uniform": [0, 1], "when": {"z.name": "gaussian"}},
        "b": {"int": [1, 2], "when": {"a.mu2": [1, 2]}},
        "a.mu2": {"int": [1, 3], "when": {"z.name": ["cosine", "gaussian"]}},
        "z.name": {"choice": ["gaussian", "cosine"]},
    }
    one, other = Asked(), Asked()
    values = space(**dimensions).suggest(one)
    space(**dict(reversed(dimensions.items()))).suggest(other)
    assert list(values) == ["z.name", "a.mu", "a.mu2", "b"]
    assert one.calls == other.calls


def test_what_does_not_exist_is_not_asked_for() -> None:
    both = space(name={"choice": ["x", "y"]}, k={"int": [1, 2], "when": {"name": "y"}})
    assert both.suggest(FixedTrial({"name": "x", "k": 1})) == {"name": "x"}
    assert both.suggest(FixedTrial({"name": "y", "k": 2})) == {"name": "y", "k": 2}


def test_a_condition_on_a_key_outside_the_space_holds() -> None:
    assert space(k={"int": [1, 2], "when": {"fixed": "y"}}).suggest(Asked()) == {"k": 1}


def test_conditions_in_a_circle_are_refused() -> None:
    with pytest.raises(ConditionCycle, match="in a circle: "):
        space(a={"choice": [1], "when": {"b": 1}}, b={"choice": [1], "when": {"a": 1}})


def test_the_grid_has_each_point_once_in_one_order() -> None:
    grid = space(
        name={"choice": ["x", "y"]}, k={"int": [1, 3], "when": {"name": "y"}}, other={"choice": [True, False]}
    )
    points = list(grid.points())
    assert grid.size() == len(points) == 2 + 3 * 2
    assert points == list(grid.points())
    assert points[0] == {"name": "x", "other": True}
    assert {"name": "y", "other": False, "k": 3} in points
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)


def test_a_continuum_has_no_grid() -> None:
    continuous = space(a={"uniform": [0, 1]}, b={"choice": [1]})
    assert continuous.size() is None
    assert continuous.continuous() == ["a"]
    with pytest.raises(ValueError, match="continuous a"):
        list(continuous.points())


@pytest.mark.parametrize(
    "wrong",
    [
        {"choice": []},
        {"choice": [1, 2, 1]},
        {"choice": [[1]]},
        {"uniform": [1, 1]},
        {"uniform": [2, 1]},
        {"uniform": [1]},
        {"uniform": [0, float("inf")]},
        {"log_uniform": [0, 1]},
        {"int": [1, 2.5]},
        {"int": [True, 5]},
        {"log_int": [0, 5]},
        {"int": [1, 2], "when": {"a": []}},
        {"int": [1, 2], "step": 2},
        {"int": [1, 2], "step": 0},
        {"log_int": [1, 3], "step": 2},
        {"int": [1, 2], "choice": [1]},
    ],
)
def test_impossible_dimensions_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyDimension).validate_python(wrong)


def test_a_point_outside_is_named() -> None:
    both = space(name={"choice": ["x", "y"]}, k={"uniform": [1, 2], "when": {"name": "y"}})
    assert both.problem({"name": "y", "k": 1.5}) is None
    assert both.problem({"name": "x"}) is None
    assert both.problem({"name": "y"}) == ("k", "missing: a point gives every searched value")
    assert both.problem({"name": "x", "k": 1.5}) == ("k", "its `when` does not hold at this point")
    assert both.problem({"name": "y", "k": 3}) == ("k", "3 is outside the space")
    assert both.problem({"name": "x", "z": 3}) == ("z", "not in the space")


def test_an_example_satisfies_conditions_of_conditions() -> None:
    deep = space(
        a={"choice": [1, 2, 3]},
        b={"choice": ["u", "v"], "when": {"a": [2, 3]}},
        c={"uniform": [0, 1], "when": {"b": "v", "a": 3}},
    )
    assert deep.example({"c": 0.5}) == {"a": 3, "b": "v", "c": 0.5}
    assert deep.example({"a": 1}) == {"a": 1}
    assert deep.example({"a": 1, "b": "u"}) is None


@st.composite
def finite_spaces(draw: st.DrawFn) -> Space:
    """Up to four choices, each possibly conditional on an earlier one."""
    dimensions: dict[str, dict] = {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        choices = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
        dimension: dict = {"choice": choices}
        if dimensions and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(dimensions)))
            dimension["when"] = {key: draw(st.sampled_from(dimensions[key]["choice"]))}
        dimensions[name] = dimension
    return space(**dimensions)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finite_spaces())
def test_size_counts_the_points_and_every_point_is_in_the_space(finite: Space) -> None:
    points = list(finite.points())
    assert finite.size() == len(points) == len({tuple(sorted(point.items())) for point in points})
    for point in points:
        assert finite.problem(point) is None
        assert finite.suggest(FixedTrial(point)) == point


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(finite_spaces())
def test_an_example_is_found_for_every_value_that_a_point_has(finite: Space) -> None:
    reached = {pair for point in finite.points() for pair in point.items()}
    for name, dimension in finite.dimensions.items():
        for value in dimension.values() or ():
            example = finite.example({name: value})
            assert (example is not None) == ((name, value) in reached)
            if example is not None:
                assert example[name] == value
                assert finite.problem(example) is None
