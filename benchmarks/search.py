"""python -m benchmarks.search [--quick]: does a sampler that learns find more than chance?

A planted function of the space that a sweep of schedules has, conditions and a constraint included, is
searched by each sampler through the sweeper's own proposals, nothing trained. The regret is the best value
found so far above the lowest there is; shown are medians over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.document import finish, options
from sweeper.search.proposals import Outcome, Proposals
from sweeper.spec.load import read_spec

SAMPLERS = ("random", "tpe", "nsgaii")
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
    overrides = [f"search.sampler={sampler}", f"search.seed={seed}"]
    proposals = Proposals(read_spec(SPEC, "planted.yaml", "planted", overrides), [], {})
    best, found = math.inf, []
    for number in range(trials):
        proposal = proposals.ask()
        assert proposal is not None
        value = planted(proposal.params)
        proposals.tell(number, Outcome((value,)))
        best = min(best, value)
        found.append(best)
    return found


def regrets(sampler: str, seeds: int, trials: int) -> list[float]:
    """After the last trial, by seed."""
    return [course(sampler, seed, trials)[-1] for seed in range(seeds)]


def main() -> None:
    parser = options("search", __doc__, quick="Five seeds, forty trials.")
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
    settings = {"seeds": seeds, "trials": list(marks), "spec": SPEC, "quick": given.quick}
    finish("search", settings, rows, {"trials": marks[-1], "median_regret": last}, write=given.write)


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
