"""What is kept of an axis of the parallel coordinates: a range of numbers, or some words. No Streamlit."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dashboard.values import missing

STEPS = 41  # places on a slider where the space does not list its values


class Span(NamedTuple):
    """Numbers from low to high, both kept; what is missing is not."""

    low: float
    high: float

    def keeps(self, values: pd.Series) -> np.ndarray:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
        slack = 1e-9 * max(abs(self.low), abs(self.high))  # a slider's places are rounded
        return (numbers >= self.low - slack) & (numbers <= self.high + slack)


class Words(NamedTuple):
    kept: Sequence[str]

    def keeps(self, values: pd.Series) -> np.ndarray:
        return np.array([word(value) in self.kept for value in values], bool)


Brush = Span | Words


def word(value: object) -> str:
    """A category as it is called on its axis."""
    return "none" if missing(value) else str(value)


def brushed(rows: pd.DataFrame, brushes: Mapping[str, Brush]) -> pd.DataFrame:
    """The rows that every brush keeps."""
    keep = np.ones(len(rows), bool)
    for name, brush in brushes.items():
        keep &= brush.keeps(rows[name])
    return rows[keep]


def places(values: np.ndarray, dimension: Mapping[str, object], log: bool) -> list[float]:
    """A slider's: the same while trials come and go, as far as the space says where its values lie.

    values: those there are. dimension: of the spec, such as {uniform: [0, 1]}.
    """
    bounds = next((each for each in dimension.values() if isinstance(each, list)), [])
    known = [float(each) for each in bounds if isinstance(each, int | float)]
    found = np.unique(np.concatenate([values[np.isfinite(values)], known]))
    if len(found) < 2:
        return found.tolist()
    if "choice" in dimension or (len(found) <= 12 and not known):
        return found.tolist()
    low, high = float(found[0]), float(found[-1])
    if found.dtype.kind == "f" and np.all(found == found.round()) and high - low < STEPS and not log:
        return np.arange(low, high + 1).tolist()
    between = np.geomspace(low, high, STEPS) if log else np.linspace(low, high, STEPS)
    rounded = [float(f"{each:.3g}") for each in between[1:-1]]
    return [low, *dict.fromkeys(each for each in rounded if low < each < high), high]
