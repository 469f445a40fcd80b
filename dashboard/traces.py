"""Which curves does a page draw? Of chosen trials and metrics, and of the pretrains that they branched
from."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from dashboard import compute, data, frame
from dashboard.compute import AXIS
from dashboard.figures.bins import BINS
from dashboard.figures.curves import Axes, Panel
from dashboard.figures.lines import MOST_POINTS, along, averaged, smoothed
from dashboard.figures.style import Line
from dashboard.snapshot import Snapshot
from dashboard.words import Labels
from sweeper.files import run_folder
from sweeper.store.records import StageRecord
from trainer.metrics import BY_NAME, METRICS

FIRST_METRICS = ("val_ppl", "train_loss", "val_nelbo", "objective")  # offered first where they are stored
OVER = ("step", "tokens", "seconds", "FLOPs")
MOST_OF_A_NAME = 28  # characters, in a legend
X_WORDS = {
    "tokens": "tokens since the branch",
    "seconds": "seconds of training since the branch",
    "FLOPs": AXIS,
}

Curve = list[tuple[int, float]]  # (step, value)


class Asked(NamedTuple):
    """How curves are drawn."""

    over: str = "step"
    mean: bool = False  # of a configuration's seeds, with a band; else a line a run
    smoothing: float = 0.0
    pretrain: bool = True
    log_x: bool = False
    log_y: bool = False


class Drawn(NamedTuple):
    panels: list[Panel]
    axes: Axes
    unseen: int  # pretrains whose files are not here


def metric_names(now: Snapshot, trials: Sequence[int], pretrain: bool = True) -> list[str]:
    """What these, and the pretrains that they wait for, have reported, the usual first."""
    stored = {name for trial in trials for name in now.latest.get(trial, {})}
    for stage in _stages(now, trials) if pretrain else ():
        stored |= pretrain_curves(stage).keys()
    stored = {name for name in stored if not name.startswith(BINS)}  # no curves over steps
    usual = dict.fromkeys([*FIRST_METRICS, *(metric.name for metric in METRICS)])
    order = {name: i for i, name in enumerate(usual)}
    return sorted(stored, key=lambda name: (order.get(name.partition("/")[0], len(order)), name))


class Names(Labels):
    """'no. 3 gaussian · 16' by configuration: without its rank, which changes."""

    def __getitem__(self, configuration: int) -> str:
        name = super().__getitem__(configuration).partition(" | ")[2]
        short = name if len(name) <= MOST_OF_A_NAME else f"{name[: MOST_OF_A_NAME - 1]}…"
        return f"no. {configuration} {short}"


def drawn(now: Snapshot, trials: Sequence[int], names: Sequence[str], asked: Asked) -> Drawn:
    """A panel for each metric. trials: repeats are left out, for they have no curve of their own."""
    trials = [trial for trial in trials if now.trials[trial].repeat_of is None]
    stages = _stages(now, trials) if asked.pretrain else []
    before = {stage.key: pretrain_curves(stage) for stage in stages}
    over = {} if asked.over in ("step", "FLOPs") else _stored(trials, asked.over)
    panels = []
    for name in names:
        lines = [
            *_of_pretrains(now, stages, before, name, asked),
            *_of_trials(now, trials, name, over, asked),
        ]
        metric = BY_NAME.get(name.partition("/")[0])
        smooth = [smoothed(line, asked.smoothing) for line in lines]
        label = metric.label if metric else name
        panels.append(
            Panel(
                f"{label} {name.partition('/')[2]}".rstrip(),
                metric.unit if metric else "",
                _means(now, smooth) if asked.mean else smooth,
                lines if asked.smoothing and not asked.mean else (),
            )
        )
    start = _start(now, trials, before, asked)
    axes = Axes(X_WORDS.get(asked.over, asked.over), asked.log_x, asked.log_y, start)
    return Drawn(panels, axes, sum(not found for found in before.values()))


def _start(
    now: Snapshot, trials: Sequence[int], before: dict[str, dict[str, Curve]], asked: Asked
) -> float | None:
    """Where the finetune begins on the x-axis; None where it does not in one place."""
    configurations = {now.trials[trial].configuration for trial in trials}
    step = frame.finetune_start(now.values, configurations)
    if asked.over == "step":
        return step or None
    if asked.over == "FLOPs":
        places = {float(compute.of(now, each).at([step or 0])[0]) for each in configurations}
        return places.pop() or None if step and len(places) == 1 else None
    return 0 if any(before.values()) else None


def usual_metrics(names: Sequence[str]) -> list[str]:
    """Of these, what is shown before anybody chooses."""
    return [name for name in FIRST_METRICS[:2] if name in names] or list(names[:1])


def _stages(now: Snapshot, trials: Sequence[int]) -> list[StageRecord]:
    """That they branch from."""
    keys = sorted({str(now.trials[trial].stage) for trial in trials if now.trials[trial].stage})
    return data.reader().stages(keys) if keys else []


def pretrain_curves(stage: StageRecord) -> dict[str, Curve]:
    """What it reported, by metric; nothing where its files are not here."""
    stamp = run_folder.stamp(stage.folder, run_folder.ROWS)
    return {} if stamp is None else _reported(stage.folder, stamp)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reported(folder: str, stamp: tuple[int, int]) -> dict[str, Curve]:
    return run_folder.reported(folder)


def _stored(trials: Sequence[int], name: str) -> dict[int, Curve]:
    return _curves(data.reader().url, data.reader().version(), tuple(trials), name)


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(address: str, version: int, trials: tuple[int, ...], name: str) -> dict[int, Curve]:
    return data.reader().curve(trials, name, MOST_POINTS)


def _of_trials(
    now: Snapshot, trials: Sequence[int], name: str, over: dict[int, Curve], asked: Asked
) -> list[Line]:
    lines, named = [], Names(now.frame)
    for trial, curve in _stored(trials, name).items():
        record = now.trials[trial]
        name = named[record.configuration]
        line = _line(f"{name}, seed {record.seed}", record.configuration, curve)._replace(of=name)
        if asked.over == "FLOPs":
            line = _spent(line, now, record.configuration)
        elif asked.over != "step":
            line = along(line, over.get(trial, []))
        lines.append(line)
    return [line for line in lines if len(line.x)]


def _spent(line: Line, now: Snapshot, configuration: int) -> Line:
    """Over the operations of training, the pretrain's among them; empty where nobody can count them."""
    flops = compute.of(now, configuration).at(line.x)
    known = np.isfinite(flops)
    return line._replace(x=flops[known], y=np.asarray(line.y, float)[known])


def _of_pretrains(
    now: Snapshot,
    stages: Sequence[StageRecord],
    before: dict[str, dict[str, Curve]],
    name: str,
    asked: Asked,
) -> list[Line]:
    """Pretrains that differ in their seed alone are of one group."""
    alike: dict[str, int] = {}
    branches = {str(trial.stage): trial.configuration for trial in now.trials.values() if trial.stage}
    lines = []
    for stage in stages:
        what = json.dumps({k: v for k, v in stage.values.items() if k != "seed"}, sort_keys=True)
        group = -1 - alike.setdefault(what, len(alike))
        curves = before[stage.key]
        line = _line(f"pretrain {stage.key[:8]}", group, curves.get(name, []))._replace(of="pretrain")
        if asked.over == "FLOPs":
            line = _spent(line, now, branches[stage.key])
        elif asked.over != "step":
            line = along(line, curves.get(asked.over, []), until=stage.steps)
        lines.append(line)
    return [line for line in lines if len(line.x)]


def _means(now: Snapshot, lines: Sequence[Line]) -> list[Line]:
    named = Names(now.frame)
    groups: dict[int, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(line)
    return [averaged(own, "pretrain" if group < 0 else named[group]) for group, own in groups.items()]


def _line(label: str, group: int, curve: Curve) -> Line:
    return Line(label, group, [step for step, _ in curve], [value for _, value in curve])
