"""From stored records to what a page prints: frames, column settings and sentences. Draws nothing."""

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from streamlit import column_config as column

from dashboard.figures import interval, is_number, number
from sweeper.leaderboard import Board
from sweeper.store.records import EventRecord, LatestRecord, SweepRecord, TrialRecord
from trainer.metrics import METRICS

OVER = ("complete", "pruned", "failed", "lost", "stopped")  # a trial's states at its end
BOARD_COLUMNS = (
    *("configuration", "rank", "role", "state"),  # then the searched values
    *("val_ppl", "val_ppl_low", "val_ppl_high", "interval", "difference", "why", "step", "seeds", "trials"),
    *("note", "label", "hover"),
)
NUMBERS = ("val_ppl", "val_ppl_low", "val_ppl_high", "difference")
SORTABLE = ("val_ppl", "difference", "step", "seeds", "configuration")
PILLS = {
    "complete": "#DDEFE6",
    "running": "#DCE9F4",
    "queued": "#ECEFF2",
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


def searched_names(
    spec: Mapping[str, Any], trials: Iterable[TrialRecord], values: Mapping[int, Mapping[str, Any]]
) -> list[str]:
    """What the sweep varies, in the order of its spec; all that differs where the spec does not say."""
    named = list(spec["space"]) if isinstance(spec.get("space"), dict) else []
    proposed = [name for trial in trials for name in trial.params]
    stored = {name for each in values.values() for name in each}
    searched = [name for name in dict.fromkeys([*named, *proposed]) if name in stored]
    differing = (
        name for name in sorted(stored) if len({str(each.get(name)) for each in values.values()}) > 1
    )
    return searched or list(differing)


def progress(spec: Mapping[str, Any], trials: Iterable[TrialRecord]) -> tuple[int, int]:
    """Trials that have ended, and trials there will be as far as the spec says."""
    trials = list(trials)
    planned = 0
    if isinstance(spec.get("search"), dict):
        planned = int(spec["search"].get("trials") or 0)
    proposed = sum(trial.role == "search" for trial in trials)
    others = len(trials) - proposed
    return sum(trial.state in OVER for trial in trials), max(planned, proposed) + others


def state_sentence(sweep: SweepRecord, now: float) -> str:
    """'schedules is running; started 12 min ago'."""
    began = f"started {ago(now - sweep.created)} ago"
    if sweep.state == "running" and sweep.lease_until is not None and sweep.lease_until < now:
        return (
            f"{sweep.name}: its driver fell silent {ago(now - sweep.lease_until)} ago. "
            "The line that started it goes on where it stopped."
        )
    if sweep.state == "interrupted":
        return f"{sweep.name} is interrupted; {began}. The line that started it goes on where it stopped."
    took = f", took {ago(sweep.ended - sweep.created)}" if sweep.ended else ""
    note = f". {sweep.note}" if sweep.note else ""
    return f"{sweep.name} is {sweep.state}; {began}{took}{note}"


def ago(seconds: float) -> str:
    """'40 s', '12 min', '3 h 05 min', '2 d 4 h'."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def present(values: pd.Series) -> list[Any]:
    """The distinct values there are, sorted; what a filter offers."""
    found = list(dict.fromkeys(value for value in values if not missing(value)))
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def filtered(
    rows: pd.DataFrame, states: Sequence[str], roles: Sequence[str], name: str | None, kept: Sequence[Any]
) -> pd.DataFrame:
    """Rows with one of the states, one of the roles and one of the kept values; an empty choice keeps all."""
    keep = np.ones(len(rows), bool)
    if states:
        keep &= rows["state"].isin(states).to_numpy()
    if roles:
        keep &= rows["role"].isin(roles).to_numpy()
    if name is not None and kept:
        keep &= rows[name].isin(kept).to_numpy()
    return rows[keep]


def ordered(rows: pd.DataFrame, by: str, descending: bool = False) -> pd.DataFrame:
    """Sorted, what has no value last; 'rank' is the board's own order."""
    if by == "rank":
        return rows.iloc[::-1] if descending else rows
    key = pd.to_numeric(rows[by]) if is_number(rows[by]) else rows[by].astype("string")
    places = key.reset_index(drop=True).sort_values(
        ascending=not descending, kind="stable", na_position="last"
    )
    return rows.iloc[places.index]


def value_table(values: Mapping[str, Any], searched: Sequence[str]) -> pd.DataFrame:
    """A configuration's values, the searched ones first."""
    names = [name for name in searched if name in values] + sorted(set(values) - set(searched))
    mark = ["searched" if name in searched else "" for name in names]
    return pd.DataFrame({"name": names, "value": [shown(values[name]) for name in names], "searched": mark})


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


def ppl_format(values: pd.Series) -> str:
    """A printf format that gives the lowest value four significant digits, so that decimal points align."""
    lowest = pd.to_numeric(values).min()
    return (
        "%.4g"
        if missing(float(lowest)) or lowest <= 0
        else f"%.{min(3, max(0, 3 - math.floor(math.log10(lowest))))}f"
    )


def shown(value: Any) -> str:
    """A value as a researcher writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def missing(value: Any) -> bool:
    """None, or a frame's NaN."""
    return value is None or (isinstance(value, float) and value != value)


def common_prefix(names: Sequence[str]) -> str:
    """'finetune.' for names that all begin with it; '' where they share no group."""
    shared: list[str] = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


def from_board(board: Board, searched: Sequence[str]) -> pd.DataFrame:
    """A row a configuration, in the board's order: its rank, its searched values, its value and interval."""
    usual = next((row.values for row in board.rows if "baseline" in row.roles), {})
    prefix = common_prefix(searched)
    shared = sum(row.rank == 1 for row in board.rows) > 1
    rows = []
    for row in board.rows:
        rank = "" if row.rank is None else "1=" if row.rank == 1 and shared else str(row.rank)
        chosen = {name: row.values.get(name) for name in searched}
        facts = [
            f"{rank or 'not ranked'}: configuration {row.configuration}",
            f"val_ppl {number(row.val_ppl)} {interval(row.val_ppl_low, row.val_ppl_high)}",
            *(f"{name} = {shown(value)}" for name, value in chosen.items() if not missing(value)),
        ]
        rows.append(
            {
                "configuration": row.configuration,
                "rank": rank,
                "role": ", ".join(row.roles),
                "state": row.state,
                **chosen,
                "val_ppl": row.val_ppl,
                "val_ppl_low": row.val_ppl_low,
                "val_ppl_high": row.val_ppl_high,
                "interval": interval(row.val_ppl_low, row.val_ppl_high),
                "difference": row.difference,
                "why": row.why,
                "step": row.step,
                "seeds": row.seeds,
                "trials": row.trials,
                "note": row.note,
                "label": f"{rank or '–'} | {label(chosen, usual, prefix)}",
                "hover": "\n".join(facts),
            }
        )
    columns = [*BOARD_COLUMNS[:4], *searched, *BOARD_COLUMNS[4:]]
    # One dtype a column whatever is missing: numbers are floats with NaN.
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(NUMBERS, float))


def label(chosen: Mapping[str, Any], usual: Mapping[str, Any], prefix: str, most: int = 56) -> str:
    """'gaussian · schedule.mu 0.31': where a configuration differs from the baseline, in few words."""
    parts = []
    for name, value in chosen.items():
        if not missing(value) and value != usual.get(name):
            kind = name.endswith(".name")
            parts.append(shown(value) if kind else f"{name.removeprefix(prefix)} {shown(value)}")
    words = " · ".join(parts) if parts or not usual else "baseline"
    return words if len(words) <= most else words[: most - 1] + "…"


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


def best(rows: pd.DataFrame) -> pd.Series | None:
    """The lowest of what is ranked; while nothing is, of what was evaluated."""
    ranked = rows[rows["rank"] != ""]
    found = (ranked if len(ranked) else rows).dropna(subset="val_ppl")
    return None if found.empty else found.loc[found["val_ppl"].idxmin()]


def ties(rows: pd.DataFrame) -> int:
    """How many configurations cannot be told from the best, itself left out."""
    return int(rows["why"].isin(("one seed", "within the error")).sum())


def verdict(rows: pd.DataFrame) -> str:
    """What may be said about the best so far, and no more."""
    ranked = rows[rows["rank"] != ""]
    if ranked.empty:
        return "Nothing is ranked yet: a configuration is once one of its trials is complete."
    if len(ranked) == 1:
        return "One configuration is ranked so far: there is nothing to compare it to."
    if "one seed" in set(ranked["why"]):
        return "One seed: no winner can be named yet. The order is what was measured, not what is known."
    count = ties(ranked)
    if count:
        others = "1 other configuration is" if count == 1 else f"{count} other configurations are"
        return f"No winner yet: {others} tied with the lowest, within the error of the difference (95%)."
    first = ranked["configuration"].iloc[0]
    return f"Configuration {first} is ahead of all others by more than the error of the difference (95%)."


def row_sentence(row: pd.Series) -> str:
    """A configuration's standing, in a line."""
    rank = f"Rank {row['rank']}" if row["rank"] else "Not ranked"
    seeds = "1 seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
    value = (
        f"val_ppl {number(row['val_ppl'])} {row['interval']}, {seeds}" if row["seeds"] else "not evaluated"
    )
    note = f"; {row['note']}" if row["note"] else ""
    return f"{rank}, {row['state']}: {value}{note}"


def configuration_labels(rows: pd.DataFrame) -> dict[int, str]:
    """For pickers: '3 | gaussian · 16', best first."""
    return dict(zip(rows["configuration"], rows["label"], strict=True))


def trial_labels(rows: pd.DataFrame, trials: Mapping[int, TrialRecord]) -> dict[int, str]:
    """For pickers: one label a trial that may have a curve, best configuration first."""
    return {
        trial: f"{row.label}, seed {trials[trial].seed}"
        for row in rows.itertuples()
        for trial in row.trials
        if trials[trial].repeat_of is None
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
    view = pd.DataFrame(
        {
            "rank": rows["rank"],
            "state": [[state] for state in rows["state"]],
            "val_ppl": rows["val_ppl"].astype(float),
            "interval": rows["interval"].replace("–", ""),
        }
    )
    view["difference"] = rows["difference"].astype(float)
    view["tie"] = [[TIES[why]] if why in TIES else [] for why in rows["why"]]
    config: dict[str, Any] = {
        "rank": column.TextColumn("rank", alignment="right", width=56),
        "val_ppl": column.NumberColumn("val_ppl", format=ppl_format(rows["val_ppl"]), width=84),
        "interval": column.TextColumn("95% interval", alignment="right", width=124),
        "difference": column.NumberColumn("Δ nats", format="%+.4f", width=84),
        "tie": column.MultiselectColumn("tie", options=list(TIES.values()), color=TIE_COLOURS, width=88),
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


def finetune_start(values: Mapping[int, Mapping[str, Any]], configurations: Iterable[int]) -> int | None:
    """The last pretrain step of the configurations, where all of them share it."""
    starts = {values[configuration].get("pretrain.steps") for configuration in configurations}
    return starts.pop() if len(starts) == 1 else None
