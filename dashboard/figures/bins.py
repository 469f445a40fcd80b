"""What a run ended with at each masking rate: a line a run, of each of the bins that it reports."""

from collections.abc import Callable, Iterable, Mapping

from dashboard.figures.style import Line
from sweeper.store.records import LatestRecord, TrialRecord

BINS = ("bin_share", "bin_masked", "bin_nats", "bin_objective")


def bin_lines(
    trials: Iterable[TrialRecord],
    latest: Mapping[int, Mapping[str, LatestRecord]],
    label: Callable[[TrialRecord], str],
) -> dict[str, list[Line]]:
    """By name of the metric, where any of the runs has it: over the middle of each bin of p."""
    found: dict[str, list[Line]] = {}
    for trial in trials:
        rows = latest.get(trial.id, {}).items()
        for name in BINS:
            points = sorted(
                (float(n.partition("/")[2]), row.value) for n, row in rows if n.startswith(f"{name}/")
            )
            if points:
                x, y = zip(*points, strict=True)
                found.setdefault(name, []).append(Line(label(trial), trial.configuration, x, y))
    return found
