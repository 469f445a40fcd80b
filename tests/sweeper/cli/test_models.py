"""`export-model`, `sample` and `evaluate`: which trial is meant, what is written, what is said otherwise."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from sweeper.cli.main import app
from sweeper.results.leaderboard import best_run, first_row, leaderboard
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper import filled
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(write_corpus(folder), pretrain__steps=0, finetune__steps=10)
    reports_of(config, folder / "one")
    return folder / "one"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    filled.fill(f"sqlite:///{folder}/s.db", finished=True)
    return folder


@pytest.fixture
def url(tmp_path: Path, stored: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store whose every trial has that run's files."""
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    address = f"sqlite:///{tmp_path}/s.db"
    monkeypatch.chdir(tmp_path)
    reader = Reader(address)
    for trial in reader.trials(1):
        place = tmp_path / "files" / "trials" / "1" / str(trial.id)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(trained)
    reader.close()
    return address


def said(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def best_of(url: str) -> int:
    """The number of the run that is the winner: of the first row, the lowest bound."""
    reader = Reader(url)
    board = leaderboard(reader, "schedules")
    row = board.rows[0]
    bounds = {each.trial: each.nelbo for each in reader.evaluations(1, "valid") if each.trial in row.trials}
    trial = reader.trial(min(bounds, key=bounds.__getitem__))
    reader.close()
    assert trial is not None
    return trial.called


# --- which one ------------------------------------------------------------------------------------
def test_the_winner_is_the_best_run_of_the_row_that_the_answer_takes(url: str) -> None:
    reader = Reader(url)
    board = leaderboard(reader, "schedules")
    row = first_row(board)
    assert row is not None
    assert row.configuration == board.answers[0].configuration
    baseline = next(each for each in board.rows if len(each.trials) > 1)
    best = best_run(reader, board, baseline)
    bounds = {each.trial: each.nelbo for each in reader.evaluations(board.id, "valid")}
    assert best is not None
    assert bounds[best.id] == min(bounds[each] for each in baseline.trials)
    reader.close()


def test_a_number_or_the_winner(url: str, tmp_path: Path) -> None:
    winner = best_of(url)
    by_default = said("export-model", "schedules", "--to", "a", "--json", "--db", url)
    by_word = said("export-model", "schedules", "winner", "--to", "b", "--json", "--db", url)
    other = said("export-model", "schedules", "2", "--to", "c", "--json", "--db", url)
    found = [json.loads(each.stdout) for each in (by_default, by_word, other)]
    assert [each["trial"] for each in found] == [winner, winner, 2]
    assert [each["folder"] for each in found] == ["a", "b", "c"]
    assert f"the answer leads to trial {winner}" in other.stderr
    assert "best-scored run" in by_default.stderr
    assert (tmp_path / "c" / "README.md").read_text().splitlines()[6] == "# schedules, trial 2"


def test_that_nothing_is_settled_is_said_and_stands_in_the_card(url: str, tmp_path: Path) -> None:
    result = said("export-model", "schedules", "--to", "model", "--json", "--db", url)
    reader = Reader(url)
    settled = leaderboard(reader, "schedules").answers[0].settled
    reader.close()
    assert not settled
    assert json.loads(result.stdout)["settled"] is False
    assert "Nothing is settled yet" in result.stderr
    assert "Nothing is settled yet" in (tmp_path / "model" / "README.md").read_text()


# --- what is written ------------------------------------------------------------------------------
def test_the_card_holds_answer_passport_specification_and_lines(url: str, tmp_path: Path) -> None:
    said("export-model", "schedules", "--to", "model", "--db", url)
    assert {"model.safetensors", "config.json", "modeling_bd3lm.py", "tokenizer.json"} <= {
        each.name for each in (tmp_path / "model").iterdir()
    }
    card = (tmp_path / "model" / "README.md").read_text()
    reader = Reader(url)
    answer = leaderboard(reader, "schedules").answers[0].text
    reader.close()
    plain = card.replace("\\", "")
    assert f"> {answer}" in plain
    assert "| identity |" in card
    assert "| tokenizer | bpe 2048 |" in card
    assert "```yaml\nname: schedules\nmetric: val_ppl\n```" in card
    assert "python -m sweeper run schedules.yaml" in card
    assert "python -m trainer train --out runs/schedules-" in card
    assert "moving average" in card
    front = YAML(typ="safe").load(card.split("---\n")[1])
    assert front["library_name"] == "transformers"
    settings = re.search(r"```yaml\n(.*?)```", card, re.S)
    assert settings is not None
    assert YAML(typ="safe").load(settings[1])["pretrain.steps"] == filled.PRETRAIN


def test_what_people_wrote_is_no_markup_of_the_card(tmp_path: Path, url: str) -> None:
    """A specification with a fence in it ends no fence; a name is a name."""
    from sweeper.terminal.model_card import _code, _fenced, _plain

    assert _fenced("a\n```\nb", "yaml") == "````yaml\na\n```\nb\n````"
    assert _code("a`b") == "`` a`b ``"
    assert _plain("<b>|x|\n# [y](z) `q`") == r"\<b\>\|x\| \# \[y\](z) \`q\`"


def test_a_folder_is_replaced_only_where_that_is_said(url: str, tmp_path: Path) -> None:
    said("export-model", "schedules", "--to", "model", "--db", url)
    before = (tmp_path / "model" / "README.md").read_text()
    refused = said("export-model", "schedules", "2", "--to", "model", "--db", url, code=2)
    assert "--overwrite replaces" in refused.stderr
    assert (tmp_path / "model" / "README.md").read_text() == before
    said("export-model", "schedules", "2", "--to", "model", "--overwrite", "--db", url)
    assert "trial 2" in (tmp_path / "model" / "README.md").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years")
    said("export-model", "schedules", "--to", "other", "--overwrite", "--db", url, code=2)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "years"


# --- the trainer's own commands -------------------------------------------------------------------
def test_text_and_scores_are_the_trainers(url: str, trained: Path) -> None:
    from trainer.cli.main import app as trainer_app

    def by_trainer(*words: str) -> str:
        return CliRunner().invoke(trainer_app, [*words], catch_exceptions=False).stdout

    drawn = said("sample", "schedules", "2", "--num", "2", "--seed", "5", "--length", "16", "--db", url)
    assert drawn.stdout == by_trainer("sample", str(trained), "--num", "2", "--seed", "5", "--length", "16")
    score = said("evaluate", "schedules", "2", "evaluation.sequences=8", "--json", "--db", url)
    expected = by_trainer("evaluate", str(trained), "evaluation.sequences=8", "--json")
    assert json.loads(score.stdout) == json.loads(expected)


def test_without_a_number_the_winner_is_meant(url: str) -> None:
    winner = best_of(url)
    result = said("sample", "schedules", "sampler.nucleus=0.9", "--num", "1", "--db", url)
    assert f"Trial {winner} is the best-scored run" in result.stderr
    assert "--- sample 0" in result.stdout
    assert "test_nelbo" in said("evaluate", "schedules", "--split", "test", "--db", url).stdout


# --- where it cannot ------------------------------------------------------------------------------
def test_what_cannot_be_is_a_sentence(url: str, tmp_path: Path) -> None:
    no_number = said("sample", "schedules", "best", "--db", url, code=2)
    assert no_number.stderr == "'best' is neither a trial's number on the board nor winner\n"
    assert "has no trial 99" in said("evaluate", "schedules", "99", "--db", url, code=2).stderr
    (tmp_path / "files" / "trials" / "1" / "2").unlink()
    gone = said("export-model", "schedules", "2", "--to", "model", "--db", url, code=7)
    assert "no such checkpoint" in gone.stderr
    assert "`repro schedules 2`" in gone.stderr
    assert not (tmp_path / "model").exists()


def test_before_anything_is_ranked_there_is_no_winner(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/s.db"
    store = Store(address)
    spec = {"space": {"finetune.block_size": {"choice": [4, 8]}}, "search": {"trials": 3}}
    store.create_sweep(name="new", spec_text="name: new\n", spec=spec, code_version="0", folder="files")
    store.close()
    result = said("export-model", "new", "--to", str(tmp_path / "model"), "--db", address, code=5)
    assert result.stderr == "nothing of new is ranked yet, so there is no winner: name a trial\n"


ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
sys.modules["torch"] = None
from sweeper.cli.main import app
app(sys.argv[1:])
"""


def test_without_torch_it_says_what_is_missing(url: str) -> None:
    words = ["evaluate", "schedules", "2", "--db", url]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 7, done.stderr
    assert done.stderr == "evaluate needs the Python package torch, which is not installed\n"


def test_of_an_object_store_a_copy_is_used(url: str, tmp_path: Path, trained: Path) -> None:
    import sqlite3

    from sweeper.files.snapshots import Snapshots

    remote = f"file://{tmp_path}/remote"
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    Snapshots(f"{remote}/trials/1/2").push(copy)
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("update sweeps set folder = ?", [remote])
    said("export-model", "schedules", "2", "--to", "model", "--db", url)
    assert (tmp_path / "model" / "model.safetensors").is_file()
    gone = said("export-model", "schedules", "3", "--to", "other", "--db", url, code=7)
    assert "holds no best.safetensors" in gone.stderr
