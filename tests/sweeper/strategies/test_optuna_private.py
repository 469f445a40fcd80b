"""The contract with Optuna: each name and habit of its own that this program relies on is as it was read.

Where one of these fails, Optuna is another than VERSION. Read what the sentence names in its sources; where
it still means the same, raise VERSION in sweeper/strategies/optuna_private.py, else mend what uses it.
"""

import ast
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from optuna.samplers import NSGAIISampler, RandomSampler
from optuna.storages import InMemoryStorage

from sweeper.strategies import optuna_private as private
from sweeper.strategies.evolution import Evolution

FOLDERS = [Path(private.__file__).parent, Path(private.__file__).parents[1] / "search"]
OF_NAMED_TUPLES = ("_asdict", "_replace", "_fields")


def test_nothing_else_reads_what_is_private() -> None:
    found = [
        f"{file.name}: {ast.unparse(node)}"
        for folder in FOLDERS
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if node.attr not in OF_NAMED_TUPLES and ast.unparse(node.value) not in ("self", "cls")
        if file.name not in (Path(private.__file__).name, "optuna_private_gp.py")
    ]
    assert not found


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_read() -> None:
    installed = version("optuna")
    assert installed.split(".")[:2] == private.VERSION.split("."), (
        f"Optuna {installed} is installed, and its private names were read in {private.VERSION}: see that "
        "the other tests here pass, and read BaseGASampler, HyperbandPruner, SuccessiveHalvingPruner, "
        "InMemoryStorage, Study._pop_waiting_trial_id and all of optuna/_gp again; then raise VERSION"
    )


def test_a_generation_is_an_attribute_under_a_key_that_has_the_name_of_the_class() -> None:
    said = "look at BaseGASampler in optuna/samplers/_ga/_base.py: how is a trial's generation stored?"
    assert hasattr(NSGAIISampler, "_get_generation_key"), said
    key = private.generation_key(Evolution)
    assert key == "Evolution:generation", f"{said} Stores have it under Evolution:generation, now it is {key}"
    study = optuna.create_study(sampler=Evolution(seed=0, population_size=2))
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    assert study.get_trials(deepcopy=False)[0].system_attrs.get(key) == 0, said


def test_parents_are_selected_by_the_method_that_evolution_overrides() -> None:
    said = "look at NSGAIISampler.select_parent: Evolution sorts what it returns"
    assert parameters(getattr(NSGAIISampler, "select_parent", lambda: 0)) == [
        "self",
        "study",
        "generation",
    ], said


def test_a_bracket_is_a_hash_of_the_studys_name_and_the_trials_number() -> None:
    said = "look at HyperbandPruner._get_bracket_id in optuna/pruners/_hyperband.py: which trials compete?"
    assert parameters(getattr(HyperbandPruner, "_get_bracket_id", lambda: 0)) == ["self", "study", "trial"], (
        said
    )
    brackets = []
    for name in ("s", "s", "other"):
        pruner = HyperbandPruner(1, 27, 3)
        study = optuna.create_study(study_name=name, sampler=RandomSampler(0), pruner=pruner)
        for _ in range(20):
            trial = study.ask()
            trial.report(1.0, 1)
            trial.should_prune()
        brackets.append(
            [private.bracket_of(pruner, study, each) for each in study.get_trials(deepcopy=False)]
        )
    assert brackets[0] == brackets[1] != brackets[2], said
    assert len(set(brackets[0])) > 1, said


def test_the_value_with_which_a_trial_came_to_a_rung_is_an_attribute() -> None:
    said = "look at _completed_rung_key in optuna/pruners/_successive_halving.py"
    study = optuna.create_study(pruner=SuccessiveHalvingPruner(1, 2), sampler=RandomSampler(0))
    trial = study.ask()
    trial.report(4.5, 1)
    trial.should_prune()
    assert study.get_trials(deepcopy=False)[0].system_attrs == {f"{private.RUNG}0": 4.5}, said


def test_an_attribute_that_is_set_is_the_studys() -> None:
    said = "look at Study._storage, FrozenTrial._trial_id and BaseStorage.set_trial_system_attr"
    study = optuna.create_study(sampler=RandomSampler(0))
    study.ask()
    study.ask()
    (_, frozen) = study.get_trials()
    private.set_attribute(study, frozen, "name", 3)
    assert [each.system_attrs for each in study.get_trials()] == [{}, {"name": 3}], said


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("create_new_trial", ["self", "study_id", "template_trial"]),
        ("set_trial_state_values", ["self", "trial_id", "state", "values"]),
        ("get_all_trials", ["self", "study_id", "deepcopy", "states"]),
    ],
)
def test_a_storage_has_the_methods_that_a_bounded_study_overrides(method: str, names: list[str]) -> None:
    said = f"look at InMemoryStorage.{method}: BoundedStudy overrides it"
    assert parameters(getattr(InMemoryStorage, method, lambda: 0)) == names, said


def test_nothing_of_optunas_asks_for_failures_alone() -> None:
    said = "a bounded study answers it with all there are: is that what this sampler means?"
    folder = Path(optuna.__file__).parent
    asking = [
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Tuple | ast.List) and list(map(ast.unparse, node.elts)) == ["TrialState.FAIL"]
    ]
    assert not asking, said


def test_only_the_question_for_enqueued_trials_is_for_these_states_alone() -> None:
    """A bounded study answers it with all there are, and every other with what a sampler may see."""
    asked = []

    class Spy(InMemoryStorage):
        def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> Any:
            asked.append(states)
            return super().get_all_trials(study_id, deepcopy, states)

    study = optuna.create_study(storage=Spy(), sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=1))
    for number in range(3):
        study.enqueue_trial({"x": 0.5})
        asked.clear()
        trial = study.ask()
        said = "look at Study._pop_waiting_trial_id in optuna/study/study.py: of which states does it ask?"
        assert asked.count(private.ENQUEUED) == 1, said
        trial.suggest_float("x", 0, 1)
        study.tell(trial, float(number))
