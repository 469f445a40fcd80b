"""Two drivers and one sweep: real processes, on SQLite and on PostgreSQL, with a lease of seconds."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from sweeper.driver.lease import lease, new_holder
from sweeper.store.engine import LeaseLost
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper import postgres
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.processes import Work, end_of, kill, pairs, wait_for

TEXT = """
name: test
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 20, evaluation.every: 5}
space: {finetune.block_size: {choice: [4, 8, 16, 32]}}
search: {sampler: tpe, trials: 3, seed: 3}
resources: {cpu: 1, gpu: 0, slots: 1}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Work]:
    if request.param == "sqlite":
        yield Work(tmp_path)
        return
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with postgres.server(folder) as url:
        yield Work(tmp_path, url)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_driver_that_wakes_up_after_another_took_over_writes_nothing(work: Work, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    run_to_end(f"sqlite:///{whole}.db", make_spec(text=TEXT), whole)

    halted = work.start(TEXT, seconds=0.3, lease=3.0)
    second = None
    try:
        wait_for(lambda: work.steps() >= 6, halted)
        refused = work.start(TEXT, lease=3.0)
        code, said = end_of(refused)
        assert code == 7
        assert "sweep test is being run by " in said.splitlines()[-1]
        assert "#" not in said

        halt(halted, work)
        begun = work.steps()
        with closing(Reader(work.url)) as reader:
            wait_for(lambda: (reader.sweeps()[0].lease_until or 0.0) < time.time(), halted)
        second = work.start(TEXT, seconds=0.1, lease=3.0)
        wait_for(lambda: work.steps() > begun + 3, second)
        written = told(work.url)
        halted.send_signal(signal.SIGCONT)
        code, said = end_of(halted)
        assert code == 7, said
        # PostgreSQL may have cut it off in a transaction.
        assert "took over" in said.splitlines()[-1] or (work.server and "cannot be used" in said)
        assert len(said.splitlines()[-1]) < 300
        assert len(told(work.url)["trials"]) >= len(written["trials"])
        code, said = end_of(second)
        assert code == 0, said
    finally:
        for driver in (halted, second):
            if driver is not None and driver.poll() is None:
                kill(driver)
    assert told(work.url) == told(f"sqlite:///{whole}.db")
    for ledger in work.files.glob("trials/*/*/ledger.txt"):
        attempts = [attempt for attempt, _ in pairs(ledger)]
        assert attempts == sorted(attempts), "two attempts at once"
        assert {step for _, step in pairs(ledger)} == set(range(1, 21))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_driver_that_wakes_up_when_the_other_has_ended_it_writes_nothing(tmp_path: Path) -> None:
    """The lease is free then; to take it again would be to go on with a memory of long ago."""
    work = Work(tmp_path)
    halted = work.start(TEXT, seconds=0.3, lease=2.0)
    try:
        wait_for(lambda: work.steps() >= 5, halted)
        halt(halted, work)
        with closing(Reader(work.url)) as reader:
            wait_for(lambda: (reader.sweeps()[0].lease_until or 0.0) < time.time(), halted)
        code, said = end_of(work.start(TEXT, lease=2.0))
        assert code == 0, said
        before = told(work.url), everything(work.url)
        halted.send_signal(signal.SIGCONT)
        code, said = end_of(halted)
        assert code == 7, said
        assert "has been run by another driver" in said.splitlines()[-1]
        assert (told(work.url), everything(work.url)) == before
    finally:
        if halted.poll() is None:
            kill(halted)


def halt(driver: "subprocess.Popen[str]", work: Work) -> None:
    """Not within a transaction of SQLite, whose lock would be halted with it."""
    while True:
        driver.send_signal(signal.SIGSTOP)
        if work.server:
            return
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(work.place / "sweeps.db")) as database,
        ):
            database.execute("PRAGMA busy_timeout = 0")
            database.execute("BEGIN IMMEDIATE")
            return
        driver.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def everything(url: str) -> list[object]:
    """What a driver writes beside its trials' results."""
    with closing(Reader(url)) as reader:
        sweep = reader.sweeps()[0]
        return [sweep, reader.trials(sweep.id), reader.events(sweep.id, limit=10_000)]


def test_a_driver_halted_in_a_transaction_keeps_nobody_from_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends it, and with it the lock on the sweep's row."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    monkeypatch.setattr("sweeper.store.postgres_locks.HALTED", 500)
    with postgres.server(folder) as url, closing(Store(url)) as store, closing(Store(url)) as other:
        sweep = store.create_sweep(name="test", spec_text="", spec={}, code_version="", folder="")
        store.take_lease(sweep.id, "me", -1)
        began = time.monotonic()
        with pytest.raises(ValueError, match="cannot be used"), store.writer(sweep.id, "me")._transaction():
            other.take_lease(sweep.id, "you", 60)  # waits for the row, until the server has ended the other
        assert time.monotonic() - began > 0.3
        with pytest.raises(LeaseLost):
            store.writer(sweep.id, "me").set_sweep_state("complete")


def test_the_servers_clock_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is wrong neither takes a lease too early nor keeps one too long."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with postgres.server(folder) as url, closing(Store(url)) as store:
        sweep = store.create_sweep(name="test", spec_text="", spec={}, code_version="", folder="")
        store.take_lease(sweep.id, "me", 60)
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(LeaseLost, match="runs out in"):
            store.take_lease(sweep.id, "you", 60)


def test_who_is_dead_holds_nothing_and_who_may_live_does(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/a.db")) as store:
        made = store.create_sweep(name="test", spec_text="", spec={}, code_version="", folder="")
        mine = new_holder()
        who, _, what = mine.partition("#")
        host = who.rpartition(":")[0]
        elsewhere = f"{who}#00000000{what[8:]}"  # the same host and number, of another boot or container
        dead = f"{host}:{_dead_pid()}#{what}"
        living = f"{host}:{os.getppid()}#{what}"
        assert mine != new_holder()
        for holder, free in ((dead, True), (mine, True), (living, False), (elsewhere, False), (who, False)):
            held = made._replace(lease_holder=holder)
            store.take_lease(made.id, holder, 60)
            if free:
                with lease(store, held, 60) as now:
                    assert now.startswith(who)
            else:
                with pytest.raises(LeaseLost, match=f"being run by {host}:"), lease(store, held, 60):
                    pass
                store.release_lease(made.id, holder)


def _dead_pid() -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


def test_a_holders_name_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "x" * 64)
    monkeypatch.setattr(os, "getpid", lambda: 4194304)
    assert len(new_holder()) <= 80


def test_database_url_with_options_of_its_own(tmp_path: Path) -> None:
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with postgres.server(folder) as url:
        own = make_url(url).update_query_dict({"connect_timeout": "3", "application_name": "mine"})
        with closing(Store(own.render_as_string(hide_password=False))):
            plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(plain) as connection:
                names = connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()
        assert ("mine",) in names
