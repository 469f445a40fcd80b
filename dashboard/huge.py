"""What is too large for a column of numbers, as words: a run that has diverged is 1e168 there, no error."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from streamlit import column_config as column

from dashboard.values import EXACT, missing

_WORDS = {key: value for key, value in column.TextColumn(alignment="right").items() if value is not None}


def printable(table: pd.DataFrame, settings: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and its columns' settings; a column with a number that Streamlit would print as an error, and
    cut off, is one of words. They have no commas: its CSV is read by programs."""
    found, of = table, dict(settings)
    for name in table.select_dtypes("number"):
        numbers = np.abs(table[name].to_numpy(float, na_value=np.nan))
        if (np.isfinite(numbers) & (numbers > EXACT)).any():
            words = ["" if missing(each) else f"{each:.4g}" for each in table[name].astype(float)]
            found = found.assign(**{name: pd.Series(words, table.index, dtype=object)})
            of[name] = {**of.get(name, {}), **_WORDS}
    return found, of
