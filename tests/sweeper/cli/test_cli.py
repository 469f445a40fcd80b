"""The command line: what it prints where, its exit codes, and how quickly it answers."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.cli import run as run_command
from sweeper.files.remote import Unsaid
from sweeper.spec.load import load_spec
from sweeper.spec.spec import SweepSpec
from sweeper.store.store import Store
from tests.sweeper import filled

ROOT = Path(__file__).parents[3]
SMOKE = str(ROOT / "search_spaces" / "smoke.yaml")


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def document(result: Result) -> Any:
    """What stdout holds: exactly one JSON document, with its version: a board's is 2, all others' 1."""
    read = json.loads(result.stdout)
    assert read["schema_version"] == (2 if "rows" in read else 1)
    return read


@pytest.fixture(scope="module")
def filled_db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a believable sweep in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/s.db"
    filled.fill(url)
    return url


@pytest.fixture
def db(filled_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, called from an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_DB", raising=False)
    monkeypatch.delenv("SWEEPER_FILES", raising=False)
    return filled_db


# --- light ----------------------------------------------------------------------------------------
def test_help_is_light_and_quick() -> None:
    heavy = ("torch", "ray", "optuna", "streamlit", "sqlalchemy", "pandas", "numpy", "pydantic", "rich")
    code = (
        "import sys, runpy; sys.argv = ['sweeper', '--help']\n"
        "try: runpy.run_module('sweeper', run_name='__main__')\n"
        f"except SystemExit as end: print(end.code, [m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"

    seconds = []
    for _ in range(3):  # processor time: the wall clock is at the mercy of whoever else is at work here
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "sweeper", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


def test_status_builds_no_specification(db: str) -> None:
    """Of sweeps that are over, and of those whose space is a continuum: nothing there needs its settings."""
    heavy = ("sweeper.spec.spec", "trainer.config.train_config", "numpy", "pandas")
    for words in (["status", "--db", db], ["status", "schedules", "--db", db]):
        code = (
            f"import sys, runpy; sys.argv = ['sweeper', *{words!r}]\n"
            "try: runpy.run_module('sweeper', run_name='__main__')\n"
            f"except SystemExit as end: print(end.code, [m for m in {heavy!r} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "0 []", words


COMMANDS = get_command(cli.app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_list(command: str) -> None:
    assert call(command, "--help").exit_code == 0
    (line,) = (line for line in call("--help").stdout.splitlines() if line.startswith(f"  {command} "))
    assert len(line.split()) > 3  # what it does


# --- specifications -----------------------------------------------------------------------------------
def test_check_says_what_would_run() -> None:
    result = call("check", SMOKE)
    assert result.exit_code == 0
    assert "trials      3 by random" in result.stdout
    assert "pretrains   1" in result.stdout
    plan = document(call("check", SMOKE, "search.trials=2", "--json"))["plan"]
    said = {"trials": 2, "stages": 1, "steps": 60, "pretrain_steps": 20}
    assert {key: value for key, value in plan.items() if value} == said
    assert plan["at_most"] is False


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_spec_is_exit_code_3_without_a_traceback(command: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("search: {trials: 1}\nspace:\n  finetune.shedule.name: {choice: [cosine]}\n")
    result = call(command, str(file))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == f"{file}:3:3: finetune.shedule: unknown; did you mean finetune.schedule?\n"

    result = call(command, str(file), "--json")
    assert result.exit_code == 3
    (problem,) = document(result)["problems"]
    assert (problem["line"], problem["column"], problem["key"]) == (3, 3, "finetune.shedule")


def test_a_text_that_is_not_there_ends_check_and_run_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = [SMOKE, "trainer.data={name: files, train: nosuch/*.txt}"]
    for command in ("check", "run", "plan"):
        result = call(command, *said)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.endswith(f"data.train: {tmp_path}/nosuch/*.txt matches no file\n")
    assert not list(tmp_path.iterdir())
    offline = call("check", *said, "--offline")
    assert offline.exit_code == 0
    assert "not seen    the files that runs read: --offline\n" in offline.stdout
    on_the_hub = document(call("check", SMOKE, "trainer.data.tokenizer=gpt2", "--json"))
    assert [each.partition(":")[0] for each in on_the_hub["unseen"]] == ["data.tokenizer"]
    looked = document(call("check", SMOKE, "notify.command=nosuch", "--json"))
    assert looked["unseen"] == []
    assert [each for each in looked["notes"] if each.startswith("notify: nosuch is no program here")]


def test_a_text_that_is_gone_ends_resume(tmp_path: Path) -> None:
    from tests.sweeper.filled import HOLDER
    from trainer.config.train_config import TrainConfig

    url, gone = f"sqlite:///{tmp_path}/s.db", str(tmp_path / "gone.txt")
    filled.fill(url)
    text = {"data.name": "files", "data.train": gone}
    values = TrainConfig.from_dotted({**text, "model.size": "nano"}).to_dotted()
    with closing(Store(url)) as store:
        store.writer(1, HOLDER).add_configuration("of a text", values)
        store.release_lease(1, HOLDER)
    result = call("resume", "schedules", "--db", url)
    assert (result.exit_code, result.stderr) == (7, f"data.train: {gone} matches no file\n")


@pytest.mark.parametrize(
    "words",
    [
        ("check", "no-such-file.yaml"),
        ("check", SMOKE, "search.trials"),
        ("check", SMOKE, "=3"),
        ("chekc", SMOKE),
        ("run", SMOKE, "--no-such-option"),
        ("run", SMOKE, "--db", "nonsense"),
        ("run", SMOKE, "--db", "postgresql+psycopg://nobody@localhost/none"),
        ("show",),
    ],
)
def test_usage_mistakes_are_exit_code_2(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWEEPER_FILES", raising=False)
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


# --- run and resume -------------------------------------------------------------------------------------
@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Runs are noted, and not made."""
    made: list[Any] = []

    def run_sweep(spec: SweepSpec, url: str, files: Path, progress: Any, means: Any) -> int:
        progress.note("a line of progress")
        made.append((spec, spec.text, url, files))
        return code.pop()

    code = [0]
    monkeypatch.setattr("sweeper.execution.runner.run_sweep", run_sweep)
    made_of: Any = made
    made_of.append(code)
    return made_of


def test_run_hands_over_and_shows_the_board(db: str, runs: list[Any]) -> None:
    code = runs.pop()
    code[:] = [4]
    result = call("run", SMOKE, "search.trials=2", "--as", "schedules", "--db", db)
    assert result.exit_code == 4
    ((spec, text, url, files),) = runs
    assert (spec.name, spec.search.trials, url) == ("schedules", 2, db)
    assert files == Unsaid(str(Path(db.removeprefix("sqlite:///")).with_suffix(".files")))
    assert text.endswith((ROOT / "search_spaces" / "smoke.yaml").read_text())
    starts, then = result.stderr.splitlines()[:2]  # the first before anything heavy is imported
    assert starts.endswith("schedules starts; before the first trial does, Ray takes some seconds to start")
    assert then.endswith("a line of progress")
    assert "No answer yet: row 1" in result.stdout


def test_run_prints_one_document_whatever_happens(db: str, runs: list[Any]) -> None:
    code = runs.pop()
    code[:] = [130]
    assert document(call("run", SMOKE, "--as", "schedules", "--db", db, "--json"))["rows"]
    code[:] = [7]
    result = call("run", SMOKE, "--db", db, "--json", "--files", "elsewhere")
    assert result.exit_code == document(result)["exit_code"] == 7
    assert runs[-1][3] == "elsewhere"


def test_resume_takes_the_stored_spec(db: str, runs: list[Any]) -> None:
    runs.pop()
    assert call("resume", "schedules", "--db", db).exit_code == 0
    ((spec, text, _, files),) = runs
    assert spec.name == "schedules"
    assert spec.search.trials == 10
    assert text == "name: schedules\nmetric: val_ppl\n"
    from sweeper.store.queries import Reader

    assert files == Unsaid(Reader(db).sweeps()[0].folder)


def test_a_stored_spec_is_the_spec(tmp_path: Path) -> None:
    spec = load_spec(SMOKE)
    assert SweepSpec.from_resolved(json.loads(json.dumps(spec.resolved())), spec.text) == spec


# --- reads ------------------------------------------------------------------------------------------------
def test_the_leaderboard_as_json_and_as_a_table(db: str) -> None:
    board = document(call("leaderboard", "schedules", "--db", db, "--json"))
    assert board["sweep"]["name"] == "schedules"
    assert board["sweep"]["trials"]["failed"] == 1
    needed = {
        "rank",
        "configuration",
        "values",
        "trials",
        "seeds",
        "state",
        "step",
        "val_ppl",
        "tied_with_best",
    }
    assert all(needed | {"val_ppl_low", "val_ppl_high"} <= set(row) for row in board["rows"])
    assert len(document(call("leaderboard", "schedules", "--db", db, "--json", "--limit", "2"))["rows"]) == 2

    table = call("leaderboard", "schedules", "--db", db).stdout
    answer, limits, header, first = table.splitlines()[:4]
    assert answer == board["answer"]["text"]
    assert [limits] == board["limits"]
    assert header.split()[:2] == ["rank", "val_ppl"]
    assert "block_size" in header
    assert "data.length" not in header
    assert f"{board['rows'][0]['val_ppl']:#.4g}" in first
    chosen = call(
        "leaderboard", "schedules", "--db", db, "--columns", "val_ppl,finetune.lr", "--sort", "rank"
    )
    assert chosen.stdout.splitlines()[2].split() == ["val_ppl", "finetune.lr"]
    wrong = call("leaderboard", "schedules", "--db", db, "--sort", "none")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("there is no column none; there are: rank, ")


def test_the_leaderboard_in_blocks_of_a_size(db: str) -> None:
    board = document(call("leaderboard", "schedules", "--db", db, "--json", "--block-size", "8"))
    assert (board["block_size"], board["specialist"]) == (8, board["rows"][0]["configuration"])
    table = call("leaderboard", "schedules", "--db", db, "--block-size", "8").stdout
    header, first, *_ = table.splitlines()
    assert header.split()[:3] == ["val_ppl/L8", "95%", "interval"]
    assert f"{board['rows'][0]['estimate']['value']:#.4g}" in first
    assert "The specialist, trial " in table
    nobody = call("leaderboard", "schedules", "--db", db, "--block-size", "32").stdout
    assert nobody.startswith("nothing was evaluated in blocks of 32: evaluation.block_sizes")
    assert call("leaderboard", "schedules", "--db", db, "--block-size", "8", "--sort", "rank").exit_code == 2


def test_status_list_and_show(db: str) -> None:
    status = call("status", "schedules", "--db", db).stdout
    assert status.startswith("schedules: running on filled:1, 10 of 12 trials ended, about ")
    assert "trial 11: step 1," in status
    (sweep,) = document(call("list", "--db", db, "--json"))["sweeps"]
    again = document(call("status", "schedules", "--db", db, "--json"))["sweep"]
    assert 0 < sweep.pop("seconds_left") <= again.pop("seconds_left")  # nothing has ended in between
    assert sweep == again
    assert call("status", "--db", db).stdout == call("list", "--db", db).stdout

    board = document(call("leaderboard", "schedules", "--db", db, "--json"))
    (failed,) = (row for row in board["rows"] if row["state"] == "failed")
    trial = str(failed["trials"][0])
    shown = document(call("show", "schedules", trial, "--db", db, "--json"))["trial"]
    assert shown["state"] == "failed"
    assert "the loss is nan" in shown["error"]
    assert "the loss is nan" in call("show", "schedules", trial, "--db", db).stdout


def test_show_names_the_files(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url)
    with closing(Store(url)) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sweeps SET folder = ?", (str(tmp_path / "files"),))
    folder = tmp_path / "files" / "trials" / "1" / "1"
    said = call("show", "schedules", "1", "--db", url).stdout
    assert f"folder: {folder}, which is not there\n" in said
    folder.mkdir(parents=True)
    assert "checkpoints: none\n" in call("show", "schedules", "1", "--db", url).stdout
    for name in ("best.safetensors", "last.safetensors", "last.safetensors.tmp"):
        (folder / name).touch()
    found = [str(folder / name) for name in ("best.safetensors", "last.safetensors")]
    said = call("show", "schedules", "1", "--db", url).stdout
    assert f"folder: {folder}\ncheckpoints: {', '.join(found)}\n" in said
    document_of = document(call("show", "schedules", "1", "--db", url, "--json"))["trial"]
    assert (document_of["folder"], document_of["checkpoints"]) == (str(folder), found)


def test_stop_asks(db: str) -> None:
    from sweeper.store.queries import Reader

    (running,) = (trial.id for trial in Reader(db).trials(1) if trial.state == "running")
    assert call("stop", "schedules", "--db", db).exit_code == 0
    asked = document(call("stop", "schedules", "--trial", str(running), "--db", db, "--json"))["asked"]
    assert asked["trial"] == running
    controls = [(each.verb, each.trial) for each in Reader(db).controls(1)]
    assert controls == [("stop", None), ("stop", running)]
    assert call("stop", "schedules", "--trial", "999", "--db", db).exit_code == 2
    ended = call("stop", "schedules", "--trial", "1", "--db", db)
    assert (ended.exit_code, ended.stderr) == (2, "trial 1 of schedules has ended already: complete\n")


def test_nobody_is_asked_to_stop_what_nobody_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url, finished=True)
    result = call("stop", "schedules", "--db", url)
    assert result.exit_code == 2
    assert "is not being run, so there is nothing to stop" in result.stderr


def test_a_driver_that_is_gone_is_not_said_to_run(tmp_path: Path) -> None:
    from sweeper.store.store import Store

    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url)
    store = Store(url)
    store.release_lease(1, filled.HOLDER)
    store.close()
    said = call("status", "schedules", "--db", url).stdout
    assert "cut off: its driver is gone" in said
    assert f"to go on: python -m sweeper resume schedules --db {url}" in said
    assert "running (cut off)" in call("list", "--db", url).stdout
    assert document(call("status", "schedules", "--db", url, "--json"))["sweep"]["seconds_left"] is None


@pytest.mark.parametrize("words", [("leaderboard",), ("status",), ("show",), ("stop",), ("resume",)])
def test_a_name_that_is_not_there_is_a_sentence(words: tuple[str, ...], db: str) -> None:
    more = ["1"] if words == ("show",) else []
    result = call(*words, "shedules", *more, "--db", db)
    assert result.exit_code == 2
    assert result.stderr == "there is no sweep shedules in this database; did you mean schedules?\n"


def test_a_database_that_is_not_there_is_a_sentence_and_is_not_made(tmp_path: Path) -> None:
    result = call("leaderboard", "x", "--db", f"sqlite:///{tmp_path}/none.db")
    assert result.exit_code == 7
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("user", ["u:secretpw@", ""])
def test_a_password_is_never_shown(user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"postgresql+psycopg://{user}127.0.0.1:1/db{'' if user else '?password=secretpw'}"
    for words in (["list"], ["leaderboard", "x"], ["run", SMOKE, "--files", "f"], ["stop", "x"]):
        result = call(*words, "--db", url)
        assert result.exit_code == 7
        assert "secretpw" not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr


def test_a_path_given_as_a_url_is_understood() -> None:
    assert call("list", "--db", "my.db").stderr.endswith("did you mean sqlite:///my.db?\n")


def test_checkpoints_that_have_no_place_are_a_sentence_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path}/s.db"
    result = call("run", SMOKE, "--db", url, "--files", str(tmp_path / "file" / "deep"))
    assert result.exit_code == 7
    assert result.stderr.startswith(f"cannot make the folder {tmp_path}/file/deep: ")
    assert not (tmp_path / "s.db").exists()


def test_columns_and_sessions_without_a_name_are_refused(db: str) -> None:
    for words in (
        ("leaderboard", "mine", "--columns", ""),
        ("leaderboard", "mine", "--columns", "", "--json"),
        ("leaderboard", "mine", "--sort", ""),
        ("judge", "mine", "1", "2", "--session", ""),
        ("judge", "mine", "1", "2", "--session", " "),
    ):
        result = call(*words, "--db", db)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), words


def test_a_folder_into_which_nothing_came_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, deep = f"sqlite:///{tmp_path}/s.db", tmp_path / "new" / "deep"

    def driven(spec: SweepSpec, db: str, place: str, address: str, json: bool) -> NoReturn:
        assert Path(place).is_dir()
        if filling:
            Path(place, "stages").mkdir()
        raise typer.Exit(7)

    monkeypatch.setattr(run_command, "drive", driven)
    for filling in (False, True):
        assert call("run", SMOKE, "--db", url, "--files", str(deep)).exit_code == 7
        assert (tmp_path / "new").exists() == filling
        assert deep.exists() == filling


def test_an_empty_name_is_not_the_file_s_name(db: str, runs: list[Any]) -> None:
    assert call("run", SMOKE, "--as", "", "--db", db).exit_code == 3
    assert len(runs) == 1


def test_the_database_comes_from_the_environment(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_DB", db)
    assert "schedules" in call("list").stdout


# --- the dashboard ------------------------------------------------------------------------------------------
@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the dashboard's command becomes."""
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *command: started.append(command))
    for name in ("SWEEPER_DB", "SWEEPER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return started


def test_the_dashboard_is_for_this_machine_alone(started: list[Any]) -> None:
    result = call("dashboard", "--port", "9000", "--db", "sqlite:///other.db")
    assert result.exit_code == 0
    ((_, command, environment),) = started
    assert result.stderr.startswith("http://127.0.0.1:9000  (from elsewhere, first: ssh -L 9000:")
    assert [environment[key] for key in ("SWEEPER_TOKEN", "SWEEPER_ALLOW_HOSTS", "SWEEPER_ACTIONS")] == [
        *("", "", ""),
    ]
    line = " ".join(command)
    assert "streamlit run" in line
    assert Path(command[4]).is_file()
    for flag in (
        "--server.address 127.0.0.1",
        "--server.port 9000",
        "--server.headless true",
        "--server.fileWatcherType none",
        "--browser.gatherUsageStats false",
        "--client.showErrorDetails none",
        "--client.toolbarMode minimal",
    ):
        assert flag in line
    assert environment["SWEEPER_DB"] == "sqlite:///other.db"


def test_several_stores_are_shown_together(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    two = ("sqlite:////my sweeps/a.db", "sqlite:///b.db")
    call("dashboard", "--db", two[0], "--db", two[1])
    monkeypatch.setenv("SWEEPER_DB", two[0])
    call("dashboard")
    assert [environment["SWEEPER_DB"] for *_, environment in started] == ["\n".join(two), two[0]]


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--actions",)])
def test_a_token_is_made_anew_where_others_may_come(started: list[Any], options: tuple[str, ...]) -> None:
    said = [call("dashboard", *options).stderr for _ in range(2)]
    tokens = [environment["SWEEPER_TOKEN"] for *_, environment in started]
    assert len(set(tokens)) == 2
    assert all(len(token) >= 40 for token in tokens)
    assert [text.count(f"?token={token}") for text, token in zip(said, tokens, strict=True)] == [1, 1]
    assert not [word for _, command, _ in started for word in command for token in tokens if token in word]


def test_a_token_that_is_given_is_asked_for_and_not_printed(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_TOKEN", "one-of-my-own-making")
    said = call("dashboard", "--host", "127.0.0.1", "--allow-host", "a.example", "--allow-host", "b.example")
    assert "?token=$SWEEPER_TOKEN" in said.stderr
    assert "one-of-my" not in said.stderr
    assert started[0][2]["SWEEPER_TOKEN"] == "one-of-my-own-making"
    assert started[0][2]["SWEEPER_ALLOW_HOSTS"] == "a.example\nb.example"


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--host", "203.0.113.77"), 7, "cannot listen on 203.0.113.77, port 8501: "),
        (("--allow-host", "https://a.example"), 2, "'https://a.example' is no host's name"),
        (("--allow-host", "*"), 2, "'*' is no host's name"),
        (("--db", "a\nb"), 2, "'a\\nb' is no database URL: it has two lines"),
    ],
)
def test_a_door_that_cannot_be_is_refused(
    started: list[Any], options: tuple[str, ...], code: int, sentence: str
) -> None:
    result = call("dashboard", *options)
    assert (result.exit_code, started) == (code, [])
    assert result.stderr.startswith(sentence)


def test_a_short_token_is_refused(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_TOKEN", "short")
    assert call("dashboard").exit_code == 2
    assert started == []


# --- what every command has ------------------------------------------------------------------------------
def leaves(command: Any, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, and what stands in a group of its own."""
    inner = [
        each for word, sub in getattr(command, "commands", {}).items() for each in leaves(sub, (*words, word))
    ]
    return inner + ([words] if words else [])


EVERY = leaves(get_command(cli.app))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_the_help_of_every_command_has_an_example_that_is_understood(words: tuple[str, ...]) -> None:
    said = " ".join(call(*words, "--help").stdout.split())
    example = said.partition("Example: ")[2]
    assert example.startswith(f"python -m sweeper {' '.join(words)}"), said
    line = shlex.split(re.split(r" (?:Arguments|Options|Commands): | [>&|]+ ", example)[0])[3:]
    command: Any = get_command(cli.app)
    for _ in words:
        command = command.commands[line.pop(0)]
    command.make_context("", line)  # raises where it is no such line


@pytest.mark.parametrize("words", [each for each in EVERY if each != ("stages",)], ids=" ".join)
def test_every_command_can_be_quiet_or_say_more(words: tuple[str, ...]) -> None:
    said = call(*words, "--help").stdout
    assert "-q, --quiet" in said
    assert "-v, --verbose" in said


def test_quiet_leaves_what_was_asked_for_and_errors(db: str) -> None:
    assert call("leaderboard", "--db", db).stderr == "schedules, the only sweep\n"
    quiet = call("leaderboard", "-q", "--db", db)
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert quiet.stdout == call("leaderboard", "--db", db).stdout
    assert call("show", "schedules", "999", "-q", "--db", db).stderr.endswith("has no trial 999\n")
    assert (
        call("leaderboard", "--db", db).stderr == "schedules, the only sweep\n"
    )  # it was of that call alone
