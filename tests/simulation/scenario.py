"""What is simulated? A specification and a number of slots, drawn from a seed."""

from random import Random
from typing import NamedTuple

from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec

SAMPLERS = ("tpe", "random", "grid", "nsgaii")
PRUNERS = (
    "{pruner: successive_halving, min_steps: 2, reduction_factor: 2}",
    "{pruner: hyperband, min_steps: 2, reduction_factor: 2}",
    "{pruner: median, min_steps: 2, startup_trials: 2}",
)
ALWAYS = """
always:
  - {finetune.block_size: 4}
  - {finetune.block_size: 16, finetune.schedule.name: cosine}
always_seeds: 2
"""


class Scenario(NamedTuple):
    seed: int
    spec: SweepSpec
    slots: int


def draw(seed: int) -> Scenario:
    random = Random(f"scenario {seed}")
    sampler = random.choice(SAMPLERS)
    steps = random.randint(3, 10)
    lines = [
        "name: simulated",
        "trainer:",
        "  data: {name: pydocs, length: 64}",
        "  model.size: nano",
        f"  finetune.steps: {steps}",
        f"  evaluation.every: {random.randint(1, max(1, steps // 2))}",
        "space:",
        "  finetune.block_size: {choice: [4, 8, 16]}",
        "  finetune.schedule.name: {choice: [loglinear, gaussian]}",
    ]
    if sampler != "grid":
        mu = "{uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}"
        lines.append(f"  finetune.schedule.mu: {mu}")
    if random.random() < 0.6:
        lines[6:6] = [f"  pretrain.steps: {random.randint(1, 4)}", "  pretrain.block_size: 64"]
    trials = random.randint(1, 8)
    lines.append(f"search: {{sampler: {sampler}, trials: {trials}, seed: {random.randint(0, 9)}}}")
    if random.random() < 0.5:
        lines.append(ALWAYS)
    if random.random() < 0.4:
        lines.append(f"early_stopping: {random.choice(PRUNERS)}")
    if random.random() < 0.3:
        lines.append("replicates: 2")
    if random.random() < 0.4:
        lines.append(f"confirm: {{top: {random.randint(1, 3)}, seeds: 2}}")
    if random.random() < 0.3:
        until, seeds = random.choice(["answer", "winner", "chance"]), random.randint(2, 4)
        lines.append(f"settle: {{within: 1%, until: {until}, seeds: {seeds}}}")
    if random.random() < 0.3:
        lines.append("keep: {best: 1, last: running}")
    if random.random() < 0.15:
        lines.append(f"budget: {{trials: {random.randint(1, 10)}}}")
    elif random.random() < 0.15:
        lines.append(f"budget: {{hours: {random.uniform(0.001, 0.05):.4f}}}")
    spec = read_spec("\n".join(lines), "simulated.yaml", "simulated", ())
    return Scenario(seed, spec, random.choice([1, 1, 2, 3]))
