"""The AR term, the loss's denominator and the mixture of block sizes against their definitions."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.bound import enumerate_bound
from tests.reference.loss import ar_nats, nats
from tests.trainer.networks import network, toy
from trainer.config.train_config import TrainConfig
from trainer.network.model import evaluating
from trainer.objectives.base import TokenLoss
from trainer.objectives.union import OBJECTIVES
from trainer.randomness import seed_of
from trainer.settings.phase import Phase
from trainer.values import kind_of

LENGTH, WORDS = 8, 10
NOISY = [kind for kind in OBJECTIVES if kind().noisy]
HYBRID = [kind for kind in NOISY if kind_of(kind) != "sedd"]


def config_of(kind, **values) -> TrainConfig:
    dotted = {f"finetune.{name}": value for name, value in values.items()}
    return TrainConfig.from_dotted({"objective.name": kind_of(kind), "data.length": LENGTH, **dotted})


def tokens(batch: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, WORDS, (batch, LENGTH), generator=torch.Generator().manual_seed(seed))


def mean(loss: TokenLoss) -> torch.Tensor:
    return loss.loss_BL.sum() / loss.scored_BL.sum()


@settings(deadline=None, max_examples=8)
@given(
    kind=st.sampled_from(HYBRID), weight=st.floats(0.01, 5), batch=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_the_ar_term_is_the_next_tokens_cross_entropy_under_a_causal_mask(kind, weight, batch, seed):
    model, x0_BL = network(kind(), length=LENGTH, vocab_size=WORDS + 1).double(), tokens(batch, seed)
    phases = [config_of(kind, ar_weight=w).finetune for w in (0.0, weight)]
    plain, hybrid = (
        kind().loss(model, x0_BL, phase, 0.5, torch.Generator().manual_seed(seed)) for phase in phases
    )
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    slow_BL = ar_nats(weights, 2, x0_BL, WORDS)
    torch.testing.assert_close(hybrid.loss_BL, plain.loss_BL + weight * slow_BL)
    assert torch.equal(hybrid.scored_BL, plain.scored_BL)


@settings(deadline=None, max_examples=8)
@given(kind=st.sampled_from(NOISY), batch=st.integers(1, 5), parts=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_denominator_is_what_it_says(kind, batch, parts, seed):
    model, x0_BL = network(kind(), length=LENGTH, vocab_size=WORDS + 1).double(), tokens(batch, seed)

    def total(phase: Phase) -> float:
        drawn = torch.Generator().manual_seed(seed)
        pieces: Iterator[tuple[float, TokenLoss]] = kind().losses(model, x0_BL, phase, 0.5, drawn, parts)
        return sum(share * mean(loss).item() for share, loss in pieces)

    plain, sequences, masked = (
        total(config_of(kind, loss_norm=norm).finetune) for norm in ("tokens", "sequences", "masked")
    )
    _, masked_BL, *_ = kind().draw(
        model, x0_BL, config_of(kind).finetune, 0.5, torch.Generator().manual_seed(seed)
    )
    summed = plain * batch * (LENGTH - 1)
    assert sequences == pytest.approx(summed / batch, rel=1e-5)
    assert masked == pytest.approx(summed / max(1, int(masked_BL.sum())), rel=1e-5)


@pytest.mark.parametrize("values", [{"loss_norm": "masked"}, {"ar_weight": 2.0}, {"loss_norm": "sequences"}])
def test_what_noise_does_to_the_loss_is_measured_without(values):
    (kind,) = (kind for kind in HYBRID if not kind.whole)
    assert config_of(kind, **values).finetune.of_diffusion() == config_of(kind).finetune


def test_a_mixtures_loss_has_the_mean_of_the_enumerated_bounds_by_their_shares():
    """Of a toy whose masks are all enumerated, at rates from .5 to 1: within five standard errors, which are
    small beside the sizes' differences."""
    (kind,) = (kind for kind in HYBRID if not kind.whole)
    length, mask_id, low, shares = 4, 4, 0.5, {1: 0.25, 2: 0.5, 4: 0.25}
    blocks = {"name": "mixture", "sizes": list(shares), "shares": [1, 2, 1]}
    said = {"data.length": length, "finetune.block_size": 2, "finetune.clip.low": low}
    phase = TrainConfig.from_dotted({**said, "finetune.blocks": blocks}).finetune
    model, x0_L = toy(causal=False, length=length), torch.tensor([3, 0, 2, 1])
    weights = dict(model.named_parameters()) | dict(model.named_buffers())

    def enumerated(size: int) -> float:
        def of(xt_BL, x0_BL):
            return nats(weights, 2, xt_BL, x0_BL, size, mask_id)

        with torch.no_grad():
            nats_L = enumerate_bound(of, x0_L, size, mask_id, low, 1.0)
        return nats_L.sum().item() / (length - 1) / (1 - low)

    exact = {size: enumerated(size) for size in shares}
    x0_BL = x0_L.expand(64, -1)
    losses = []
    for step in range(1, 121):
        generator = torch.Generator().manual_seed(seed_of("mixture", step))
        with evaluating(model):
            losses.append(mean(kind().loss(model, x0_BL, phase.at_size(5, step), 0.5, generator)))
    found = torch.stack(losses).double()
    error = (found.std() / len(found) ** 0.5).item()
    assert 5 * error < max(exact.values()) - min(exact.values()), "else it could not tell"
    assert abs(found.mean().item() - sum(shares[size] * exact[size] for size in shares)) < 5 * error
