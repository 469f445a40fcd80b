"""What has each run cost in floating-point operations? For a column, an axis and an equal-compute front."""

from collections.abc import Iterator, Mapping

import numpy as np
import streamlit as st

from dashboard import data
from dashboard.snapshot import Snapshot
from sweeper.planning.flops import Course, course

AXIS = "training FLOPs, pretrain included"


class Flops(Mapping[int, float]):
    """By configuration, of one of its runs as far as it has come. Counted when it is asked for."""

    def __init__(self, now: Snapshot):
        self._now = now
        self._steps = {row.configuration: row.step for row in now.board.rows if row.step}

    def __getitem__(self, configuration: int) -> float:
        return float(of(self._now, configuration).at([self._steps[configuration]])[0])

    def __iter__(self) -> Iterator[int]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


def of(now: Snapshot, configuration: int) -> Course:
    """Of a run of it: at(steps) turns a curve's steps into operations. Counted once, for it never changes."""
    known = _courses(data.url(), now.sweep.name)
    if configuration not in known:
        known[configuration] = course(now.values[configuration])
    return known[configuration]


@st.cache_resource(max_entries=8, show_spinner=False)
def _courses(address: str, sweep: str) -> dict[int, Course]:
    return {}


def shown(flops: float) -> str:
    """'1.8e12', as papers write it."""
    return "–" if not np.isfinite(flops) else f"{flops:.2g}".replace("e+", "e")
