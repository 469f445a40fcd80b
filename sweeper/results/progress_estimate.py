"""How far is a sweep, how many trials will there be, how long will it take? Said alike wherever it is shown.

A driver knows what it has come to; `status` and the dashboard read the same facts in the store.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from sweeper.spec.sections import LEAST
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, SweepRecord, TrialRecord

LISTED = ("grid", "fixed")  # samplers that propose a list, and nothing after it


class ProgressEstimate(NamedTuple):
    """Of trials; repeats are not counted."""

    ended: int
    total: int  # that there will be, as far as is known now
    seconds: float | None  # since its driver began; None: nobody drives it
    seconds_left: float | None  # at the pace so far; None where there is none yet


class Planned(NamedTuple):
    """What a specification says of the number of trials."""

    configurations: int  # that the search is to try
    replicates: int  # runs of each; fewer where some are pruned or fail
    confirmations: int  # runs, when the search has ended
    raced: int = 0  # runs of the race's first two rounds, then

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Planned":
        """spec: resolved, as the store has it."""
        confirm = spec.get("confirm") or {"top": 0, "seeds": 0}
        search = spec.get("search", {})
        trials, replicates = search.get("trials", 0), spec.get("replicates", 1)
        return cls(trials, replicates, confirm["top"] * confirm["seeds"], _raced(spec, trials))


def _raced(spec: Mapping[str, Any], trials: int) -> int:
    """Nobody knows how many rounds it takes: two are certain."""
    if (settle := spec.get("settle")) is None:
        return 0
    baselines, known = spec.get("always", []), spec.get("always_seeds", 3) - spec.get("replicates", 1)
    contenders = min(settle["contenders"], LEAST, trials + len(baselines))
    return max(0, 2 * contenders - len(baselines) * min(2, max(0, known))) if contenders > 1 else 0


def progress_estimate(
    states: Mapping[int, str], planned: Planned, proposed: int | None, seconds: float | None
) -> ProgressEstimate:
    """states: by trial. proposed: configurations, by the search; None: it is over. seconds: of the driver."""
    ended = sum(state in ENDS for state in states.values())
    total = len(states)
    if proposed is not None:
        total += (
            (planned.configurations - proposed) * planned.replicates + planned.confirmations + planned.raced
        )
    left = seconds / ended * (total - ended) if seconds is not None and ended and total > ended else None
    return ProgressEstimate(ended, total, seconds, left)


def stored_progress(reader: Reader, sweep: SweepRecord, now: float) -> ProgressEstimate:
    """By the store alone. now: seconds since 1970."""
    trials = reader.trials(sweep.id)
    states = {trial.id: trial.state for trial in trials if trial.repeat_of is None}
    proposals = [trial for trial in trials if trial.number is not None]
    proposed = sum(trial.repeat_of is None for trial in proposals)
    seconds = None
    if sweep.driver(now) is not None:
        began = [each.began for each in reader.drivers(sweep.id) if each.holder == sweep.lease_holder]
        seconds = now - began[-1] if began else None
    over = sweep.state in ("complete", "failed") or _search_is_over(reader, sweep, proposals, proposed)
    return progress_estimate(states, Planned.of(sweep.spec), None if over else proposed, seconds)


def _search_is_over(
    reader: Reader, sweep: SweepRecord, proposals: Sequence[TrialRecord], proposed: int
) -> bool:
    """proposals: repeats among them. proposed: how many are none."""
    search = sweep.spec.get("search", {})
    # A list is at its end when all of it was proposed, though some of it repeated a baseline.
    reached = len(proposals) if search.get("sampler") in LISTED else proposed
    if reached >= search.get("trials", 0) or reader.said(sweep.id, "search"):
        return True
    try:
        spec = SweepSpec.from_resolved(sweep.spec)
    except ValidationError:  # of another version
        return False
    size = spec.space.size() if spec.dimensions else 0
    return size is not None and len({trial.configuration for trial in proposals}) >= size
