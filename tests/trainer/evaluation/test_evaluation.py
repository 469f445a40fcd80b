"""The bound is one number per network, whatever the run's objective; the variances are the objective's."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.trainer.tiny_runs import reports_of, returned, tiny_config, write_corpus
from trainer.checkpoints.trained import Trained, open_trained
from trainer.config.network import shape_of
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load
from trainer.evaluation.bound import evaluate
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.evaluation.variance import variance
from trainer.metrics import BY_NAME
from trainer.noise.clips import Clip
from trainer.noise.masking import MASKINGS
from trainer.noise.reweighting import REWEIGHTINGS
from trainer.noise.schedules import SCHEDULES, LogLinear
from trainer.noise.times import TableTime, UniformTime
from trainer.settings.phase import Finetune
from trainer.training.learner import Learner
from trainer.values import kind_of


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return tiny_config(write_corpus(tmp_path_factory.mktemp("corpus")), pretrain__steps=0)


@pytest.fixture(scope="module")
def folder(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    reports_of(config, folder)
    return folder


@pytest.fixture(scope="module")
def trained(config: TrainConfig, folder: Path) -> Trained:
    return open_trained(config, folder / "best.safetensors", device="cpu")


def bound_of(trained: Trained, config: TrainConfig, block_size: int = 8, **changes: Any) -> Evaluation:
    settings = config.evaluation.model_copy(update=changes)
    return returned(
        evaluate(trained.model, config.objective, block_size, "valid", trained.corpus, settings, trained.step)
    )


UNDER = [
    *(
        {f"finetune__{part}__name": kind_of(each)}
        for part, union in (("schedule", SCHEDULES), ("reweighting", REWEIGHTINGS), ("masking", MASKINGS))
        for each in union
        if not isinstance(Finetune.model_fields[part].default, each)
    ),
    {"finetune__clip__low": 0.3, "finetune__clip__high": 0.8},
    {"finetune__reweighting__name": "sigmoid", "finetune__reweighting__k": -3},
    {"finetune__reweighting__name": "sigmoid", "finetune__reweighting__normalize": True},
    {"finetune__antithetic": False},
    {"finetune__time": {"name": "bell", "importance": False}},
    {"finetune__time__per": "token"},
]


@pytest.mark.parametrize("changes", UNDER, ids=lambda changes: "-".join(map(str, changes.values())))
def test_the_bound_is_the_same_bits_whatever_is_trained(
    config: TrainConfig, folder: Path, trained: Trained, changes: dict[str, Any]
) -> None:
    other = tiny_config(Path(config.data.train), pretrain__steps=0, **changes)
    assert other.finetune != config.finetune
    reopened = open_trained(other, folder / "best.safetensors", device="cpu")
    assert bound_of(reopened, other) == bound_of(trained, config)


def test_the_run_reports_what_its_checkpoint_is_worth(
    config: TrainConfig, folder: Path, trained: Trained
) -> None:
    kept = load_file(folder / "evaluation-test.safetensors")
    running = evaluate(
        trained.model, config.objective, 4, "test", trained.corpus, config.evaluation, trained.step
    )
    again = returned(running)
    assert math.isclose(math.fsum(again.nats_D), kept["nats_S"].sum(), rel_tol=1e-12)
    assert again.identity["split"] == "test"
    assert len(kept["rows_S"]) == again.identity["sequences"]


def test_a_fresh_network_costs_log_v(config: TrainConfig) -> None:
    """Head at zero: uniform over the words without the mask, whatever the block size."""
    corpus = load(config.data)
    learner = Learner(config, shape_of(config, corpus.tokenizer), torch.device("cpu"))
    fresh = Trained(learner.average, corpus, 4, 0)
    for block_size in (1, 4, 16):
        evaluation = bound_of(fresh, config, block_size)
        assert math.isclose(evaluation.nelbo, math.log(corpus.tokenizer.vocab_size - 1), rel_tol=1e-5)
    text = evaluation.text_bytes
    rows_nats = math.log(corpus.tokenizer.vocab_size - 1) * 16 * 15
    assert math.isclose(evaluation.metrics()["val_bpb"], rows_nats / math.log(2) / text, rel_tol=1e-5)


def test_batching_does_not_move_it(trained: Trained, config: TrainConfig) -> None:
    one, many = bound_of(trained, config, batch_size=1), bound_of(trained, config, batch_size=16)
    np.testing.assert_allclose(one.nats_D, many.nats_D, rtol=1e-5)


def test_every_scored_token_belongs_to_a_document(trained: Trained, config: TrainConfig) -> None:
    evaluation = bound_of(trained, config)
    assert sum(evaluation.tokens_D) == 16 * 15
    assert len(evaluation.tokens_D) == len(evaluation.nats_D) > 1
    assert (evaluation.nelbo, evaluation.se) == ratio_and_se(evaluation.nats_D, evaluation.tokens_D)
    assert evaluation.identity["ema"] is True


def test_another_seed_is_another_identity(trained: Trained, config: TrainConfig) -> None:
    a, b = bound_of(trained, config), bound_of(trained, config, seed=1)
    assert a.nelbo != b.nelbo
    assert a.identity != b.identity


def test_more_draws_are_provenance_only(trained: Trained, config: TrainConfig) -> None:
    a, b = bound_of(trained, config), bound_of(trained, config, draws=2)
    assert a.identity == b.identity
    assert a.provenance != b.provenance


def test_ratio_and_se_against_numpy() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 50, 40)
    nats = tokens * 3 + rng.normal(size=40) * np.sqrt(tokens)
    ratio, se = ratio_and_se(nats.tolist(), tokens.tolist())
    assert math.isclose(ratio, nats.sum() / tokens.sum())
    residuals = nats - ratio * tokens
    assert math.isclose(se, math.sqrt(40 * residuals.var(ddof=1)) / tokens.sum(), rel_tol=1e-3)
    assert ratio_and_se([3.0], [2]) == (1.5, math.inf)


def test_values_have_names_and_stay_finite() -> None:
    lone = Evaluation("valid", 1, 2.0, math.inf, {}, {}, [2.0], [1])
    assert lone.metrics() == {"val_nelbo": 2.0, "val_ppl": math.exp(2.0)}
    full = Evaluation("test", 1, 2.0, 0.1, {}, {}, [2.0, 2.0], [1, 1], text_bytes=4)
    assert set(full.metrics()) <= set(BY_NAME)
    assert math.isclose(full.metrics()["test_bpb"], 1 / math.log(2))


def variances(trained: Trained, config: TrainConfig, **changes: Any) -> dict[str, float]:
    phase = config.finetune.model_copy(update=changes)
    return returned(variance(trained.model, config.objective, phase, trained.corpus, config.evaluation))


def test_variance_is_of_the_training_schedule(trained: Trained, config: TrainConfig) -> None:
    plain = variances(trained, config)
    assert plain["var_nelbo"] == plain["var_nelbo_loglinear"]
    clipped = variances(trained, config, clip=Clip(low=0.5, high=1.0))
    assert clipped["var_nelbo"] < plain["var_nelbo"]
    assert clipped["var_nelbo_loglinear"] == plain["var_nelbo_loglinear"]
    assert LogLinear() == config.finetune.schedule


def test_weights_move_the_objective_and_no_variance(trained: Trained, config: TrainConfig) -> None:
    weighted = tiny_config(Path(config.data.train), finetune__reweighting__name="fm").finetune.reweighting
    plain, moved = variances(trained, config), variances(trained, config, reweighting=weighted)
    assert moved["objective"] != plain["objective"]
    assert {**moved, "objective": 0} == {**plain, "objective": 0}


def test_variance_includes_what_the_density_of_times_is_divided_by(
    trained: Trained, config: TrainConfig
) -> None:
    """Corrected or not in training; the common one is of uniform times, one for each block."""
    plain = variances(trained, config)
    late = TableTime(heights=(1.0, 20.0))
    corrected, free = (
        variances(trained, config, time=late.model_copy(update={"importance": asked}))
        for asked in (True, False)
    )
    assert corrected["var_nelbo"] == free["var_nelbo"] != plain["var_nelbo"]
    assert corrected["objective"] != free["objective"]
    sequence = variances(trained, config, time=UniformTime(per="sequence"))
    for each in (corrected, free, sequence):
        assert each["var_nelbo_loglinear"] == plain["var_nelbo_loglinear"]


def test_variance_by_hand(trained: Trained, config: TrainConfig) -> None:
    """A stand-in objective whose loss is known: BOS is a token of loss 0 in its block's mean over L'."""

    class Known:
        def draw(self, *_: Any) -> tuple[torch.Tensor, ...]:
            return ()

        def drawn_losses(self, model: Any, x0_BL: torch.Tensor, drawn: list[Any], *_: Any) -> list[Any]:
            from trainer.objectives.base import TokenLoss

            loss_BL = torch.zeros(x0_BL.shape)
            loss_BL[0, 1:4] = 3.0  # block 0 of row 0: BOS and three of 3
            loss_BL[1, 4:8] = 1.0
            scored_BL = torch.ones_like(x0_BL, dtype=torch.bool)
            scored_BL[:, 0] = False
            return [TokenLoss(loss_BL, scored_BL)] * len(drawn)

    found = returned(variance(trained.model, Known(), config.finetune, trained.corpus, config.evaluation))  # type: ignore[arg-type]
    blocks = [2.25, 1.0] + [0.0] * 14
    assert math.isclose(found["var_nelbo"], float(np.var(blocks, ddof=1)))
    assert math.isclose(found["objective"], 13 / 60, rel_tol=1e-6)


def test_no_batches_no_values(trained: Trained, config: TrainConfig) -> None:
    settings = config.evaluation.model_copy(update={"variance_batches": 0})
    assert (
        returned(variance(trained.model, config.objective, config.finetune, trained.corpus, settings)) == {}
    )
