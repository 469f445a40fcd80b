"""What is handed to clusters and to CI can be read by those who will run it, and names what is there."""

import shutil
import subprocess
from pathlib import Path
from tomllib import loads

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
@pytest.mark.parametrize(
    ("code", "times", "again"),
    [(0, 0, False), (143, 0, True), (143, 99, True), (7, 0, True), (7, 10, False), (4, 0, False)],
)
def test_a_preempted_job_queues_itself_again(code: int, times: int, again: bool, tmp_path: Path) -> None:
    """times: that it was started again before. What a machine lacks for good is not asked for without end."""
    for name, does in (("sweeper", f"exit {code}"), ("scontrol", f'echo "$@" > {tmp_path}/asked')):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/bash\n{does}\n")
        tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SCRATCH": str(tmp_path), "SLURM_JOB_ID": "17"}
    environment["SLURM_RESTART_COUNT"] = str(times)
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


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_each_machine_of_a_job_is_a_node_of_one_ray(tmp_path: Path) -> None:
    """The tools of SLURM, and Ray's, write down what they were asked; the driver ends as after a SIGTERM."""
    said = f'echo "$(basename "$0") $@" >> {tmp_path}/asked'
    does = {
        "scontrol": f'if [ "$1" = show ]; then printf "n1\\nn2\\nn3\\n"; else {said}; fi',
        "srun": f"{said}; echo cores $SRUN_CPUS_PER_TASK >> {tmp_path}/asked",
        "ray": said,
        "sleep": "",
        "sweeper": f"{said}; exit 143",
    }
    for name, line in does.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SCRATCH": "/scratch", "HOME": "/home/me"}
    environment |= {"SLURM_JOB_ID": "17", "SLURM_NNODES": "3", "SLURM_JOB_NODELIST": "n[1-3]"}
    environment |= {"SLURM_CPUS_PER_TASK": "32"}
    done = subprocess.run(["bash", DEPLOY / "slurm-many-nodes.sh", "smoke"], env=environment, timeout=60)
    assert done.returncode == 143
    asked = (tmp_path / "asked").read_text().splitlines()
    head = "ray start --head --port=20017 --block --disable-usage-stats"
    others = "srun --nodes=2 --ntasks=2 --exclude=n1 ray start --address=n1:20017 --block"
    assert sorted(asked) == sorted(
        [
            f"srun --nodes=1 --ntasks=1 -w n1 {head}",
            "ray status --address n1:20017",
            others,
            *("cores 32", "cores 32"),
            "sweeper run smoke --address n1:20017 --files /scratch/sweeps",
            "scontrol requeue 17",
        ]
    )


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


def test_images_hold_all_that_a_wheel_does() -> None:
    found = loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    docker, apptainer = (DEPLOY / "Dockerfile").read_text(), (DEPLOY / "apptainer.def").read_text()
    for name in (each.removesuffix("*") for each in found):
        assert f"COPY {name} {name}\n" in docker
        assert f"    {name} /opt/bd3lm-sweep/{name}\n" in apptainer


def test_what_was_not_run_says_so() -> None:
    for file in DEPLOY.iterdir():
        assert "not run here" in file.read_text().lower(), file.name


def test_ci_calls_the_targets_that_people_type() -> None:
    steps = (ROOT / ".github/workflows/ci.yml").read_text()
    targets = {
        word for line in steps.splitlines() if "run: make" in line for word in line.split("make ")[1].split()
    }
    assert targets == {"check", "test", "install"}
