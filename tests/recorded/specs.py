"""Which sweeps are recorded? Ten of different kinds, each with one slot."""

TRAINER = """
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  finetune.steps: 6
  evaluation.every: 2
"""
STAGED = f"{TRAINER}  pretrain.steps: 2\n  pretrain.block_size: 64\n"
CHOICES = """
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
"""
SPACE = (
    f"{CHOICES}  finetune.schedule.mu: {{uniform: [0.2, 0.8], when: {{finetune.schedule.name: gaussian}}}}\n"
)
ALWAYS = "always: [{finetune.block_size: 4}, {finetune.block_size: 16, finetune.schedule.name: cosine}]\n"

SWEEPS = {
    "tpe": f"""{TRAINER}{SPACE}{ALWAYS}always_seeds: 2
search: {{sampler: tpe, trials: 14, seed: 3}}
early_stopping: {{pruner: median, min_steps: 2, startup_trials: 3}}
""",
    "replicates": f"""{STAGED}{SPACE}
search: {{sampler: random, trials: 6, seed: 1}}
replicates: 3
""",
    "grid": f"""{STAGED}{CHOICES}
search: {{sampler: grid, trials: 6, seed: 2}}
keep: {{best: 1, last: running}}
""",
    "points": f"""{TRAINER}{SPACE}{ALWAYS}
search:
  sampler: fixed
  trials: 3
  points:
    - {{finetune.block_size: 8, finetune.schedule.name: loglinear}}
    - {{finetune.block_size: 4, finetune.schedule.name: loglinear}}
    - {{finetune.block_size: 8, finetune.schedule.name: gaussian, finetune.schedule.mu: 0.4}}
""",
    "two metrics": f"""{TRAINER}{SPACE}
metric: [val_ppl, var_nelbo]
search: {{sampler: nsgaii, trials: 24, seed: 5}}
""",
    "halving": f"""{STAGED.replace("steps: 6", "steps: 12")}{SPACE}
search: {{sampler: random, trials: 12, seed: 4}}
early_stopping: {{pruner: successive_halving, min_steps: 2, reduction_factor: 2}}
""",
    "hyperband": f"""{TRAINER}{SPACE}
search: {{sampler: tpe, trials: 12, seed: 6}}
early_stopping: {{pruner: hyperband, min_steps: 2, reduction_factor: 2}}
""",
    "confirmed": f"""{STAGED}{SPACE}{ALWAYS}
search: {{sampler: random, trials: 6, seed: 7}}
early_stopping: {{pruner: pasha, min_steps: 2}}
confirm: {{top: 3, seeds: 2}}
""",
    "settled": f"""{STAGED}{SPACE}{ALWAYS}always_seeds: 2
search: {{sampler: random, trials: 6, seed: 8}}
settle: {{within: 0.5%, until: winner, seeds: 4}}
""",
    "warm": f"""{TRAINER}{SPACE}
search: {{sampler: tpe, trials: 12, seed: 9, warm_start: tpe}}
early_stopping: {{pruner: patient, min_steps: 2, patience: 0}}
budget: {{trials: 10}}
""",
}
BEFORE = {"warm": "tpe"}  # which is to be in the store
