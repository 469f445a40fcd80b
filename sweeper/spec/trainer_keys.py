"""Is a dotted name one of a trainer's settings, and may it be searched? If not, why. And whose is a list?"""

from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.spec.problems import Problems
from trainer.config.names import train_names
from trainer.nearest import did_you_mean

NOT_SEARCHED = {
    "data": "rows measured on different text cannot be compared",
    "evaluation": "rows measured in different ways cannot be compared",
    "samples": "text drawn in different ways cannot be compared",
    "compute": "trials computed in different ways cannot be compared",
    "seed": "trials share search.seed, so that their rows can be compared; always_seeds is for baselines",
    "accumulate": "it does not move a result",
    "checkpoint": "it does not move a result",
    "log_every": "it does not move a result",
}


class TrainerKeys:
    """invalid: names with a problem of their own; conditions and constraints on them are not to blame."""

    def __init__(self, problems: Problems):
        self._problems = problems
        self._names = train_names()
        self.leaves, self.groups, self.kinds = self._names.leaves, self._names.groups, self._names.kinds
        self.invalid: set[str] = set()

    def is_field(self, path: str, name: str) -> bool:
        """Whether name is a field of TrainConfig; path ends with it, and says where it stands."""
        if name in self.leaves:
            return True
        wrong = self._names.unknown(name)
        at = path[: len(path) - len(name) + len(wrong)]
        if wrong in self.groups:
            fields = [each for each in self.leaves if each.startswith(f"{wrong}.")]
            self._problems.add(at, f"a group of values ({', '.join(fields[:3])}, ...), not a value", wrong)
            return False
        meant = self._names.nearest(name)
        self._problems.add(at, f"unknown{did_you_mean(meant)}", wrong)
        if meant:
            self.invalid.add(meant + name[len(wrong) :])
        return False

    def nearest(self, name: str) -> str | None:
        """The field that is called so, or nearly so."""
        return name if name in self.leaves else self._names.nearest(name)

    def unknown(self, name: str) -> str:
        """'' of a field; else 'finetune.shedule is unknown; did you mean finetune.schedule?'."""
        if name in self.leaves:
            return ""
        return f"{self._names.unknown(name)} is unknown{did_you_mean(self._names.nearest(name))}"

    def is_searchable(self, path: str, name: str) -> bool:
        reason = NOT_SEARCHED.get(name.split(".")[0])
        if reason:
            self._problems.add(path, f"cannot be searched: {reason}", name)
        return not reason

    def is_invalid(self, name: str) -> bool:
        return any(f"{each}.".startswith(f"{name}.") for each in self.invalid)


def joined(fixed: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run. A list among the fixed ones is of the kinds that have it, as
    finetune.blocks.sizes is of curriculum and mixture: a point that chooses another kind goes without."""
    elsewhere = {name for name, union, owners in lists_of(fixed) if point.get(union, owners[0]) not in owners}
    return {**{name: value for name, value in fixed.items() if name not in elsewhere}, **point}


def lists_of(fixed: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(name, union, the kinds that have it) of each list that some kinds of a union have alone."""
    leaves = train_names().leaves
    for name, value in fixed.items():
        if isinstance(value, list | tuple) and (owners := leaves.get(name)):
            yield name, f"{name.rpartition('.')[0]}.name", owners
