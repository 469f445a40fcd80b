"""The plain install, from a checkout: what lacks an extra says so in a sentence, and all else goes on."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sweeper.filled import fill
from tests.sweeper.search.test_importance import planted
from trainer.errors import lacks
from trainer.sampling.samples_file import SavedSample, write_samples

ROOT = Path(__file__).parent.parent
MODULES = {"psycopg": "psycopg", "flash-attn": "flash_attn", "mlflow-skinny": "mlflow"}
MODULES |= {"scikit-learn": "sklearn"}
NEEDED = {"pandas"}  # of the dashboard's extra, and of Ray Tune as well
SPEC = "space: {finetune.block_size: {choice: [4, 8]}}\nsearch.trials: 2\n"
SPECS = {
    "mine.yaml": SPEC,
    "corpus.yaml": f"{SPEC}trainer.data.name: wikitext\n",
    "named.yaml": f"{SPEC}trainer.data.tokenizer: gpt2\n",
    "folder.yaml": f"{SPEC}trainer.data.tokenizer: ./tokenizer\n",
    "judged.yaml": f"{SPEC}trainer.samples: {{num: 1, judge: gpt2}}\n",
}


class Lacking(NamedTuple):
    """What a command says that lacks a package, and its exit code."""

    words: str
    code: int
    what: str
    package: str
    extra: str


AT_ONCE = (
    Lacking("sweeper dashboard", 7, "the dashboard", "streamlit", "dashboard"),
    Lacking("sweeper share schedules --out page.html", 7, "share", "plotly", "dashboard"),
    Lacking("sweeper status --db postgresql://me@host/x", 7, "postgresql", "psycopg", "postgres"),
    Lacking("sweeper check corpus.yaml", 0, "it", "datasets", "hub"),
    Lacking("sweeper check named.yaml", 0, "it", "transformers", "hub"),
    Lacking("sweeper check folder.yaml", 3, "tokenizer", "transformers", "hub"),
    Lacking("sweeper check judged.yaml", 0, "it", "transformers", "judge"),
    Lacking("sweeper follow schedules --to tensorboard:tb", 7, ":DIR", "tensorboard", "trackers"),
    Lacking("sweeper follow schedules --to mlflow:file:ml", 7, ":URI", "mlflow-skinny", "trackers"),
    Lacking("sweeper follow schedules --to wandb:project", 7, ":PROJECT", "wandb", "trackers"),
    Lacking("sweeper importance s --evaluator fanova", 5, "fANOVA", "scikit-learn", "fanova"),
)
TRAINING = (  # torch, or Ray, is imported first
    Lacking("sweeper run mine.yaml --files f --db postgresql://me@host/x", 7, "sql", "psycopg", "postgres"),
    Lacking("trainer train --out a data.name=wikitext", 3, "wikitext", "datasets", "hub"),
    Lacking("trainer train --out b data.tokenizer=gpt2", 3, "data.tokenizer gpt2", "transformers", "hub"),
    Lacking("trainer judge samples.jsonl --judge gpt2", 1, "the judge gpt2", "transformers", "judge"),
    Lacking(
        "trainer train --out c objective.name=ar compute.attention=flash model.size=nano",
        *(1, "flash", "flash-attn", "gpu"),
    ),
)
# The plain install has these.
GO_ON = (
    *("sweeper check mine.yaml", "sweeper status schedules", "sweeper leaderboard schedules", "sweeper list"),
    *("sweeper init begun.yaml", "sweeper schema", "sweeper export schedules --out tables"),
)


def packages() -> dict[str, set[str]]:
    """extra -> the packages that it adds to a plain install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {extra: {each.partition("[")[0].partition(">")[0] for each in extras[extra]} for extra in extras}
    return {extra: each - NEEDED for extra, each in names.items() if extra != "dev"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    fill(f"sqlite:///{tmp_path}/sweeps.db", finished=True)
    planted(f"sqlite:///{tmp_path}/sweeps.db", trials=12, gaussian=0)
    for name, text in SPECS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "tokenizer").mkdir()
    write_samples(tmp_path / "samples.jsonl", [SavedSample(text="a word, and another")])
    return tmp_path


def said(here: Path, lines: list[str]) -> list[tuple[int, str]]:
    """Of each command line, in one process that finds none of the packages."""
    without = {MODULES.get(name, name) for names in packages().values() for name in names}
    done = subprocess.run(
        [sys.executable, "-m", "tests.without", ",".join(without)],
        input="".join(f"{json.dumps(line.split())}\n" for line in lines),
        capture_output=True,
        text=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TRAINER_CACHE": str(here / "cache")},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def are_sentences(here: Path, lacking: tuple[Lacking, ...]) -> None:
    for each, (code, output) in zip(lacking, said(here, [each.words for each in lacking]), strict=True):
        sentence = lacks(each.what, each.package, each.extra)
        assert code == each.code, (each.words, output)
        assert sentence in output
        assert "Traceback" not in output
        if code == 7:
            assert len(output.splitlines()[-1]) <= len(sentence) + 30


def test_every_package_of_every_extra_is_named_by_a_command_that_lacks_it() -> None:
    named = {(each.extra, each.package) for each in (*AT_ONCE, *TRAINING)}
    assert named == {(extra, each) for extra, names in packages().items() for each in names}


def test_what_lacks_an_extra_says_which_one(here: Path) -> None:
    are_sentences(here, AT_ONCE)


@pytest.mark.long
def test_what_trains_without_an_extra_says_which_one(here: Path) -> None:
    are_sentences(here, TRAINING)


@pytest.mark.long
def test_all_else_goes_on(here: Path) -> None:
    for words, (code, output) in zip(GO_ON, said(here, list(GO_ON)), strict=True):
        assert code == 0, (words, output)
