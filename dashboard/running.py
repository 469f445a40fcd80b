"""What runs now, and how far is it? The same facts as `status`, drawn."""

import time

import pandas as pd
import streamlit as st

from dashboard.snapshot import Snapshot
from dashboard.values import ago
from sweeper.results.progress_estimate import ProgressEstimate, RunningTrial, pretrains

MOST = 40  # rows


def progress_words(progress: ProgressEstimate) -> str:
    """'12 of 18 trials ended, about 4 min to go'."""
    left = progress.seconds_left
    return f"{progress.ended:,} of {progress.total:,} trials ended" + (
        f", about {ago(left)} to go" if left is not None else ""
    )


def brief(progress: ProgressEstimate) -> str:
    """'12 of 18, 4 min to go': in a narrow column."""
    left = progress.seconds_left
    return f"{progress.ended:,} of {progress.total:,}" + (f", {ago(left)} to go" if left is not None else "")


def running_table(now: Snapshot) -> pd.DataFrame:
    """A row for each pretrain and each trial that runs."""
    rows = []
    waiting = [trial.stage for trial in now.trials.values() if trial.state in ("queued", "running")]
    for each in pretrains(now.stages):
        rows.append(
            {
                "what": f"pretrain {each.key}",
                "phase": "pretrain",
                "step": each.step,
                "of": each.steps,
                "part": (each.step or 0) / each.steps if each.steps else 0.0,
                "more": f"{waiting.count(each.key)} trials wait for it",
                "worker": "",
            }
        )
    for trial in now.trials.values():
        if trial.state == "running" and trial.repeat_of is None:
            mine = now.latest.get(trial.id, {}).values()
            it = RunningTrial.of(trial, max((record.step for record in mine), default=0))
            rows.append(
                {
                    "what": f"trial {it.called}",
                    "phase": "finetune",
                    "step": it.step,
                    "of": it.steps,
                    "part": it.step / it.steps if it.steps else 0.0,
                    "more": f"{it.role}, seed {it.seed}",
                    "worker": trial.worker,
                }
            )
    return pd.DataFrame(rows, columns=["what", "phase", "step", "of", "part", "more", "worker"])


def show_running(now: Snapshot) -> None:
    """How far the sweep is and what it does; nothing of a sweep that has ended."""
    progress = now.progress
    share = progress.ended / progress.total if progress.total else 0.0
    st.progress(min(1.0, share), text=progress_words(progress))
    if now.sweep.driver(time.time()) is None:
        return
    rows = running_table(now)
    if rows.empty:
        st.text("Nothing runs at this moment.")
        return
    column = st.column_config
    st.dataframe(
        rows.head(MOST),
        hide_index=True,
        key="running",
        alt="What runs now, and its step",
        column_config={
            "what": column.TextColumn("runs now"),
            "phase": column.TextColumn("phase", width=80),
            "step": column.NumberColumn("step", format="localized", width=80),
            "of": column.NumberColumn("of", format="localized", width=80),
            "part": column.ProgressColumn("", min_value=0.0, max_value=1.0, format="percent"),
            "more": column.TextColumn(""),
            "worker": column.TextColumn("worker"),
        },
    )
    if len(rows) > MOST:
        st.caption(f"The first {MOST} of {len(rows):,}.")
