"""From a text to a sweep: what is read, what is refused with its line, and the files in the repository."""

# ruff: noqa: E501 (tables: a line is a case)

import json
import random
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sweeper.spec.load import load_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.strategies.samplers import SAMPLERS
from tests.sweeper.conftest import ENDLESS
from tests.sweeper.spec.texts import GOOD, problems, read
from trainer.config.names import train_names
from trainer.metrics import ALSO_SEARCHED, RANKABLE
from trainer.settings.phase import LATER

ROOT = Path(__file__).parents[3]
# Of a phase: what came later, and what is beside it; the names of a union's kinds among them.
AXES = [
    *LATER,
    "schedule.name",
    "reweighting.name",
    "blocks.sizes",
    "blocks.shares",
    "weight_decay",
    "dropout",
]


*OTHERS, LAST = SAMPLERS


SAID = ", ".join(map(repr, OTHERS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serach: {trials: 1}\n", "1:1: serach: unknown; did you mean search?"),
        ("trainer:\n  finetune.shedule.name: cosine\n", "2:3: finetune.shedule: unknown; did you mean finetune.schedule?"),
        ("trainer: {model: {siz: tiny}}\n", "1:19: model.siz: unknown; did you mean model.size?"),
        ("model.size: tiny\n", "1:1: model.size: unknown; did you mean trainer.model.size?"),
        ("finetune.stepz: 4\n", "1:1: finetune.stepz: unknown; did you mean trainer.finetune.steps?"),
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
        ("metric: var_nelbo\n", f"1:1: metric: 'var_nelbo' cannot rank; one of {', '.join(RANKABLE)}"),
        ("metric: val_pll\n", "did you mean val_ppl?"),
        ("metric: [val_ppl, val_bpb]\n", "1:1: metric: 'val_bpb' orders as val_ppl does: they are one bound"),
        ("metric: [seconds, val_ppl]\n", f"1:1: metric: 'seconds' cannot rank; one of {', '.join(RANKABLE)}"),
        ("metric: [val_ppl, secnds]\n", f"1:1: metric: 'secnds' cannot be searched on; beside val_ppl, one of {', '.join(ALSO_SEARCHED)}; did you mean"),
        ("metric: [val_ppl, test_ppl]\n", "1:1: metric: 'test_ppl' cannot be searched on"),
        ("metric: [val_ppl, tokens, tokens]\n", "1:1: metric: 'tokens' stands twice"),
        ("metric: []\n", f"1:1: metric: missing: one of {', '.join(RANKABLE)}"),
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
        ('describe: "\\e[31mred"\n', "1:1: describe: has a character that is not printed: '\\x1b[31mred'"),
        ('tags: ["two\\nlines"]\n', "tags: has a character that is not printed: 'two\\nlines'"),
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


@pytest.mark.parametrize(
    "key",
    ["resources.pack", "resources.packing"],
)
def test_what_is_not_built_yet_is_refused(key: str) -> None:
    found = problems(f"{GOOD}{key}: {{top: 3, seeds: 3}}\n")
    assert found == [f"sweep.yaml:17:1: {key}: not available in this version"]


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 9):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    assert any("too large" in line for line in problems(bomb))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(InvalidSpec, match="not UTF-8"):
        load_spec(tmp_path / "b.yaml")


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


@pytest.mark.parametrize("file", sorted((ROOT / "search_spaces").rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_in_search_spaces_is_sound(file: Path) -> None:
    spec = load_spec(file)
    assert spec.name == file.stem
    assert load_spec(file, ["trainer.model.size=tiny", "resources.gpu=0.25"]).trainer["model.size"] == "tiny"


@pytest.mark.parametrize("axis", [*AXES, "clip_norm", "evaluation.block_sizes", "pretrain.from"])
def test_every_axis_of_a_phase_has_a_line_in_one(axis: str) -> None:
    words = [axis.removesuffix(".name").rpartition(".")[2], *train_names().kinds.get(f"finetune.{axis}", ())]
    text = "\n".join(file.read_text() for file in (ROOT / "search_spaces").rglob("*.yaml"))
    assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []


def test_a_spec_is_checked_without_torch_ray_or_optuna() -> None:
    code = (
        "import sys; from sweeper.spec.load import load_spec; from sweeper.planning.plan import plan;"
        "plan(load_spec('search_spaces/schedules.yaml'));"
        "print([m for m in ('torch', 'ray', 'optuna', 'sqlalchemy', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
