"""A noise that nobody has run, from sliders: a schedule, a clip and a weight, as their classes have them."""

from collections.abc import Iterator
from typing import Any, get_args

import streamlit as st
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.noise.reweighting import REWEIGHTINGS
from trainer.noise.schedules import SCHEDULES

STEP = 0.01
SAFETY = 1e-3  # a field whose default is this or less keeps a formula from a pole: no slider


def what_if() -> dict[str, Any]:
    """Dotted values as a store has them. Every widget is in the address."""
    values: dict[str, Any] = {}
    kinds = ((SCHEDULES, "schedule", "Schedule"), (REWEIGHTINGS, "reweighting", "Weight"))
    for place, (classes, part, title) in zip(st.columns(2, gap="medium"), kinds, strict=True):
        with place:
            by_name = {each.model_fields["name"].default: each for each in classes}
            name = st.selectbox(title, list(by_name), key=f"if_{part}", bind="query-params")
            values[f"finetune.{part}.name"] = name
            for field, value in _chosen(by_name[name], f"if_{name}"):
                values[f"finetune.{part}.{field}"] = value
    low, high = st.slider(
        "Clip: times t from and to", 0.0, 1.0, (0.0, 1.0), STEP, key="if_clip", bind="query-params"
    )
    return {**values, "finetune.clip.low": low, "finetune.clip.high": high}


def _chosen(kind: type[BaseModel], key: str) -> Iterator[tuple[str, Any]]:
    for name, field in kind.model_fields.items():
        if name == "name":
            continue
        widget: dict[str, Any] = {"key": f"{key}_{name}", "bind": "query-params", "help": field.description}
        if isinstance(field.default, bool):
            yield name, st.toggle(name, field.default, **widget)
        elif isinstance(field.default, str):
            yield name, st.selectbox(name, get_args(field.annotation), **widget)
        elif not 0 < field.default <= SAFETY:
            low, high = bounds(field)
            yield name, st.slider(name, low, high, float(field.default), STEP, **widget)


def bounds(field: FieldInfo) -> tuple[float, float]:
    """Of a slider: within those of the field, and no wider than can be aimed at."""
    low, high = 0.0, 4 * field.default
    for each in field.metadata:
        if isinstance(each, Ge):
            low = float(each.ge)  # type: ignore[arg-type]
        elif isinstance(each, Gt):
            low = float(each.gt) + STEP  # type: ignore[arg-type]
        elif isinstance(each, Le):
            high = float(each.le)  # type: ignore[arg-type]
        elif isinstance(each, Lt):
            high = float(each.lt) - STEP  # type: ignore[arg-type]
    return low, high if low < 0 else min(high, max(1.0, 4 * field.default))
