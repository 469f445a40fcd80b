"""Which figures does a page to give away have? Those of the dashboard's pages, of the board's first rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard import frame, words
from dashboard.deciding import Group, deciding
from dashboard.figures import curves
from dashboard.figures.differences import differences
from dashboard.figures.intervals import intervals
from dashboard.figures.scatter import MOST_BARS, against
from dashboard.figures.style import Line
from dashboard.noise import NoiseShape, UnknownNoise, noise_shape
from dashboard.panels import EMPHASIS, PANELS, panel_figure
from dashboard.share.markup import Drawn
from dashboard.values import missing, number, shown
from sweeper.results.leaderboard import Board
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from trainer.metrics import BY_NAME

MOST_ROWS = 500  # of the board that a page has, in its table and its figures
MOST_POINTS = 500  # of a curve
MOST_VALUES = 24  # searched values with a figure
MOST_SAID = 10  # rows in a text alternative
WITH_CURVES, WITH_SCHEDULES = 5, 4  # rows, from the first
VALUES = (
    "val_ppl against each searched value: a point a configuration; where at most "
    f"{MOST_BARS} are drawn, with its 95% interval."
)
CURVES = ("val_ppl", "train_loss", "objective")


def called_by_place(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with labels that begin as the answer and the table call them: by their place on the board."""
    said = [str(label).partition(" | ")[2] for label in rows["label"]]
    return rows.assign(label=[f"{place} | {each}" for place, each in enumerate(said, start=1)])


def of_the_answer(board: Board, rows: pd.DataFrame) -> list[Drawn]:
    """Differences of the numbers that decide, a figure a race, and each row's own value."""
    found = [_difference(group) for group in deciding(board, rows)]
    own = (
        "val_ppl of each configuration with its 95% interval, of fresh seeds where a row has them. Paired "
        "differences are known better."
    )
    return [*found, Drawn("Intervals", own, f"{own} {_numbers(rows)}", intervals(rows))]


def _difference(group: Group) -> Drawn:
    title = f"Differences to the first{f': {group.title}' if group.title else ''}"
    said = f"How far each row is above the first, in percent of perplexity; of {group.of}."
    said += f" Shaded: within {100 * group.within:g}%." if group.within else ""
    lines = [
        f"{row.label}: {'the first' if row.why == 'best' else _above(row.difference, row.margin)}"
        for row in group.rows.head(MOST_SAID).itertuples()
    ]
    return Drawn(title, said, f"{said} {'; '.join(lines)}.", differences(group.rows, group.within))


def _above(difference: float, margin: float) -> str:
    error = f", give or take {margin:.4f}" if np.isfinite(margin) else ", its error not known"
    return f"{difference:+.4f} nats per token{error}"


def _numbers(rows: pd.DataFrame) -> str:
    said = []
    for row in rows.head(MOST_SAID).itertuples():
        fresh = np.isfinite(row.confirmed_ppl)
        value, around = (row.confirmed_ppl, row.confirmed_interval) if fresh else (row.val_ppl, row.interval)
        said.append(f"{row.label}: {number(value)} {around}")
    return "; ".join(said) + "."


def of_curves(
    reader: Reader,
    rows: pd.DataFrame,
    trials: Iterable[TrialRecord],
    values: Mapping[int, Mapping[str, Any]],
) -> list[Drawn]:
    """Of the first rows' trials: each metric that has more than one point."""
    runs = [trial for trial in trials if trial.repeat_of is None]
    first = rows.head(WITH_CURVES)
    places = {configuration: place for place, configuration in enumerate(first["configuration"], start=1)}
    shown = [run for configuration in places for run in runs if run.configuration == configuration]
    found = []
    for name in CURVES:
        points = reader.curve([run.id for run in shown], name, MOST_POINTS)
        lines = [
            Line(
                f"row {places[run.configuration]}, seed {run.seed}",
                run.configuration,
                [step for step, _ in points[run.id]],
                [value for _, value in points[run.id]],
            )
            for run in shown
            if points[run.id]
        ]
        if any(len(line.x) > 1 for line in lines):
            metric = BY_NAME[name]
            start = frame.finetune_start(values, places)
            said = f"{metric.label} over steps, of the trials of the first {len(first)} rows. {metric.help}"
            ends = "; ".join(f"{line.label}: {line.y[-1]:.4g} at the end" for line in lines[:MOST_SAID])
            figure = curves.curves(lines, metric.label, metric.unit, start=start)
            found.append(Drawn(name, said, f"{said} {ends}.", figure))
    return found


def of_values(rows: pd.DataFrame, searched: Sequence[str]) -> tuple[list[Drawn], list[str]]:
    """val_ppl against each searched value; and what is to be said of all. rows: every one."""
    spread = rows.iloc[:: math.ceil(len(rows) / MOST_ROWS)]  # the best alone would show no valley
    drawn = [
        Drawn(
            name,
            "",
            f"{VALUES.replace('each searched value', name)} {_first(rows, name)}",
            against(spread, name),
        )
        for name in searched[:MOST_VALUES]
    ]
    few = f"Drawn are {len(spread)} of {len(rows):,} rows, evenly by rank." if len(spread) < len(rows) else ""
    return drawn, [VALUES, *([few] if few else [])]


def _first(rows: pd.DataFrame, name: str) -> str:
    """'Its values: row 1 cosine, row 3 gaussian.': of the first rows, those that have the value."""
    first = enumerate(rows[name].head(MOST_SAID), start=1)
    return (
        "Its values: "
        + ", ".join(f"row {i} {shown(value)}" for i, value in first if not missing(value))
        + "."
    )


def of_schedules(board: Board, rows: pd.DataFrame) -> tuple[list[Drawn], list[str]]:
    """The first rows' noise at the end of training; and in a sentence each, what cannot be drawn."""
    labels, shapes, problems = words.Labels(rows), dict[int, NoiseShape](), list[str]()
    for row in board.rows[:WITH_SCHEDULES]:
        try:
            shapes[row.configuration] = noise_shape(row.values, progress=1.0)
        except UnknownNoise as error:
            problems.append(f"{labels[row.configuration]}: of another version of the trainer: {error}")
    names = ", ".join(labels[each] for each in shapes)
    panels = [
        Drawn(
            panel.title,
            panel.words,
            f"{panel.title}, of {names}: {panel.words}",
            panel_figure(panel, shapes, labels, legend=panel is EMPHASIS),
        )
        for panel in (EMPHASIS, *PANELS)
    ]
    return (panels if shapes else []), problems
