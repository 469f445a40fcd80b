"""How far a pretrain is: by the ledger that its trainer writes, for the driver, `status` and the page alike."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.jobs import StageJob
from sweeper.results.stage_progress import Pretrain, pretrains, running_stages
from sweeper.store.queries import Reader
from tests.sweeper.driving import make_spec, opened

STAGED = ("trainer.pretrain.steps=400", "trainer.pretrain.block_size=64", "search.trials=2")


def at(folder: Path) -> int | None:
    return Pretrain.at("key", str(folder), 400).step


def test_the_last_step_is_that_of_the_ledgers_last_line(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.txt"
    assert at(tmp_path) == 0
    ledger.write_bytes(b"")
    assert at(tmp_path) == 0
    for last in (1, 9, 10, 123, 99_999):
        ledger.write_bytes(b"".join(b"1 %d\n" % step for step in range(max(1, last - 400), last + 1)))
        assert at(tmp_path) == last
    with ledger.open("ab") as file:
        file.write(b"2 7\n")  # a second attempt, from its last checkpoint
    assert at(tmp_path) == 7
    ledger.write_bytes(b"\xff\xfe rubbish\n")
    assert at(tmp_path) == 0


def test_a_folder_that_is_not_here_is_not_guessed_at(tmp_path: Path) -> None:
    assert at(tmp_path / "gone") is None
    assert Pretrain.at("key", "s3://bucket/stages/key", 400).step is None
    assert Pretrain("key", None, 400).words() == "pretrain key: running, 400 steps"
    assert Pretrain("key", 0, 4000).words() == "pretrain key: step 0 of 4,000"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[str, StageJob, Any]]:
    url = f"sqlite:///{tmp_path}/s.db"
    with opened(url, make_spec(*STAGED), tmp_path / "files") as driver:
        job: Any = driver.next()
        assert isinstance(job, StageJob)
        Path(job.folder).mkdir(parents=True)
        Path(job.folder, "ledger.txt").write_text("1 1\n1 2\n1 3\n")
        yield url, job, driver


def test_driver_status_and_store_say_the_same(running: tuple[str, StageJob, Any]) -> None:
    url, job, driver = running
    expected = Pretrain(job.key, 3, 400)
    assert driver.status().pretrains == (expected,)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert sweep.driver(time.time())
        assert pretrains(running_stages(reader, sweep)) == [expected]
    said = CliRunner().invoke(app, ["status", "test", "--db", url]).stdout
    assert f"pretrain {job.key}: step 3 of 400\n" in said
    document = json.loads(CliRunner().invoke(app, ["status", "test", "--db", url, "--json"]).stdout)
    assert document["pretrains"] == [{"key": job.key, "step": 3, "steps": 400}]


def test_one_that_has_ended_is_not_shown(running: tuple[str, StageJob, Any]) -> None:
    url, job, driver = running
    driver.finish(job)
    assert driver.status().pretrains == ()
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert running_stages(reader, sweep) == []
