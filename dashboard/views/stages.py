"""Pretrains: which trials branch from which, what each has cost, and what sharing it has saved."""

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.chart import chart
from dashboard.figures import stages as figures
from dashboard.snapshot import Snapshot
from dashboard.values import shown
from dashboard.words import Labels
from sweeper.results.savings import Savings, hours, paid_before, savings_by_stage
from sweeper.store.records import StageRecord, TrialRecord

SECONDS = 5
MOST = 200  # pretrains in the table
AGAIN = 60  # seconds after which ledgers, files each, are read again


@st.cache_data(max_entries=8, ttl=AGAIN, show_spinner=False)
def saved(address: str, sweep: str, state: str) -> dict[str, Savings]:
    reader = data.reader_of(address)
    record = reader.sweep(sweep)
    return {} if record is None else savings_by_stage(reader, record)[1]


def differing(stages: list[StageRecord]) -> dict[str, str]:
    """By key: what tells a pretrain from the others, the seed among it."""
    names = sorted({name for stage in stages for name in stage.values})
    apart = [name for name in names if len({str(stage.values.get(name)) for stage in stages}) > 1]
    return {
        stage.key: " · ".join(
            f"{name.removeprefix('pretrain.')} {shown(stage.values.get(name))}" for name in apart
        )
        for stage in stages
    }


def table(now: Snapshot, stages: list[StageRecord]) -> pd.DataFrame:
    """A row a pretrain."""
    here: dict[str, int] = {}
    names = {each.sweep.id: each.sweep.name for each in data.sweeps()[0] if each.url == data.url()}
    others: dict[str, list[str]] = {}
    for use in data.reader().stage_uses():
        if use.sweep == now.sweep.id:
            here[use.stage] = use.trials
        else:
            others.setdefault(use.stage, []).append(f"{names.get(use.sweep, '?')} ({use.trials})")
    saving, apart = saved(data.url(), now.sweep.name, now.sweep.state), differing(stages)
    rows = []
    for stage in stages:
        mine = saving.get(stage.key)
        rows.append(
            {
                "stage": stage.key,
                "state": [stage.state],
                "steps": stage.steps,
                "differs": apart[stage.key],
                "trials": here.get(stage.key, 0),
                "from": stage.parent or "",
                "cost": hours(stage.cpu_seconds, stage.gpu_seconds),
                "saved": "" if mine is None or mine.steps <= 0 else hours(mine.cpu_seconds, mine.gpu_seconds),
                "saved steps": None if mine is None or not mine.unshared else mine.steps,
                "before": "made before this sweep" if paid_before(stage, now.sweep.created) else "",
                "others": ", ".join(others.get(stage.key, [])),
                "error": stage.error.partition("\n")[0],
            }
        )
    return pd.DataFrame(rows)


def tree(now: Snapshot, stages: list[StageRecord]) -> None:
    labels = Labels(now.frame)
    place = {configuration: i for i, configuration in enumerate(labels)}  # in the board's order
    apart = differing(stages)
    branches: dict[str, list[TrialRecord]] = {}
    for trial in now.trials.values():
        if trial.stage and trial.repeat_of is None:
            branches.setdefault(trial.stage, []).append(trial)
    trunks = []
    for stage in stages:
        mine = sorted(branches.get(stage.key, []), key=lambda trial: place.get(trial.configuration, 0))
        cost = hours(stage.cpu_seconds, stage.gpu_seconds)
        going_on = [_going_on(each, apart[each.key]) for each in stages if each.parent == stage.key]
        trunks.append(
            figures.Trunk(
                f"{apart[stage.key] or stage.key} · {stage.steps:,} steps · {cost}",
                stage.state,
                f"pretrain {stage.key}, {stage.state}: {len(mine):,} runs branch from it",
                [*going_on, *(_branch(trial, labels.get(trial.configuration, "")) for trial in mine)],
            )
        )
    runs = sum(map(len, branches.values()))
    alt = f"{len(trunks)} pretrains and the {runs} runs that branch from them"
    chart(figures.tree(trunks), key="stages", alt=alt)
    if len(trunks) > figures.MOST_TRUNKS:
        st.caption(f"The first {figures.MOST_TRUNKS} of {len(trunks):,} pretrains are drawn.")


def _going_on(stage: StageRecord, differs: str) -> figures.Branch:
    label = f"pretrain · {differs or stage.key} · {stage.steps:,} steps"
    return figures.Branch(label, stage.state, f"pretrain {stage.key} goes on from its end: {stage.state}")


def _branch(trial: TrialRecord, label: str) -> figures.Branch:
    cost = hours(trial.cpu_seconds, trial.gpu_seconds)
    return figures.Branch(
        f"trial {trial.called} · {label}",
        trial.state,
        f"trial {trial.called}, {trial.role}, seed {trial.seed}: {trial.state}, {cost}",
    )


def stages_page() -> None:
    now = data.chosen()
    st.header("Stages", anchor=False)
    keys = {trial.stage for trial in now.trials.values() if trial.stage and trial.repeat_of is None}
    stages = data.reader().stages_behind(keys)[:MOST]
    if not stages:
        st.text("No trial of this sweep branches from a pretrain." if now.trials else "No trial yet.")
        return
    rows = table(now, stages)
    shared = int((rows["trials"] > 1).sum())
    st.text(
        f"{max(len(keys), len(stages)):,} pretrains, {shared:,} of them shared by several trials. One is "
        "trained once; every trial that needs it branches from it."
    )
    tree(now, stages)
    rows = rows.drop(
        columns=[name for name in ("before", "others", "error", "saved", "from") if not rows[name].any()]
    )
    column = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        key="stages-table",
        alt="Every pretrain: its state, its cost, who branches from it",
        column_config={
            "stage": column.TextColumn("pretrain"),
            "state": column.MultiselectColumn(
                "state",
                options=["queued", "running", "complete", "failed"],
                color=["gray", "blue", "green", "red"],
                width=100,
            ),
            "steps": column.NumberColumn("steps", format="localized", width=80),
            "differs": column.TextColumn("differs in"),
            "trials": column.NumberColumn("trials here", width=90),
            "from": column.TextColumn("goes on from"),
            "cost": column.TextColumn("cost"),
            "saved": column.TextColumn("saved"),
            "saved steps": column.NumberColumn("steps saved", format="localized", width=100),
            "before": column.TextColumn(""),
            "others": column.TextColumn("other sweeps (trials)"),
            "error": column.TextColumn("error"),
        },
    )


data.live(stages_page, SECONDS)
