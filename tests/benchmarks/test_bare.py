"""The stand-in for pydantic on a bare machine makes the configurations that pydantic makes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny_runs import write_corpus
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
    {"finetune.weight_decay": 0.1, "pretrain.dropout": 0.2},
]
WITHOUT = """
import json, sys
sys.path.insert(0, "benchmarks/bare")
import pydantic
assert "bare" in pydantic.__file__
"""
BARE = """
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

WHOLE = """
from benchmarks.gpu import whole
from benchmarks.gpu.scale import PRETENDED
for row in whole.rows(PRETENDED._replace(**json.load(sys.stdin)), 0):
    print(json.dumps([row.what, row.ok, row.found]))
"""


def ran(code: str, given: Any) -> list[Any]:
    """Lines of JSON of a process that has the stand-in."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert not done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_makes_the_same_configurations():
    *found, a, b, c, d = ran(BARE, CASES)
    assert {a, b, c, d} == {"refused"}
    for case, (dotted, key) in zip(CASES, found, strict=True):
        config = TrainConfig.from_dotted(case)
        assert dotted == json.loads(json.dumps(config.to_dotted())), case
        assert key == config.stage_key()


def test_a_whole_run_without_pydantic(tmp_path: Path):
    """The last part of the check, to its end: whatever of pydantic a run asks for, the stand-in has."""
    found = ran(WHOLE, {"text": str(write_corpus(tmp_path))})
    assert [row[0] for row in found] == ["forecast of plan", "run", "memory"]
    assert all(ok for _, ok, _ in found[:2]), found


def test_what_is_refused_here_is_refused_there():
    with pytest.raises(InvalidConfig):
        TrainConfig.from_dotted({"finetune.block_size": 7})
