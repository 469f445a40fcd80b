"""The stand-in for pydantic on a bare machine makes the configurations that pydantic makes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig

ROOT = Path(__file__).parents[2]
CASES: list[dict[str, Any]] = [
    {},
    {"objective.name": "mdlm"},
    {"objective.name": "ar", "model.size": "small"},
    {"finetune.clip": "auto"},
    {"finetune.clip.low": 0.2, "data.length": 32, "finetune.lr": 1},
    {"finetune.schedule.name": "cosine", "finetune.reweighting.name": "none"},
    {"data.name": "files", "data.train": "some.txt", "pretrain.steps": 5},
    {"model.size": "tiny", "samples.num": 3, "finetune.masking.name": "frequency"},
    {"evaluation.zero_shot": [{"name": "wikitext"}]},
    {"compute.precision": "bfloat16", "evaluation.error": 0.1, "optimizer.weight_decay": 1},
]
BARE = """
import json, sys
sys.path.insert(0, "benchmarks/bare")
import pydantic
assert "bare" in pydantic.__file__
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
import benchmarks.step, sweeper.planning.calibration, trainer.training.calibrate, trainer.sampling.generate
for case in json.load(sys.stdin):
    config = TrainConfig.from_dotted(case)
    assert TrainConfig.from_dotted(config.to_dotted()) == config
    print(json.dumps([config.to_dotted(), config.stage_key()]))
for wrong in ({"no.such": 1}, {"model.size": "huge"}, {"objective.name": "none"}, {"finetune.block_size": 7}):
    try:
        TrainConfig.from_dotted(wrong)
    except (InvalidConfig, ValueError) as error:
        print(json.dumps("refused"))
"""


def test_it_makes_the_same_configurations():
    done = subprocess.run(
        [sys.executable, "-c", BARE],
        input=json.dumps(CASES),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert not done.returncode, done.stderr
    *found, a, b, c, d = map(json.loads, done.stdout.splitlines())
    assert {a, b, c, d} == {"refused"}
    for case, (dotted, key) in zip(CASES, found, strict=True):
        config = TrainConfig.from_dotted(case)
        assert dotted == json.loads(json.dumps(config.to_dotted())), case
        assert key == config.stage_key()


def test_what_is_refused_here_is_refused_there():
    with pytest.raises(InvalidConfig):
        TrainConfig.from_dotted({"finetune.block_size": 7})
