"""What is simulated? A specification and a number of slots, drawn from a seed."""

from random import Random
from typing import NamedTuple

from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec

SAMPLERS = (*("tpe", "random", "grid", "nsgaii", "fixed") * 2, "gp")  # the last takes more of a processor
PRUNERS = (
    "{pruner: successive_halving, min_steps: 2, reduction_factor: 2}",
    "{pruner: hyperband, min_steps: 2, reduction_factor: 2}",
    "{pruner: pasha, min_steps: 1}",
    "{pruner: median, min_steps: 2, startup_trials: 2}",
    "{pruner: patient, min_steps: 1, patience: 0}",
)
ALWAYS = """
always:
  - {finetune.block_size: 4}
  - {finetune.block_size: 16, finetune.schedule.name: cosine}
always_seeds: 2
"""
POINTS = (
    "{finetune.block_size: 8, finetune.schedule.name: loglinear}",
    "{finetune.block_size: 4, finetune.schedule.name: loglinear}",
)
EARLIER = """
name: earlier
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 2, evaluation.every: 1}
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
search: {sampler: random, trials: 3, seed: 1}
"""


class Scenario(NamedTuple):
    seed: int
    spec: SweepSpec
    slots: int

    @property
    def earlier(self) -> "Scenario | None":
        """A sweep of the same store from which this one starts warm."""
        if not self.spec.search.warm_start:
            return None
        return Scenario(self.seed, read_spec(EARLIER, "earlier.yaml", "earlier", ()), 1)

    def kinds(self) -> set[str]:
        """Of what is in it."""
        spec, search = self.spec, self.spec.search
        said = {
            "always": spec.always,
            "replicates": spec.replicates > 1,
            "confirm": spec.confirm,
            "settle": spec.settle,
            "budget": spec.budget,
            "keep": spec.keep.best != "all",
            "stages": spec.trainer.get("pretrain.steps"),
            "warm start": search.warm_start,
            "points": search.points,
            "two metrics": len(spec.metrics) > 1,
            f"{self.slots} slots": True,
            search.sampler: True,
            getattr(spec.early_stopping, "pruner", ""): spec.early_stopping,
        }
        return {name for name, there in said.items() if there}


def draw(seed: int) -> Scenario:
    random = Random(f"scenario {seed}")
    slots = random.choice([1, 1, 2, 3])
    return Scenario(seed, read_spec(_text(random), "simulated.yaml", "simulated", ()), slots)


def _text(random: Random) -> str:
    sampler = random.choice(SAMPLERS)
    budget = _budget(random) if random.random() < 0.25 else ""
    # What runs is stopped when the time is spent: a trial is to be longer than what may be spent beyond that.
    steps = random.randint(10, 20) if "hours" in budget else random.randint(3, 10)
    lines = [
        "name: simulated",
        "trainer:",
        "  data: {name: pydocs, length: 64}",
        "  model.size: nano",
        f"  finetune.steps: {steps}",
        f"  evaluation.every: {random.randint(1, max(1, steps // 2))}",
    ]
    staged = random.random() < 0.6
    if staged:
        lines += [f"  pretrain.steps: {random.randint(1, 6)}", "  pretrain.block_size: 64"]
    lines += [
        "space:",
        "  finetune.block_size: {choice: [4, 8, 16]}",
        "  finetune.schedule.name: {choice: [loglinear, gaussian]}",
    ]
    if sampler != "grid" and (sampler != "random" or random.random() < 0.5):  # else a few, which repeat
        lines.append(
            "  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}"
        )
    if staged and random.random() < 0.3:  # pretrains that the search tells apart
        lines.append("  pretrain.lr: {choice: [0.001, 0.003]}")
    many = 13 if sampler in ("gp", "nsgaii") and random.random() < 0.3 else 8  # past those at random
    search = [f"sampler: {sampler}", f"trials: {random.randint(2, many)}", f"seed: {random.randint(0, 9)}"]
    if sampler == "fixed" or random.random() < 0.2:
        lr = ", pretrain.lr: 0.001}" if "pretrain.lr" in lines[-1] else "}"
        search.append(f"points: [{', '.join(each.replace('}', lr) for each in POINTS)}]")
    if sampler in ("tpe", "gp", "nsgaii") and random.random() < 0.25:
        search.append("warm_start: earlier")
    lines.append(f"search: {{{', '.join(search)}}}")
    if random.random() < 0.5:
        lines.append(ALWAYS)
    if random.random() < 0.3:
        lines.append("replicates: 2")
    lines += _two_metrics(random) if random.random() < 0.1 and sampler == "nsgaii" else _one_metric(random)
    if random.random() < (0.6 if "settle" in lines[-1] else 0.25):  # a race needs what keep deletes
        lines.append("keep: {best: 1, last: running}")
    return "\n".join([*lines, *([f"budget: {{{budget}}}"] if budget else [])])


def _budget(random: Random) -> str:
    amounts = (
        f"trials: {random.randint(1, 10)}",
        f"hours: {random.uniform(0.001, 0.05):.4f}",
        f"gpu_hours: {random.uniform(0.0002, 0.005):.5f}",
        f"tokens: {random.randint(5_000, 100_000)}",
    )
    return random.choice(amounts)


def _two_metrics(random: Random) -> list[str]:
    return ["metric: [val_ppl, var_nelbo]"]


def _one_metric(random: Random) -> list[str]:
    lines = []
    if random.random() < 0.5:
        lines.append(f"early_stopping: {random.choice(PRUNERS)}")
    if random.random() < 0.3:
        lines.append(f"confirm: {{top: {random.randint(1, 3)}, seeds: 2}}")
    if random.random() < 0.35:
        until, seeds = random.choice(["answer", "winner", "chance"]), random.randint(2, 4)
        lines.append(f"settle: {{within: 1%, until: {until}, seeds: {seeds}}}")
    return lines
