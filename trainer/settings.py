"""The base of everything that comes from outside, and the two forms it takes: nested, and dotted.

A hyperparameter is one field of one class; its dotted path (`finetune.schedule.mu`) is its name in
YAML, on the command line, in the store, in the leaderboard and in plots.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

Scalar = bool | int | float | str | None


class Settings(BaseModel):
    """Frozen values from outside; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'data': {'length': 64}} -> {'data.length': 64}. Lists are leaves."""
    dotted: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            dotted.update(flatten(value, f"{prefix}{key}."))
        else:
            dotted[f"{prefix}{key}"] = value
    return dotted


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """{'data.length': 64} -> {'data': {'length': 64}}. Mappings may be mixed with dotted keys.

    Raises ValueError where one key is used both as a value and as a group of values.
    """
    nested: dict[str, Any] = {}
    for key, value in flatten(values).items():
        *groups, leaf = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ValueError(f"{key}: {group} is a value, not a group of values")
        if leaf in place:
            raise ValueError(f"{key}: given twice, once as a value and once as a group")
        place[leaf] = value
    return nested
