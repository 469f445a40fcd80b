"""What has each run cost in floating-point operations? For a column, an axis and an equal-compute front."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.data import Snapshot
from sweeper.planning.flops import Course, course

AXIS = "training FLOPs, pretrain included"


def with_flops(now: Snapshot) -> pd.DataFrame:
    """The board's frame with a column `flops`: of a run of the row, as far as it has come, or NaN."""
    rows = now.frame
    found = [
        of(now, configuration).at([step])[0] if step else np.nan
        for configuration, step in zip(rows["configuration"], rows["step"], strict=True)
    ]
    return rows.assign(flops=np.array(found, float))


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
