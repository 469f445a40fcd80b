"""A comparison in words, and a judgement."""

from sweeper.results.compare import Comparison
from sweeper.results.judge import Judgement
from sweeper.terminal.console import factor, perplexity, shown
from sweeper.words import times


def parameters(found: Comparison) -> list[list[str]]:
    """A row for each parameter that differs, and one for each side's value."""
    rows = [[name, shown(a), shown(b)] for name, (a, b) in found.parameters.items()]
    sides = (found.a, found.b)
    return [
        *rows,
        ["val_nelbo", *(f"{side.nelbo:.4f}" for side in sides)],
        ["val_ppl", *(perplexity(times(side.nelbo)) for side in sides)],
    ]


def verdict(found: Comparison, picked: bool = False) -> list[str]:
    """The difference, what it covers, and what may be said; a line each.

    picked: by looking at the board, so that the interval is for all of its pairs at once.
    """
    runs = "confirmation runs alone, " if found.confirmed else ""
    what = "text and training seeds" if found.over_seeds else "the evaluation text alone"
    ends = (found.picked_low, found.picked_high) if picked else (found.low, found.high)
    ratio, low, high = map(times, (found.difference, *ends))
    return [
        f"A - B: {found.difference:+.4f} nats per token, 95% [{ends[0]:+.4f}, {ends[1]:+.4f}]; "
        f"val_ppl of A is {factor(ratio)} [{factor(low)}, {factor(high)}] of B's",
        f"paired by document and by {_named(found.seeds)} ({runs}the interval is over {what})",
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


def judged(found: Judgement) -> list[str]:
    """The verdict, what it is of, and what it has cost; a line each."""
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f", at this ask's level [{found.low:+.4f}, {found.high:+.4f}]"
    runs = "; confirmation runs alone" if found.confirmed else ""
    return [
        f"{found.verdict}: {_why(found)}",
        f"A - B: {found.difference:+.4f} nats per token{interval}",
        f"paired by document and by {_named(found.seeds)}{runs}",
        _spent(found),
    ]


def _why(found: Judgement) -> str:
    by = f" by more than {100 * found.margin:.3g}% of perplexity" if found.margin else ""
    if found.verdict == "keep":
        return "A is surely better than B."
    if found.verdict == "discard":
        return f"A is surely not better than B{by}."
    if found.number is None:
        return "A and B have one seed in common; run both on at least 1 more."
    if found.more_seeds is None:
        return "more seeds alone would bring none, as the error over text stays; more text would" + (
            ", or another margin." if found.margin else ", or a margin (--margin 1%)."
        )
    more = "1 more seed" if found.more_seeds == 1 else f"{found.more_seeds} more seeds"
    return f"run both on {more}, which is enough if the difference and its spread stay as they are."


def _spent(found: Judgement) -> str:
    if found.number is None or found.level is None or found.spent is None:
        return f"Nothing of session {found.session} is spent on it."
    if found.again:
        return (
            f"The runs are those of ask {found.number} of session {found.session}, whose answer stands; "
            "nothing more is spent."
        )
    return (
        f"Ask {found.number} of session {found.session}, either verdict at an error of "
        f"{100 * found.level:.2g}%; {100 * found.spent:.3g}% of the session's 5% are spent."
    )


def _named(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
