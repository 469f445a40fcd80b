"""python -m benchmarks.noise [--quick]: what does a sampler find that is told noisy values?

The planted function of benchmarks/search.py, as a sweep sees it: a trial's value is that on DOCUMENTS
documents, each of which misses by what it adds to all trials alike, and by what it adds to this one. What a
trial misses by itself has the standard error ERROR, by its block size. Shown are true values above the
lowest there is, medians over seeds: of the best that was tried, and of the one that was told the best.
"""

import math
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import Any, NamedTuple

from benchmarks.document import finish, options
from benchmarks.search import SPEC, planted
from sweeper.search.proposals import Outcome, Proposals
from sweeper.spec.load import read_spec

SAMPLERS = ("random", "tpe", "gp")
DOCUMENTS = 50
SHARED = 0.5  # standard error of what documents add to all trials alike
ERROR = {4: 0.05, 8: 0.1, 16: 0.2}  # and to each trial by itself


class Found(NamedTuple):
    """True values."""

    best: float
    told_best: float


def search(sampler: str, trials: int, seed: int) -> Found:
    overrides = [f"search.sampler={sampler}", f"search.seed={seed}"]
    proposals = Proposals(read_spec(SPEC, "planted.yaml", "planted", overrides), [], {})
    true, told = [], []
    for number in range(trials):
        proposal = proposals.ask()
        assert proposal is not None
        miss_D = misses(seed, number, ERROR[proposal.params["finetune.block_size"]])
        miss = math.fsum(miss_D)
        true.append(planted(proposal.params))
        told.append(true[-1] + miss)
        deviations = [each - miss / DOCUMENTS for each in miss_D]
        proposals.tell(number, Outcome((told[-1],), deviations=deviations))
    return Found(min(true), true[told.index(min(told))])


def misses(seed: int, number: int, error: float) -> list[float]:
    """What each document adds to the value that is told, whatever sampler asks."""
    shared, own = random.Random(f"{seed}"), random.Random(f"{seed} {number}")
    size = math.sqrt(DOCUMENTS)
    return [(shared.gauss(0, SHARED) + own.gauss(0, error)) / size for _ in range(DOCUMENTS)]


def main() -> None:
    parser = options("noise", __doc__, quick="Two seeds for fifty, and twenty trials for forty.")
    given = parser.parse_args()
    seeds, trials = (2, 20) if given.quick else (50, 40)
    print(f"after {trials} trials: medians of {seeds} seeds, and seeds with a better one than tpe")
    print(f"{'':<8}{'best true':>12}{'better':>8}{'true of told best':>20}{'better':>8}")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        found = {name: list(processes.map(partial(search, name, trials), range(seeds))) for name in SAMPLERS}
    rows = [row(name, found[name], found["tpe"]) for name in SAMPLERS]
    for each in rows:
        print(
            f"{each['sampler']:<8}{each['best_true']:>12.4f}{each['beats_tpe']:>8}"
            f"{each['true_of_told_best']:>20.4f}{each['told_beats_tpe']:>8}"
        )
    settings = {
        "seeds": seeds, "trials": trials, "documents": DOCUMENTS, "shared": SHARED, "error": ERROR,
        "spec": SPEC, "quick": given.quick,
    }  # fmt: skip
    summary = {"trials": trials, "median_best_true": {each["sampler"]: each["best_true"] for each in rows}}
    finish("noise", settings, rows, summary, write=given.write)


def row(sampler: str, found: Sequence[Found], tpe: Sequence[Found]) -> dict[str, Any]:
    pairs = list(zip(found, tpe, strict=True))
    return {
        "sampler": sampler,
        "best_true": median(each.best for each in found),
        "beats_tpe": sum(a.best < b.best for a, b in pairs),
        "true_of_told_best": median(each.told_best for each in found),
        "told_beats_tpe": sum(a.told_best < b.told_best for a, b in pairs),
    }


if __name__ == "__main__":
    main()
