"""repro: the command that is printed says the same run, and makes it again to the bit."""

import json
import math
import shlex
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.results.repro import Check, as_yaml, not_default
from sweeper.store.queries import Reader
from tests.sweeper import filled
from tests.sweeper.driving import make_spec, opened
from tests.trainer.tiny_runs import write_corpus
from trainer.cli.console import read_overrides
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Evaluation, Report
from trainer.training.rows import Rows

TINY = """
name: tiny
trainer:
  data: {{name: files, train: '{corpus}', document: line, length: 16, vocab_size: 300}}
  model: {{width: 16, layers: 1, heads: 1, cond_width: 8, dropout: 0.1}}
  pretrain: {{steps: 4, batch_size: 4}}
  finetune: {{steps: 6, batch_size: 4}}
  evaluation: {{every: 3, sequences: 8, variance_batches: 1}}
space: {{finetune.block_size: {{choice: [2, 4]}}}}
search: {{sampler: grid, seed: 5}}
"""
NAMES = {
    "finetune.schedule.name": ["loglinear", "cosine", "gaussian", "bimodal_gaussian"],
    "finetune.reweighting.name": ["none", "iddpm", "sigmoid"],
    "objective.name": ["bd3lm", "mdlm", "ar"],
    "model.size": ["nano", "tiny", "small"],
    "data.name": ["pydocs", "synthetic", "wikitext"],
}


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def read_back(words: list[str]) -> TrainConfig:
    return TrainConfig.from_dotted(read_overrides(words))


@settings(max_examples=60, deadline=None)
@given(
    names=st.fixed_dictionaries({}, optional={key: st.sampled_from(names) for key, names in NAMES.items()}),
    numbers=st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 2**40),
            "finetune.lr": st.floats(1e-9, 1.0),
            "finetune.clip.low": st.floats(0, 0.4),
            "pretrain.steps": st.integers(0, 10**7),
            "optimizer.ema": st.floats(0, 0.9999),
        },
    ),
)
def test_the_words_say_the_same_run_in_a_shell(names: dict[str, Any], numbers: dict[str, Any]) -> None:
    try:
        config = TrainConfig.from_dotted({**names, **numbers})
    except InvalidConfig:
        reject()
    fewest = not_default(config.to_dotted())
    line = shlex.join(f"{key}={as_yaml(value)}" for key, value in fewest.items())
    assert read_back(shlex.split(line)) == config
    assert fewest.keys() <= {**names, **numbers}.keys()  # what was not said is a default


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12))
@pytest.mark.parametrize("quote", [str, lambda text: f"{text}: #1", lambda text: f"{text} 'x' $HOME"])
def test_a_text_comes_back_from_the_shell_as_it_was(quote: Callable[[str], str], text: str) -> None:
    (word,) = shlex.split(shlex.join([f"data.train={as_yaml(quote(text))}"]))
    assert read_overrides([word]) == {"data.train": quote(text)}


@pytest.mark.parametrize(
    "text", ["", "null", "no", "1e-4", "0x10", " a", "- b", "[c", "12:30", "~", "true", "=5"]
)
def test_texts_that_yaml_would_read_otherwise(text: str) -> None:
    assert read_overrides([f"key={as_yaml(text)}"]) == {"key": text}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two real trials that share a pretrain, driven without Ray; the database's URL."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_CACHE", str(folder / "cache"))
        # As many threads as this process trains with: with another number the last bits differ.
        threads = f"resources.cpu={torch.get_num_threads()}"
        spec = make_spec(threads, text=TINY.format(corpus=write_corpus(folder)))
        url = f"sqlite:///{folder}/s.db"
        with opened(url, spec, folder / "files") as driver:
            while not driver.over():
                job: Any = driver.next()
                Path(job.folder).mkdir(parents=True, exist_ok=True)
                for report in job.run("trainer.training.train", "cpu"):
                    driver.take(job, [report] if report else [])
                driver.finish(job)
            driver.end()
        yield url


@pytest.mark.long
def test_a_branch_of_a_shared_pretrain_is_made_again_to_the_bit(trained: str) -> None:
    with closing(Reader(trained)) as reader:
        assert [(stage.state, stage.steps) for stage in reader.stages()] == [("complete", 4)]
    result = call("repro", "tiny", "2", "--db", trained, "--check")
    assert (result.exit_code, result.stdout[:16]) == (0, "equal to the bit"), result.stderr
    assert shlex.split(result.stderr.splitlines()[0])[1:4] == ["python", "-m", "trainer"]
    assert "pretrain.steps=4" in result.stderr
    assert "seed=5" in result.stderr


@pytest.fixture
def reruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trial 4 of a filled store, made again by a trainer that reports what `change` makes of its best."""
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url)
    with closing(Reader(url)) as reader:
        (stored,) = [each for each in reader.evaluations(1, "valid") if each.trial == 4]

    def rerun(change: Callable[[Evaluation], Evaluation], code: int = 0) -> Result:
        def run(words: list[str], **_: Any) -> Any:
            out = Path(words[words.index("--out") + 1])
            out.mkdir(parents=True)
            fields = {name: getattr(stored, name) for name in ("split", "step", "nelbo", "se", "identity")}
            best = Evaluation(**fields, provenance={}, nats_D=stored.nats, tokens_D=stored.tokens)
            worse = best._replace(step=1, nelbo=9.0)
            rows = Rows(out / "rows.jsonl", 0)
            for each in (worse, change(best)):
                rows.append(Report(each.step, {}, (each, each._replace(split="test", nelbo=0.0))))
            rows.close()
            return subprocess.CompletedProcess(words, code)

        monkeypatch.setattr("sweeper.results.repro.subprocess.run", run)
        return call("repro", "schedules", "4", "--db", url, "--check", "--json")

    return rerun


def test_check_compares_to_the_bit(reruns: Any) -> None:
    same = reruns(lambda best: best)
    assert same.exit_code == 0
    assert json.loads(same.stdout)["equal"] is True

    next_float = reruns(lambda best: best._replace(nelbo=math.nextafter(best.nelbo, 0)))
    assert next_float.exit_code == 4
    document = json.loads(next_float.stdout)
    assert (document["equal"], document["again"] < document["stored"]) == (False, True)
    other_document = reruns(lambda best: best._replace(nats_D=[best.nats_D[0] + 1e-9, *best.nats_D[1:]]))
    assert other_document.exit_code == 4

    failed = reruns(lambda best: best, code=1)
    assert failed.exit_code == 2
    assert "the trainer ended with exit code 1" in failed.stderr


def test_what_was_trained_fused_is_not_said_to_be_wrong() -> None:
    assert "resources.fused: 4" in Check(stored=1.0, again=1.0000001, equal=False, fused=4).words()
    assert "fused" not in Check(stored=1.0, again=1.0000001, equal=False).words()
    assert Check(stored=1.0, again=1.0, equal=True, fused=4).words() == "equal to the bit: val_nelbo 1.0"


def test_it_prints_one_line_for_a_shell(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url)
    result = call("repro", "schedules", "5", "--db", url)
    assert result.stderr == ""
    environment, *words = shlex.split(result.stdout)
    assert environment == "OMP_NUM_THREADS=1"
    assert words[:7] == ["python", "-m", "trainer", "train", "--out", "runs/schedules-5", "--device"]
    assert "finetune.schedule.mu=0.31" in words
    assert not any(word.startswith("data.") for word in words)  # the default corpus
    again = call("repro", "schedules", "5", "--db", url, "--out", "my run").stdout
    assert "--out 'my run'" in again


def test_what_cannot_be_made_again_is_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url)
    assert call("repro", "schedules", "99", "--db", url).stderr == "schedules has no trial 99\n"
    result = call("repro", "schedules", "9", "--db", url, "--check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "trial 9 of schedules cannot be made again: trial 9 is pruned: only a complete one can be compared"
    )
