"""Specifications for tests, and what is read of one or refused."""

import pytest

from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec

GOOD = """\
name: good
metric: val_ppl
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain: {steps: 100, block_size: 64, schedule.name: loglinear}
  finetune.steps: 20
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
  finetune:
    lr: {log_uniform: [1e-4, 1e-2]}
always:
  - {finetune.schedule.name: loglinear, finetune: {block_size: 16}}
search: {sampler: tpe, trials: 6, seed: 3}
"""


def read(text: str, *overrides: str) -> SweepSpec:
    return read_spec(text, "sweep.yaml", "sweep", overrides)


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        read(text, *overrides)
    return str(caught.value).splitlines()


def with_space(*lines: str) -> str:
    """A sound specification, with these lines of space from line 4 on."""
    return "\n".join(["trainer: {data.length: 64}", "search: {trials: 3}", "space:", *lines, ""])
