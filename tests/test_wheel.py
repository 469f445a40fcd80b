"""The wheel by itself, where there is no checkout: it holds what is needed, and leads from `init` to a model
that transformers loads. Its dependencies are the ones that the tests run with; nothing is downloaded."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("trainer", "sweeper", "dashboard", "search_spaces", "claims")
NOT_SHIPPED = ("__pycache__", ".pytest_cache", ".mypy_cache")
PIP, ALONE = (sys.executable, "-m", "pip"), ("--no-deps", "--no-index")
# `starter` as it is takes minutes: less of everything.
SHORT = (
    *("trainer.pretrain.steps=40", "trainer.finetune.steps=20", "trainer.evaluation.every=20"),
    *("trainer.evaluation.sequences=16", "trainer.evaluation.draws=2"),
    *("search.trials=2", "settle.seeds=2", "settle.contenders=2"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy, so that what an older build has left behind is not in it."""
    if not _has("setuptools") or not _has("pip"):
        pytest.skip("no wheel can be built: setuptools or pip is not installed here")
    place = tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    _done([*PIP, "wheel", str(place / "source"), *ALONE, "--no-build-isolation", "-w", str(place)], place)
    return next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The bin/ of an environment that has the wheel, and sees the packages of this one."""
    home = wheel.parent / "environment"
    _done([sys.executable, "-m", "venv", "--without-pip", str(home)], wheel.parent)
    packages = next(home.glob("lib/python*/site-packages"))
    # A path in a .pth file: what is installed there as a link to a checkout is not followed.
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    _done([*PIP, "--python", str(home / "bin" / "python"), "install", *ALONE, str(wheel)], wheel.parent)
    return home / "bin"


@pytest.fixture(scope="module")
def empty(installed: Path) -> Path:
    folder = installed.parent.parent / "empty"
    folder.mkdir()
    return folder


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _environment(place: Path) -> dict[str, str]:
    """Without a way back to the checkout."""
    mine = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SWEEPER_DB")}
    caches = {"TRAINER_CACHE": str(place / "cache"), "HF_HOME": str(place / "hub")}
    return {**mine, **caches, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def _done(words: list[str], place: Path) -> str:
    done = subprocess.run(
        words, cwd=place, env=_environment(place), capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# --- what is in it --------------------------------------------------------------------------------
@pytest.mark.long
def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Code, search spaces with their claims, the schema, types, the dashboard's files."""
    there = {
        str(file.relative_to(ROOT))
        for name in PARTS
        for file in (ROOT / name).rglob("*")
        if file.is_file() and not set(file.parts) & {*NOT_SHIPPED}
    }
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        scripts = opened.read(next(n for n in opened.namelist() if n.endswith("entry_points.txt"))).decode()
    assert names == there
    assert "sweeper = sweeper.__main__:main" in scripts
    assert "trainer = trainer.__main__:main" in scripts


# --- what it does ---------------------------------------------------------------------------------
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_from_init_to_an_answer_a_page_and_a_model(installed: Path, empty: Path) -> None:
    sweeper, python = str(installed / "sweeper"), str(installed / "python")
    home = _done([python, "-c", "import sweeper; print(sweeper.__file__)"], empty)
    assert Path(home.strip()).is_relative_to(installed.parent)  # no checkout
    _done([sweeper, "init", "mine"], empty)
    assert "mine: the specification is sound" in _done([sweeper, "check", "mine"], empty)
    ran = _done([sweeper, "run", "mine", *SHORT], empty)
    board = json.loads(_done([sweeper, "leaderboard", "mine", "--json"], empty))
    answer = board["answer"]["text"].splitlines()[0]
    assert board["answer"]["parts"][0]["kind"] == "race"
    assert answer in ran
    with _dashboard(sweeper, empty) as address, urllib.request.urlopen(address, timeout=60) as page:
        assert page.status == 200
        assert b"<title>" in page.read()
    assert _done([python, "-c", SHOWN, answer], empty).strip() == "shown"
    _done([sweeper, "export-model", "mine", "--to", "model"], empty)
    card = (empty / "model" / "README.md").read_text()
    assert answer in card.replace("\\", "")
    lines = re.search(r"^```python\n(.*?)^```", card, re.M | re.S)  # those that say how it is loaded
    assert lines is not None
    _done([python, "-c", ALONE_WITH + lines[1].replace("FOLDER", "model")], empty)


SHOWN = """
import os, sys
os.environ["SWEEPER_DB"] = "sqlite:///sweeps.db"
from pathlib import Path
import dashboard
from streamlit.testing.v1 import AppTest
page = AppTest.from_file(str(Path(dashboard.__file__).parent / "app.py"), default_timeout=120).run()
assert not page.exception, page.exception
assert sys.argv[1] in [each.value for each in page.text], "the answer is not on the page"
print("shown")
"""
ALONE_WITH = "import sys\nsys.modules.update(trainer=None, sweeper=None)  # importing them is an error\n"


@contextmanager
def _dashboard(sweeper: str, place: Path) -> Iterator[str]:
    """Its address, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sweeper, "dashboard", "--port", str(port)],
        cwd=place,
        env=_environment(place),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the dashboard ended at its start"
                assert time.monotonic() < until, "the dashboard did not answer"
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
