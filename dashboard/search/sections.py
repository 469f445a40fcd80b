"""The sections of the Search page, in their order. A new one is a function and a line here."""

from collections.abc import Callable

import pandas as pd

from dashboard.search.course import distribution_section, history_section, pruning_section, workers_section
from dashboard.search.space import importance_section, slices_section, two_section
from dashboard.search.together import parallel_section, pareto_section
from dashboard.snapshot import Snapshot

Section = Callable[[Snapshot, pd.DataFrame], None]  # of a sweep and of its trials (dashboard/runs.py)
SECTIONS: dict[str, Section] = {
    "History": history_section,
    "Importance": importance_section,
    "Slices": slices_section,
    "Two parameters": two_section,
    "Parallel": parallel_section,
    "Pruning": pruning_section,
    "Distribution": distribution_section,
    "Workers": workers_section,
    "Pareto": pareto_section,
}
