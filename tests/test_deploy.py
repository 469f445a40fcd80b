"""What is handed to clusters and to CI can be read by those who will run it, and names what is there."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


# sweeper, sbatch and ray of the script are stood in for; what it does with the driver's exit code is its own.
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(("code", "again"), [(0, False), (143, True), (7, True), (4, False)])
def test_a_preempted_job_queues_itself_again(code: int, again: bool, tmp_path: Path) -> None:
    for name, does in (("sweeper", f"exit {code}"), ("scontrol", f'echo "$@" > {tmp_path}/asked')):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/bash\n{does}\n")
        tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SCRATCH": str(tmp_path), "SLURM_JOB_ID": "17"}
    done = subprocess.run(["bash", DEPLOY / "slurm-one-node.sh", "smoke"], env=environment, timeout=60)
    assert done.returncode == code
    assert (tmp_path / "asked").exists() == again
    if again:
        assert (tmp_path / "asked").read_text() == "requeue 17\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_sigterm_reaches_the_driver_and_its_code_is_kept(tmp_path: Path) -> None:
    """The driver saves, which takes a while, and ends with 143."""
    driver = tmp_path / "sweeper"
    ready = tmp_path / "ready"
    driver.write_text(
        f"#!/bin/bash\ntrap 'sleep 0.5; exit 143' TERM\ntouch {ready}\nwhile :; do sleep 0.1; done\n"
    )
    requeue = tmp_path / "scontrol"
    requeue.write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/asked\n')
    for tool in (driver, requeue):
        tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SCRATCH": str(tmp_path), "SLURM_JOB_ID": "17"}
    job = subprocess.Popen(["bash", DEPLOY / "slurm-one-node.sh", "smoke"], env=environment)
    try:
        while not ready.exists():
            assert job.poll() is None
        job.terminate()
        assert job.wait(60) == 143
    finally:
        job.kill()
    assert (tmp_path / "asked").read_text() == "requeue 17\n"


@pytest.mark.parametrize("file", [DEPLOY / "kuberay.yaml", *(ROOT / ".github/workflows").glob("*.yml")])
def test_manifests_are_yaml(file: Path) -> None:
    assert isinstance(YAML(typ="safe", pure=True).load(file.read_text()), dict)


def test_what_images_copy_is_there() -> None:
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
    files = (DEPLOY / "apptainer.def").read_text().partition("%files\n")[2].partition("\n\n")[0]
    for line in files.splitlines():
        assert all((ROOT / name).exists() for name in line.split()[:-1]), line


def test_what_was_not_run_says_so() -> None:
    for file in DEPLOY.iterdir():
        assert "not run here" in file.read_text().lower(), file.name


def test_ci_calls_the_targets_that_people_type() -> None:
    steps = (ROOT / ".github/workflows/ci.yml").read_text()
    targets = {
        word for line in steps.splitlines() if "run: make" in line for word in line.split("make ")[1].split()
    }
    assert targets == {"check", "test", "install"}
