"""The tables that pages show: their rows, and how Streamlit prints each column. Every cell is plain text."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from streamlit import column_config as column

from dashboard.columns import text
from dashboard.snapshot import Snapshot
from dashboard.values import ago, missing, number, shown
from dashboard.words import STATES, TINTS
from sweeper.results.compare import Comparison
from sweeper.results.row import Differing
from sweeper.store.records import EventRecord, SweepRecord, TrialRecord
from trainer.metrics import METRICS

VALUE_COLUMNS = {
    "name": column.TextColumn("name"),
    "value": column.TextColumn("value", alignment="right"),
    "searched": column.TextColumn("", width=70),
}
TRIAL_COLUMNS = {
    "trial": column.NumberColumn("trial", width=60),
    "seed": column.NumberColumn("seed", width=60),
    "role": column.TextColumn("role", width=80),
    "state": column.MultiselectColumn(
        "state", options=list(STATES), color=[TINTS[colour] for colour in STATES.values()], width=100
    ),
    "attempt": column.NumberColumn("attempt", width=70),
    "step": column.TextColumn("step", alignment="right", width=110),
    "val_ppl": column.NumberColumn("best val_ppl", format="%.4g", width=100),
    "took": column.TextColumn("took", alignment="right", width=90),
    "cost": column.TextColumn("cost", alignment="right", width=110),
    "worker": column.TextColumn("worker", width=140),
    "reason": column.TextColumn("reason", width="medium"),
}
PAIR_COLUMNS = {
    "configuration": column.TextColumn("", width=70),
    "difference": column.NumberColumn("nats per token", format="%+.4f", width=100),
    "low": column.NumberColumn("95% from", format="%+.4f", width=80),
    "high": column.NumberColumn("to", format="%+.4f", width=80),
    "verdict": column.TextColumn("it is", width=110),
    "seeds": column.TextColumn("in common", width=110),
    "runs": column.TextColumn("runs of", width=90),
    "over": column.TextColumn("interval over", width=110),
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


def value_table(values: Mapping[str, Any], searched: Sequence[str]) -> pd.DataFrame:
    """A configuration's values, the searched ones first."""
    names = [name for name in searched if name in values] + sorted(set(values) - set(searched))
    mark = ["searched" if name in searched else "" for name in names]
    return pd.DataFrame({"name": names, "value": [shown(values[name]) for name in names], "searched": mark})


def side_by_side(
    rows: pd.DataFrame, values: Mapping[int, Mapping[str, Any]], chosen: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A column a configuration: its standing, then those of the values that are not equal in all of them."""
    of = rows.set_index("configuration")
    facts: dict[str, list[str]] = {
        "rank": [of["rank"][each] or "–" for each in chosen],
        "standing": [of["standing"][each] for each in chosen],
        "val_ppl": [_between(of["val_ppl"][each], of["interval"][each]) for each in chosen],
    }
    if (of["confirmed_seeds"][list(chosen)] > 0).any():
        facts["val_ppl, fresh seeds"] = [
            _between(of["confirmed_ppl"][each], of["confirmed_interval"][each]) for each in chosen
        ]
    differing = Differing()
    for each in chosen:
        differing.add(values[each])
    for name in sorted(differing.names):
        cells = [values[each].get(name) for each in chosen]
        facts[name] = ["" if cell is None else text(cell) for cell in cells]
    view = pd.DataFrame(
        [[name, *cells] for name, cells in facts.items()],
        columns=["name", *(f"no. {each}" for each in chosen)],
    )
    return view, {"name": column.TextColumn("", width=220)}


def _between(value: float, interval: object) -> str:
    """'173.5 [134.9, 223.2]'."""
    return "–" if missing(value) else f"{number(value)} {interval}"


def pair_row(pair: Comparison, picked: bool) -> dict[str, Any]:
    """Of a to b; columns as in PAIR_COLUMNS. picked: by looking at the board."""
    return {
        "difference": pair.difference,
        "low": pair.picked_low if picked else pair.low,
        "high": pair.picked_high if picked else pair.high,
        "verdict": pair.words(picked),
        "seeds": f"seed{'s' * (len(pair.seeds) > 1)} {', '.join(map(str, pair.seeds))}" if pair.seeds else "",
        "runs": "confirmation" if pair.confirmed else "search, race",
        "over": "text and seeds" if pair.over_seeds else "text alone",
    }


def trial_table(trials: Sequence[TrialRecord], now: Snapshot, moment: float) -> pd.DataFrame:
    """A configuration's trials, called as people call them; columns as in TRIAL_COLUMNS."""
    rows = []
    for trial in trials:
        mine = now.latest.get(trial.id, {})
        step = max((record.step for record in mine.values()), default=0)
        rows.append(
            {
                "trial": trial.called,
                "seed": trial.seed,
                "role": trial.role,
                "state": [trial.state],
                "attempt": trial.attempt,
                "step": f"{step:,} / {trial.steps:,}",
                "val_ppl": mine["val_ppl"].best if "val_ppl" in mine else None,
                "took": ago((trial.ended or moment) - trial.started) if trial.started else "",
                "cost": f"{ago(trial.gpu_seconds)} GPU"
                if trial.gpu_seconds
                else f"{ago(trial.cpu_seconds)} CPU",
                "worker": trial.worker,
                "reason": trial.reason
                if trial.repeat_of is None
                else f"as trial {now.trials[trial.repeat_of].called}",
            }
        )
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS))


def event_table(events: Iterable[EventRecord], trials: Mapping[int, TrialRecord]) -> pd.DataFrame:
    """What happened, in the order it happened. trials: by id; the table calls them as people do."""
    rows = sorted(events, key=lambda event: event.id)
    called = [None if event.trial is None else trials[event.trial].called for event in rows]
    return pd.DataFrame(
        {
            "time": [datetime.datetime.fromtimestamp(event.time) for event in rows],
            "trial": pd.array(called, "Int64"),
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
    facts = {"name": sweep.called, "state": sweep.state, "started": began, "code version": sweep.code_version}
    return pd.DataFrame({"name": list(facts), "value": list(facts.values())})
