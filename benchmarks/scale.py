"""python -m benchmarks.scale [--quick]: what a trial costs the driver, from the first to the ten-thousandth.

A trainer that reports without training (benchmarks/simulated.py), one driver, two slots, SQLite. For each
sampler: the driver's CPU per trial in windows of the sweep, its memory, and the store's size. Where a trial's
cost grows with their number, a sweep's is quadratic. The Driver is all but Ray, so the ten thousand go
through it alone, their trainers' own CPU taken out; a thousand go through Ray Tune too.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
resources: {cpu: 1, gpu: 0, slots: 2}
"""
SLOTS = 2
EDGES = (100, 300, 1_000, 3_000, 10_000)


class Meter:
    """A Progress that notes the driver's clock whenever a window of trials has ended."""

    def __init__(self, edges: tuple[int, ...], store: Path):
        self._edges, self._store = edges, store
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
                    "store_mb": round(sum(f.stat().st_size for f in self._files()) / 2**20, 2),
                }
            )
            self._cpu, self._wall, self._from = cpu, wall, self._ended

    def _driver_cpu(self) -> float:
        return time.process_time() - self.trainers

    def _files(self) -> list[Path]:
        return list(self._store.parent.glob(f"{self._store.name}*"))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def status(self, status: object) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    parser = options("scale", __doc__, quick="300 trials, and 100 through Ray.")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--through-ray", type=int, default=1_000)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--one", choices=["driver", "ray"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.samplers[0], given.trials)
        return
    trials, through_ray = (300, 100) if given.quick else (given.trials, given.through_ray)
    rows = []
    titles = f"{'CPU ms':>9}{'wall ms':>9}{'driver MB':>11}{'store MB':>10}"
    print(f"{'sampler':<9}{'through':<8}{'trials':>15}{titles}")
    for sampler in given.samplers:
        for through, number in (("driver", trials), ("ray", through_ray)):
            for row in windows(through, sampler, number):
                rows.append({"sampler": sampler, "through": through, **row})
                print(
                    f"{sampler:<9}{through:<8}{row['from']:>7,}-{row['to']:<7,}{row['cpu_ms_per_trial']:>9.1f}"
                    f"{row['ms_per_trial']:>9.1f}{row['driver_mb']:>11}{row['store_mb']:>10.1f}",
                    flush=True,
                )
    summary = {}
    for sampler in given.samplers:
        own = [
            row["cpu_ms_per_trial"]
            for row in rows
            if row["sampler"] == sampler and row["through"] == "driver"
        ]
        summary[sampler] = {"last_over_first": round(own[-1] / own[0], 2), "most_ms": max(own)}
    settings = {"trials": trials, "through_ray": through_ray, "slots": SLOTS}
    finish("scale", settings, rows, summary, write=given.write)


def windows(through: str, sampler: str, trials: int) -> list[dict[str, Any]]:
    """In a process of its own, so that memory and imports are one sweep's."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", through, "--samplers", sampler]
    done = subprocess.run([*command, "--trials", str(trials)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(through: str, sampler: str, trials: int) -> None:
    from sweeper.spec.load import read_spec

    text = SPEC.replace("SAMPLER", sampler).replace("TRIALS", str(trials))
    spec = read_spec(text, "scale.yaml", "scale", [])
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "sweeps.db"
        meter = Meter(EDGES, store)
        {"driver": by_hand, "ray": by_ray}[through](spec, f"sqlite:///{store}", Path(folder) / "files", meter)
    print(json.dumps(meter.windows))


def by_ray(spec: "SweepSpec", url: str, files: Path, meter: Meter) -> None:
    from sweeper.execution.runner import Means, run_sweep

    code = run_sweep(spec, url, files, meter, Means(train="benchmarks.simulated"))
    assert code == 0, code


def by_hand(spec: "SweepSpec", url: str, files: Path, meter: Meter) -> None:
    """What the driver does when Ray Tune calls it, with the trainers in this process."""
    from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
    from sweeper.driver.lease import LEASE, HeldSweep
    from sweeper.driver.spending import Allowance
    from sweeper.store.queries import Reader
    from sweeper.store.store import Store

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
        driver = Driver(held, meter, DriverSettings(SLOTS), Allowance(spec.budget))
        running: deque[tuple[Job, Reports]] = deque()
        while True:
            driver.poll()
            job = driver.next() if len(running) < SLOTS else None
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
