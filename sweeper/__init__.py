"""Sweeps from Python and notebooks: docs/python.md. Each name is imported when it is first asked for, so that
`import sweeper`, with which every command begins, stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.exit_reasons import (
        BadSpecification,
        BudgetSpent,
        DriverKilled,
        InternalError,
        Interrupted,
        MachineLacks,
        NothingToRank,
        SweepEnded,
        Terminated,
        TrialsFailed,
        UsageError,
    )
    from sweeper.from_python import Sweep, run
    from sweeper.results.notebook import Results, open_store

__all__ = [
    "BadSpecification",
    "BudgetSpent",
    "DriverKilled",
    "InternalError",
    "Interrupted",
    "MachineLacks",
    "NothingToRank",
    "Results",
    "Sweep",
    "SweepEnded",
    "Terminated",
    "TrialsFailed",
    "UsageError",
    "open_store",
    "run",
]
_HOMES = {
    "Results": "sweeper.results.notebook",
    "open_store": "sweeper.results.notebook",
    "Sweep": "sweeper.from_python",
    "run": "sweeper.from_python",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "sweeper.exit_reasons")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
