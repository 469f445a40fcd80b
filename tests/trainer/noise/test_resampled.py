"""Masks that are drawn again where they mask too few or too many of a block: against exact probabilities."""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.reference.masking import accepted_masks, drawn_again
from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, write_corpus
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.noise.clips import Clip
from trainer.noise.masking import Resampled, Uniform, accepted
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import corrupt
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.training.train import train

MASK = 9
DRAWS = 20_000
Mask = tuple[bool, ...]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masks_at(p: float, block_size: int, low: float, high: float, seed: int = 0) -> torch.Tensor:
    """masked_BL of two blocks: in the first stands BOS, which is given back."""
    x0_BL = torch.zeros(DRAWS, 2 * block_size, dtype=torch.long)
    masking = Resampled().within(Clip(low=low, high=high))
    xt_BL, masked_BL, importance_BN = corrupt(x0_BL, torch.full((DRAWS, 2), p), masking, MASK, seeded(seed))
    assert torch.equal(xt_BL == MASK, masked_BL)
    assert torch.equal(importance_BN, torch.ones(DRAWS, 2))
    return masked_BL


def close(found: Counter[Mask], expected: dict[Mask, float]) -> None:
    """Nothing else, and each as often as it should be, by five standard errors."""
    assert set(found) <= set(expected)
    for mask, chance in expected.items():
        error = math.sqrt(chance * (1 - chance) / DRAWS)
        assert abs(found[mask] / DRAWS - chance) <= 5 * error + 1e-9, mask


CASES = [
    (0.5, 4, 0.3, 0.8),
    (0.9, 4, 0.45, 0.95),
    (0.05, 3, 0.3, 1.0),
    (0.99, 5, 0.0, 0.5),
    (0.6, 2, 0.5, 0.5),
]


@pytest.mark.parametrize(("p", "block_size", "low", "high"), CASES)
def test_masks_are_as_likely_as_where_one_tries_again(
    p: float, block_size: int, low: float, high: float
) -> None:
    masked_BL = masks_at(p, block_size, low, high)
    expected = accepted_masks(p, block_size, low, high)
    close(Counter(map(tuple, masked_BL[:, block_size:].tolist())), expected)
    given_back: dict[Mask, float] = {}
    for mask, chance in expected.items():
        without_bos = (False, *mask[1:])
        given_back[without_bos] = given_back.get(without_bos, 0.0) + chance
    close(Counter(map(tuple, masked_BL[:, :block_size].tolist())), given_back)


def test_the_exact_probabilities_are_those_of_trying_again() -> None:
    rng = random.Random(0)
    close(Counter(drawn_again(0.4, 4, 0.3, 0.8, rng) for _ in range(DRAWS)), accepted_masks(0.4, 4, 0.3, 0.8))


def test_of_four_tokens_two_or_three_are_masked() -> None:
    for p in (0.3, 0.5, 0.8):
        assert set(masks_at(p, 4, 0.3, 0.8)[:, 4:].sum(dim=1).tolist()) == {2, 3}


@pytest.mark.parametrize("p", [0.0, 1e-30, 1e-7, 1 - 1e-7, 1.0])
def test_the_ends_of_p_take_the_nearest_number(p: float) -> None:
    assert set(masks_at(p, 10, 0.3, 0.8)[:, 10:].sum(dim=1).tolist()) == {3 if p < 0.5 else 8}


@pytest.mark.parametrize("clip", [Clip(), Clip(low=1e-3), Clip(low=0.0, high=1.0)], ids=str)
def test_on_the_whole_interval_it_is_uniform_bit_for_bit(clip: Clip) -> None:
    x0_BL, p_BN = torch.zeros(8, 12, dtype=torch.long), torch.rand(8, 3, generator=seeded(1))
    one, other = seeded(2), seeded(2)
    found = corrupt(x0_BL, p_BN, Resampled().within(clip), MASK, one)
    for mine, its in zip(found, corrupt(x0_BL, p_BN, Uniform(), MASK, other), strict=True):
        assert torch.equal(mine, its)
    assert torch.equal(one.get_state(), other.get_state())


def test_an_accepted_mask_stays_and_the_draw_is_the_generators() -> None:
    x0_BL, p_BN = torch.zeros(50, 16, dtype=torch.long), torch.rand(50, 4, generator=seeded(1))
    clip = Clip(low=0.3, high=0.8)
    plain = corrupt(x0_BL, p_BN, Uniform(), MASK, seeded(3))[1].view(50, 4, 4)
    first, again = (corrupt(x0_BL, p_BN, Resampled().within(clip), MASK, seeded(3))[1] for _ in range(2))
    assert torch.equal(first, again)
    kept_BN = (plain.sum(dim=-1) >= 2) & (plain.sum(dim=-1) <= 3)
    kept_BN[:, 0] = False  # with its BOS it may have been one of the others
    assert torch.equal(first.view(50, 4, 4)[kept_BN], plain[kept_BN])
    assert kept_BN.any()


def test_the_numbers_that_are_accepted() -> None:
    assert list(accepted(4, 0.3, 0.8)) == [2, 3]
    assert list(accepted(10, 0.3, 0.7)) == [3, 4, 5, 6, 7]
    assert list(accepted(1, 0.0, 1.0)) == [0, 1]
    assert not accepted(1, 0.3, 0.8)
    for block_size in range(1, 40):
        for low, high in ((0.1, 0.15), (0.3, 0.8), (0.45, 0.95), (0.0, 0.05), (1.0, 1.0)):
            slow = [k for k in range(block_size + 1) if low - 1e-9 <= k / block_size <= high + 1e-9]
            assert list(accepted(block_size, low, high)) == slow


def test_before_it_knows_the_interval_nothing_is_drawn() -> None:
    with pytest.raises(AssertionError, match="comes first"):
        Resampled().redrawn(torch.zeros(1, 1, 4, dtype=torch.bool), torch.ones(1, 1), seeded())


# --- a configuration ------------------------------------------------------------------------------
def config(**values: Any) -> TrainConfig:
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    return TrainConfig.from_dotted({"finetune.masking.name": "resampled", **dotted})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"finetune__block_size": 1, "finetune__clip": {"low": 0.3, "high": 0.8}},
            "no number of masked tokens of a block of 1 is a fraction in [0.3, 0.8]",
        ),
        ({"finetune__block_size": 4, "finetune__clip": {"low": 0.3, "high": 0.45}}, "of a block of 4 "),
        ({"finetune__clip": "auto"}, "resampled needs a clip with low and high"),
        ({"objective__name": "ar"}, "ar has no noise: leave the masking out"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_a_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        config(**values)
    (problem,) = caught.value.problems
    assert problem.key == "finetune.masking"
    assert sentence in problem.sentence


def test_it_is_part_of_what_a_run_is() -> None:
    uniform = config(finetune__masking__name="uniform")
    assert config().content() == {**uniform.content(), "finetune.masking.name": "resampled"}
    assert config().stage_key() == uniform.stage_key()
    assert config(pretrain__masking__name="resampled").stage_key() != uniform.stage_key()
    config(finetune__block_size=1)
    config(finetune__block_size=1, finetune__clip__low=1.0)


# --- a run ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def run_config(corpus: Path, masking: str, **changes: Any) -> TrainConfig:
    given = {"finetune__masking__name": masking, "finetune__clip": {"low": 0.3, "high": 0.8}, **changes}
    return tiny_config(corpus, **{"pretrain__steps": 0, "finetune__steps": 12, **given})


@pytest.mark.parametrize(
    "objective", [BlockDiffusion(), MaskedDiffusion(), ScoreEntropy()], ids=lambda o: o.name
)
def test_a_run_is_trained_with_it_and_goes_on_after_an_interruption(
    objective: Any, corpus: Path, tmp_path: Path
) -> None:
    block = {} if objective.name == "bd3lm" else {"finetune__block_size": 16}
    changes = {"objective__name": objective.name, **block}
    whole = reports_of(run_config(corpus, "resampled", **changes), tmp_path / "whole")
    uniform = reports_of(run_config(corpus, "uniform", **changes), tmp_path / "uniform")
    assert whole[-1].values["train_loss"] != uniform[-1].values["train_loss"]
    assert whole[-1].values["var_nelbo"] != uniform[-1].values["var_nelbo"], "the run's own objective"

    interrupted = train(run_config(corpus, "resampled", **changes), tmp_path / "cut", device="cpu")
    while next(interrupted) is None:
        pass
    interrupted.close()
    reports_of(run_config(corpus, "resampled", **changes), tmp_path / "cut")
    assert same_tensors(*(load_file(tmp_path / name / "last.safetensors") for name in ("whole", "cut")))


def test_the_bound_knows_nothing_of_it(corpus: Path, tmp_path: Path) -> None:
    """After no more than a step at a rate of nearly 0, two networks are one."""
    almost = {"finetune__lr": 1e-30, "finetune__steps": 1, "model__dropout": 0.0}
    rows = [
        reports_of(run_config(corpus, masking, **almost), tmp_path / masking)[-1].values
        for masking in ("resampled", "uniform")
    ]
    assert rows[0]["val_nelbo"] == rows[1]["val_nelbo"]
    assert rows[0]["test_nelbo"] == rows[1]["test_nelbo"]
    assert rows[0]["var_nelbo_loglinear"] == rows[1]["var_nelbo_loglinear"]
    assert rows[0]["var_nelbo"] != rows[1]["var_nelbo"]
