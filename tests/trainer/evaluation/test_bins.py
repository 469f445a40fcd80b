"""Bins of the masking rate: the masked fraction is p, the shares are the schedule's, the parts sum to all."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.trainer.networks import network
from tests.trainer.tiny_runs import returned
from trainer.config.evaluation import EvaluationConfig
from trainer.evaluation.bins import Bin, bins, rows
from trainer.evaluation.variance import variance
from trainer.metrics import BY_NAME
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.settings.phase import Finetune, Phase

LENGTH = 16
TOKENS_SL = np.random.default_rng(0).integers(0, 10, (40, LENGTH))
CORPUS: Any = SimpleNamespace(valid=SimpleNamespace(tokens_SL=TOKENS_SL))
CONFIG = EvaluationConfig(variance_batches=60)


def phase_of(**values: Any) -> Finetune:
    return Finetune.model_validate({"block_size": 4, "lr": 1e-3, **values})


def found(phase: Phase, objective: Any = BlockDiffusion(), config: EvaluationConfig = CONFIG) -> list[Bin]:  # noqa: B008
    model = network(objective, length=LENGTH)
    return returned(bins(model, objective, phase, CORPUS, config))


SCHEDULES = [
    {},
    {"schedule": {"name": "gaussian"}},
    {"schedule": {"name": "bimodal_gaussian"}},
    {"clip": {"low": 0.3, "high": 0.8}},
    {"masking": {"name": "uniform"}, "schedule": {"name": "square"}},
    {"schedule": {"name": "bimodal_gaussian", "coin": "own"}, "clip": {"low": 0.3, "high": 0.8}},
    {"time": {"name": "bell", "mu": 0.3}},
]


@pytest.mark.parametrize("values", SCHEDULES, ids=str)
def test_the_masked_fraction_is_the_masking_rate(values: dict[str, Any]) -> None:
    every = found(phase_of(**values))
    assert math.isclose(sum(one.share for one in every), 1)
    for one in every:
        assert abs(one.move_chance - one.centre) <= 0.05
        error = math.sqrt(one.move_chance * (1 - one.move_chance) / one.tokens)
        assert abs(one.masked - one.move_chance) <= 4.5 * error + 1e-9, one


ALONE_OR_TOGETHER = [
    {"schedule": {"name": "cosine"}},
    {"schedule": {"name": "cosine"}, "time": {"name": "uniform", "per": "token"}},
    {"complementary": True},
    {"ar_weight": 0.5},
]


@pytest.mark.parametrize("values", ALONE_OR_TOGETHER, ids=str)
def test_how_many_draws_a_pass_takes_makes_no_difference(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers() -> dict[str, float]:
        phase, few = phase_of(**values), EvaluationConfig(variance_batches=12)
        model = network(BlockDiffusion(), length=LENGTH).double()
        of_all = returned(variance(model, BlockDiffusion(), phase, CORPUS, few))
        return {**of_all, **rows(returned(bins(model, BlockDiffusion(), phase, CORPUS, few)))}

    together = numbers()
    monkeypatch.setattr("trainer.evaluation.variance.AT_ONCE", 1)
    assert numbers() == pytest.approx(together, rel=1e-12)
    assert {"var_nelbo", "var_nelbo_loglinear", "objective", "bin_nats/0.55"} <= together.keys()


def test_the_shares_are_the_schedules() -> None:
    assert [one.share for one in found(phase_of())] == pytest.approx([0.1] * 10, abs=2e-3)  # t begins at 1e-3
    clipped = found(phase_of(clip={"low": 0.3, "high": 0.8}))
    assert [one.centre for one in clipped] == pytest.approx([0.35, 0.45, 0.55, 0.65, 0.75])
    assert [one.share for one in clipped] == pytest.approx([0.2] * 5, abs=1e-3)
    normal = {one.centre: one.share for one in found(phase_of(schedule={"name": "gaussian"}))}
    assert normal[0.45] == pytest.approx(0.3413, abs=2e-3)  # within one standard deviation of the mean
    (whole,) = found(phase_of(clip={"low": 1}))
    assert (whole.share, whole.masked) == (1, 1)
    assert whole.move_chance == pytest.approx(1)


WEIGHTS = [
    {},
    {"reweighting": {"name": "iddpm"}},
    {"reweighting": {"name": "sigmoid", "k": -1, "normalize": True}, "clip": {"low": 0.2, "high": 0.9}},
    {"time": {"name": "table", "heights": [1, 3, 2]}, "schedule": {"name": "cosine_md4"}},
    {"time": {"name": "table", "heights": [1, 3, 0], "importance": False}},
]


@pytest.mark.parametrize("values", WEIGHTS, ids=str)
def test_the_parts_sum_to_the_objective(values: dict[str, Any]) -> None:
    """Two estimates of one number, each with an error of about 2%."""
    phase, model = phase_of(**values), network(length=LENGTH)
    parts = sum(one.objective for one in found(phase))
    whole = returned(variance(model, BlockDiffusion(), phase, CORPUS, CONFIG))["objective"]
    assert parts == pytest.approx(whole, rel=0.08)


def test_a_token_costs_the_same_whatever_the_weight() -> None:
    plain, weighted = (found(phase_of(**values)) for values in WEIGHTS[:2])
    assert [one.nats for one in plain] == [one.nats for one in weighted]
    for one, other in zip(plain, weighted, strict=True):
        mean_weight = other.objective / one.objective
        assert mean_weight == pytest.approx(2 * math.sqrt(one.centre * (1 - one.centre)), abs=0.12)


def test_a_network_that_knows_nothing_pays_the_same_in_every_bin() -> None:
    """Zero logits for every word: log 10 nats (the mask has none) per masked token, whatever p."""
    model = network(length=LENGTH)
    for name, parameter in model.named_parameters():
        if "output_layer" in name:
            parameter.data.zero_()
    every = returned(bins(model, BlockDiffusion(), phase_of(), CORPUS, CONFIG))
    assert [one.nats for one in every] == pytest.approx([math.log(10)] * 10, rel=1e-5)


def test_every_kind_of_noise_has_bins_and_a_model_without_noise_none() -> None:
    few = EvaluationConfig(variance_batches=1)
    for objective in (MaskedDiffusion(), ScoreEntropy()):
        every = found(phase_of(block_size=LENGTH), objective, few)
        assert len(every) == 10
        assert all(one.nats > 0 for one in every)
    assert found(phase_of(block_size=1), Autoregressive(), few) == []
    assert found(phase_of(), config=EvaluationConfig(variance_batches=0)) == []


def test_rows_have_names() -> None:
    named = rows([Bin(0.05, 0.5, 0.04, 0.0, 100, float("nan"), 0.0), Bin(0.95, 0.5, 0.9, 0.9, 100, 2.0, 1.8)])
    assert named == {
        "bin_share/0.05": 0.5, "bin_masked/0.05": 0.0, "bin_objective/0.05": 0.0,
        "bin_share/0.95": 0.5, "bin_masked/0.95": 0.9, "bin_nats/0.95": 2.0, "bin_objective/0.95": 1.8,
    }  # fmt: skip
    assert {name.partition("/")[0] for name in named} <= set(BY_NAME)
    assert all(BY_NAME[name.partition("/")[0]].direction == "none" for name in named)
