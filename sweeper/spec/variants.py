"""`variants`: what a specification offers to choose from, under names, before it is read.

    scale: report
    variants:
      scale:
        report: {}                      # as the file says; the first of a knob leaves the name alone
        small: {trainer.model.size: nano, always_seeds: 3}

`scale=small` on the command line, or in the file, puts those values in the place of what the file says.
"""

from collections.abc import Sequence
from typing import Any

from sweeper.spec.yaml_source import Document
from trainer.nearest import did_you_mean, nearest

SECTION = "variants"
Knobs = dict[str, dict[str, dict[str, Any]]]  # by knob and choice: values by dotted path


def apply_variants(document: Document, overrides: Sequence[str], name: str) -> list[str]:
    """Puts what was picked in its place; returns the overrides that pick nothing.

    name: the sweep's, if the file has none. A pick other than its knob's first is added to it: NAME-small.
    """
    knobs = _take_out(document)
    rest, picks = [], {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key.strip() in knobs:
            picks[key.strip()] = value.strip()
        else:
            rest.append(override)
    ends = []
    for knob, choices in knobs.items():
        written = document.values.pop(knob, None)
        pick = picks.get(knob, written)
        if pick is None:
            continue
        if not isinstance(pick, str) or pick not in choices:
            meant = did_you_mean(nearest(str(pick), list(choices)))
            document.problem(knob, f"{pick!r} is not among {', '.join(choices)}{meant}")
            continue
        for key, value in choices[pick].items():
            document.put(key, value, f"{SECTION}.{knob}.{pick}.{key}")
        ends += [pick] if pick != next(iter(choices)) else []
    if ends:
        document.values["name"] = "-".join([str(document.values.get("name", name)), *ends])
    return rest


def _take_out(document: Document) -> Knobs:
    knobs: Knobs = {}
    for path in [path for path in document.values if path.split(".")[0] == SECTION]:
        value = document.values.pop(path)
        _, *words = path.split(".", 3)
        if len(words) < 2 or (len(words) == 2 and value not in ({}, None)):
            document.problem(path, "must be KNOB: {CHOICE: {key: value, ...}, ...}")
            continue
        choice = knobs.setdefault(words[0], {}).setdefault(words[1], {})
        choice.update({words[2]: value} if len(words) == 3 else {})
    return knobs
