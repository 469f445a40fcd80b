"""python -m benchmarks.search [--quick]: does a sampler that learns find more than chance?

A planted function of the space that a sweep of schedules has, conditions and a constraint included, is
searched by each sampler through the sweeper's own proposals, nothing trained. The regret is the best value
found so far above the lowest there is; shown are medians over seeds.

Then it is searched with noise: a sampler is told the value on DOCUMENTS documents, each of which misses by
what it adds to all trials, and by what it adds to this one. Its own standard error is ERROR by block size.
Shown are true values after MARK trials: of the best that was tried, and of the one that was told the best.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.document import finish, options
from sweeper.search.proposals import Outcome, Proposals
from sweeper.spec.load import read_spec

SAMPLERS = ("random", "tpe", "nsgaii")
WITH_NOISE = ("random", "tpe", "gp")
DOCUMENTS, MARK = 50, 40
SHARED = 0.5  # standard error of what documents add to all trials alike
ERROR = {4: 0.05, 8: 0.1, 16: 0.2}  # and to each trial by itself
SPEC = """
name: planted
trainer: {data.length: 64}
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, cosine, gaussian]}
  finetune.schedule.mu: {uniform: [0.1, 0.9], when: {finetune.schedule.name: gaussian}}
  finetune.clip.low: {uniform: [0, 1]}
  finetune.clip.high: {uniform: [0, 1]}
  finetune.lr: {log_uniform: [1e-5, 1e-1]}
constraints: [finetune.clip.low + 0.05 < finetune.clip.high]
search: {trials: 1000}
"""
BLOCK_SIZE = {4: 0.0, 8: 0.1, 16: 0.3}


def planted(params: Mapping[str, Any]) -> float:
    """0 at block size 4, gaussian with mu 0.35, clip [0.3, 0.8], learning rate 1e-3; nowhere below."""
    schedule = 4 * (params.get("finetune.schedule.mu", 0.66) - 0.35) ** 2
    clip = 3 * (params["finetune.clip.low"] - 0.3) ** 2 + 3 * (params["finetune.clip.high"] - 0.8) ** 2
    lr = (math.log10(params["finetune.lr"]) + 3) ** 2 / 4
    return BLOCK_SIZE[params["finetune.block_size"]] + schedule + clip + lr


def course(sampler: str, seed: int, trials: int) -> list[float]:
    """The regret after each trial."""
    values = [each.true for each in searched(sampler, seed, trials, noisy=False)]
    return [min(values[: number + 1]) for number in range(trials)]


def regrets(sampler: str, seeds: int, trials: int) -> list[float]:
    """After the last trial, by seed."""
    return [course(sampler, seed, trials)[-1] for seed in range(seeds)]


class Tried(NamedTuple):
    true: float
    told: float


def searched(sampler: str, seed: int, trials: int, *, noisy: bool) -> list[Tried]:
    """In the order in which they were proposed."""
    overrides = [f"search.sampler={sampler}", f"search.seed={seed}"]
    proposals = Proposals(read_spec(SPEC, "planted.yaml", "planted", overrides), [], {})
    tried = []
    for number in range(trials):
        proposal = proposals.ask()
        assert proposal is not None
        true = planted(proposal.params)
        error = ERROR[proposal.params["finetune.block_size"]] if noisy else 0.0
        miss_D = misses(seed, number, error) if noisy else []
        tried.append(Tried(true, true + math.fsum(miss_D)))
        centred = [miss - math.fsum(miss_D) / DOCUMENTS for miss in miss_D]
        proposals.tell(number, Outcome((tried[-1].told,), deviations=centred))
    return tried


def misses(seed: int, number: int, error: float) -> list[float]:
    """What each document adds to the value that is told: the same for every sampler."""
    shared, own = random.Random(f"{seed}"), random.Random(f"{seed} {number}")
    size = math.sqrt(DOCUMENTS)
    return [(shared.gauss(0, SHARED) + own.gauss(0, error)) / size for _ in range(DOCUMENTS)]


def main() -> None:
    parser = options("search", __doc__, quick="Five seeds and forty trials; with noise two, and twenty.")
    given = parser.parse_args()
    seeds, marks = (5, (20, 40)) if given.quick else (20, (20, 50, 100))
    courses = {name: [course(name, seed, marks[-1]) for seed in range(seeds)] for name in SAMPLERS}
    print(f"{'':<8}{'':>8}{'regret: median of':>20} {seeds} seeds, [least, most]; seeds that beat random")
    rows = []
    for name, of_seeds in courses.items():
        for mark in marks:
            at = [each[mark - 1] for each in of_seeds]
            won = sum(a < b[mark - 1] for a, b in zip(at, courses["random"], strict=True))
            rows.append(row(name, mark, at, won))
            print(
                f"{name:<8}{mark:>8}{median(at):>20.4f} [{min(at):.4f}, {max(at):.4f}]{won:>10} of {seeds}",
                flush=True,
            )
    last = {each["sampler"]: each["median_regret"] for each in rows if each["trials"] == marks[-1]}
    seeds_of_noise, mark = (2, 20) if given.quick else (50, MARK)
    print(f"with noise, after {mark} trials: medians of {seeds_of_noise} seeds, seeds better than tpe")
    print(f"{'':<8}{'best true':>12}{'better':>8}{'true of best told':>20}{'better':>8}")
    noise = with_noise(seeds_of_noise, mark)
    summary = {
        "trials": marks[-1],
        "median_regret": last,
        "noise_trials": mark,
        "noise_median_best_true": {each["sampler"]: each["best_true"] for each in noise},
    }
    settings = {
        "seeds": seeds,
        "trials": list(marks),
        "spec": SPEC,
        "noise": {"seeds": seeds_of_noise, "documents": DOCUMENTS, "shared": SHARED, "error": ERROR},
        "quick": given.quick,
    }
    finish("search", settings, [*rows, *noise], summary, write=given.write)


def with_noise(seeds: int, trials: int) -> list[dict[str, Any]]:
    """A row a sampler."""
    best: dict[str, list[float]] = {}
    told: dict[str, list[float]] = {}
    for name in WITH_NOISE:
        of_seeds = [searched(name, seed, trials, noisy=True) for seed in range(seeds)]
        best[name] = [min(each.true for each in tried) for tried in of_seeds]
        told[name] = [min(tried, key=lambda each: each.told).true for tried in of_seeds]
    rows = []
    for name in WITH_NOISE:
        found = {
            "sampler": name,
            "noise": True,
            "trials": trials,
            "best_true": median(best[name]),
            "beats_tpe": _wins(best[name], best["tpe"]),
            "true_of_best_told": median(told[name]),
            "told_beats_tpe": _wins(told[name], told["tpe"]),
        }
        rows.append(found)
        print(
            f"{name:<8}{found['best_true']:>12.4f}{found['beats_tpe']:>8}"
            f"{found['true_of_best_told']:>20.4f}{found['told_beats_tpe']:>8}",
            flush=True,
        )
    return rows


def _wins(given: Sequence[float], against: Sequence[float]) -> int:
    return sum(a < b for a, b in zip(given, against, strict=True))


def row(sampler: str, trials: int, at: Sequence[float], won: int) -> dict[str, Any]:
    return {
        "sampler": sampler,
        "trials": trials,
        "median_regret": median(at),
        "least": min(at),
        "most": max(at),
        "beats_random": won,
    }


if __name__ == "__main__":
    main()
