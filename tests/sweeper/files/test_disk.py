"""A full disk stops a sweep before anything is cut, in a sentence; with room again it goes on."""

import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sweeper.driver import upkeep
from sweeper.driver.driver import Driver
from sweeper.driver.failures import failure_of
from sweeper.driver.jobs import TrialJob
from sweeper.driver.upkeep import DiskGuard
from sweeper.store.engine import StoreError
from tests import fakes
from tests.sweeper.driving import advance, make_spec, opened, run_to_end, told
from tests.sweeper.processes import ROOT, Work, end_of, wait_for
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer import disk as trainers_disk
from trainer.checkpoints import checkpoint
from trainer.checkpoints.checkpoint import save
from trainer.errors import CheckpointError, DiskFull


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    size = f"size={request.param}m"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """A file that takes all but so many bytes."""
    filler = place / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        free = trainers_disk.shutil.disk_usage(place).free
        while (size := min(1 << 16, free - leave)) > 0 and file.write(b"x" * size):
            free = trainers_disk.shutil.disk_usage(place).free
    return filler


def tensors(count: int) -> dict[str, torch.Tensor]:
    return {"a": torch.arange(count, dtype=torch.float32)}


# --- a checkpoint -------------------------------------------------------------------------------
@pytest.mark.parametrize("small", [40], indirect=True)
def test_what_would_not_fit_is_not_begun(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(small / "last.safetensors", tensors(1000), {"step": 1})
    before = (small / "last.safetensors").read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", lambda *_, **__: pytest.fail("it was begun"))
    with pytest.raises(
        DiskFull, match=r"the disk is full: .*last.safetensors.tmp takes 12.0 MB, and of 41.9 MB"
    ):
        save(small / "last.safetensors", tensors(3_000_000), {"step": 2})
    assert (small / "last.safetensors").read_bytes() == before
    assert [file.name for file in small.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("small", [2], indirect=True)
@pytest.mark.parametrize("wrong", ["no room was seen to be missing", "another was faster"])
def test_where_the_disk_fills_meanwhile_the_old_one_stands(
    small: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr(trainers_disk, "RESERVE", -(1 << 40))
    path = small / "last.safetensors"
    save(path, tensors(1000), {"step": 1})
    if wrong == "another was faster":
        fill(small)
    with pytest.raises(DiskFull, match=r"could not be written .*No space left"):
        save(path, tensors(1_000_000), {"step": 2})
    assert torch.equal(load_file(path)["a"], tensors(1000)["a"])
    assert not (small / "last.safetensors.tmp").exists()


def test_other_mistakes_are_not_the_disks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), trainers_disk.writing(tmp_path / "a"):
        (tmp_path / "none" / "b").write_text("")
    assert not trainers_disk.is_full(CheckpointError("damaged"))
    assert not trainers_disk.is_full(PermissionError(errno.EACCES, "no"))


@pytest.mark.parametrize("small", [60], indirect=True)
def test_a_run_on_a_disk_that_fills_goes_on_to_the_same_bits(small: Path, tmp_path: Path) -> None:
    config = tiny_config(write_corpus(tmp_path), checkpoint__every=0.001)
    reports_of(config, tmp_path / "straight")
    fill(small, leave=trainers_disk.RESERVE + 300_000)
    with pytest.raises(DiskFull, match="the disk is full"):
        reports_of(config, small / "run")
    (small / "filler").unlink()
    reports_of(config, small / "run", attempt=2)
    for name in ("last.safetensors", "best.safetensors"):
        a, b = load_file(tmp_path / "straight" / name), load_file(small / "run" / name)
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_limit_on_files_is_a_sentence_too(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, as some clusters set it."""
    corpus = write_corpus(tmp_path)
    config = tiny_config(corpus, pretrain__steps=0, model__width=64, model__cond_width=64)
    said = {name: value for name, value in config.to_dotted().items() if value is not None}
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from trainer.config.train_config import TrainConfig\n"
        "from trainer.errors import DiskFull; from trainer.training.train import train\n"
        f"config = TrainConfig.from_dotted({said!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "try: list(train(config, Path(sys.argv[1]), device='cpu'))\n"
        "except DiskFull as full: print(full)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("the disk is full: "), done.stderr
    assert "File too large" in done.stdout
    assert not list((tmp_path / "run").glob("*.tmp"))


# --- a sweep ------------------------------------------------------------------------------------
def test_a_worker_without_room_ends_the_run_and_no_trial(tmp_path: Path) -> None:
    fakes.killed = False
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=4")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    with opened(url, spec, tmp_path / "files") as driver:
        _one_trial(driver)
        job = driver.next()
        assert isinstance(job, TrialJob)
        Path(job.folder).mkdir(parents=True)
        run = job.run("tests.fakes", "cpu")
        advance(driver, job, run)
        driver.fail(job, failure_of(OSError(errno.ENOSPC, "No space left on device", "rows.jsonl")))
        run.close()
        assert driver.stop_reason is not None
        assert driver.stop_reason.code == 7
        assert driver.stop_reason.reason.startswith("the disk is full: rows.jsonl could not be written")
        assert driver.next() is None
        driver.interrupt(driver.stop_reason.reason)
    run_to_end(url, spec, tmp_path / "files")
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")


def _one_trial(driver: Driver) -> None:
    job = driver.next()
    assert isinstance(job, TrialJob)
    Path(job.folder).mkdir(parents=True)
    run = job.run("tests.fakes", "cpu")
    while advance(driver, job, run):
        pass


def test_the_driver_looks_at_both_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {tmp_path / "files": upkeep.LEAST, tmp_path: upkeep.LEAST}
    monkeypatch.setattr(upkeep.disk, "free", lambda path: free[path])
    looking = DiskGuard(f"sqlite:///{tmp_path}/s.db", str(tmp_path / "files"))
    assert looking.full() is None
    for place in list(free):
        free[place] -= 1
        stop_reason = looking.full()
        assert stop_reason is not None
        assert stop_reason.reason.endswith(f"50.0 MB are free for {place}")
        free[place] += 1


@pytest.mark.parametrize("small", [3], indirect=True)
def test_a_store_without_room_keeps_what_it_had(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LEAST", 0)
    fakes.killed = False
    spec = make_spec("search.trials=6", "trainer.finetune.steps=6")
    undisturbed, url = f"sqlite:///{tmp_path}/u.db", f"sqlite:///{small}/s.db"
    run_to_end(undisturbed, spec, tmp_path / "u")
    with opened(url, spec, tmp_path / "files") as driver:
        _one_trial(driver)
        fill(small)
        with pytest.raises(StoreError, match="cannot be used: database or disk is full"):
            driver.events.record("note", "x" * 100_000)
        (small / "filler").unlink()
    run_to_end(url, spec, tmp_path / "files")
    assert told(url) == told(undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("small", [200], indirect=True)
def test_a_sweep_under_ray_on_a_disk_that_fills(small: Path, tmp_path: Path) -> None:
    text = (
        "name: test\ntrainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 40,\n"
        "  evaluation.every: 10}\nspace: {finetune.batch_size: {int: [20, 90]}}\n"
        "search: {sampler: random, trials: 4}\nresources: {cpu: 1, gpu: 0, slots: 2}\n"
    )
    work = Work(small)
    driver = work.start(text, seconds=0.05)
    wait_for(lambda: work.steps() > 30, driver)
    fill(small, leave=upkeep.LEAST // 2)
    began = time.monotonic()
    code, output = end_of(driver)
    assert (code, time.monotonic() - began < 30) == (7, True), output
    assert "the disk is full: " in output
    assert "to go on: python -m sweeper resume test" in output
    (small / "filler").unlink()
    code, output = end_of(work.start(text, seconds=0.0))
    assert code == 0, output
    run_to_end(f"sqlite:///{tmp_path}/u.db", make_spec(text=text), tmp_path / "u")
    assert [t[5] for t in told(work.url)["trials"]] == ["complete"] * 4
    assert told(work.url)["rows"] == told(f"sqlite:///{tmp_path}/u.db")["rows"]
