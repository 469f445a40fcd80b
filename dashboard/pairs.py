"""By how much do two configurations differ, seed by seed and document by document? As `compare` says."""

from collections.abc import Iterable

import streamlit as st

from dashboard import data
from dashboard.snapshot import Snapshot
from sweeper.results.compare import Comparison, Comparisons, NotComparable

MOST = 2000  # rows that are held against one at once
Pairs = dict[int, Comparison | str]  # by configuration; a sentence where the two cannot be compared


def against(now: Snapshot, base: int, configurations: Iterable[int]) -> Pairs:
    """Each of the configurations against `base`: what it has more of, nats per token, is above 0."""
    rows = {row.configuration: row for row in now.board.rows}
    if base not in rows or not rows[base].trials:
        return {}
    # What a pair comes to changes when the board's numbers do, and not with every step of a trial that runs.
    numbers = hash(
        tuple((row.configuration, row.val_nelbo, row.confirmed_nelbo, row.seeds) for row in rows.values())
    )
    known = _known(data.url(), now.sweep.id, numbers)
    if known.comparisons is None:
        known.comparisons = Comparisons(data.reader(), now.sweep)
    found: Pairs = {}
    for each in [each for each in configurations if each in rows and each != base][:MOST]:
        if (each, base) not in known.pairs and rows[each].trials:
            try:
                known.pairs[each, base] = known.comparisons.of(rows[each].trials[0], rows[base].trials[0])
            except NotComparable as why:
                known.pairs[each, base] = str(why)
        if (each, base) in known.pairs:
            found[each] = known.pairs[each, base]
    return found


class _Known:
    """Of one state of a board. Sessions share it."""

    def __init__(self) -> None:
        self.comparisons: Comparisons | None = None
        self.pairs: dict[tuple[int, int], Comparison | str] = {}


@st.cache_resource(max_entries=1, ttl=600, show_spinner=False)
def _known(address: str, sweep: int, numbers: int) -> _Known:
    return _Known()
