"""`variants`: what a specification offers to choose from."""

import re
from pathlib import Path

import pytest

from sweeper.spec.load import as_typed, load_spec, read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec

TEXT = """
name: table
scale: report
trainer:
  data: {name: pydocs, length: 64}
  finetune.steps: 100
always:
  - {finetune.block_size: 16}
  - {finetune.block_size: 4}
always_seeds: 1
search: {trials: 0}
variants:
  warmup:
    report: {}
    corrected:
      trainer.finetune.warmup: 0.1
  scale:
    report: {}
    small:
      trainer:
        finetune: {steps: 7}
      always: [{finetune.block_size: 8}]
      always_seeds: 3
"""


def spec(*overrides: str, text: str = TEXT) -> SweepSpec:
    return read_spec(text, "table.yaml", "table", overrides)


def problem(*overrides: str, text: str = TEXT) -> str:
    with pytest.raises(InvalidSpec) as found:
        spec(*overrides, text=text)
    return str(found.value)


def test_what_the_file_picks() -> None:
    plain = spec()
    assert (plain.name, plain.always_seeds, plain.trainer["finetune.steps"]) == ("table", 1, 100)
    small = spec(text=TEXT.replace("scale: report", "scale: small"))
    assert (small.name, small.always_seeds, small.trainer["finetune.steps"]) == ("table-small", 3, 7)
    assert small.always == ({"finetune.block_size": 8},)
    assert small.trainer["data.length"] == 64, "what the choice does not say stays"


def test_what_the_command_line_picks_and_says_over_it() -> None:
    both = spec("scale=small", "warmup=corrected", "trainer.finetune.steps=9")
    assert both.name == "table-corrected-small"
    assert both.trainer["finetune.steps"] == 9
    assert both.trainer["finetune.warmup"] == 0.1
    assert spec("scale=small", "name=mine").name == "mine"
    assert "# from the command line: scale=small" in both.text


@pytest.mark.parametrize("said", [(), ("scale=small",), ("scale=small", 'name="mine"')])
def test_a_kept_text_is_typed_again(said: tuple[str, ...]) -> None:
    first = spec(*said)
    overrides, text = as_typed(first.text)
    assert (tuple(overrides), text) == (said, TEXT)
    assert spec(*overrides, text=text) == first


def test_a_sweep_remembers_what_it_is_and_not_how_it_was_said() -> None:
    small = spec("scale=small")
    assert SweepSpec.from_resolved(small.resolved()) == small.model_copy(update={"text": ""})
    assert "variants" not in small.resolved()


def test_mistakes_are_said_where_they_stand() -> None:
    wrong = "'smal' is not among report, small; did you mean small?"
    assert problem("scale=smal") == f"table.yaml:3:1: scale: {wrong}"
    assert problem(text=TEXT.replace("scale: report", "scale: smal")) == f"table.yaml:3:1: scale: {wrong}"
    assert problem("scal=small") == "command line: scal=small: scal: unknown"
    bad = TEXT.replace("trainer.finetune.warmup: 0.1", "trainer.finetune.warmupp: 0.1")
    spec(text=bad)  # nobody picked it
    assert re.match(
        r"table.yaml:1\d:7: finetune.warmupp: unknown; did you mean", problem("warmup=corrected", text=bad)
    )
    shallow = TEXT.replace("warmup:\n    report: {}\n", "warmup: 3\n  other:\n    report: {}\n")
    assert "variants.warmup: must be KNOB: {CHOICE: {key: value, ...}, ...}" in problem(text=shallow)


@pytest.mark.parametrize("file", sorted(Path("search_spaces/report").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_table_is_sound_at_both_scales_with_both_warm_ups(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file.resolve()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "judge").mkdir(parents=True)  # of table 7 at small scale: trained before it
    (tmp_path / "runs" / "judge" / "config.json").touch()
    names = set()
    for scale in ("report", "small"):
        for warmup in ("report", "corrected"):
            found = load_spec(file, [f"scale={scale}", f"warmup={warmup}"])
            names.add(found.name)
            assert found.reference is not None
            assert (found.always_seeds == 3) == (scale == "small")
            assert found.reference.compare == ("ratio" if scale == "small" else "value")
            runs = [found.train_config(entry, 0) for entry in found.always]
            assert len({str(run.content()) for run in runs}) == len(runs), "no row stands twice"
            assert all(
                (run.finetune.warmup < 1) == (warmup == "corrected") or run.finetune.warmup == 0
                for run in runs
            )
            assert all(run.data.forced_eos == (scale == "report") for run in runs)
    assert len(names) == 4


def test_table_7_at_small_scale_asks_for_its_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path("search_spaces/report/table7.yaml").resolve()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidSpec, match=r"samples\.judge: \./runs/judge: there is no such folder"):
        load_spec(file, ["scale=small"])
    assert load_spec(file).trainer["samples.judge"] == "openai-community/gpt2-large"
    with pytest.raises(InvalidSpec) as found:
        load_spec(file, ["scale=small", "trainer.samples.judge=/nowhere/judge"])
    assert len(found.value.problems) == 1, "one sentence for all six rows"
    (tmp_path / "config.json").touch()
    made = load_spec(file, ["scale=small", f"trainer.samples.judge={tmp_path}"])
    samples = [made.train_config(entry, 0).samples for entry in made.always]
    assert {(each.num, each.judge) for each in samples} == {(64, str(tmp_path))}
    names = [each.sampler and each.sampler.name for each in samples]
    assert names == ["first_hitting", "analytic", *["first_hitting"] * 4]
