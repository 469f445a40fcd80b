"""clip: auto picks the interval that brute force picks, and what it says are variances."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.networks import network
from tests.trainer.tiny_runs import returned
from trainer.config.evaluation import EvaluationConfig
from trainer.evaluation.clip_search import Cell, cells_of, clip_search, variance_within
from trainer.evaluation.variance import block_means, loss_of
from trainer.noise.clips import AutoClip, Clip
from trainer.noise.reweighting import Iddpm, Sigmoid, normalizer
from trainer.noise.schedules import Cosine, LogLinear
from trainer.objectives.base import TokenLoss
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import sample_time
from trainer.settings.phase import Finetune, Phase

LENGTH = 16
MODEL = torch.nn.Linear(1, 1)
CORPUS: Any = SimpleNamespace(
    valid=SimpleNamespace(tokens_SL=np.arange(40 * LENGTH).reshape(40, LENGTH) % 10)
)
CONFIG = EvaluationConfig()
TRIED = AutoClip(widths=(0.5, 0.6), step=0.1, batches=30)


class Known:
    """A block's loss at time t is 1 + |t - quiet| times a standard normal: noisier away from `quiet`."""

    def __init__(self, quiet: float):
        self.quiet = quiet

    def loss(
        self, model: Any, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> TokenLoss:
        blocks = LENGTH // phase.block_size
        u_BN = sample_time(len(x0_BL), blocks, antithetic=True, generator=generator, device="cpu")
        t_BN = phase.clip.time(u_BN)
        noise_BN = torch.randn(t_BN.shape, generator=generator)
        loss_BN = 1 + (t_BN - self.quiet).abs() * noise_BN
        return TokenLoss(loss_BN.repeat_interleave(phase.block_size, 1), torch.ones_like(x0_BL, dtype=bool))


def exact(quiet: float, clip: Clip) -> float:
    """E[(t - quiet)^2], t uniform on the interval."""
    a, b = clip.time(0.0) - quiet, clip.time(1.0) - quiet
    return (b**3 - a**3) / (3 * (b - a))


def brute_force(objective: Any, phase: Phase, clip: Clip, progress: float, passes: int) -> float:
    """As the public code does it: passes of its own for the interval."""
    within = phase.model_copy(update={"clip": clip})
    x0_BL = torch.zeros(16, LENGTH, dtype=torch.int64)
    losses = [
        block_means(loss_of(MODEL, objective, x0_BL, within, progress, seed), phase.block_size)  # type: ignore[arg-type]
        for seed in range(passes)
    ]
    return torch.cat(losses).var().item()


def phase_of(**values: Any) -> Finetune:
    return Finetune.model_validate({"block_size": 4, "lr": 1e-3, "clip": TRIED.model_dump(), **values})


def search(objective: Any, phase: Phase, tried: AutoClip = TRIED, progress: float = 0.5) -> dict[str, float]:
    return returned(clip_search(MODEL, objective, phase, tried, progress, CORPUS, CONFIG))  # type: ignore[arg-type]


@pytest.mark.parametrize(("quiet", "found"), [(0.15, (0, 0.5)), (0.44, (0.2, 0.7)), (0.9, (0.5, 1))])
def test_it_picks_what_brute_force_picks(quiet: float, found: tuple[float, float]) -> None:
    objective, phase = Known(quiet), phase_of()
    rows = search(objective, phase)
    assert (rows["clip_low"], rows["clip_high"]) == found
    candidates = TRIED.candidates(4)
    assert len(candidates) == 12 == len(rows) - 2
    brute = {clip: brute_force(objective, phase, clip, 0.5, passes=60) for clip in candidates}
    best = min(brute, key=brute.__getitem__)
    assert (best.low, best.high) == found
    for clip in candidates:
        value = rows[f"clip_var/{clip.low:g}-{clip.high:g}"]
        # Fourth moments of at most 9 times the square: s.e. below 4.5% with 1,900 blocks a step and more.
        assert value == pytest.approx(exact(quiet, clip), rel=0.12), clip
        assert brute[clip] == pytest.approx(exact(quiet, clip), rel=0.2), clip


class Charged:
    """A block's loss is what the objective charges at its time: a number that is known for every time."""

    def loss(
        self, model: Any, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> TokenLoss:
        blocks = LENGTH // phase.block_size
        u_BN = sample_time(len(x0_BL), blocks, antithetic=True, generator=generator, device="cpu").double()
        loss_BN = charge(phase, phase.clip, u_BN, progress)
        return TokenLoss(loss_BN.repeat_interleave(phase.block_size, 1), torch.ones_like(x0_BL, dtype=bool))


def charge(phase: Phase, clip: Any, u: Any, progress: float) -> Any:
    level = clip.level(phase.schedule, u, progress)
    divisor = normalizer(phase.reweighting, phase.schedule, clip, progress)
    return level.loss_scale * phase.reweighting.weight(level) / divisor


@pytest.mark.parametrize(
    ("schedule", "reweighting"),
    [(LogLinear(), Iddpm()), (LogLinear(), Sigmoid(k=2, normalize=True)), (Cosine(), Iddpm(normalize=True))],
    ids=str,
)
def test_a_weight_is_normalised_for_each_interval_by_itself(schedule: Any, reweighting: Any) -> None:
    phase = phase_of(schedule=schedule, reweighting=reweighting)
    rows = search(Charged(), phase)
    u = (np.arange(200_000) + 0.5) / 200_000
    expected = {clip: float(charge(phase, clip, u, 0.5).var()) for clip in TRIED.candidates(4)}
    for clip, value in expected.items():
        assert rows[f"clip_var/{clip.low:g}-{clip.high:g}"] == pytest.approx(value, rel=0.02, abs=1e-4), clip
    best = min(expected, key=expected.__getitem__)
    assert (rows["clip_low"], rows["clip_high"]) == (best.low, best.high)


def test_of_a_network_it_is_the_variance_of_the_objective() -> None:
    """With a real objective, against passes of each interval's own."""
    model, phase = network(length=LENGTH, vocab_size=11), phase_of(reweighting=Iddpm())
    tried = AutoClip(widths=(0.5,), step=0.5, batches=20)
    rows = returned(clip_search(model, BlockDiffusion(), phase, tried, 0.0, CORPUS, CONFIG))
    for clip in tried.candidates(4):
        within = phase.model_copy(update={"clip": clip})
        blocks = torch.cat(
            [
                block_means(loss_of(model, BlockDiffusion(), x0_BL, within, 0.0, 1000 + k), 4).flatten()
                for k in range(20)
                for x0_BL in torch.from_numpy(CORPUS.valid.tokens_SL).split(16)
            ]
        )
        error = blocks.sub(blocks.mean()).square().std().item() / math.sqrt(blocks.numel() / 2)
        found = rows[f"clip_var/{clip.low:g}-{clip.high:g}"]
        assert abs(found - blocks.var().item()) < 4 * error, clip


def test_at_block_size_1_it_chooses_between_no_clip_and_all_masked() -> None:
    model, phase = network(length=LENGTH, vocab_size=11), phase_of(block_size=1)
    rows = returned(clip_search(model, BlockDiffusion(), phase, TRIED, 0.0, CORPUS, CONFIG))
    assert set(rows) == {"clip_low", "clip_high", "clip_var/0-1", "clip_var/1-1"}
    assert (rows["clip_low"], rows["clip_high"]) == (1, 1)
    assert rows["clip_var/1-1"] < rows["clip_var/0-1"]


def test_the_same_network_gives_the_same_rows() -> None:
    assert search(Known(0.4), phase_of()) == search(Known(0.4), phase_of())


def test_the_intervals_are_those_of_the_original() -> None:
    """11 + 9 + 7 + 5 + 3 of its script's widths, and the whole."""
    candidates = AutoClip().candidates(16)
    assert len(candidates) == 36
    assert candidates[0] == Clip()
    assert Clip(low=0.3, high=0.8) in candidates
    assert max(clip.high for clip in candidates) == 1
    assert AutoClip(widths=(1.0,)).candidates(16) == (Clip(),)


@settings(deadline=None, max_examples=50)
@given(steps=st.integers(1, 20), data=st.data())
def test_every_interval_is_made_of_its_cells(steps: int, data: Any) -> None:
    widths = data.draw(st.lists(st.integers(1, steps), min_size=1, max_size=3, unique=True))
    tried = AutoClip(widths=tuple(width / steps for width in widths), step=1 / steps)
    candidates = tried.candidates(4)
    cells = cells_of(candidates)
    assert sum(clip.high - clip.low for clip in cells) == pytest.approx(1)
    constant = [Cell(clip, 10, mean=clip.low, mean_square=clip.low**2) for clip in cells]
    for clip in candidates:
        parts = [cell for cell in constant if clip.low <= cell.clip.low < cell.clip.high <= clip.high]
        shares = np.array([cell.share for cell in parts])
        assert shares.sum() == pytest.approx(clip.time(1.0) - clip.time(0.0))
        values = np.array([cell.mean for cell in parts])
        mean = np.average(values, weights=shares)
        spread = np.average((values - mean) ** 2, weights=shares) * 10 * len(parts) / (10 * len(parts) - 1)
        assert variance_within(clip, constant) == pytest.approx(spread, abs=1e-12)


def test_of_one_block_there_is_no_variance() -> None:
    assert math.isnan(variance_within(Clip(), [Cell(Clip(), 1, 1.0, 1.0)]))
