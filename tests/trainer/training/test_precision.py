"""bfloat16: no worse than a plain step under autocast, chosen by a rule, kept for a run's whole life."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.reference.step import Step
from tests.trainer.networks import randomised
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from tests.trainer.training.test_speed_exact import VOCAB_SIZE, noise_of
from trainer.config.train_config import TrainConfig
from trainer.errors import EnvironmentFault
from trainer.network import hardware
from trainer.network.hardware import FLAGS, bfloat16_by
from trainer.network.model import Shape
from trainer.randomness import seed_of
from trainer.training import precision
from trainer.training.learner import Learner
from trainer.training.train import train


def learner_in(computed: str, objective: str, length: int, block_size: int, seed: int = 0) -> Learner:
    config = TrainConfig.from_dotted(
        {
            "seed": seed,
            "objective.name": objective,
            "data.length": length,
            "model.dropout": 0,
            "compute.precision": computed,
            "finetune.block_size": block_size,
            "finetune.batch_size": 8,
        }
    )
    learner = Learner(config, Shape(32, 3, 2, 8, length, VOCAB_SIZE, VOCAB_SIZE - 1), torch.device("cpu"))
    randomised(learner.model, std=0.1)
    learner.average.load_state_dict(learner.model.state_dict())
    return learner


def loss_and_gradients(learner: Learner, x0: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed_of(learner.config.seed, "finetune", "masks", 1))
    losses = learner.config.objective.loss(learner.model, x0, learner.config.finetune, 0.0, generator)
    loss = losses.loss_BL.sum() / losses.scored_BL.sum()
    return loss.detach(), torch.autograd.grad(loss, list(learner.model.parameters()))


def distance(ours, theirs) -> float:
    """Of all gradients as one vector, relative."""
    apart = torch.stack([(a - b).norm() for a, b in zip(ours, theirs, strict=True)]).norm()
    return (apart / torch.stack([b.norm() for b in theirs]).norm()).item()


CASES = [("bd3lm", 32, 4), ("bd3lm", 128, 16), ("mdlm", 32, 32), ("ar", 32, 1)]


@pytest.mark.parametrize(("objective", "length", "block_size"), CASES)
def test_gradients_are_as_near_as_those_of_the_plain_step_in_bf16(objective, length, block_size):
    """Both against float32. The plain step runs under torch's autocast. Averaged over a few batches."""
    ours_off, plain_off, vectors_off = [], [], []
    for seed in range(4):
        low, full = (
            learner_in(each, objective, length, block_size, seed) for each in ("bfloat16", "float32")
        )
        generator = torch.Generator().manual_seed(seed)
        x0 = torch.randint(0, VOCAB_SIZE - 1, (8, length), generator=generator)
        loss, gradients = loss_and_gradients(low, x0)
        expected_loss, expected = loss_and_gradients(full, x0)
        assert loss.dtype == torch.float32
        assert all(each.dtype == torch.float32 for each in gradients)
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-2)
        plain = Step(full, length, None if objective == "ar" else block_size)
        xt, charge = (x0, x0) if objective == "ar" else noise_of(full, x0, 1)
        with torch.autocast("cpu", torch.bfloat16):
            plain_loss = plain.loss(x0, xt, charge)
        theirs = torch.autograd.grad(plain_loss, list(plain.weights.values()))
        ours_off.append(distance(gradients, expected))
        plain_off.append(distance(theirs, expected))
        small = [i for i, each in enumerate(expected) if each.dim() == 1 and each.norm() > 0]
        vectors_off.append(max(distance([gradients[i]], [expected[i]]) for i in small))
    assert 0 < sum(ours_off) <= 1.1 * sum(plain_off), (ours_off, plain_off)
    assert max(vectors_off) < 0.05, vectors_off  # of D: summed in bf16 they would be off by a tenth and more


def test_a_run_in_bf16_goes_on_where_it_was_to_the_bit(tmp_path: Path):
    corpus = write_corpus(tmp_path)
    config = tiny_config(corpus, compute__precision="bfloat16")
    whole = reports_of(config, tmp_path / "whole")
    running = train(config, tmp_path / "cut", device="cpu")
    next(report for report in running if report is not None)
    running.close()
    reports_of(config, tmp_path / "cut")
    files = [(tmp_path / each / "last.safetensors") for each in ("whole", "cut")]
    one, other = (load_file(each) for each in files)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(each.dtype == torch.float32 for each in one.values())
    assert whole[-1].evaluations[0].provenance["precision"] == "bfloat16"
    plain = reports_of(tiny_config(corpus), tmp_path / "plain")
    assert plain[-1].evaluations[0].provenance["precision"] == "float32"
    assert whole[-1].values["val_nelbo"] == pytest.approx(plain[-1].values["val_nelbo"], rel=1e-2)
    assert whole[-1].values["val_nelbo"] != plain[-1].values["val_nelbo"]


CONFIG = TrainConfig.from_dotted({})


@pytest.fixture
def left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says the precision."""
    monkeypatch.delenv(precision.VARIABLE)


@pytest.mark.parametrize(
    ("by", "width", "expected"),
    [
        (None, 64, "float32"),
        (None, 768, "float32"),
        ("avx512_bf16", 64, "bfloat16"),
        ("avx512_bf16", 16, "float32"),
        ("amx_bf16", 256, "bfloat16"),
        ("amx_bf16", 32, "float32"),
        ("cuda", 64, "float32"),
        ("cuda", 256, "bfloat16"),
    ],
)
def test_the_rule(by: str | None, width: int, expected: str, left_open: None, monkeypatch):
    """By what computes in bfloat16, and how wide the network is; never by a clock."""
    asked = []
    monkeypatch.setattr(precision, "bfloat16_by", lambda device: asked.append(device) or by)
    config = TrainConfig.from_dotted({"model.width": width})
    assert {precision.chosen(config, "cpu") for _ in range(3)} == {expected}
    assert set(asked) == {"cpu"}


def test_every_unit_has_its_rule():
    assert precision.LEAST_WIDTH.keys() == {"cuda", *FLAGS}


def test_what_computes_in_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the processor's flags, as whole words; a system that does not say has none."""
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(hardware, "Path", lambda path: told)
    assert bfloat16_by("cpu") is None
    for flags, expected in (
        ("avx2 avx512f", None),
        ("avx512_bf16", "avx512_bf16"),
        ("avx512_bf16 amx_bf16 amx_tile", "amx_bf16"),
        ("amx_bf16_of_another", None),
    ):
        told.write_text(f"flags : fpu {flags}\n")
        assert bfloat16_by("cpu") == expected


def test_the_variable_decides(left_open: None, monkeypatch):
    monkeypatch.setenv(precision.VARIABLE, "bfloat16")
    assert precision.chosen(CONFIG, "cpu") == "bfloat16"
    monkeypatch.setenv(precision.VARIABLE, "int8")
    with pytest.raises(EnvironmentFault, match="neither float32 nor bfloat16"):
        precision.chosen(CONFIG, "cpu")


def test_a_run_keeps_its_precision_on_another_machine(tmp_path: Path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path), pretrain__steps=4, finetune__steps=4)
    monkeypatch.setenv(precision.VARIABLE, "bfloat16")
    running = train(config, tmp_path / "run", device="cpu")
    next(running)
    running.close()
    monkeypatch.setenv(precision.VARIABLE, "float32")
    reports = reports_of(config, tmp_path / "run")
    assert reports[-1].evaluations[0].provenance["precision"] == "bfloat16"
    assert (
        json.loads((tmp_path / "run" / "config.json").read_text())["config"]["compute.precision"]
        == "bfloat16"
    )


def test_what_says_float32_is_the_run_it_always_was():
    said = TrainConfig.from_dotted({"compute.precision": "float32"})
    low = TrainConfig.from_dotted({"compute.precision": "bfloat16"})
    assert said.content() == CONFIG.content()
    assert said.stage_key() == CONFIG.stage_key()
    assert low.content() != CONFIG.content()
    assert low.stage_key() != CONFIG.stage_key()
