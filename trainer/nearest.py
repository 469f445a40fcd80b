"""Which right word was a wrong one meant to be? Light: errors are said by commands that load little else."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, right: Iterable[str]) -> str | None:
    close = get_close_matches(word, list(right), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(suggestion: str | None) -> str:
    return f"; did you mean {suggestion}?" if suggestion else ""
