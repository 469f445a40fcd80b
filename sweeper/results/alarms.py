"""Is a row better than it can be? Where the likelihood of a source is known no bound lies below it."""

from collections.abc import Sequence

import numpy as np

from sweeper.results.ranking import Entry
from sweeper.statistics.clusters import Text
from sweeper.statistics.quantiles import student


def alarms(entries: Sequence[Entry]) -> list[str]:
    """A sentence for each configuration that is below the source, paired by document: at 5% over all of them.

    Masks and text alone are left to chance there: the source has no seeds.
    """
    known = [entry for entry in entries if any(each.exact for each in entry.evaluated)]
    found = []
    for entry in known:
        exact = [each for each in entry.evaluated if each.exact]
        records = [each for each in exact if each.tokens == exact[0].tokens]
        tokens_D = np.array(records[0].tokens, np.float64)
        above_D = np.mean([np.subtract(each.nats, each.exact or []) for each in records], axis=0)
        text = Text(tokens_D)
        above = float(above_D.sum() / tokens_D.sum())
        half = student(text.degrees, 1 - 0.1 / len(known)) * float(text.error(above_D[None])[0])
        if above + half < 0:
            trials = ", ".join(str(trial.called) for trial in entry.trials)
            which = f"trial{'s' * (len(entry.trials) > 1)} {trials}"
            found.append(
                f"ALARM: {which}: {-above:.4f} nats per token below the source's own likelihood (95%: at "
                f"least {-above - half:.4f}). No bound can be: its model sees what it should predict, or the "
                "bound is wrong."
            )
    return found
