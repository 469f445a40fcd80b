"""How many runs of a race are certain, by a specification alone? Nobody knows how many rounds it takes."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

LEAST = 8  # contenders of a race, where there are so many: baselines may be calmer than the rest
MOST_RACES = 16  # values of the dimension that `settle.by` names: each has contenders of its own


class CertainRace(NamedTuple):
    """What a race begins with: its first rounds, which run at once."""

    contenders: int  # at most; fewer where fewer are there
    races: float  # values that contenders may have of the dimension that `by` names; infinite: no end of them
    rounds: int
    baselines: int
    known: int  # of the rounds, those on whose seeds the baselines have run

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "CertainRace | None":
        """spec: resolved, as the store has it."""
        if (settle := spec.get("settle")) is None:
            return None
        baselines, by = spec.get("always", []), settle.get("by")
        rounds = 1 if settle["until"] == "chance" else 2
        seeds = spec.get("always_seeds", 3) - spec.get("replicates", 1)
        return cls(
            min(settle["contenders"], LEAST),
            _races(by, spec) if by else 1,
            rounds,
            len(baselines),
            min(rounds, max(0, seeds)),
        )

    def runs(self, there: int) -> int:
        """there: configurations that may be ranked. At worst each race but one has a single one of them, that
        has nobody to race against."""
        together = there - (self.races - 1)
        if together < 2:
            return 0
        return max(0, self.rounds * min(self.contenders, int(together)) - self.known * self.baselines)


def _races(by: str, spec: Mapping[str, Any]) -> float:
    dimension = spec.get("space", {}).get(by, {})
    if "choice" not in dimension:
        return math.inf
    said = [each[by] for each in spec.get("always", []) if by in each]
    elsewhere = bool(dimension.get("when")) or len(said) < len(spec.get("always", []))
    return len({*dimension["choice"], *said}) + elsewhere
