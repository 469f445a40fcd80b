"""What was there of a sample after so many passes? The order of unmasking, in words."""

import re
from collections.abc import Sequence

MASK = "░"


def at(words: Sequence[str], passes: Sequence[int], shown: int) -> str:
    """The text after `shown` passes. A token that is masked takes the room that it will have: nothing
    jumps."""
    return "".join(
        word if decided <= shown else re.sub(r"[^\n]", MASK, word) or MASK
        for word, decided in zip(words, passes, strict=True)
    )


def decided(words: Sequence[str], passes: Sequence[int], shown: int, most: int = 12) -> str:
    """What that pass decided, in order of place: 'pass 3 decided 2 tokens: " the", "cat"'."""
    if not shown:
        given = sum(each == 0 for each in passes)
        return f"before the first pass: {given:,} given, {len(passes) - given:,} masked"
    found = [f'"{word}"' for word, each in zip(words, passes, strict=True) if each == shown]
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    count = "1 token" if len(found) == 1 else f"{len(found):,} tokens"
    return f"pass {shown:,} decided {count}" + (": " if found else "") + ", ".join(found[:most]) + more
