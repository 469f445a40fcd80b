"""The specification as values: defaults, its stored form, and what makes two of them two sweeps."""

# ruff: noqa: E501 (tables: a line is a case)

import json

from sweeper.planning.plan import plan
from sweeper.spec.spec import SweepSpec, differences
from tests.sweeper.spec.texts import GOOD, problems, read, with_space


def test_nested_dotted_and_mixed_keys_say_the_same() -> None:
    spec = read(GOOD)
    assert spec.trainer["pretrain.schedule.name"] == "loglinear"
    assert set(spec.dimensions) == {
        "finetune.block_size",
        "finetune.schedule.name",
        "finetune.schedule.mu",
        "finetune.lr",
    }
    assert spec.always == ({"finetune.schedule.name": "loglinear", "finetune.block_size": 16},)
    dotted = read("trainer.model.size: tiny\nsearch.trials: 2\nspace.finetune.block_size.choice: [4, 8]\n")
    nested = read(
        "trainer: {model: {size: tiny}}\nsearch: {trials: 2}\nspace: {finetune: {block_size: {choice: [4, 8]}}}"
    )
    assert dotted.resolved() == nested.resolved()


def test_numbers_are_those_of_yaml_1_2() -> None:
    spec = read("search.trials: 1\ntrainer: {finetune.lr: 1e-4}\nspace: {finetune.block_size: {choice: [8]}}")
    assert spec.trainer["finetune.lr"] == 1e-4
    assert read("name: no\n" + GOOD.split("\n", 1)[1]).name == "no"


def test_defaults_are_filled_in() -> None:
    spec = read(with_space("  finetune.block_size: {choice: [4, 8]}"))
    assert (spec.name, spec.metric, spec.always_seeds) == ("sweep", "val_ppl", 3)
    assert (spec.search.sampler, spec.search.seed, spec.search.points) == ("tpe", 0, ())
    assert (spec.resources.cpu, spec.resources.gpu, spec.resources.slots) == (1, "auto", "auto")


def test_a_grid_and_a_list_say_themselves_how_many_trials() -> None:
    grid = "search: {sampler: grid}\nspace: {finetune.block_size: {choice: [4, 8]}, finetune.batch_size: {int: [2, 4]}}"
    assert read(grid).search.trials == 6
    points = "[{finetune.block_size: 8}, {finetune.block_size: 4}]"
    listed = (
        f"search: {{sampler: fixed, points: {points}}}\nspace: {{finetune.block_size: {{choice: [4, 8]}}}}"
    )
    assert read(listed).search.trials == 2
    alone = read("always: [{finetune.block_size: 4}, {finetune.block_size: 8}]")
    assert alone.search.trials == 0
    assert plan(alone).baselines == 6


def test_resolved_is_json_and_comes_back_equal() -> None:
    spec = read(GOOD)
    stored = json.loads(json.dumps(spec.resolved()))
    again = SweepSpec.from_resolved(stored, spec.text)
    assert again.resolved() == spec.resolved() == stored
    assert list(again.space.dimensions) == list(spec.space.dimensions)
    assert again.text == GOOD
    assert "text" not in stored


def test_differences_are_sentences_and_resources_make_none() -> None:
    spec = read(GOOD).resolved()
    assert differences(spec, spec) == []
    assert differences(spec, read(GOOD, "resources.gpu=0.25", "resources.slots=7").resolved()) == []
    changed = read(
        GOOD, "search.trials=9", "space.finetune.block_size.choice=[4]", "trainer.finetune.antithetic=false"
    )
    assert differences(spec, changed.resolved()) == [
        "search.trials: 6 -> 9",
        "space.finetune.block_size.choice: [4, 8, 16] -> [4]",
        "trainer.finetune.antithetic: nothing -> False",
    ]


def test_a_spec_stored_before_a_setting_was_known_is_the_same_sweep() -> None:
    spec = read(GOOD).resolved()
    old = {key: value for key, value in spec.items() if key != "constraints"}
    assert differences(old, spec) == []


def test_a_trials_run_has_its_defaults_resolved_after_merging() -> None:
    spec = read(
        GOOD.replace("  model.size: nano\n", "").replace(
            "    lr: {log_uniform: [1e-4, 1e-2]}\n", "    batch_size: {int: [2, 3]}\n"
        )
    )
    small = spec.train_config({"model.size": "small", "finetune.block_size": 4}, 5)
    assert (small.model.width, small.finetune.lr, small.seed, small.finetune.block_size) == (768, 3e-4, 5, 4)
    assert spec.train_config({}, 0).model.width == 64


def test_overrides_take_the_place_of_what_the_file_says() -> None:
    spec = read(
        GOOD,
        "trainer.model.size=tiny",
        "search.trials=2",
        "space.finetune.block_size={int: [1, 2]}",
        "space.finetune.lr.log_uniform=[1e-5, 1e-3]",
        "always=[]",
        "name=other one",
    )
    assert spec.trainer["model.size"] == "tiny"
    assert spec.search.trials == 2
    assert list(spec.dimensions["finetune.block_size"].values() or ()) == [1, 2]
    assert spec.dimensions["finetune.lr"].probes()[0] == 1e-5
    assert spec.always == ()
    assert spec.name == "other one"
    assert "trainer.model.size=tiny" in spec.text


def test_a_list_of_metrics_is_kept_and_one_is_a_word() -> None:
    both = read(GOOD, "metric=[val_nelbo, seconds]")
    assert (both.metric, both.metrics) == ("val_nelbo", ("val_nelbo", "seconds"))
    assert both.resolved()["metric"] == ["val_nelbo", "seconds"]
    assert SweepSpec.from_resolved(both.resolved()).metrics == both.metrics
    assert read(GOOD).resolved()["metric"] == "val_ppl"
    unmeasured = problems(
        GOOD.replace("  finetune.steps: 20", "  finetune.steps: 20\n  evaluation.variance_batches: 0"),
        "metric=[val_ppl, var_nelbo]",
    )
    assert unmeasured == [
        "command line: metric=[val_ppl, var_nelbo]: metric: var_nelbo is not measured where evaluation.variance_batches is 0"
    ]
