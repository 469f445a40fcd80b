"""What was taken for right and is not; what a specification may ask for at most; merges, and int in steps."""

from pathlib import Path

import pytest

from sweeper.planning.plan import plan
from sweeper.spec.load import load_spec, read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import LONGEST, InvalidSpec
from trainer.config.names import train_names
from trainer.config.problems import HEAD, SAID, TAIL, InvalidConfig
from trainer.config.train_config import TrainConfig

BASE = """
trainer: {data.length: 64, model.size: nano, finetune.steps: 4}
space:
  finetune.lr: {log_uniform: [1e-4, 1e-2]}
search: {sampler: random, trials: 2}
"""
CHOICES = BASE.replace("space:\n", "space:\n  KEY: {choice: [VALUES]}\n")


def said(text: str) -> str:
    with pytest.raises(InvalidSpec) as error:
        read_spec(text, "spec", "name")
    return str(error.value)


def sweep(text: str) -> SweepSpec:
    return read_spec(text, "spec", "name")


@pytest.mark.parametrize(
    ("key", "values", "sentence"),
    [
        ("finetune.block_size", "4, '4'", "'4' is the same as 4"),
        ("finetune.antithetic", "true, 'true'", "'true' is the same as True"),
        ("finetune.batch_size", "3, true", "finetune.batch_size: must be a valid integer, got 'true'"),
    ],
)
def test_two_values_of_yaml_that_are_one_of_a_run(key: str, values: str, sentence: str) -> None:
    assert sentence in said(CHOICES.replace("KEY", key).replace("VALUES", values))


def test_the_second_of_two_such_values_is_pointed_at() -> None:
    text = BASE.replace("{log_uniform: [1e-4, 1e-2]}", "{choice: [1e-3, '0.001']}")
    assert said(text) == "spec:4:32: finetune.lr: '0.001' is the same as 0.001"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("trainer.finetune.batch_size: true", "finetune.batch_size: must be a valid integer, got 'true'"),
        ("trainer.finetune.lr: true", "finetune.lr"),
        ("always_seeds: true", "always_seeds: must be a valid integer"),
        ("search.points: {a: b}", "search.points: must be a list of runs"),
        ("early_stopping: {}", "early_stopping.pruner: missing: one of "),
        ("confirm: {}", "confirm.top: missing"),
        ("budget: {}", "budget: says nothing"),
        ("reference: {}", "reference.title: missing"),
        (
            "search.points: [{finetune.lr: 1e-3}, {finetune.lr: 0.001}]",
            "search.points[1]: the same run as search.points[0]",
        ),
        (
            "search.points: [{finetune.lr: 1e-3}, {finetune.lr: 2e-3}, {finetune.lr: 3e-3}]",
            "2 are fewer than",
        ),
        ("scale: [a]\nvariants: {scale: {report: {}, small: {}}}", "['a'] is not among report, small"),
        ("scale: 3\nvariants: {scale: {report: {}, small: {}}}", "3 is not among report, small"),
    ],
)
def test_what_says_nothing_or_another_thing_is_refused(more: str, sentence: str) -> None:
    assert sentence in said(f"{BASE}\n{more}\n")


@pytest.mark.parametrize("name", sorted(set(train_names().leaves) - {"seed"}))
def test_nothing_in_braces_is_no_value_of_any_field(name: str) -> None:
    """It was dropped without a word, and the field had its default."""
    assert name.split(".")[0] in said(f"{BASE}\ntrainer.{name}: {{}}\n")


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("trainer.evaluation.block_sizes: [4, true]", "evaluation.block_sizes"),
        ("space.finetune.dropout: {uniform: [false, 0.5]}", "finetune.dropout"),
        ("space.finetune.ema: {log_uniform: [0.5, true]}", "finetune.ema"),
        ("search.seed: {}", "search.seed"),
        ("replicates: {}", "replicates"),
        ("metric: {}", "metric"),
        ("tags: {}", "tags"),
    ],
)
def test_a_truth_value_and_an_empty_group_are_no_numbers_in_a_list_either(more: str, key: str) -> None:
    assert f": {key}" in said(f"{BASE}\n{more}\n")


def test_a_value_that_is_longer_than_any_sentence_is_said_without_its_middle() -> None:
    long = ", ".join(map(str, range(5000)))
    for more in (f"always_seeds: [{long}]", f"trainer.data.name: '{long}'", f"'{long}': 1"):
        assert len(said(f"{BASE}\n{more}\n")) < 2 * (HEAD + TAIL)
    with pytest.raises(InvalidConfig) as error:
        TrainConfig.from_dotted({"finetune.steps": long})
    assert len(str(error.value)) < HEAD + TAIL + 20


def test_an_empty_line_switches_a_section_off() -> None:
    assert sweep(f"{BASE}\nearly_stopping:\nconfirm:\n").early_stopping is None


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("always_seeds: 1e9", "always_seeds"),
        ("replicates: 1000000000000", "replicates"),
        ("confirm: {top: 1000000000, seeds: 3}", "confirm.top"),
        ("confirm: {top: 3, seeds: 1000000000}", "confirm.seeds"),
        ("search.trials: 1000000000", "search.trials"),
    ],
)
def test_no_sweep_without_end(more: str, key: str) -> None:
    text = BASE.replace(", trials: 2", "") if key == "search.trials" else BASE
    assert f"{key}: must be less than or equal to 1000" in said(f"{text}\n{more}\n")


def test_the_most_that_may_be_asked_for_is_counted_without_making_every_run() -> None:
    more = """
trainer.pretrain.steps: 3
always: [{finetune.lr: 1e-3}, {finetune.block_size: 4}]
always_seeds: 1000
replicates: 1000
confirm: {top: 3, seeds: 1000}
"""
    found = plan(sweep(BASE + more))
    assert (found.baselines, found.replicates, found.confirmed) == (2000, 1998, 3000)
    assert found.stages == 2000  # seeds 0 to 999, and those of confirm


def test_a_long_text_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(BASE + "#" * LONGEST)
    with pytest.raises(InvalidSpec, match="a specification has at most 200,000 characters"):
        load_spec(tmp_path / "long.yaml")
    with pytest.raises(InvalidSpec, match="a specification has at most"):
        read_spec(BASE + "#" * 50_000_000, "spec", "name")


def test_of_many_problems_the_first_are_said() -> None:
    lines = said(BASE + "".join(f"trainer.finetune.x{i}: 1\n" for i in range(5000))).splitlines()
    assert len(lines) == SAID + 1 == 21
    assert lines[-1] == "and 4,980 more"


# --- merges ---
def test_what_is_merged_stands_where_it_was_written() -> None:
    text = BASE.replace("space:\n", "space:\n  finetune.block_size: &b {choice: [4, 8]}\n  KEY: {<<: *b}\n")
    dimensions = sweep(text.replace("KEY", "finetune.batch_size")).dimensions
    assert dimensions["finetune.batch_size"] == dimensions["finetune.block_size"]
    assert said(text.replace("KEY", "finetune.dropot")).startswith("spec:5:3: finetune.dropot: unknown")


def test_own_lines_go_before_merged_ones_and_the_first_of_a_list_before_the_others() -> None:
    text = """
trainer:
  data.length: 64
  finetune: &base {steps: 4, lr: 0.1}
  pretrain: &other {lr: 0.2, batch_size: 8}
search: {sampler: random, trials: 0}
always:
- <<: [{finetune.lr: 0.3}, {finetune.lr: 0.4, finetune.batch_size: 2}]
  finetune.block_size: 4
"""
    (entry,) = sweep(text).always
    assert entry == {"finetune.block_size": 4, "finetune.lr": 0.3, "finetune.batch_size": 2}


@pytest.mark.parametrize(
    "merged",
    [
        "x: {<<: 3}",
        "x: &x {<<: *x}",
        "x: {<<: [3]}",
        "a0: &a0 {p: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 9}]}}\n" for i in range(1, 12)),
    ],
)
def test_a_merge_that_is_none_or_has_no_end_is_a_sentence(merged: str) -> None:
    assert "<<: *name" in said(f"{BASE}\n{merged}") or "too large" in said(f"{BASE}\n{merged}")


# --- steps of an int ---
def test_an_int_in_steps() -> None:
    text = BASE.replace("space:\n", "space:\n  finetune.batch_size: {int: [4, 16], step: 4}\n")
    dimension = sweep(text).dimensions["finetune.batch_size"]
    assert list(dimension.values() or ()) == [4, 8, 12, 16]
    assert [n for n in range(20) if dimension.holds(n)] == [4, 8, 12, 16]
    assert set(dimension.probes()) <= {4, 8, 12, 16}
    again = SweepSpec.from_resolved(sweep(text).resolved())
    assert again.dimensions["finetune.batch_size"] == dimension
    assert "from 4 in steps of 5 comes to 14, not to 16" in said(text.replace("step: 4", "step: 5"))
    assert "only int has steps" in said(text.replace("int:", "log_int:"))


def test_optuna_is_asked_for_no_other_value() -> None:
    optuna = pytest.importorskip("optuna")
    space = sweep(BASE.replace("space:\n", "space:\n  finetune.batch_size: {int: [4, 16], step: 4}\n")).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {space.suggest(study.ask())["finetune.batch_size"] for _ in range(50)}
    assert found == {4, 8, 12, 16}


def test_a_stored_space_without_steps_is_read() -> None:
    values = sweep(BASE.replace("space:\n", "space:\n  finetune.batch_size: {int: [4, 16]}\n")).resolved()
    del values["space"]["finetune.batch_size"]["step"]
    assert list(SweepSpec.from_resolved(values).dimensions["finetune.batch_size"].values() or ()) == [
        *range(4, 17)
    ]
