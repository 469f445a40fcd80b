"""How are amounts and configurations said? In words that tables, logs and reports share."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

MOST_NATS = 709.0  # the exponential of more is no float
PRECISION = "compute.precision"  # where a sweep's spec says the one of all its trials


def in_bytes(count: float) -> str:
    """'1.2 GB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def times(nats: float) -> float:
    """What a difference in nats per token multiplies perplexity by; inf where no float is as large."""
    return math.exp(nats) if nats < MOST_NATS else math.inf


def excess(nats: float) -> float:
    """The same, less 1: exact where it is small."""
    return math.expm1(nats) if nats < MOST_NATS else math.inf


def clock(seconds: float) -> str:
    """'4:30', '1:04:30'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def command(verb: str, sweep: str, db: str, *words: object) -> str:
    """The line to be typed. db: '' for the usual one; one that may hold a password is not repeated."""
    line = shlex.join(("python", "-m", "sweeper", verb, sweep, *map(str, words)))
    return line if not db or "@" in db else f"{line} --db {shlex.quote(db)}"


def brief(values: Mapping[str, Any], names: Sequence[str]) -> str:
    """'block_size 4, cosine, clip 0.28-0.83': what is there of the names."""
    said: list[str] = []
    for name in names:
        value = values.get(name)
        group, _, word = name.rpartition(".")
        if value is None or (word == "high" and values.get(f"{group}.low") is not None):
            continue
        short = group.rpartition(".")[2]
        high = values.get(f"{group}.high")
        if word == "name":
            said += [] if value == "none" else [_shown(value)]
        elif word == "low" and high is not None:
            said.append(f"{short} {_shown(value)}-{_shown(high)}")
        else:
            said.append(f"{word} {_shown(value)}")
    return ", ".join(said)


def in_precisions(evaluated: Mapping[str, int]) -> str:
    """'bfloat16'; 'mixed, 3 trials in bfloat16, 2 in float32'; '' where nothing was evaluated."""
    if len(evaluated) < 2:
        return next(iter(evaluated), "")
    (first, number), *others = sorted(evaluated.items(), key=lambda each: (-each[1], each[0]))
    rest = "".join(f", {count} in {name}" for name, count in others)
    return f"mixed, {number} trial{'s' * (number > 1)} in {first}{rest}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)
