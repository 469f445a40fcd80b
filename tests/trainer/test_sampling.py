from itertools import permutations, product

import pytest
import torch

from tests.trainer.networks import network, toy
from trainer.model import Denoiser
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.sampling import FirstHitting, _draw, _nucleus, sample


def draw(model, objective, seed=0, **settings):
    values = {"num": 3, "length": 8, "block_size": 4, "bos_id": 7}
    return sample(model, objective, generator=torch.Generator().manual_seed(seed), **{**values, **settings})


@pytest.mark.parametrize(
    ("objective", "block_size"),
    [
        (Autoregressive(), 1),
        (BlockDiffusion(), 1),
        (BlockDiffusion(), 2),
        (BlockDiffusion(), 8),
        (MaskedDiffusion(), 8),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_samples_are_complete_and_repeatable(objective, block_size):
    model = network(objective)
    one = draw(model, objective, block_size=block_size)
    assert one.tokens_BL.shape == (3, 8)
    assert (one.tokens_BL[:, 0] == 7).all()
    assert (one.tokens_BL < model.shape.mask_id).all()
    assert one.nfe == 7  # one token a pass, BOS given
    assert torch.equal(one.tokens_BL, draw(model, objective, block_size=block_size).tokens_BL)
    assert not torch.equal(one.tokens_BL, draw(model, objective, block_size=block_size, seed=1).tokens_BL)


def exact_distribution(model, objective, block_size):
    """Each string of three letters with its probability: the average over the orders within its blocks."""
    length = 4
    strings = [torch.tensor((0, *letters)) for letters in product(range(4), repeat=length - 1)]
    blocks = [list(range(max(1, i), i + block_size)) for i in range(0, length, block_size)]
    probability = {}
    for x0 in strings:
        value = 1.0
        for first, block in zip(range(0, length, block_size), blocks, strict=True):
            orders = list(permutations(block))
            total = 0.0
            for order in orders:
                window = x0[: first + block_size].clone()
                window[block] = model.shape.mask_id
                product_of_steps = 1.0
                for position in order:
                    probs = objective.predict(model, window[None], block_size)[0].softmax(-1)
                    product_of_steps *= probs[position - first, x0[position]].item()
                    window[position] = x0[position]
                total += product_of_steps / len(orders)
            value *= total
        probability[tuple(x0.tolist())] = value
    return probability


@pytest.mark.parametrize(
    ("objective", "block_size"),
    [(Autoregressive(), 1), (BlockDiffusion(), 2), (BlockDiffusion(), 4), (MaskedDiffusion(), 4)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_samples_follow_the_model(objective, block_size):
    model = toy(causal=objective.name == "ar", length=4)
    count = 5_000
    with torch.no_grad():
        expected = exact_distribution(model, objective, block_size)
    assert sum(expected.values()) == pytest.approx(1)
    result = draw(model, objective, num=count, length=4, block_size=block_size, bos_id=0)
    strings, counts = result.tokens_BL.unique(dim=0, return_counts=True)
    found = {tuple(s): c for s, c in zip(strings.tolist(), counts.tolist(), strict=True)}
    chi_square = sum((found.get(s, 0) - count * p) ** 2 / (count * p) for s, p in expected.items())
    assert chi_square < 63 + 4 * (2 * 63) ** 0.5


def test_autoregressive_sampling_has_the_likelihood_it_is_judged_by():
    model = toy(causal=True, length=4)
    with torch.no_grad():
        expected = exact_distribution(model, Autoregressive(), 1)
    x0 = torch.tensor(list(expected))
    nats = Autoregressive().bound(model, x0, 1, 1, [0] * len(x0)).sum(dim=1)
    torch.testing.assert_close((-nats).exp(), torch.tensor(list(expected.values()), dtype=torch.float64))


def test_past_the_trained_length_the_window_slides_by_whole_blocks(monkeypatch):
    model, seen, hidden = network(length=8), [], Denoiser.hidden

    def watched(self, tokens_BS, layout):
        seen.append(tokens_BS.clone())
        return hidden(self, tokens_BS, layout)

    monkeypatch.setattr(Denoiser, "hidden", watched)
    result = draw(model, BlockDiffusion(), length=15, block_size=3)  # 8 tokens hold two blocks of 3
    assert result.nfe == 14 == len(seen)
    assert [tokens.shape[1] for tokens in seen] == [3] * 2 + [6] * 12
    for start in range(3, 15, 3):
        for tokens in seen[start - 1 : start + 2]:
            assert torch.equal(tokens[:, :3], result.tokens_BL[:, start - 3 : start])


def test_first_hitting_decides_in_a_uniform_order():
    block, masked = torch.full((6000, 3), 10), torch.ones(6000, 3, dtype=torch.bool)
    shown = []

    def predict(block_BP):
        shown.append(block_BP.clone())
        return torch.eye(3, dtype=torch.float64).expand(6000, 3, 3)

    filled, passes = FirstHitting().fill(block, masked, predict, torch.Generator().manual_seed(0))
    assert torch.equal(filled, torch.arange(3).expand(6000, 3))
    assert passes == 3
    times_decided = torch.stack([step != 10 for step in shown]).sum(dim=0)
    orders, counts = times_decided.unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert (counts - 1000).abs().max() < 4 * 1000**0.5


def test_nucleus():
    probs = torch.tensor([[[0.15, 0.5, 0.05, 0.3]]], dtype=torch.float64)
    kept = lambda p: (_nucleus(probs, p) > 0)[0, 0].tolist()  # noqa: E731
    assert kept(0.1) == kept(0.5) == [False, True, False, False]
    assert kept(0.85) == [False, True, False, True]
    assert kept(1.0) == [True] * 4
    model = network()
    assert torch.equal(  # order is drawn, so two blocks of one token: nothing is left to chance
        draw(model, BlockDiffusion(), block_size=1, nucleus=1e-9, seed=0).tokens_BL,
        draw(model, BlockDiffusion(), block_size=1, nucleus=1e-9, seed=1).tokens_BL,
    )


def test_what_has_no_weight_is_never_drawn():
    weights = torch.tensor([0.0, 1.0, 0.0, 1e-300, 0.0], dtype=torch.float64).expand(1000, -1)
    assert set(_draw(weights, torch.Generator().manual_seed(0)).tolist()) == {1}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"length": 7}, "a multiple of the block size 4, not 7"),
        ({"block_size": 16, "length": 16}, "from 1 to the trained length 8, not 16"),
        ({"nucleus": 0.0}, "nucleus must be in"),
        ({"num": 0}, "num must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(network(), BlockDiffusion(), **settings)
