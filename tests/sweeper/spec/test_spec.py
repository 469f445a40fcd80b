"""The specification: what is read, and what is refused, with its line."""

# ruff: noqa: E501 (tables: a line is a case)

import json
import random
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sweeper.planning.plan import plan
from sweeper.spec.load import load_spec, read_spec
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.strategies.samplers import SAMPLERS
from tests.sweeper.conftest import ENDLESS
from trainer.config.names import train_names

ROOT = Path(__file__).parents[3]
*OTHERS, LAST = SAMPLERS
SAID = ", ".join(map(repr, OTHERS))
LEARNERS = [name for name, each in SAMPLERS.items() if each.learns]
GOOD = """\
name: good
metric: val_ppl
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain: {steps: 100, block_size: 64, schedule.name: loglinear}
  finetune.steps: 20
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
  finetune:
    lr: {log_uniform: [1e-4, 1e-2]}
always:
  - {finetune.schedule.name: loglinear, finetune: {block_size: 16}}
search: {sampler: tpe, trials: 6, seed: 3}
"""


def read(text: str, *overrides: str) -> SweepSpec:
    return read_spec(text, "sweep.yaml", "sweep", overrides)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        read(text, *overrides)
    return str(caught.value).splitlines()


def with_space(*lines: str) -> str:
    """A sound specification, with these lines of space from line 4 on."""
    return "\n".join(["trainer: {data.length: 64}", "search: {trials: 3}", "space:", *lines, ""])


# --- what is read -------------------------------------------------------------------------------
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


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serach: {trials: 1}\n", "1:1: serach: unknown; did you mean search?"),
        ("trainer:\n  finetune.shedule.name: cosine\n", "2:3: finetune.shedule: unknown; did you mean finetune.schedule?"),
        ("trainer: {model: {siz: tiny}}\n", "1:19: model.siz: unknown; did you mean model.size?"),
        ("model.size: tiny\n", "1:1: model.size: unknown; did you mean trainer.model.size?"),
        ("trainer: {schedule.mu: 1}\n", "1:11: schedule: unknown; did you mean finetune.schedule.mu?"),
        ("trainer: {model: 5}\n", "1:11: model: a group of values (model.size, model.width, model.layers, ...), not a value"),
        ("trainer: {model.size.x: 5}\n", "1:11: model.size.x: unknown"),
        ("trainer: {finetune.steps: many}\n", "1:11: finetune.steps: must be a valid integer, got 'many'"),
        ("trainer: {finetune.lr: 0}\n", "1:11: finetune.lr: must be greater than 0, got 0"),
        ("trainer: {finetune.lr: .nan}\n", "1:24: finetune.lr: .nan is not a finite number"),
        ("trainer: {finetune.block_size: 5}\n", "1:11: finetune.block_size: 5 does not divide"),
        ("trainer: {finetune.clip.high: 1.5}\n", "1:11: finetune.clip.high: must be less than or equal to 1, got 1.5"),
        ("trainer: {finetune.schedule.name: gausian}\n", "1:11: finetune.schedule.name: 'gausian' is none of loglinear"),
        ("trainer: {seed: 3}\n", "1:11: seed: say search.seed"),
        ("metric: var_nelbo\n", "1:1: metric: 'var_nelbo' cannot rank; one of val_nelbo, val_ppl"),
        ("metric: val_pll\n", "did you mean val_ppl?"),
        ("metric: [val_ppl, val_bpb]\n", "1:1: metric: 'val_bpb' orders as val_ppl does: they are one bound"),
        ("metric: [seconds, val_ppl]\n", "1:1: metric: 'seconds' cannot rank; one of val_nelbo, val_ppl"),
        ("metric: [val_ppl, secnds]\n", "1:1: metric: 'secnds' cannot be searched on; beside val_ppl, one of seconds, tokens, "),
        ("metric: [val_ppl, test_ppl]\n", "1:1: metric: 'test_ppl' cannot be searched on"),
        ("metric: [val_ppl, tokens, tokens]\n", "1:1: metric: 'tokens' stands twice"),
        ("metric: []\n", "1:1: metric: missing: one of val_nelbo, val_ppl"),
        ("metric: 5\n", "1:1: metric: '5' cannot rank"),
        ("warm_start: [a]\n", "1:1: warm_start: unknown; did you mean search.warm_start?"),
        ("search: {warm_start: [5], trials: 1}\n", "1:10: search.warm_start: must be a valid string, got 5"),
        ("constraints: 5\n", "1:1: constraints: must be a list of comparisons in quotes"),
        ("constraints: {a: b}\n", "1:1: constraints: must be a list of comparisons in quotes"),
        ("constraints:\n  - 5\n", "1:1: constraints: must be a list of comparisons in quotes"),
        ("search: {trials: -1}\n", "1:10: search.trials: must be greater than or equal to 0, got -1"),
        ("search: {trails: 1}\n", "1:10: search.trails: unknown; did you mean search.trials?"),
        ("search: 5\n", "1:1: search: a group of values (sampler, trials, seed, points, warm_start), not 5"),
        ("search: {sampler: tpx}\n", f"1:10: search.sampler: must be {SAID} or {LAST!r}, got 'tpx'"),
        ("resources: {gpu: lots}\n", "1:13: resources.gpu: must be 'auto' or a valid number, got 'lots'"),
        ("resources: {gpu: -1}\n", "1:13: resources.gpu: must be auto, or 0 or more, got -1"),
        ("resources: {slots: 0}\n", "1:13: resources.slots: must be auto, or 1 or more, got 0"),
        ("resources: {cpu: 0}\n", "1:13: resources.cpu: must be greater than 0"),
        ("always_seeds: 0\n", "1:1: always_seeds: must be greater than or equal to 1, got 0"),
        ("name: ../up\n", "1:1: name: letters, digits"),
        ("name: .hidden\n", "1:1: name: letters, digits, spaces and . : + = @ _ -, a letter or digit first; not '.hidden'"),
        ("name: 3\n", "1:1: name: must be text, in quotes where it looks like something else: name: '3'"),
        ("name: " + "x" * 101 + "\n", "1:1: name: at most 100 characters, not 101"),
        ("trainer: [1]\n", "1:1: trainer: must be a group of `name: value` lines, not [1]"),
        ("space: [1]\n", "1:1: space: must be a group of `name: value` lines, not [1]"),
        ("trainer: {data.name: files}\n", "1:11: data.train: missing"),
        ("trainer: {finetune.steps: 1.5}\n", "1:11: finetune.steps: must be a valid integer, got 1.5"),
        ("search: {trials: " + "9" * 30 + "}\n", "1:18: search.trials: 999999999999999999999999999999 is too large a number"),
        ("trainer:\n\tmodel.size: tiny\n", "2:1: not YAML: a tab; YAML is indented with spaces"),
        ("name: a\n---\nname: b\n", "2:1: not YAML: a second document begins here"),
        ("always: 5\n", "1:1: always: must be a list of runs"),
        ("always: {finetune.block_size: 4}\n", "1:1: always: must be a list of runs"),
        ("always:\n  - 5\n", "2:5: always[0]: must be {key: value}, not 5"),
        ("always:\n  -\n", "2:4: always[0]: must be {key: value}, not nothing"),
        ("always:\n  - {finetune.blocksize: 4}\n", "2:6: finetune.blocksize: unknown; did you mean finetune.block_size?"),
        ("always:\n  - {finetune.block_size: 7}\n", "2:6: finetune.block_size: 7 does not divide"),
        ("always: [{data.length: 32}]\n", "1:11: data.length: cannot be searched: rows measured on different text"),
        ("always: [{samples.num: 3}]\n", "1:11: samples.num: cannot be searched: text drawn in different ways"),
        ("search.points: [{samples.sampler.nucleus: 1}]\n", "samples.sampler.nucleus: cannot be searched: text"),
        ("trainer.evaluation.zero_shot: [{name: pbt}]\n", "1:1: evaluation.zero_shot: 'pbt' is none of pydocs, "),
        ("always: [{finetune.block_size: 16}, {}]\n", "1:37: always[1]: the same run as always[0]"),
        ("{}\n", "1:1: space: nothing to run"),
        ("", "1:1: the file is empty"),
        ("- a\n", "1:1: a file of `key: value` lines is needed"),
        ("a: [1\n", "2:1: not YAML"),
        ("name: a\nname: b\n", "2:1: name: given twice, first on line 1"),
        ("trainer: {model.size: tiny}\ntrainer.model: {size: nano}\n", "2:17: model.size: given twice, first on line 1"),
        ("trainer.model: 5\ntrainer.model.size: tiny\n", "2:1: model.size: given twice, first on line 1"),
        ("trainer.model.size: tiny\ntrainer.model: 5\n", "2:1: model: given twice, first on line 1"),
        ("trainer: {x: !!python/name:os.system y}\n", "the tag tag:yaml.org,2002:python/name:os.system is not read"),
        ("a: &a [*a]\n", "too large or too deeply nested"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place(text: str, said: str) -> None:
    found = problems(text)
    assert any(f"sweep.yaml:{said}" in line or said in line for line in found), found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  finetune.shedule.name: {choice: [cosine]}", "4:3: finetune.shedule: unknown; did you mean finetune.schedule?"),
        ("  finetune.block_size: {chioce: [4]}", "4:25: finetune.block_size.chioce: unknown; did you mean choice?"),
        ("  finetune.block_size: {choice: []}", "4:25: finetune.block_size: an empty choice"),
        ("  finetune.block_size: {choice: 4}", "4:25: finetune.block_size: choice needs [value, ...], got 4"),
        ("  finetune.block_size: {choice: [4, [8]]}", "4:37: finetune.block_size: must be a plain value, got [8]"),
        ("  finetune.block_size: {choice: [4, 8, 4]}", "4:25: finetune.block_size: choice 4 stands twice"),
        ("  finetune.block_size: {choice: [4, 8], int: [1, 2]}", "4:3: finetune.block_size: give one of choice and int"),
        ("  finetune.block_size: [4, 8]", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size: {}", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size:", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size: {choice: [4, 5, 8]}", "4:37: finetune.block_size: 5 does not divide"),
        ("  finetune.block_size: {choice: [4, x]}", "4:37: finetune.block_size: must be a valid integer, got 'x'"),
        ("  finetune.block_size: {int: [1, 4]}", "4:3: finetune.block_size: 3 does not divide"),
        ("  finetune.batch_size: {uniform: [1, 4]}", "4:3: finetune.batch_size: must be a valid integer"),
        ("  finetune.clip.low: {uniform: [0.0, 1.5]}", "4:3: finetune.clip.low: must be less than or equal to 1, got 1.5"),
        ("  finetune.lr: {uniform: [2, 1]}", "4:17: finetune.lr: uniform from low to high, but 2.0 is not below 1.0"),
        ("  finetune.lr: {uniform: [2]}", "4:17: finetune.lr: uniform needs [low, high], got [2]"),
        ("  finetune.lr: {log_uniform: [0, 1]}", "4:31: finetune.lr: must be greater than 0, got 0"),
        ("  finetune.batch_size: {int: [1, 2.5]}", "4:34: finetune.batch_size: must be a valid integer, got 2.5"),
        ("  data.length: {choice: [32, 64]}", "4:3: data.length: cannot be searched: rows measured on different text"),
        ("  evaluation.draws: {choice: [1, 2]}", "4:3: evaluation.draws: cannot be searched: rows measured in different"),
        ("  samples.sampler.steps: {choice: [1, 2]}", "4:3: samples.sampler.steps: cannot be searched: text drawn"),
        ("  seed: {choice: [1, 2]}", "4:3: seed: cannot be searched: trials share search.seed"),
        ("  checkpoint.every: {choice: [1, 2]}", "4:3: checkpoint.every: cannot be searched: it does not move"),
        ("  log_every: {choice: [1, 2]}", "4:3: log_every: cannot be searched: it does not move a result"),
        (
            "  finetune.schedule.mu: {uniform: [0, 1], when: {finetune.schedule.name: gaussian}}",
            "4:50: finetune.schedule.mu: when: finetune.schedule.name is neither in the space nor fixed",
        ),
        (
            "  finetune.lr: {uniform: [1, 2], when: {finetune.sched: 1}}",
            "4:41: finetune.lr: when: finetune.sched is unknown; did you mean finetune.schedule?",
        ),
        (
            "  finetune.lr: {uniform: [1, 2], when: {data.length: 32}}",
            "4:41: finetune.lr: when: data.length is never 32, only 64",
        ),
        ("  finetune.lr: {uniform: [1, 2], when: 3}", "4:34: finetune.lr.when: must be {key: value} or {key: [values]}"),
        (
            "  finetune: {lr: {uniform: [1, 2]}, batch_size: {choice: [1], when: {finetune.lr: 1}}}",
            "finetune.batch_size: when: finetune.lr is a continuous range; only a choice or an int can be a condition",
        ),
        (
            "  finetune: {lr: {choice: [1, 2], when: {finetune.batch_size: 1}}, batch_size: {choice: [1], when: {finetune.lr: 1}}}",
            "the conditions run in a circle",
        ),
        (
            "  finetune.schedule: {name: {choice: [gaussian, cosine]}, mu: {uniform: [0.1, 0.2]}}",
            "finetune.schedule.mu: not a field of cosine, which finetune.schedule.name can be; "
            "search it, or a single choice of it, with when: {finetune.schedule.name: gaussian}",
        ),
    ],
)  # fmt: skip
def test_a_wrong_dimension_is_named_with_its_place(line: str, said: str) -> None:
    found = problems(with_space(line))
    assert any(said in each for each in found), found
    assert len(found) == 1


def test_a_condition_that_excludes_another_is_found() -> None:
    found = problems(
        with_space(
            "  finetune.batch_size: {choice: [1, 2]}",
            "  finetune.block_size: {choice: [4, 8], when: {finetune.batch_size: 1}}",
            "  finetune.lr: {uniform: [1, 2], when: {finetune.batch_size: 2, finetune.block_size: 4}}",
        )
    )
    assert found == ["sweep.yaml:6:34: finetune.lr: never exists: its conditions exclude each other"]


def test_what_only_two_dimensions_together_break_is_found() -> None:
    found = problems(with_space("  model.width: {choice: [64, 96]}", "  model.heads: {choice: [2, 6]}"))
    assert len(found) == 1
    assert found[0].startswith("sweep.yaml:")
    assert "64 is not a multiple" in found[0]
    assert "where" in found[0]


def test_a_key_both_searched_and_fixed_is_refused() -> None:
    found = problems(GOOD.replace("  finetune.steps: 20\n", "  finetune: {steps: 20, block_size: 4}\n"))
    assert found == [
        "sweep.yaml:9:3: finetune.block_size: searched here and fixed under trainer; say it once"
    ]


def test_a_fixed_value_of_another_kind_is_explained() -> None:
    found = problems(GOOD.replace("  finetune.steps: 20\n", "  finetune.schedule.sigma: 0.2\n"))
    assert found[0].startswith("sweep.yaml:7:3: finetune.schedule.sigma: not a field of loglinear")


@pytest.mark.parametrize(
    "key",
    ["resources.pack", "resources.packing"],
)
def test_what_is_not_built_yet_is_refused(key: str) -> None:
    found = problems(f"{GOOD}{key}: {{top: 3, seeds: 3}}\n")
    assert found == [f"sweep.yaml:17:1: {key}: not available in this version"]


def test_all_problems_come_at_once_sorted_by_line() -> None:
    found = problems(
        GOOD.replace("[4, 8, 16]", "[4, 5]")
        .replace("trials: 6", "trials: x")
        .replace("metric: val_ppl", "metric: a"),
        "trainer.model.siz=tiny",
    )
    places = [line.split(": ")[0] for line in found]
    assert places == ["sweep.yaml:2:1", "sweep.yaml:9:37", "sweep.yaml:16:24", "command line"]
    assert found[-1] == "command line: trainer.model.siz=tiny: model.siz: unknown; did you mean model.size?"


def test_a_misspelt_key_is_not_held_against_those_that_name_it() -> None:
    found = problems(GOOD.replace("  finetune.schedule.name: {choice", "  finetune.shedule.name: {choice"))
    assert found == ["sweep.yaml:10:3: finetune.shedule: unknown; did you mean finetune.schedule?"]


def test_points_lie_in_the_space() -> None:
    text = GOOD.replace(
        "seed: 3}", "seed: 3, points: [{finetune.block_size: 4, finetune.schedule.name: gaussian}]}"
    )
    assert any("finetune.lr: missing: a point gives every searched value" in line for line in problems(text))
    inside = text.replace("name: gaussian}]", "name: loglinear, finetune.lr: 0.001}]")
    assert read(inside).search.points == (
        {"finetune.block_size": 4, "finetune.schedule.name": "loglinear", "finetune.lr": 0.001},
    )


def test_a_grid_over_a_continuum_is_refused() -> None:
    found = problems(GOOD.replace("sampler: tpe", "sampler: grid"))
    assert found == [
        "sweep.yaml:16:10: search.sampler: no grid over a continuous range: finetune.lr, finetune.schedule.mu"
    ]


CONSTRAINED = GOOD + "constraints:\n  - finetune.lr * 100 < finetune.schedule.mu\n"


def constrained(text: str) -> list[str]:
    """What is wrong, of a constraint that stands on line 18 from column 5 on."""
    return problems(CONSTRAINED.replace("finetune.lr * 100 < finetune.schedule.mu", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("finetune.lr <", "'finetune.lr <' is no comparison; it may have numbers, names,"),
        ("finetune.lr", "'finetune.lr' compares no parameters; as in finetune.clip.low < finetune.clip.high"),
        ("1 < 2", "'1 < 2' compares no parameters"),
        ("open(finetune.lr) < 1", "'open(finetune.lr)' is not read; a constraint has numbers, names,"),
        ("finetune.lr ** 2 < 1", "'finetune.lr ** 2' is not read"),
        ("finetune.lrr < 1", "finetune.lrr is unknown; did you mean finetune.lr?"),
        (
            "finetune.clip.low < finetune.lr",
            "finetune.clip.low is neither in the space nor fixed under trainer",
        ),
        ("pretrain.steps < 1000", "'pretrain.steps < 1000' is about nothing that is searched"),
        ("finetune.schedule.name < 3", "finetune.schedule.name is text or null where a number is needed"),
        ("finetune.lr and finetune.lr < 1", "finetune.lr is a number where true or false is needed"),
        ("finetune.lr < 1 + (finetune.lr < 2)", "finetune.lr < 2 is true or false where a number is needed"),
        ("finetune.lr < " + "1 + " * 100 + "1", "at most 300 characters, not 415"),
    ],
)
def test_a_wrong_constraint_is_named_with_its_place(text: str, said: str) -> None:
    (found,) = constrained(text)
    assert found.startswith(f"sweep.yaml:18:5: constraints[0]: {said}")


def test_a_misspelt_dimension_is_not_said_again_by_a_constraint() -> None:
    found = problems(CONSTRAINED.replace("lr: {log_uniform", "lr: {log_unifrm"))
    assert [line.split(": ")[1] for line in found] == ["finetune.lr.log_unifrm"]


def test_what_a_misspelt_constraint_was_to_forbid_is_not_blamed() -> None:
    space = "space: {finetune.clip.low: {uniform: [0, 1]}, finetune.clip.high: {uniform: [0, 1]}}\n"
    found = problems(space + "search.trials: 1\nconstraints: [finetune.clip.lo < finetune.clip.high]\n")
    assert [line.split(": ")[1] for line in found] == ["constraints[0]"]


def test_what_constraints_forbid_is_not_tried() -> None:
    """Without the constraint: a lower clip that could lie above the upper one."""
    text = GOOD.replace(
        "space:\n",
        "space:\n  finetune.clip.low: {uniform: [0, 0.9]}\n  finetune.clip.high: {uniform: [0.1, 1]}\n",
    )
    assert any("finetune.clip" in line for line in problems(text))
    spec = read(text + "constraints: [finetune.clip.low < finetune.clip.high]\n")
    assert spec.constraints == ("finetune.clip.low < finetune.clip.high",)
    assert SweepSpec.from_resolved(spec.resolved()).space.broken(
        {"finetune.clip.low": 0.5, "finetune.clip.high": 0.4}
    )


def test_points_and_baselines_that_break_a_constraint_are_named() -> None:
    point = "{finetune.block_size: 16, finetune.schedule.name: loglinear, finetune.lr: 0.001}"
    text = (
        GOOD.replace("seed: 3", f"seed: 3, points: [{point}]") + "constraints: [finetune.block_size < 16]\n"
    )
    assert problems(text) == [
        "sweep.yaml:15:5: always[0]: breaks the constraint finetune.block_size < 16",
        "sweep.yaml:16:54: search.points[0].finetune.block_size: breaks the constraint finetune.block_size < 16",
    ]


def test_a_grid_has_the_points_that_satisfy_the_constraints_and_check_counts_the_others() -> None:
    space = "space: {finetune.block_size: {choice: [4, 8, 16]}, finetune.batch_size: {int: [2, 9]}}\n"
    text = space + "search: {sampler: grid}\nconstraints: [finetune.block_size * finetune.batch_size <= 32]\n"
    wanted = [(a, b) for a in (4, 8, 16) for b in range(2, 10) if a * b <= 32]
    spec = read(text)
    assert sorted((p["finetune.block_size"], p["finetune.batch_size"]) for p in spec.space.points()) == wanted
    assert (spec.search.trials, plan(spec).trials, plan(spec).skipped) == (
        len(wanted),
        len(wanted),
        24 - len(wanted),
    )
    assert problems(text.replace("<= 32", "< 8")) == [
        "sweep.yaml:3:1: constraints: no point of the space satisfies them"
    ]


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


def test_only_a_sampler_that_learns_can_start_warm() -> None:
    assert read(GOOD, "search.warm_start=other").search.warm_start == ("other",)
    for overrides, said in (
        (
            ["search.warm_start=other", "search.sampler=random"],
            f"sampler random learns nothing from other sweeps; {' and '.join(LEARNERS)} do",
        ),
        (["search.warm_start=[other, good]"], "'good' is this sweep itself"),
    ):
        (found,) = problems(GOOD, *overrides)
        assert found.endswith(f"search.warm_start: {said}")


def test_a_spec_stored_before_a_setting_was_known_is_the_same_sweep() -> None:
    spec = read(GOOD).resolved()
    old = {key: value for key, value in spec.items() if key != "constraints"}
    assert differences(old, spec) == []


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 9):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    assert any("too large" in line for line in problems(bomb))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(InvalidSpec, match="not UTF-8"):
        load_spec(tmp_path / "b.yaml")


# --- properties -----------------------------------------------------------------------------------
VALUES = {
    "finetune.block_size": st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
    "finetune.lr": st.floats(1e-5, 1e-1),
    "finetune.clip.low": st.floats(0, 0.4),
    "finetune.antithetic": st.booleans(),
    "finetune.schedule.name": st.sampled_from(["loglinear", "cosine", "gaussian"]),
    "finetune.batch_size": st.integers(1, 64),
    "optimizer.weight_decay": st.floats(0, 1),
    "model.dropout": st.floats(0, 0.9),
}


@st.composite
def specs(draw: st.DrawFn) -> dict:
    searched = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True))
    fixed = [name for name in VALUES if name not in searched and draw(st.booleans())]
    return {
        "name": draw(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,20}", fullmatch=True)),
        "trainer": {name: draw(VALUES[name]) for name in fixed},
        "space": {
            name: {"choice": draw(st.lists(VALUES[name], min_size=1, max_size=3, unique=True))}
            for name in searched
        },
        "search": {
            "sampler": draw(st.sampled_from([*ENDLESS, "grid"])),
            "trials": draw(st.integers(1, 99)),
        },
    }


def nested(values: dict, draw: random.Random) -> dict:
    """The same keys, some of them opened up into groups at random."""
    made: dict = {}
    for name, value in values.items():
        group, _, rest = name.partition(".")
        if draw.random() < 0.5 and not any(key.startswith(f"{group}.") for key in made):
            made.setdefault(group, {})[rest] = value
        else:
            made[name] = value
    return made


def dump(values: dict) -> str:
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style = False
    yaml.dump(values, text)
    return text.getvalue()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), st.randoms(use_true_random=False))
def test_random_specs_come_back_whatever_the_form_of_their_keys(spec: dict, draw: random.Random) -> None:
    text = dump({**spec, "trainer": nested(spec["trainer"], draw), "space": nested(spec["space"], draw)})
    found = read(text)
    assert found.name == spec["name"]
    assert found.trainer == spec["trainer"]
    assert {name: {"choice": list(d.values() or ())} for name, d in found.dimensions.items()} == spec["space"]
    assert SweepSpec.from_resolved(json.loads(json.dumps(found.resolved()))).resolved() == found.resolved()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), st.data())
def test_a_mutated_key_is_reported_with_its_line(spec: dict, data: st.DataObject) -> None:
    lines = dump(spec).splitlines()
    keys = [
        i
        for i, line in enumerate(lines)
        if ":" in line and not line.strip().startswith(("-", "choice", "name"))
    ]
    where = data.draw(st.sampled_from(keys))
    key = lines[where].strip().partition(":")[0]
    at = data.draw(st.integers(0, len(key) - 1))
    wrong = key[:at] + data.draw(st.sampled_from("qzx")) + key[at + (key[at] != ".") :]
    right = {*train_names().leaves, "trainer", "space", "search", "sampler", "trials"}
    if wrong in right:
        return
    lines[where] = lines[where].replace(key, wrong, 1)
    found = problems("\n".join(lines))
    column = len(lines[where]) - len(lines[where].lstrip()) + 1
    assert any(
        each.startswith(f"sweep.yaml:{where + 1}:{column}: ") and "unknown" in each for each in found
    ), found


# --- the files in the repository --------------------------------------------------------------------
@pytest.mark.parametrize("file", sorted((ROOT / "search_spaces").rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_in_search_spaces_is_sound(file: Path) -> None:
    spec = load_spec(file)
    assert spec.name == file.stem
    assert load_spec(file, ["trainer.model.size=tiny", "resources.gpu=0.25"]).trainer["model.size"] == "tiny"


def test_the_default_sweep_shares_its_pretrain() -> None:
    would = plan(load_spec(ROOT / "search_spaces" / "schedules.yaml"))
    assert (would.trials, would.baselines, would.stages, would.at_most) == (8, 9, 3, False)
    assert would.steps == 17 * 200 + 3 * 1500


def test_a_searched_pretrain_is_counted_as_an_upper_bound() -> None:
    would = plan(read(GOOD, "space.optimizer.beta1.uniform=[0.8, 0.9]"))
    assert would.at_most
    assert would.stages == 3 + 6


def test_a_spec_is_checked_without_torch_ray_or_optuna() -> None:
    code = (
        "import sys; from sweeper.spec.load import load_spec; from sweeper.planning.plan import plan;"
        "plan(load_spec('search_spaces/schedules.yaml'));"
        "print([m for m in ('torch', 'ray', 'optuna', 'sqlalchemy', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
