"""Logs stay short however long a run is."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeper.execution import tuner
from sweeper.execution.ray_logs import trim
from tests.sweeper.processes import ROOT


def test_a_log_that_is_long_becomes_the_last_one(tmp_path: Path) -> None:
    log = tmp_path / "ray.log"
    with open(log, "a", buffering=1) as writer:
        writer.write("old\n" * 30)
        trim(log, most=1000)
        assert log.stat().st_size == 120
        trim(log, most=100)
        writer.write("new\n")
        assert log.read_text() == "new\n"
        assert (tmp_path / "ray.log.1").read_text() == "old\n" * 30
        writer.write("newer\n" * 30)
        trim(log, most=100)
    assert (tmp_path / "ray.log.1").read_text() == "new\n" + "newer\n" * 30
    trim(tmp_path / "none")


def test_it_is_looked_at_while_the_run_goes_on(tmp_path: Path) -> None:
    """In a process of its own: file descriptors 1 and 2 are changed."""
    code = (
        "import os, sys, time, logging; from pathlib import Path\n"
        "from sweeper.execution import ray_logs\n"
        "ray_logs.LOOK, ray_logs.MOST = 0.01, 10_000\n"
        "ray_logs.trim.__defaults__ = (10_000,)\n"
        "with ray_logs.chatter_to(Path(sys.argv[1])):\n"
        "    for n in range(100):\n"
        "        os.write(2, b'x' * 999 + b'\\n')\n"
        "        logging.getLogger('ray').warning('line %d', n)\n"
        "        time.sleep(0.01)\n"
        "    os.write(1, b'the end\\n')\n"
    )
    log = tmp_path / "ray.log"
    subprocess.run([sys.executable, "-c", code, str(log)], cwd=ROOT, check=True)
    kept = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert kept < 80_000, "of 105,000"
    assert log.read_text().endswith("the end\n")


@pytest.mark.long
def test_rays_own_logs_are_bounded(tmp_path: Path) -> None:
    """With less than a sweep's runner sets; what Ray 2.60 does with it, workers' output included."""
    code = (
        "import os, sys, ray; from pathlib import Path\n"
        "from sweeper.execution.local_ray import start, stop; from sweeper.planning.machine import Slots\n"
        "start(Slots(1, 1, 0), Path(sys.argv[1]))\n"
        "talk = ray.remote(lambda: [print('x' * 99, file=to) for to in (sys.stdout, sys.stderr) * 20_000])\n"
        "ray.get(talk.remote())\n"
        "stop()\n"
    )
    assert tuner.DRIVER_ENVIRONMENT["RAY_ROTATION_MAX_BYTES"] == "10000000"
    environment = {**os.environ, **tuner.DRIVER_ENVIRONMENT, "RAY_ROTATION_MAX_BYTES": "100000"}
    with tempfile.TemporaryDirectory(prefix="sweep-", dir="/tmp", ignore_cleanup_errors=True) as place:
        subprocess.run([sys.executable, "-c", code, place], cwd=ROOT, env=environment, check=True)
        sizes = {file.name: file.stat().st_size for file in Path(place).rglob("logs/worker-*")}
    assert any(name.endswith(".out.1") for name in sizes)
    assert max(sizes.values()) < 150_000, "of 4,000,000 that were printed"


@pytest.mark.long
def test_that_a_worker_has_died_is_ray_s_to_log_and_not_to_print(tmp_path: Path) -> None:
    """On stdout stands what was asked for, one JSON document where that is so."""
    code = (
        "import os, sys, time, ray; from pathlib import Path\n"
        "from sweeper.execution.local_ray import start, stop; from sweeper.planning.machine import Slots\n"
        "from sweeper.execution.ray_logs import chatter_to\n"
        "log = Path(sys.argv[2])\n"
        "with chatter_to(log):\n"
        "    start(Slots(1, 1, 0), Path(sys.argv[1]))\n"
        "    dies = ray.remote(lambda: os.kill(os.getpid(), 9)).options(max_retries=0).remote()\n"
        "    ray.wait([dies])\n"
        "    while 'worker died' not in log.read_text():\n"
        "        time.sleep(0.1)\n"
        "    stop()\n"
        "print('the end')\n"
    )
    with tempfile.TemporaryDirectory(prefix="sweep-", dir="/tmp", ignore_cleanup_errors=True) as place:
        said = subprocess.run(
            [sys.executable, "-c", code, place, str(tmp_path / "ray.log")],
            cwd=ROOT,
            env={**os.environ, **tuner.DRIVER_ENVIRONMENT},
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert said.stdout == "the end\n"
