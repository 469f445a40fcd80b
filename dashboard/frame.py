"""The board as a frame, a row a configuration, and what is asked of it: the lowest, ties, filters, order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.values import common_prefix, interval, is_number, missing, number, shown
from dashboard.words import label
from sweeper.results.leaderboard import Board
from sweeper.store.records import TrialRecord

BOARD_COLUMNS = (
    *("configuration", "rank", "role", "state"),  # then the searched values
    *("confirmed_ppl", "confirmed_interval", "confirmed_why", "confirmed_seeds"),
    *("val_ppl", "val_ppl_low", "val_ppl_high", "interval", "val_ppl_as_run", "difference", "why", "step"),
    *("seeds", "trials", "note", "label", "hover"),
)
NUMBERS = ("confirmed_ppl", "val_ppl", "val_ppl_low", "val_ppl_high", "val_ppl_as_run", "difference")
SORTABLE = ("val_ppl", "difference", "step", "seeds", "configuration")


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
                "confirmed_ppl": row.confirmed_ppl,
                "confirmed_interval": interval(row.confirmed_low, row.confirmed_high),
                "confirmed_why": row.confirmed_why,
                "confirmed_seeds": row.confirmed_seeds,
                "val_ppl": row.val_ppl,
                "val_ppl_low": row.val_ppl_low,
                "val_ppl_high": row.val_ppl_high,
                "interval": interval(row.val_ppl_low, row.val_ppl_high),
                "val_ppl_as_run": row.val_ppl_as_run,
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


def searched_names(
    spec: Mapping[str, Any], trials: Iterable[TrialRecord], values: Mapping[int, Mapping[str, Any]]
) -> list[str]:
    """What the sweep varies, in the order of its spec; all that differs where the spec does not say."""
    named = list(spec["space"]) if isinstance(spec.get("space"), dict) else []
    proposed = [name for trial in trials for name in trial.params]
    stored = set[str]().union(*values.values())
    searched = [name for name in dict.fromkeys([*named, *proposed]) if name in stored]
    differing = (
        name for name in sorted(stored) if len({str(each.get(name)) for each in values.values()}) > 1
    )
    return searched or list(differing)


def best(rows: pd.DataFrame) -> pd.Series | None:
    """The lowest of what is ranked; while nothing is, of what was evaluated and not pruned."""
    ranked, rows = rows[rows["rank"] != ""], rows[rows["state"] != "pruned"]
    found = (ranked if len(ranked) else rows).dropna(subset="val_ppl")
    return None if found.empty else found.loc[found["val_ppl"].idxmin()]


def lowest(rows: pd.DataFrame) -> tuple[str, float | None, str]:
    """Its title, value and interval: of the confirmed alone once there are any, else of the search."""
    confirmed = rows[rows["confirmed_seeds"] > 0].dropna(subset="confirmed_ppl")
    if len(confirmed):
        row = confirmed.loc[confirmed["confirmed_ppl"].idxmin()]
        return "Lowest confirmed val_ppl", row["confirmed_ppl"], row["confirmed_interval"]
    row_or_none = best(rows)
    if row_or_none is None:
        return "Lowest val_ppl", None, "–"
    return "Lowest val_ppl", row_or_none["val_ppl"], row_or_none["interval"]


def is_adjusted(rows: pd.DataFrame) -> bool:
    """Whether a value differs from what its trials reported: seeds are easier or harder than each other."""
    return bool(((rows["val_ppl"] - rows["val_ppl_as_run"]).abs() > 1e-6 * rows["val_ppl"]).any())


def ties(rows: pd.DataFrame) -> int:
    """How many configurations cannot be told from the best, itself left out; the confirmed alone, if any."""
    why = rows["confirmed_why"] if (rows["confirmed_seeds"] > 0).any() else rows["why"]
    return int(why.isin(("one seed", "within the error")).sum())


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


def finetune_start(values: Mapping[int, Mapping[str, Any]], configurations: Iterable[int]) -> int | None:
    """The last pretrain step of the configurations, where all of them share it."""
    starts = {values[configuration].get("pretrain.steps") for configuration in configurations}
    return starts.pop() if len(starts) == 1 else None
