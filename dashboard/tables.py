"""The tables that pages show: their rows, and how Streamlit prints each column. Every cell is plain text."""

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from streamlit import column_config as column

from dashboard.frame import is_adjusted
from dashboard.values import ago, common_prefix, is_number, missing, shown
from sweeper.store.records import EventRecord, LatestRecord, SweepRecord, TrialRecord
from trainer.metrics import METRICS

PILLS = {
    "complete": "#DDEFE6",
    "running": "#DCE9F4",
    "queued": "#ECEFF2",
    "paused": "#F8E9D6",
    "pruned": "#ECEFF2",
    "stopped": "#F8E9D6",
    "lost": "#F8E9D6",
    "failed": "#F6DEDC",
}
TIES = {"best": "lowest", "within the error": "tied", "one seed": "one seed"}
TIE_COLOURS = ["#C5DAEA", "#DCE9F4", "#ECEFF2"]
VALUE_COLUMNS = {
    "name": column.TextColumn("name"),
    "value": column.TextColumn("value", alignment="right"),
    "searched": column.TextColumn("", width=70),
}
TRIAL_COLUMNS = {
    "trial": column.NumberColumn("trial", width=60),
    "seed": column.NumberColumn("seed", width=60),
    "role": column.TextColumn("role", width=80),
    "state": column.MultiselectColumn("state", options=list(PILLS), color=list(PILLS.values()), width=100),
    "attempt": column.NumberColumn("attempt", width=70),
    "step": column.TextColumn("step", alignment="right", width=110),
    "val_ppl": column.NumberColumn("best val_ppl", format="%.4g", width=100),
    "took": column.TextColumn("took", alignment="right", width=90),
    "cost": column.TextColumn("cost", alignment="right", width=110),
    "worker": column.TextColumn("worker", width=140),
    "reason": column.TextColumn("reason", width="medium"),
}
METRIC_COLUMNS = {
    "name": column.TextColumn("name", width=170),
    "label": column.TextColumn("label", width=210),
    "unit": column.TextColumn("unit", width=100),
    "ranks": column.TextColumn("ranks", width=100),
    "help": column.TextColumn("meaning", width="large"),
}
EVENT_COLUMNS = {
    "time": column.DatetimeColumn("time", format="YYYY-MM-DD HH:mm:ss", width=160),
    "trial": column.NumberColumn("trial", width=60),
    "kind": column.TextColumn("kind", width=110),
    "text": column.TextColumn("text", width="large"),
}


def for_display(
    rows: pd.DataFrame,
    searched: Sequence[str],
    values: Mapping[int, Mapping[str, Any]],
    all_values: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table as it is printed, and its columns' settings"""
    names = list(searched)
    if all_values:
        names += sorted(
            {name for configuration in rows["configuration"] for name in values[configuration]} - set(names)
        )
    prefix = common_prefix(names)
    view = pd.DataFrame({"rank": rows["rank"], "state": [[state] for state in rows["state"]]})
    if (rows["confirmed_seeds"] > 0).any():
        view["confirmed"] = rows["confirmed_ppl"].astype(float)
        view["confirmed interval"] = rows["confirmed_interval"].replace("–", "")
        view["confirmed tie"] = [[TIES[why]] if why in TIES else [] for why in rows["confirmed_why"]]
    view["val_ppl"] = rows["val_ppl"].astype(float)
    view["interval"] = rows["interval"].replace("–", "")
    if is_adjusted(rows):
        view["as run"] = rows["val_ppl_as_run"].astype(float)
    view["difference"] = rows["difference"].astype(float)
    view["tie"] = [[TIES[why]] if why in TIES else [] for why in rows["why"]]
    tie: dict[str, Any] = {"options": list(TIES.values()), "color": TIE_COLOURS, "width": 88}
    config: dict[str, Any] = {
        "confirmed": column.NumberColumn(
            "confirmed", format=ppl_format(rows["val_ppl"]), width=84, help="val_ppl on fresh seeds"
        ),
        "confirmed interval": column.TextColumn("its 95% interval", alignment="right", width=124),
        "confirmed tie": column.MultiselectColumn("its tie", **tie),
        "rank": column.TextColumn("rank", alignment="right", width=56),
        "val_ppl": column.NumberColumn("val_ppl", format=ppl_format(rows["val_ppl"]), width=84),
        "interval": column.TextColumn("95% interval", alignment="right", width=124),
        "as run": column.NumberColumn("as run", format=ppl_format(rows["val_ppl"]), width=72),
        "difference": column.NumberColumn("Δ nats", format="%+.4f", width=84),
        "tie": column.MultiselectColumn("tie", **tie),
        "state": column.MultiselectColumn(
            "state", options=list(PILLS), color=list(PILLS.values()), width=100
        ),
        "step": column.NumberColumn("step", format="localized", width=72),
        "seeds": column.NumberColumn("seeds", width=60),
        "role": column.TextColumn("role", width=84),
        "configuration": column.NumberColumn("no.", width=52),
        "note": column.TextColumn("note", width="medium"),
    }
    for i, name in enumerate(names):
        cells = (
            rows[name]
            if name in rows
            else pd.Series([values[c].get(name) for c in rows["configuration"]], index=rows.index)
        )
        key = f"value {i}"
        label = name.removeprefix(prefix)
        if is_number(cells):
            view[key] = pd.to_numeric(cells)
            config[key] = column.NumberColumn(label, format="%.4g")
        else:
            view[key] = ["" if missing(cell) else shown(cell) for cell in cells]
            config[key] = column.TextColumn(label)
    for name in ("step", "seeds", "role", "configuration", "note"):
        view[name] = rows[name]
    return view, config


def ppl_format(values: pd.Series) -> str:
    """A printf format that gives the lowest value four significant digits, so that decimal points align."""
    lowest = pd.to_numeric(values).min()
    return (
        "%.4g"
        if missing(float(lowest)) or lowest <= 0
        else f"%.{min(3, max(0, 3 - math.floor(math.log10(lowest))))}f"
    )


def value_table(values: Mapping[str, Any], searched: Sequence[str]) -> pd.DataFrame:
    """A configuration's values, the searched ones first."""
    names = [name for name in searched if name in values] + sorted(set(values) - set(searched))
    mark = ["searched" if name in searched else "" for name in names]
    return pd.DataFrame({"name": names, "value": [shown(values[name]) for name in names], "searched": mark})


def trial_table(
    trials: Sequence[TrialRecord], latest: Mapping[int, Mapping[str, LatestRecord]], now: float
) -> pd.DataFrame:
    """A configuration's trials; columns as in TRIAL_COLUMNS."""
    rows = []
    for trial in trials:
        mine = latest.get(trial.id, {})
        step = max((record.step for record in mine.values()), default=0)
        rows.append(
            {
                "trial": trial.id,
                "seed": trial.seed,
                "role": trial.role,
                "state": [trial.state],
                "attempt": trial.attempt,
                "step": f"{step:,} / {trial.steps:,}",
                "val_ppl": mine["val_ppl"].best if "val_ppl" in mine else None,
                "took": ago((trial.ended or now) - trial.started) if trial.started else "",
                "cost": f"{ago(trial.gpu_seconds)} GPU"
                if trial.gpu_seconds
                else f"{ago(trial.cpu_seconds)} CPU",
                "worker": trial.worker,
                "reason": f"as trial {trial.repeat_of}" if trial.repeat_of else trial.reason,
            }
        )
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS))


def event_table(events: Iterable[EventRecord]) -> pd.DataFrame:
    """What happened, in the order it happened."""
    rows = sorted(events, key=lambda event: event.id)
    return pd.DataFrame(
        {
            "time": [datetime.datetime.fromtimestamp(event.time) for event in rows],
            "trial": pd.array([event.trial for event in rows], "Int64"),
            "kind": [event.kind for event in rows],
            "text": [event.text for event in rows],
        }
    )


def provenance_table(provenances: Sequence[tuple[Mapping[str, Any], int]]) -> pd.DataFrame:
    """A row for each way in which values were estimated, with how many trials' were."""
    return pd.DataFrame(
        [{**{k: shown(v) for k, v in how.items()}, "trials": count} for how, count in provenances]
    )


def metric_table() -> pd.DataFrame:
    ranks = {"min": "low is good", "max": "high is good", "none": ""}
    return pd.DataFrame(
        [(m.name, m.label, m.unit, ranks[m.direction], m.help) for m in METRICS], columns=list(METRIC_COLUMNS)
    )


def sweep_table(sweep: SweepRecord) -> pd.DataFrame:
    began = datetime.datetime.fromtimestamp(sweep.created).strftime("%Y-%m-%d %H:%M:%S")
    facts = {"name": sweep.name, "state": sweep.state, "started": began, "code version": sweep.code_version}
    return pd.DataFrame({"name": list(facts), "value": list(facts.values())})
