"""How is one value written? Numbers, intervals, durations, dotted names. No Streamlit, no store."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

HUGE = 1e6  # from here on a number is written with an exponent
EXACT = 2.0**53  # beyond, every float is a whole number that is not exact


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


def ago(seconds: float) -> str:
    """'40 s', '12 min', '3 h 05 min', '2 d 4 h'."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def common_prefix(names: Sequence[str]) -> str:
    """'finetune.' for names that all begin with it; '' where they share no group."""
    shared: list[str] = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


def number(value: float | None) -> str:
    """Four significant digits; thousands without an exponent, what no run should come to with one."""
    if value is None or not np.isfinite(value):
        return "–"
    if abs(value) >= HUGE:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def interval(low: float | None, high: float | None) -> str:
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return "–"
    return f"[{number(low)}, {number(high)}]"


def is_number(values: pd.Series) -> bool:
    """All present values are numbers (True and False are categories)."""
    present = [value for value in values if not missing(value)]
    return bool(present) and all(is_plain_number(v) for v in present)


def is_plain_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
