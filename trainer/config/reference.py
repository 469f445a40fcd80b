"""Every setting of a run as a page: its name, what it is unless said, what it may be, who has it, what it is.

Made of the fields themselves, so that it says what the program does."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from trainer.config.names import Names, names_of, train_names
from trainer.config.train_config import TrainConfig
from trainer.sampling.config import SamplingConfig
from trainer.values import kind_of

TOP = """# Every setting of a run
Made of the fields' own words: `python -m trainer fields --markdown`. A name stands under `trainer:` of a
specification, and with a range under `space:` ([the format](search-spaces.md)); `python -m trainer train`
takes it as `finetune.lr=1e-3`. *Unless said*: empty where it must be said, or where `model.size` or another
setting says it. *May be*: `[0, 1)` has 0 and has not 1. *Of*: the kinds of its group that have it, where not
all do.
"""
HEAD = ("| name | unless said | may be | of | what it is |", "| --- | --- | --- | --- | --- |")
PHASES = ("pretrain", "finetune")
# Of an interval, the lower one first.
ENDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
BRACKETS = {"ge": "[{}", "gt": "({}", "le": "{}]", "lt": "{})"}
WORDS = {bool: "true, false", int: "whole number", float: "number", str: "text", tuple: "list"}


class Row(NamedTuple):
    name: str
    default: str
    allowed: str
    kinds: str
    what: str

    @property
    def group(self) -> str:
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def word(self) -> str:
        """Its name within its phase; '' of what belongs to none."""
        return self.name.partition(".")[2] if self.group in PHASES else ""

    def line(self) -> str:
        cells = (f"`{self.name}`", *(each.replace("|", "\\|") for each in self[1:]))
        return f"| {' | '.join(cells)} |"


def page() -> str:
    """In Markdown: a table for each group, one for what both phases have alike, one for `sample`."""
    rows = list(_rows(train_names()))
    first, second = ({row.word: row for row in rows if row.group == phase} for phase in PHASES)
    alike = {word for word, row in first.items() if word in second and row[1:] == second[word][1:]}
    own = sorted((row for row in rows if row.word not in alike), key=lambda row: row.group)
    tables = [
        (f"`{group}`" if group else "The run itself", list(mine))
        for group, mine in groupby(own, key=lambda row: row.group)
    ]
    both = [row._replace(name=f"finetune.{word}") for word, row in first.items() if word in alike]
    tables.append(("`finetune`, and `pretrain` alike", both))
    tables.append(("`python -m trainer sample`", list(_rows(names_of(SamplingConfig)))))
    parts = ["\n".join(["", f"## {title}", *HEAD, *(row.line() for row in mine)]) for title, mine in tables]
    return "\n".join([TOP.rstrip("\n"), *parts]) + "\n"


def _rows(names: Names) -> Iterator[Row]:
    plain = TrainConfig.from_dotted({}).to_dotted()
    for name, kinds in names.leaves.items():
        if name in names.kinds:
            yield Row(name, str(plain.get(name) or ""), ", ".join(names.kinds[name]), "", "Which kind.")
            continue
        every = names.kinds.get(f"{name.rpartition('.')[0]}.name", ())
        owners = names.owners[name]
        fields = {kind_of(each) if owners[1:] else "": _field(each, word) for each, word in owners}
        yield Row(
            name,
            _by_kind({kind: _default(info) for kind, info in fields.items()}),
            _by_kind({kind: _allowed(info) for kind, info in fields.items()}),
            "" if kinds == every else ", ".join(kinds),
            names.infos[name].description or "",
        )


def _by_kind(said: Mapping[str, str]) -> str:
    """What all say alike; else what each says, and who."""
    who: dict[str, list[str]] = {}
    for kind, text in said.items():
        who.setdefault(text, []).append(kind)
    return next(iter(who)) if len(who) == 1 else "; ".join(f"{text} ({', '.join(who[text])})" for text in who)


def _field(owner: Any, word: str) -> FieldInfo:
    return next(info for name, info in owner.model_fields.items() if word == (info.alias or name))


def _default(info: FieldInfo) -> str:
    """As YAML has it; '' where there is none."""
    if info.is_required():
        return ""
    value = info.get_default(call_default_factory=True)
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _allowed(info: FieldInfo) -> str:
    """'block, token', 'number in [0, 1)', 'whole number, at least 1'."""
    words = dict.fromkeys(word for each in _parts(info.annotation) for word in _said(each))
    found = [(end, getattr(each, end)) for end in ENDS for each in info.metadata if hasattr(each, end)]
    ends = [(end, str(value) if isinstance(value, int) else f"{value:g}") for end, value in found]
    if len(ends) == 2:
        return f"{', '.join(words)} in {', '.join(BRACKETS[end].format(value) for end, value in ends)}"
    return ", ".join([*words, *(f"{ENDS[end]} {value}" for end, value in ends)])


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that a field so annotated may hold, unions and annotations taken apart; not None."""
    if get_origin(annotation) is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        yield from (part for each in get_args(annotation) for part in _parts(each))
    elif annotation is not type(None):
        yield annotation


def _said(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from map(str, get_args(kind))
    else:
        yield WORDS.get(get_origin(kind) or kind, "")
