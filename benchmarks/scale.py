"""python -m benchmarks.scale [--quick]: what a trial costs the driver, from the first to the ten-thousandth.

A trainer that reports without training (benchmarks/simulated.py), one driver, two slots, SQLite. For each
sampler: the driver's CPU per trial in windows of the sweep, its memory, and the store's size. Where a trial's
cost grows with their number, a sweep's is quadratic. Once through the Driver alone, which is all but Ray, the
trainers' own CPU taken out, and once through Ray Tune (random search a tenth of it). Then a tenth as many on
64 slots of one node, on three nodes (all of them on this machine), and in a PostgreSQL.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.document import finish, options

if TYPE_CHECKING:
    from sweeper.driver.jobs import Job, Reports
    from sweeper.spec.spec import SweepSpec

SPEC = """
name: scale
trainer: {model.size: nano, finetune.steps: 200, evaluation.every: 50, evaluation.test: false}
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, cosine, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
  finetune.lr: {log_uniform: [1.0e-4, 1.0e-2]}
  finetune.clip.low: {uniform: [0.0, 0.45]}
  finetune.clip.high: {uniform: [0.55, 1.0]}
search: {sampler: SAMPLER, trials: TRIALS, seed: 0}
resources: {cpu: 1, gpu: 0, slots: SLOTS}
"""
ADDRESS = "BENCHMARK_ADDRESS"  # of the cluster that a process is to run on
EDGES = (100, 300, 1_000, 3_000, 10_000)


class Case(NamedTuple):
    sampler: str
    through: str  # driver, ray
    trials: int
    slots: int = 2
    nodes: int = 0  # of a cluster; 0: a Ray of the driver's own
    database: str = "sqlite"

    @property
    def place(self) -> str:
        nodes = f"{self.nodes} nodes" if self.nodes else f"{self.slots} slots"
        return nodes if self.database == "sqlite" else f"{nodes}, {self.database}"


class Meter:
    """A Progress that notes the driver's clock whenever a window of trials has ended."""

    def __init__(self, edges: tuple[int, ...], size: Callable[[], int]):
        """size: of the store, in bytes."""
        self._edges, self._size = edges, size
        self._ended, self._cpu, self._wall, self._from = 0, time.process_time(), time.perf_counter(), 0
        self.trainers = 0.0  # CPU seconds of trainers that ran in this process
        self.windows: list[dict[str, Any]] = []

    def started(self, trial: int | None, text: str) -> None: ...

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None: ...

    def ended(self, trial: int | None, state: str, text: str) -> None:
        self._ended += 1
        if self._ended == 20:  # the first ones pay for the start of Ray and of the workers
            self._cpu, self._wall, self._from = self._driver_cpu(), time.perf_counter(), 20
        if self._ended in self._edges:
            cpu, wall, number = self._driver_cpu(), time.perf_counter(), self._ended - self._from
            self.windows.append(
                {
                    "from": self._from,
                    "to": self._ended,
                    "cpu_ms_per_trial": round(1000 * (cpu - self._cpu) / number, 2),
                    "ms_per_trial": round(1000 * (wall - self._wall) / number, 2),
                    "driver_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "store_mb": round(self._size() / 2**20, 2),
                }
            )
            self._cpu, self._wall, self._from = cpu, wall, self._ended

    def _driver_cpu(self) -> float:
        return time.process_time() - self.trainers

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def status(self, status: object) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    parser = options("scale", __doc__, quick="300 trials, and 100 through Ray.")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--through-ray", type=int, default=10_000)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--one", metavar="CASE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(Case(*json.loads(given.one)))
        return
    trials, through_ray = (300, 100) if given.quick else (given.trials, given.through_ray)
    rows = []
    titles = f"{'CPU ms':>9}{'wall ms':>9}{'driver MB':>11}{'store MB':>10}"
    print(f"{'sampler':<9}{'through':<8}{'on':<20}{'trials':>15}{titles}")
    for case in cases(given.samplers, trials, through_ray):
        for row in windows(case):
            rows.append({"sampler": case.sampler, "through": case.through, "on": case.place, **row})
            print(
                f"{case.sampler:<9}{case.through:<8}{case.place:<20}{row['from']:>7,}-{row['to']:<7,}"
                f"{row['cpu_ms_per_trial']:>9.1f}{row['ms_per_trial']:>9.1f}{row['driver_mb']:>11}"
                f"{row['store_mb']:>10.1f}",
                flush=True,
            )
    summary = {}
    for key in dict.fromkeys((row["sampler"], row["through"], row["on"]) for row in rows):
        own = [row["cpu_ms_per_trial"] for row in rows if (row["sampler"], row["through"], row["on"]) == key]
        summary[", ".join(key)] = {"last_over_first": round(own[-1] / own[0], 2), "most_ms": max(own)}
    settings = {"trials": trials, "through_ray": through_ray}
    finish("scale", settings, rows, summary, write=given.write)


def cases(samplers: list[str], trials: int, through_ray: int) -> Iterator[Case]:
    from tests.sweeper.postgres import binaries

    sampler, few = samplers[-1], max(100, through_ray // 10)
    for each in samplers:  # the last one, which is the dearest, goes all the way
        yield Case(each, "driver", trials)
        yield Case(each, "ray", through_ray if each == sampler else few)
    yield Case(sampler, "ray", few, slots=64)
    yield Case(sampler, "ray", few, slots=3, nodes=3)
    if binaries() is None:
        print("no PostgreSQL is installed here: its rows are left out", file=sys.stderr)
        return
    for through in ("driver", "ray"):
        yield Case(sampler, through, few, database="postgresql")


def windows(case: Case) -> list[dict[str, Any]]:
    """In a process of its own, so that memory and imports are one sweep's."""
    from tests.sweeper.clusters import cluster

    command = [sys.executable, "-m", "benchmarks.scale", "--one", json.dumps(case)]
    with ExitStack() as ends:
        environment = dict(os.environ)
        if case.nodes:
            nodes = ends.enter_context(cluster(case.nodes))
            environment |= {**nodes.environment, ADDRESS: nodes.address}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(case: Case) -> None:
    from sweeper.spec.load import read_spec

    text = SPEC.replace("SAMPLER", case.sampler).replace("TRIALS", str(case.trials))
    spec = read_spec(text.replace("SLOTS", str(case.slots)), "scale.yaml", "scale", [])
    with tempfile.TemporaryDirectory() as folder, _store(case.database, Path(folder)) as (url, size):
        meter = Meter(EDGES, size)
        {"driver": by_hand, "ray": by_ray}[case.through](spec, url, Path(folder) / "files", meter)
    print(json.dumps(meter.windows))


@contextmanager
def _store(database: str, folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Its URL, and what says its size in bytes."""
    if database == "sqlite":
        yield (
            f"sqlite:///{folder}/sweeps.db",
            lambda: sum(f.stat().st_size for f in folder.glob("sweeps.db*")),
        )
        return
    from sqlalchemy import create_engine, text

    from tests.sweeper.postgres import binaries, server

    there = binaries()
    assert there is not None
    with server(there) as url:

        def size() -> int:
            with create_engine(url).connect() as connection:
                return int(
                    connection.execute(text("select pg_database_size(current_database())")).scalar_one()
                )

        yield url, size


def by_ray(spec: "SweepSpec", url: str, files: Path, meter: Meter) -> None:
    from sweeper.execution.runner import LOCAL, Means, run_sweep

    means = Means(train="benchmarks.simulated", address=os.environ.get(ADDRESS, LOCAL))
    code = run_sweep(spec, url, files, meter, means)
    assert code == 0, code


def by_hand(spec: "SweepSpec", url: str, files: Path, meter: Meter) -> None:
    """What the driver does when Ray Tune calls it, with the trainers in this process."""
    from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
    from sweeper.driver.lease import LEASE, HeldSweep
    from sweeper.driver.spending import Allowance
    from sweeper.store.queries import Reader
    from sweeper.store.store import Store

    slots = 2 if spec.resources.slots == "auto" else spec.resources.slots
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = store.create_sweep(
            name=spec.name,
            spec_text=spec.text,
            spec=spec.resolved(),
            code_version="benchmark",
            folder=str(files),
        )
        store.take_lease(sweep.id, "benchmark", LEASE)
        held = HeldSweep(spec, sweep, reader, store.writer(sweep.id, "benchmark"))
        driver = Driver(held, meter, DriverSettings(slots), Allowance(spec.budget))
        running: deque[tuple[Job, Reports]] = deque()
        while True:
            driver.poll()
            job = driver.next() if len(running) < slots else None
            if job is EXHAUSTED:
                break
            if job is not None:
                running.append((job, job.run("benchmarks.simulated", "cpu")))
                continue
            job, reports = running.popleft()
            began = time.process_time()
            report = next(reports, None)
            meter.trainers += time.process_time() - began
            if report is None:
                driver.finish(job)
            else:
                driver.take(job, [report])
                running.append((job, reports))
        driver.end()


if __name__ == "__main__":
    main()
