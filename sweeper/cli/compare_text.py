"""A comparison in words."""

import math

from sweeper.cli.console import perplexity, shown
from sweeper.results.compare import Comparison


def parameters(found: Comparison) -> list[list[str]]:
    """A row for each parameter that differs, and one for each side's value."""
    rows = [[name, shown(a), shown(b)] for name, (a, b) in found.parameters.items()]
    sides = (found.a, found.b)
    return [
        *rows,
        ["val_nelbo", *(f"{side.nelbo:.4f}" for side in sides)],
        ["val_ppl", *(perplexity(math.exp(side.nelbo)) for side in sides)],
    ]


def verdict(found: Comparison, picked: bool = False) -> list[str]:
    """The difference, what it covers, and what may be said; a line each.

    picked: by looking at the board, so that the interval is for all of its pairs at once.
    """
    seeds = ", ".join(str(seed) for seed in found.seeds)
    runs = "confirmation runs alone, " if found.confirmed else ""
    what = "text and training seeds" if found.over_seeds else "the evaluation text alone"
    ends = (found.picked_low, found.picked_high) if picked else (found.low, found.high)
    ratio, low, high = (math.exp(min(each, 700.0)) for each in (found.difference, *ends))
    return [
        f"A - B: {found.difference:+.4f} nats per token, 95% [{ends[0]:+.4f}, {ends[1]:+.4f}]; "
        f"val_ppl of A is {ratio:.4f} [{low:.4f}, {high:.4f}] of B's",
        f"paired by document and by {'seed' if len(found.seeds) == 1 else 'seeds'} {seeds} ({runs}"
        f"the interval is over {what})",
        _how(found, picked),
        _conclusion(found, ends, found.told_apart_if_picked if picked else found.told_apart),
    ]


def _how(found: Comparison, picked: bool) -> str:
    if picked:
        return f"A pair picked from the board: for all pairs of its {found.groups} configurations at once."
    if found.groups == 2:
        return "A pair named beforehand: there is no other."
    return (
        "A pair named before the board was seen. Picked by looking at it (--picked), the interval is "
        f"[{found.picked_low:+.4f}, {found.picked_high:+.4f}]."
    )


def _conclusion(found: Comparison, ends: tuple[float, float], told_apart: bool) -> str:
    if told_apart:
        return f"{'A' if found.difference < 0 else 'B'} is better, by more than the error."
    if ends[0] <= 0 <= ends[1]:
        return "A and B cannot be told apart: the interval contains 0."
    return (
        "These runs differ by more than their error. Whether the configurations do is not known: they have "
        "one seed in common, and may be noisier than others."
    )
