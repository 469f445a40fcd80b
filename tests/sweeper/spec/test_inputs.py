"""The files that a specification's runs would read are looked at, and said by the key to change."""

import json
from pathlib import Path

import pytest

from sweeper.spec.inputs import Inputs
from sweeper.spec.load import load_spec, read_spec
from sweeper.spec.yaml_source import InvalidSpec
from trainer.config.train_config import TrainConfig
from trainer.data.base import Look

SPEC = """\
trainer:
  model.size: nano
  data:
    name: files
    train: here.jsonl
search: {trials: 2}
space: {finetune.lr: {uniform: [0.1, 0.2]}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = (json.dumps({"text": f"some words {i}"}) for i in range(200))
    (tmp_path / "here.jsonl").write_text("".join(f"{row}\n" for row in rows))
    return tmp_path


def wrong(text: str, inputs: Inputs | None = None) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        read_spec(text, "s.yaml", "s", (), inputs)
    return str(caught.value).splitlines()


def test_what_is_missing_is_said_at_its_place(here: Path) -> None:
    assert read_spec(SPEC, "s.yaml", "s").name == "s"
    missing = SPEC.replace("here.jsonl", "nosuch/*.txt")
    assert wrong(missing) == [f"s.yaml:5:5: data.train: {here}/nosuch/*.txt matches no file"]
    field = SPEC.replace("    train:", "    field: body\n    train:")
    said = "s.yaml:5:5: data.field: {}/here.jsonl:1 has no text in 'body' (it has text)"
    assert wrong(field) == [said.format(here)]
    tokenizer = SPEC.replace("    train:", "    tokenizer: ./nosuch\n    train:")
    assert wrong(tokenizer) == ["s.yaml:5:5: data.tokenizer: ./nosuch: there is no such folder"]


def test_a_text_of_another_corpus_that_is_scored_on(here: Path) -> None:
    text = SPEC + "trainer.evaluation.zero_shot: [{name: files, train: gone.txt}]\n"
    (said,) = wrong(text)
    assert said.endswith(f"evaluation.zero_shot: files.train: {here}/gone.txt matches no file")


def test_offline_leaves_files_out_and_says_so() -> None:
    inputs = Inputs(offline=True)
    missing = SPEC.replace("here.jsonl", "nosuch/*.txt")
    assert read_spec(missing, "s.yaml", "s", (), inputs).name == "s"
    assert inputs.in_words() == ["the files that runs read: --offline"]


def test_offline_wants_a_published_checkpoint_all_the_same() -> None:
    """Its weights are part of what a run is called."""
    text = SPEC + "trainer.pretrain.from: ./nosuch\n"
    assert any("pretrain.from" in line for line in wrong(text, Inputs(offline=True)))


def test_what_is_on_the_hub_is_said_to_be_unseen() -> None:
    inputs = Inputs()
    text = SPEC.replace("    train:", "    tokenizer: gpt2\n    train:")
    read_spec(text, "s.yaml", "s", (), inputs)
    assert list(inputs.unseen) == ["data.tokenizer"]
    (said,) = inputs.in_words()
    assert said.startswith("data.tokenizer: gpt2 is no folder here")


def test_a_text_is_looked_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair of values of a space is a run."""
    looked: list[object] = []
    monkeypatch.setattr("sweeper.spec.inputs.look", lambda data, _: looked.append(data) or Look())
    space = "space: {finetune.lr: {uniform: [0.1, 0.2]}, finetune.steps: {choice: [4, 8, 16]}}"
    read_spec(SPEC.replace("space: {finetune.lr: {uniform: [0.1, 0.2]}}", space), "s.yaml", "s")
    assert len(looked) == 1


def test_of_a_store_s_runs_too(here: Path) -> None:
    gone = {"data.name": "files", "data.train": str(here / "gone.txt"), "model.size": "nano"}
    runs = [TrainConfig.from_dotted({**gone, "finetune.lr": lr}).to_dotted() for lr in (0.1, 0.2)]
    stranger = {"data.name": "files", "of_another": "version"}
    (problem,) = Inputs().problems_of_stored([*runs, stranger])
    assert problem == ("data.train", f"{here}/gone.txt matches no file")


def test_every_example_is_sound() -> None:
    root = Path(__file__).parents[3]
    for file in sorted((root / "search_spaces").glob("*.yaml")):
        load_spec(file)


def test_a_judge_is_a_folder_with_a_model_or_a_name_on_the_hub(here: Path) -> None:
    def judged(by: str, num: int = 1) -> str:
        samples = f"  samples: {{num: {num}, judge: {by}}}\n"
        return SPEC.replace("  data:\n", f"{samples}  data:\n")

    (here / "folder").mkdir()
    (said,) = wrong(judged("folder"), Inputs())
    assert "samples.judge: " in said
    assert "has no config.json" in said
    (here / "folder" / "config.json").write_text("{}")
    for by, num, unseen in (("folder", 1, []), ("gpt2", 1, ["samples.judge"]), ("gpt2", 0, [])):
        inputs = Inputs()
        read_spec(judged(by, num), "s.yaml", "s", (), inputs)
        assert [key for key in inputs.unseen if key.startswith("samples")] == unseen
