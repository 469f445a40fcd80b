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


def verdict(found: Comparison) -> list[str]:
    """The difference, what it covers, and what may be said; a line each."""
    seeds = ", ".join(str(seed) for seed in found.seeds)
    runs = "confirmation runs alone, " if found.confirmed else ""
    what = "text and training seeds" if found.over_seeds else "the evaluation text alone"
    ratio, low, high = (math.exp(each) for each in (found.difference, found.low, found.high))
    lines = [
        f"A - B: {found.difference:+.4f} nats per token, 95% [{found.low:+.4f}, {found.high:+.4f}]; "
        f"val_ppl of A is {ratio:.4f} [{low:.4f}, {high:.4f}] of B's",
        f"paired by document and by {'seed' if len(found.seeds) == 1 else 'seeds'} {seeds} ({runs}"
        f"the interval is over {what})",
    ]
    if found.told_apart:
        lines.append(f"{'A' if found.difference < 0 else 'B'} is better, by more than the error.")
    elif found.low <= 0 <= found.high:
        lines.append("A and B cannot be told apart: the interval contains 0.")
    else:
        lines.append(
            "These runs differ by more than the text's error. Whether the configurations do is not known: "
            "no configuration of this sweep has several seeds."
        )
    return lines
