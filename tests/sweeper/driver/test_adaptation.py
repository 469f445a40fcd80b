"""search_spaces/adaptation.yaml, small: from a causal model of transformers to block diffusion."""

import math
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.spec.load import load_spec
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.queries import Reader
from tests.sweeper.driving import drive, opened
from tests.trainer.causal_models import saved
from tests.trainer.tiny_runs import tiny_config, write_corpus
from trainer.data.corpus import load, prepare

SPEC = Path(__file__).parents[3] / "search_spaces" / "adaptation.yaml"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Overrides. The model is a random one, with the tokenizer of the corpus."""
    corpus = write_corpus(tmp_path)
    data = tiny_config(corpus).data
    for _ in prepare(data):
        pass
    tokenizer = load(data).tokenizer
    folder = saved("llama", tmp_path / "model", vocab_size=tokenizer.vocab_size - 1)
    tokenizer.save(folder)
    monkeypatch.setenv("AR_MODEL", str(folder))
    return [
        f"trainer.data={{name: files, train: {corpus}, document: line, length: 16, tokenizer: {folder}}}",
        *("trainer.pretrain.steps=3", "trainer.pretrain.batch_size=4"),
        *("trainer.finetune.steps=3", "trainer.finetune.batch_size=4"),
        "trainer.evaluation={every: 3, sequences: 8, variance_batches: 0, test: false}",
        "search={trials: 3, sampler: random}",
        "always_seeds=1",
        "settle=null",
    ]


@pytest.mark.long
def test_a_sweep_tunes_it(small: list[str], tmp_path: Path) -> None:
    spec, url = load_spec(SPEC, small), f"sqlite:///{tmp_path}/s.db"
    with opened(url, spec, tmp_path / "files") as driver:
        drive(driver, train="trainer.training.train")
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("adaptation")
        assert sweep is not None
        trials, latest = reader.trials(sweep.id), reader.latest(sweep.id)
        assert [trial.state for trial in trials] == ["complete"] * 5
        assert len(reader.stages()) == 1  # one pretrain from the model, shared
    assert {each.trial for each in latest if each.name == "val_ppl"} == {trial.id for trial in trials}
    assert all(math.isfinite(each.value) for each in latest)

    where = ["--db", url]
    for command in (["evaluate", "adaptation", "1"], ["sample", "adaptation", "1", "--num", "1"]):
        done = CliRunner().invoke(app, [*command, *where])
        assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["export-model", "adaptation", "1", "--to", str(out), *where])
    assert done.exit_code == 0, done.output
    said = (out / "README.md").read_text()
    assert "adapted from a llama" in said
    assert "pipeline_tag: text-generation" in said
    (code,) = re.findall(r"```python\n(.*?)```", said, re.DOTALL)
    seen: dict[str, Any] = {}
    exec(code.replace("FOLDER", str(out)), seen)
    assert seen["logits"].shape[-1] == seen["tokenizer"].mask_token_id + 1


def test_sizes_that_contradict_the_model_are_refused_before_anything_runs(small: list[str]) -> None:
    with pytest.raises(InvalidSpec, match=r"model\.width: 64, .* has 24: leave it out"):
        load_spec(SPEC, [*small, "trainer.model.width=64"])
