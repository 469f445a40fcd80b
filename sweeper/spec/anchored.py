"""Paths in a specification mean what they meant where it was run, wherever it is read or resumed."""

import json
import os
from collections.abc import Mapping
from typing import Any

from sweeper.spec.spec import SweepSpec
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig


def anchored(spec: SweepSpec) -> SweepSpec:
    """Absolute paths for the relative ones, as the trainer resolves them here and now. Idempotent.

    Two sweeps of one file from two folders would else be two contents, and a resume run everything again.
    """
    always = tuple(_anchored(entry, _dotted(spec, entry)) for entry in spec.always)
    points = (*spec.always, *spec.search.points, {})
    config = next((dotted for point in points if (dotted := _dotted(spec, point))), {})
    return spec.model_copy(update={"trainer": _anchored(spec.trainer, config), "always": always})


def _dotted(spec: SweepSpec, point: Mapping[str, Any]) -> dict[str, Any]:
    try:
        config: TrainConfig = spec.train_config(point, 0)
    except InvalidConfig:
        return {}
    return config.to_dotted()


def _anchored(values: Mapping[str, Any], dotted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: dotted[key] if _is_placed(dotted.get(key), value) else value for key, value in values.items()
    }


def _is_placed(resolved: Any, said: Any) -> bool:
    """It names an absolute path that was not said so: alone, or inside a list of corpora."""
    if isinstance(resolved, str):
        return resolved != said and os.path.isabs(resolved)
    return isinstance(resolved, list) and resolved != said and f'"{os.sep}' in json.dumps(resolved)
