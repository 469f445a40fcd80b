"""`from sweeper import run`: what is started, what its handle says, how ends are told, who ends with whom."""

import _thread
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import sweeper
from sweeper import (
    BadSpecification,
    BudgetSpent,
    Interrupted,
    MachineLacks,
    SweepEnded,
    UsageError,
    from_python,
    open_store,
    run,
)
from sweeper.exit_reasons import KINDS, DriverKilled, reason
from sweeper.store.queries import Reader

ROOT = Path(__file__).parents[2]
SPEC = {
    "name": "mine",
    "trainer": {"data": {"name": "pydocs", "length": 64}, "model.size": "nano", "finetune.steps": 20},
    "space": {"finetune.block_size": {"choice": [4, 16]}},
    "search": {"sampler": "grid"},
}
# In place of a driver: it has the sweep, says so, and waits for a signal, or ends with the code of $CODE.
STUB = """
import os, signal, socket, sys, time
from contextlib import suppress
import sweeper.__main__

def main():
    from pathlib import Path
    from sweeper.spec.load import load_spec
    from sweeper.store.store import Store
    words = sys.argv[2:]
    url, asked = words[words.index("--db") + 1], []
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: asked.append(number))
    spec = load_spec(Path(words[0]), [w for w in words[1:words.index("--db")]])
    store = Store(url)
    sweep = store.create_sweep(
        name=spec.name, spec_text=spec.text, spec=spec.resolved(), code_version="0", folder="files"
    )
    if not os.environ.get("BEFORE"):
        store.take_lease(sweep.id, f"{socket.gethostname()}:{os.getpid()}#x", 3600)
    print("2026-11-29 01:02:03  the work goes on", file=sys.stderr, flush=True)
    while not asked and "CODE" not in os.environ:
        time.sleep(0.02)
    time.sleep(float(os.environ.get("LATER", 0)))
    print("2026-11-29 01:02:04  its last word", file=sys.stderr, flush=True)
    Path("ended").write_text(str(asked))
    sys.exit(128 + asked[0] if asked else int(os.environ["CODE"]))

sweeper.__main__.main = main
from sweeper.from_python import driven
driven()
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where a driver is started that runs nothing."""
    monkeypatch.setattr(from_python, "DRIVER", STUB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the handle -----------------------------------------------------------------------------------
def test_a_sweep_is_begun_read_and_stopped(stub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = run(SPEC, search__seed=7, **{"budget.trials": 1})  # type: ignore[arg-type]
    assert sweep.running
    assert sweep.exit_code is None
    assert (sweep.name, sweep.db) == ("mine", "sqlite:///sweeps.db")
    with closing(Reader(sweep.db)) as reader:
        spec = reader.sweep("mine")
        assert spec is not None
        assert (spec.spec["search"]["seed"], spec.spec["budget"]["trials"]) == (7, 1)
        assert 'space: {"finetune.block_size": {"choice": [4, 16]}}' in spec.spec_text
    assert sweep.status()["driver"].endswith(f":{sweep._process.pid}")
    assert repr(sweep).startswith("Sweep('mine': running on ")
    assert sweep.answer().startswith("Nothing is ranked")
    assert len(sweep.board()) == 0
    with pytest.raises(TimeoutError, match="running on"):
        sweep.wait(timeout=0.3)
    assert capsys.readouterr().out == "2026-11-29 01:02:03  the work goes on\n"
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background
    try:
        threading.Timer(0.3, _thread.interrupt_main).start()  # as Ctrl-C, or a notebook's stop button
        with pytest.raises(KeyboardInterrupt):
            sweep.wait(timeout=60)
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert sweep.running
    sweep.stop()
    sweep.stop()  # there is nothing left to stop
    assert (stub / "ended").read_text() == "[2]"  # SIGINT
    with pytest.raises(Interrupted, match=r"^sweep mine: it was stopped: its last word$") as ended:
        sweep.wait()
    assert (ended.value.code, ended.value.sweep) == (130, "mine")
    assert capsys.readouterr().out == "2026-11-29 01:02:04  its last word\n"  # each line once
    assert sweep.lines() == list(ended.value.lines)


@pytest.mark.long
def test_an_end_is_told_by_its_class(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", "6")
    monkeypatch.setenv("LATER", "3")
    with pytest.raises(BudgetSpent):
        run(SPEC, name="other").wait(show=False)
    monkeypatch.delenv("CODE")
    killed = run(SPEC, name="killed")
    os.kill(killed._process.pid, signal.SIGKILL)
    with pytest.raises(DriverKilled) as ended:
        killed.wait(show=False)
    assert ended.value.code == -signal.SIGKILL
    monkeypatch.setenv("CODE", "7")
    monkeypatch.setenv("BEFORE", "yes")
    with pytest.raises(MachineLacks, match="its last word"):  # it never had the sweep: `run` says so
        run(SPEC, name="third")
    monkeypatch.setenv("CODE", "0")
    done = run(SPEC, name="fourth")  # it had ended already
    assert done.wait(show=False) is done
    assert done.exit_code == 0


def test_what_is_wrong_with_a_specification_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = {**SPEC, "space": {"finetune.shedule": {"choice": [1, 2]}}}
    with pytest.raises(BadSpecification, match=r"finetune\.shedule: unknown; did you mean") as found:
        run(wrong)
    assert found.value.code == 3
    with pytest.raises(BadSpecification, match=r"finetune\.stepss"):
        run("smoke", trainer__finetune__stepss=3)
    with pytest.raises(UsageError, match="there is no file nosuch"):
        run("nosuch")
    with pytest.raises(TypeError):
        run({"name": object()})
    assert os.listdir(tmp_path) == []


def test_what_a_mapping_extends_lies_where_the_caller_is(stub: Path) -> None:
    (stub / "base.yaml").write_text("name: base\nspace: {finetune.block_size: {choice: [4, 8]}}\n")
    sweep = run({"extends": "base.yaml", "name": "above", "search": {"sampler": "grid"}})
    sweep.stop()
    with closing(Reader(sweep.db)) as reader:
        found = reader.sweep("above")
    assert found is not None
    assert found.spec["space"]["finetune.block_size"]["choice"] == [4, 8]


# --- who ends with whom ---------------------------------------------------------------------------
PARENT = """
import sys
from sweeper import from_python, run
from_python.DRIVER = sys.stdin.read()
space = {"finetune.block_size": {"choice": [4, 16]}}
sweep = run({"name": "mine", "space": space, "search": {"sampler": "grid"}})
print(sweep._process.pid, flush=True)
del sweep
import gc, time; gc.collect()
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_the_driver_ends_with_the_process_that_began_it(number: signal.Signals, tmp_path: Path) -> None:
    """And not before, though nobody holds the handle."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(STUB)
    parent.stdin.close()
    driver = int(parent.stdout.readline())
    assert os.getsid(driver) == driver  # an interrupt of the parent's group is none of its
    time.sleep(0.5)
    assert not (tmp_path / "ended").exists()
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 60
    while not (tmp_path / "ended").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (tmp_path / "ended").read_text() == "[15]"  # SIGTERM


WITH_RAY = """
import sys
from sweeper import run
sweep = run("smoke", trainer__finetune__steps=100000, trainer__checkpoint__every=2)
print(sweep._process.pid, flush=True)
sweep.wait(show=False)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc to look into")
def test_nothing_of_ray_outlives_the_process_that_began_it(tmp_path: Path) -> None:
    """Killed while trials run: they have saved, and the sweep is resumable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MARK": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", WITH_RAY], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    assert parent.stdout is not None
    assert parent.stdout.readline()
    until = time.monotonic() + 240
    while not list(tmp_path.glob("sweeps.files/trials/1/*/last.safetensors")) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(_marked(tmp_path)) > 3  # the parent, its driver, Ray, workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while _marked(tmp_path) and time.monotonic() < until:
        time.sleep(0.2)
    assert _marked(tmp_path) == []
    with closing(Reader(f"sqlite:///{tmp_path}/sweeps.db")) as reader:
        found = reader.sweep("smoke")
    assert found is not None
    assert (found.state, found.note) == ("interrupted", "interrupted by SIGTERM")


def _marked(place: Path) -> list[int]:
    """Processes whose environment names the place: they were started from there, through whomever."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"MARK={place}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


# --- the documentation ----------------------------------------------------------------------------
@pytest.mark.long
def test_the_page_runs_word_for_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_DB", raising=False)
    text = (ROOT / "docs" / "python.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {}
    for snippet in snippets:  # one notebook
        exec(snippet, names)
    assert names["sweep"].exit_code == 0
    assert list(names["sweep"].board()["rank"]) == [1, 1]
    assert len(names["trials"]) == 2
    assert set(names["curve"].columns) == {1, 2}
    classes = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert {*classes, "SweepEnded"} == {name for name in sweeper.__all__ if is_reason(name)}


def is_reason(name: str) -> bool:
    found = getattr(sweeper, name)
    return isinstance(found, type) and issubclass(found, SweepEnded)


# --- names ----------------------------------------------------------------------------------------
def test_every_exit_code_of_a_sweep_has_one_class() -> None:
    """Of the table in docs/search-spaces.md, 0 left out."""
    text = (ROOT / "docs" / "search-spaces.md").read_text()
    table = text.partition("| code | of `run` and `resume` |")[2].partition("\n\n")[0]
    codes = [int(code) for line in table.splitlines()[2:] for code in line.split("|")[1].split(",")]
    kinds = [type(reason(code, "mine", [])) for code in codes if code]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == set(KINDS)
    assert DriverKilled not in kinds
    assert type(reason(-9, "mine", [])) is DriverKilled
    for code in codes:
        error = reason(code or -9, "mine", ["2026-11-29 01:02:03  why"])
        assert isinstance(error, SweepEnded)
        assert "why" in str(error)


def test_public_names_are_there_and_documented() -> None:
    for name in sweeper.__all__:
        assert getattr(sweeper, name).__doc__, name
    assert set(sweeper.__all__) <= set(dir(sweeper))
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        sweeper.runn  # noqa: B018
    assert sweeper.open_store is open_store


@pytest.mark.parametrize("package", ["sweeper", "trainer", "dashboard"])
def test_types_are_for_others_too(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
