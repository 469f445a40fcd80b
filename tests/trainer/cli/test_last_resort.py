"""An error that nobody has words for, an output that cannot be written, a terminal of ASCII alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(code: str, **given: object) -> tuple[int, str, str]:
    whole = f"from trainer.last_resort import last_resort\ndef run():\n    {code}\nlast_resort(run)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", **given.pop("env", {})}  # type: ignore[dict-item]
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
    ended = subprocess.run([sys.executable, "-c", whole], env=environment, **told)  # type: ignore[call-overload]
    return ended.returncode, (ended.stdout or b"").decode(), (ended.stderr or b"").decode()


@pytest.mark.parametrize(
    ("code", "exit_code", "sentence"),
    [
        ("pass", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('so')", 1, "so"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise MemoryError", 1, "there is not enough memory"),
        ('raise RuntimeError("can\'t allocate memory")', 1, "there is not enough memory"),
        ("raise RecursionError", 1, "what was read is nested too deeply"),
        ("open('/nowhere/at/all')", 1, "/nowhere/at/all: No such file or directory"),
    ],
)
def test_every_end_is_a_code_and_a_sentence(code: str, exit_code: int, sentence: str) -> None:
    assert run(code) == (exit_code, "", f"{sentence}\n" if sentence else "")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise KeyboardInterrupt", "interrupted"),
        ("import sys, typer; print('so', file=sys.stderr); raise typer.Exit(130)", "so"),
    ],
)
def test_ctrl_c_in_a_command_of_typer_is_said_once(body: str, sentence: str) -> None:
    command = f"app.command()(lambda: exec({body!r}))"
    code = f"import sys, typer; app = typer.Typer(); {command}; sys.argv[1:] = []; app()"
    assert run(code) == (130, "", f"{sentence}\n")


def test_a_traceback_stands_in_a_file_that_is_named(tmp_path: Path) -> None:
    code, _, stderr = run("1 / 0", env={"TMPDIR": str(tmp_path)})
    (log,) = tmp_path.glob("bd3lm-sweep-*.log")
    assert (code, stderr) == (1, f"internal error: ZeroDivisionError; what led to it stands in {log}\n")
    assert "Traceback" in log.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_an_output_that_cannot_be_written() -> None:
    with open("/dev/full", "wb") as full:
        code, _, stderr = run("print('some')", stdout=full)
    assert (code, stderr.count("\n")) == (1, 1)
    assert stderr.endswith(": No space left on device\n")


def test_a_terminal_of_ascii_alone() -> None:
    code, stdout, stderr = run("print('caf' + chr(233))", env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"})
    assert (code, stdout, stderr) == (0, "caf\\xe9\n", "")
