"""Seeded command lines, most of them nonsense: each is answered, or refused in words.

Words come from the commands' own parameters, so a new command is tried by itself. `FUZZ=400 pytest
tests/fuzz -s` tries more, and prints what became of them.
"""

import io
import random
import resource
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer

from sweeper.cli.main import app
from tests.fuzz.test_mutations import LARGEST, LONGEST, TRIES
from tests.sweeper.driving import make_spec, run_to_end
from trainer.last_resort import last_resort

CODES = {0, 2, 3, 4, 5, 7, 8, 9}  # that the documentation has of what ends by itself; 1 is an internal error
STRANGE = (
    *("", " ", "-", "--", "0", "-1", "1", "2", "7", "99999999999999999999", "-9999999999999999999", "1e400"),
    *("nan", "inf", "1%", "-5%", "1e-400", "null", "true", "[1", "{a: b}", "a=b", "=", "finetune.steps=0"),
    *(
        "\x00",
        "größe",
        "\ud800",
        "💥" * 300,
        "../..",
        "/dev/null",
        "/",
        "/nonexistent/x",
        "%s%n",
        "'; --",
        "*",
    ),
    *("test", "TEST", "val_ppl", "val_nelbo", "finetune.block_size", "rank,val_ppl", "running", "sqlite://"),
    *("sqlite:///", "postgresql://u:p@127.0.0.1:1/x", "s3://bucket/x", "file:///nonexistent", "x" * 5000),
)
# These would go on for as long as they are let, of a sweep and of a page; or take away what others ask about.
ENDLESS = {
    "run": ["--plan"],
    "resume": ["nosuch"],
    "dashboard": ["--port", "no port"],
    "claims": ["--no-run"],
    "delete": ["no", "such"],
}


def leaves(command: Any, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command, groups among them. (Typer's click is its own: no class of it can be named.)"""
    inner = sorted(getattr(command, "commands", {}).items())
    found = [each for name, sub in inner for each in leaves(sub, (*words, name))]
    return found + ([(words, command)] if words else [])


COMMANDS = leaves(typer.main.get_command(app))


def line(rng: random.Random, usual: dict[str, str]) -> list[str]:
    """A command with a draw of its options; usual: what is given to an option as a rule."""
    words, command = rng.choice(COMMANDS)
    said = list(words)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            count = rng.choice((0, 1, 1, 1, 2))
            said += ["test" if rng.random() < 0.5 else rng.choice(STRANGE) for _ in range(count)]
        elif (name := max(parameter.opts, key=len)) in usual:
            said += [name, usual[name] if rng.random() < 0.9 else rng.choice(STRANGE)]
        elif rng.random() < 0.25:
            said += [name] if parameter.is_flag else [name, rng.choice(STRANGE)]
    return said + ENDLESS.get(words[0], [])


def answered(words: list[str], program: Any = app) -> tuple[int, str]:
    """The exit code, and all that is printed."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out), redirect_stderr(out), pytest.raises(SystemExit) as ended:
        last_resort(lambda: program(words, prog_name="python -m"))
    out.seek(0)
    return int(ended.value.code or 0), out.read()


def test_each_is_answered_or_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    run_to_end(url, make_spec("search.trials=3", "search.sampler=random"), tmp_path / "files")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    usual = {"--db": url, "--out": str(tmp_path / "out"), "--files": str(tmp_path / "elsewhere")}
    ended: Counter[int] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(TRIES):
        words = line(random.Random(f"line {seed}"), usual)
        began = time.process_time()
        code, said = answered(words)
        took = time.process_time() - began
        assert code in CODES, (seed, words, code, said)
        assert code == 0 or said.strip(), (seed, words, code)
        assert "Traceback" not in said, (seed, words, said)
        assert took < LONGEST, (seed, words, took)
        ended[code] += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST
    print(f"{TRIES} command lines: by exit code {dict(sorted(ended.items()))}")
    assert ended[0]
    assert ended[2]
