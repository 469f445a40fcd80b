"""What has gone wrong, by class? Trials that ended so, by their errors; what was tried again, by events."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sweeper.store.records import TrialRecord

# Kinds of events after which a job is tried again (sweeper/driver/failures.py), and what each says.
TRIED_AGAIN = {
    "lost": "worker died",
    "silent": "no sign of life",
    "memory": "out of memory",
    "damaged": "damaged checkpoint",
    "branch": "pretrain not there",
    "stale": "older store",
}
_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)")
_KNOWN = (
    ("diverged at step", "diverged"),
    ("out of memory", "out of memory"),
    ("its pretrain", "pretrain failed"),
    ("worker died", "worker died"),
    ("fell silent", "no sign of life"),
    (" is nan", "not finite"),
    (" is inf", "not finite"),
    (" is -inf", "not finite"),
    ("not finite", "not finite"),
)


class Failures(NamedTuple):
    kind: str
    ended: int  # trials that ended so
    tried_again: int  # times that something of the kind was gone on after
    trials: list[int]  # as people call them
    said: str  # by the newest of them


def failures(trials: Iterable[TrialRecord], events: Mapping[str, int]) -> list[Failures]:
    """The most frequent first. events: how many of each kind there are."""
    ended: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        if trial.state in ("failed", "lost") and trial.repeat_of is None:
            ended[kind_of(trial.error)].append(trial)
    again = Counter({TRIED_AGAIN[kind]: count for kind, count in events.items() if kind in TRIED_AGAIN})
    found = [
        Failures(
            kind,
            len(ended[kind]),
            again[kind],
            [trial.called for trial in ended[kind]],
            ended[kind][-1].error.partition("\n")[0] if ended[kind] else "",
        )
        for kind in {*ended, *again}
    ]
    return sorted(found, key=lambda each: (-each.ended - each.tried_again, each.kind))


def kind_of(error: str) -> str:
    """'out of memory', 'NotFinite': by its first line, or by the exception that its last or first names."""
    lines = [line for line in error.splitlines() if line.strip()]
    if not lines:
        return "no reason given"
    for words, kind in _KNOWN:
        if words in lines[0].lower():
            return kind
    for line in (lines[-1], lines[0]):
        if (named := _CLASS.match(line.strip())) and any(each.isupper() for each in named[1]):
            return named[1]
    return "other"
