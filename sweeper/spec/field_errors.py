"""Pydantic's errors about a specification's own sections, in the words of the file."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sweeper.spec.problems import Problems
from sweeper.spec.sections import SECTIONS
from sweeper.strategies.pruners import PRUNERS
from trainer.config.problems import rule
from trainer.nearest import did_you_mean, nearest

NAMED = "letters, digits, spaces and . : + = @ _ -, a letter or digit first"  # what a sweep's name may be
MISSING = {
    "search.trials": "how many configurations to try",
    "early_stopping.min_steps": "fine-tune steps before which no trial is ended",
    "confirm.top": "how many configurations to confirm",
    "confirm.seeds": "how many seeds to confirm each on",
}


def add_field_errors(error: ValidationError, problems: Problems) -> None:
    fields = {name: list(section.model_fields) for name, section in SECTIONS.items()}
    fields["early_stopping"] = ["pruner", "min_steps", "..."]
    sentences: dict[str, list[str]] = {}
    for each in error.errors():
        top, *rest = [str(part) for part in each["loc"]]
        if top == "early_stopping" and rest:
            fields[top] = list(PRUNERS[rest.pop(0)].model_fields)
        path = ".".join([top, *rest[:1]])
        if each["type"] == "extra_forbidden":
            found = nearest(rest[0], fields[top]) if rest else None
            sentences[path] = [f"unknown{did_you_mean(found and f'{top}.{found}')}"]
        elif each["type"] == "missing":
            sentences[path] = [f"missing: {MISSING.get(path, 'needed')}"]
        elif each["type"].startswith("union_tag"):
            sentences["early_stopping.pruner"] = [_which_pruner(each["input"])]
        elif each["type"] in ("model_type", "model_attributes_type"):
            sentences[path] = [f"a group of values ({', '.join(fields[top])}), not {each['input']!r}"]
        elif each["type"] == "value_error":
            sentences[path] = [str(each["ctx"]["error"])]
        elif each["type"] == "string_pattern_mismatch":
            sentences[path] = [f"{NAMED}; not {each['input']!r}"]
        elif each["type"] == "too_short":  # of a list whose items are wrong, their errors are enough
            sentences.setdefault(path, [f"names nothing; it needs {each['ctx']['min_length']} at least"])
        elif path == "name" and each["type"] == "string_too_long":
            sentences[path] = [f"at most 100 characters, not {len(each['input'])}"]
        elif path == "name":
            sentences[path] = [
                f"must be text, in quotes where it looks like something else: name: '{each['input']}'"
            ]
        else:
            sentences.setdefault(path, []).append(f"{rule(each)}, got {each['input']!r}")
    for path, said in sentences.items():
        short = [part.rpartition(", got ")[0] for part in said[:-1]]
        problems.add(path, " or ".join([*short, said[-1].removeprefix("must be " if short else "")]))


def _which_pruner(given: Any) -> str:
    kinds = list(PRUNERS)
    if not isinstance(given, Mapping) or "pruner" not in given:
        return f"missing: one of {', '.join(kinds)}"
    meant = did_you_mean(nearest(str(given["pruner"]), kinds))
    return f"{given['pruner']!r} is no pruner; one of {', '.join(kinds)}{meant}"
