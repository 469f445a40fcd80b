"""What is known of a field."""

from typing import Any, NamedTuple

ABSENT: Any = object()


class FieldInfo(NamedTuple):
    default: Any = ABSENT
    alias: str | None = None
    discriminator: str | None = None
    annotation: Any = None
    exclude: bool = False  # from what is dumped
