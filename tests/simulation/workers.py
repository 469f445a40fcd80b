"""Who trains, and what goes wrong with them? The workers of one driver: a step of each in turn, on one
thread.

A worker is a job's generator. It may never become ready, die at any step and in the midst of a checkpoint,
fall silent, run out of memory or of disk; what it has reported may come twice, late, or when another worker
has its job."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.driver import failures
from sweeper.driver.driver import Driver
from sweeper.driver.jobs import Cost, Job
from tests.simulation.world import WorkerDied, World
from trainer.evaluation.record import Report

TOGETHER = (1, 1, 1, 2, 3)  # how many steps of a worker its driver hears of at once
CPU, GPU = 0.5, 0.25  # seconds of a step
LATE = (2, 6, 20)  # turns after which what a silent worker said is heard
READY, LOOK = 600.0, 20.0  # seconds that a worker may take to be made; between two looks at it
OVER = object()  # no further report comes


class Run(NamedTuple):
    job: Job
    steps: Iterator[Report | None]
    cost: Cost = Cost()
    ready: bool = True

    def close(self) -> None:
        with suppress(Exception):  # as a worker's end does: its last checkpoint stands
            self.steps.close()  # type: ignore[attr-defined]


class Workers:
    """lost, spent: by the job's name, how often its worker died, and what it took of a processor. unready:
    how many of the next are never made ready.

    How, of a death: lost, silent, late or memory."""

    def __init__(self, world: World, lost: dict[str, int], spent: dict[str, float]):
        self._world, self.lost, self._spent = world, lost, spent
        self._running: dict[str, Run] = {}
        self._seen: list[tuple[Job, Report | None, Cost]] = []  # None: that it has come to its end
        self._late: list[tuple[int, Run, list[Report], bool]] = []  # at which turn, and whether it is over
        self._gone: list[Run] = []
        self._to_lose = ""
        self.unready = 0
        self._made: dict[str, float] = {}  # by the job's name: since when a worker that is not ready is made
        self.stepping = ""  # the job whose worker acts now
        self._turn = 0

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, job: Job) -> None:
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        ready = self.unready == 0
        self.unready -= not ready
        self._made[job.name] = self._world.now
        self._running[job.name] = Run(job, job.run("tests.simulation.trainer", "cpu"), ready=ready)

    def turn(self, driver: Driver) -> None:
        self._turn += 1
        gone, self._gone = self._gone, []
        for run in gone:
            self.lost[run.job.name] = self.lost.get(run.job.name, 0) + 1
            driver.fail(run.job, failures.Lost())
        for late in [each for each in self._late if each[0] <= self._turn]:
            self._late.remove(late)
            _, run, reports, over = late
            driver.take(run.job, reports, run.cost)
            if over:
                driver.finish(run.job, run.cost)
        for name in self._world.random.sample(sorted(self._running), len(self._running)):
            if name in self._running:
                self._step(driver, name)

    def _step(self, driver: Driver, name: str) -> None:
        """What one worker does, and what its driver is told of it."""
        if self._to_lose:
            return self._die(driver, name)
        if not self._running[name].ready:
            return self._wait(driver, name)
        run, reports, over = self._running[name], list[Report](), False
        error: failures.Failure | None = None
        self.stepping = name
        try:
            for _ in range(self._world.random.choice(TOGETHER)):
                self._spent[name] = self._spent.get(name, 0.0) + CPU
                run = run._replace(cost=Cost(run.cost.cpu_seconds + CPU, run.cost.gpu_seconds + GPU))
                if (report := next(run.steps)) is not None:
                    reports.append(report)
        except StopIteration:
            over = True
        except WorkerDied:
            self._to_lose = self._to_lose or "lost"
        except Exception as raised:
            over, error = True, failures.failure_of(raised)
        finally:
            self.stepping = ""
        if self._to_lose:  # what it had not sent yet is lost with it
            return self._die(driver, name)
        self._running[name] = run
        self._seen += [(run.job, each, run.cost) for each in reports]
        goes_on = driver.take(run.job, reports, run.cost, "sim:1")
        if error is not None:
            driver.fail(run.job, error, run.cost)
        elif over:
            driver.finish(run.job, run.cost)
            self._seen.append((run.job, None, run.cost))
        if (over or not goes_on) and name in self._running:
            self._running.pop(name).close()

    def _wait(self, driver: Driver, name: str) -> None:
        """For a worker that has run nothing yet, and never will."""
        self._world.sleep(LOOK)
        if self._world.now - self._made[name] > READY:
            driver.fail(self._running.pop(name).job, failures.Unready())

    def _die(self, driver: Driver, name: str) -> None:
        how, self._to_lose = self._to_lose, ""
        run = self._running.pop(name)
        self.lost[name] = self.lost.get(name, 0) + 1
        if how == "late":  # it trains on for a while; nobody hears it
            said = list[object]()
            with suppress(Exception):  # what it has failed of, nobody hears either
                said += (next(run.steps, OVER) for _ in range(self._world.random.choice((2, 20))))
            reports = [report for report in said if isinstance(report, Report)]
            self._late.append((self._turn + self._world.random.choice(LATE), run, reports, OVER in said))
        self._world.saves = how == "late"
        run.close()
        self._world.saves = True
        if how == "memory":
            driver.fail(run.job, failures.OutOfMemory("out of memory: simulated"), run.cost)
        elif how in ("silent", "late"):
            driver.fail(run.job, failures.Silent())
        else:
            driver.fail(run.job, failures.Lost())

    def lose(self, how: str) -> bool:
        """Of whoever acts now, or next; False: there is none."""
        if not self._running:
            return False
        self._to_lose = how
        if self.stepping and how == "lost":
            raise WorkerDied
        return True

    def double(self, driver: Driver) -> bool:
        """One of all reports and ends so far comes again: rather one of a job that is another worker's."""
        latest = {run.job.name: run.job for run in self._running.values()}
        stale = [said for said in self._seen if latest.get(said[0].name, said[0]) != said[0]]
        if not self._seen:
            return False
        job, report, cost = self._world.random.choice(stale or self._seen)
        if report is None:
            driver.finish(job, cost)
        else:
            driver.take(job, [report], cost)
        return True

    def vanish(self) -> None:
        """They save. Their driver hears that they are gone, if it still is one."""
        self._gone += self._running.values()
        self.close()

    def close(self) -> None:
        """They save, and what they still say is heard by nobody."""
        for run in self._running.values():
            run.close()
        self._running.clear()


def take_turns(workers: Workers, driver: Driver, slots: int, exhausted: Any) -> bool:
    """Jobs for free slots. False: nothing is left, now or later."""
    while len(workers) < slots:
        job = driver.next()
        if job is exhausted:
            return len(workers) > 0
        if job is None:
            break
        workers.begin(job)
    return True
