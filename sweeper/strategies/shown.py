"""What is a sampler shown beside Optuna's study? The space, and by how much each document misses.

Protocols: the wing of the specs stands above this one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

# A trial's attribute: of each document, what it adds to the error of the value of the first metric, in its
# units. The sum of their squares is the standard error's square.
DEVIATIONS = "sweeper:deviations"


class Dimension(Protocol):
    @property
    def when(self) -> Mapping[str, Sequence[Any]]: ...


class Space(Protocol):
    """The part of a space that samplers look at."""

    @property
    def dimensions(self) -> Mapping[str, Dimension]: ...

    def active(self, name: str, values: Mapping[str, Any]) -> bool: ...
    def broken(self, values: Mapping[str, Any]) -> object | None: ...
    def continuous(self) -> list[str]: ...
    def size(self) -> int | None: ...
    def points(self) -> Iterable[Mapping[str, Any]]: ...
