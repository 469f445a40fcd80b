"""How far a sweep is, from its store alone: who runs it, how many trials there will be, how long it takes."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord, host_and_pid

LIVE = ("queued", "running", "paused")


class Outlook(NamedTuple):
    driver: str | None  # host:pid of who runs it now; None: nobody does
    ended: int
    expected: int  # trials that there will be, as far as is known; repeats are not counted
    seconds_left: float | None  # at the pace of the complete trials; None where that is not known


def outlook(reader: Reader, sweep: SweepRecord, now: float) -> Outlook:
    everything = reader.trials(sweep.id)
    trials = [trial for trial in everything if trial.repeat_of is None]
    ended = sum(trial.state not in LIVE for trial in trials)
    driver = host_and_pid(sweep.lease_holder or "") if now < (sweep.lease_until or 0.0) else None
    expected = len(trials)
    if sweep.state not in ("complete", "failed"):
        repeats = len(everything) - len(trials)
        expected = max(expected, _planned(sweep.spec) - repeats)
    left = _seconds_left(trials, expected - ended, now) if driver else None
    return Outlook(driver, ended, expected, left)


def _planned(spec: Mapping[str, Any]) -> int:
    confirm = spec.get("confirm") or {"top": 0, "seeds": 0}
    searched = spec["search"]["trials"] * spec.get("replicates", 1)  # fewer where some are pruned or fail
    baselines = len(spec["always"]) * spec.get("always_seeds", 1)
    return searched + baselines + confirm["top"] * confirm["seeds"]


def _seconds_left(trials: list[TrialRecord], to_go: int, now: float) -> float | None:
    """As many at a time as run now; a running one needs what it has not had of the mean."""
    took = [t.ended - t.started for t in trials if t.state == "complete" and t.ended and t.started]
    running = [now - t.started for t in trials if t.state == "running" and t.started]
    if not took or not running:
        return None
    mean = math.fsum(took) / len(took)
    rest = [max(0.0, mean - so_far) for so_far in running]
    return (math.fsum(rest) + mean * max(0, to_go - len(running))) / len(running)
