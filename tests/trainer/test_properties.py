"""Fast against slow (tests/reference): random networks, lengths, block sizes, masks, schedules, weights."""

from math import comb
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reference import attention, sampling
from tests.reference.bound import enumerate_bound, mask_weight
from tests.reference.loss import ar_nats, nats, noise, score_entropy_nats
from tests.reference.model import logits
from trainer.config.train_config import TrainConfig
from trainer.network.attention import dense_mask, noised
from trainer.network.model import Denoiser, Shape
from trainer.noise.masking import Frequency
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import sample_time
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.objectives.subsets import subset_bound, subsets_of
from trainer.sampling.analytic import Analytic
from trainer.sampling.ancestral import Ancestral
from trainer.sampling.first_hitting import FirstHitting
from trainer.sampling.generate import sample

WORDS = 6  # and the mask
HEADS = 2
SLOW = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])


def network(objective: Objective, length: int, layers: int, seed: int) -> Denoiser:
    """Every weight random, in float64."""
    generator = torch.Generator().manual_seed(seed)
    model = objective.build(Shape(8, layers, HEADS, 6, length, WORDS + 1, WORDS), 0.0).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator).double()
            parameter.copy_(0.4 * noise + ("norm" in name))
    return model.eval()


def weights_of(model: Denoiser) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def tokens(batch: int, length: int, seed: int) -> torch.Tensor:
    return torch.randint(0, WORDS, (batch, length), generator=torch.Generator().manual_seed(seed))


seeds = st.integers(0, 2**31)
layers = st.integers(1, 3)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 6)).filter(lambda shape: shape[0] * shape[1] >= 2)

schedules = st.one_of(
    st.sampled_from(
        ["loglinear", "square", "square_root", "poly", "logarithmic", "cosine", "cosine_md4"]
    ).map(lambda name: {"name": name}),
    st.builds(
        lambda mu, sigma, gamma: {"name": "gaussian", "mu": mu, "sigma": sigma, "gamma": gamma},
        st.floats(0.1, 0.9),
        st.floats(0.1, 1),
        st.sampled_from([0.0, 0.1, 1.0]),
    ),
    st.builds(
        lambda mu1, w, weight, coin: (
            {"name": "bimodal_gaussian", "mu1": mu1, "w": w, "weight": weight, "coin": coin}
            | {"sigma1": 0.1, "sigma2": 0.2}
        ),
        st.floats(0.1, 0.5),
        st.floats(0.2, 0.8),
        st.sampled_from(["branch", "mixture"]),
        st.sampled_from(["time", "own"]),
    ),
)
weights = st.one_of(
    st.sampled_from(["none", "edm", "iddpm", "fm", "simple"]).map(lambda name: {"name": name}),
    st.floats(-5, 5).map(lambda k: {"name": "sigmoid", "k": k}),
)
clips = st.one_of(
    st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)).map(lambda ends: (min(ends), max(ends))),
    st.just((1.0, 1.0)),
).map(lambda ends: {"low": ends[0], "high": ends[1]})
maskings = st.one_of(
    st.just({"name": "uniform"}), st.floats(0, 1).map(lambda s: {"name": "frequency", "strength": s})
)
times = st.sampled_from(
    [
        {"name": "uniform"},
        {"name": "beta", "a": 0.5, "b": 1.5},
        {"name": "bell", "mu": 0.3},
        {"name": "bell", "sigma": 0.05, "importance": False},
        {"name": "table", "heights": [1, 4, 2]},
    ]
)
noises = st.fixed_dictionaries(
    {
        "schedule": schedules,
        "clip": clips,
        "masking": maskings,
        "antithetic": st.booleans(),
        "time": times,
    }
)


def phase_of(objective: Objective, length: int, values: dict[str, Any], counts: list[int]):
    dotted = {"data.length": length, "objective.name": objective.name, "pretrain.block_size": length}
    if objective.name == "ar":
        dotted["pretrain.block_size"] = 1
    phase = TrainConfig.from_dotted({**dotted, "finetune": values}).finetune
    if isinstance(phase.masking, Frequency):
        return phase.model_copy(update={"masking": phase.masking.counted(lambda: counts)})
    return phase


def slow_noise(phase, counts, x0_BL, progress, seed):
    """(masked_BL, p_BN, charge_BN) with the random numbers of the fast one."""
    generator = torch.Generator().manual_seed(seed)
    batch, length = x0_BL.shape
    u_BN = sample_time(
        batch, length // phase.block_size, antithetic=phase.antithetic, generator=generator, device="cpu"
    )
    draw_BL = torch.rand(batch, length, generator=generator)
    found = [
        noise(phase, counts, x0.tolist(), u.tolist(), draw.tolist(), progress)
        for x0, u, draw in zip(x0_BL, u_BN, draw_BL, strict=True)
    ]
    masked, p, charge = zip(*found, strict=True)
    return torch.tensor(masked), torch.tensor(p).double(), torch.tensor(charge).double()


@SLOW
@given(
    shape=shapes,
    batch=st.integers(1, 3),
    layers=layers,
    values=noises,
    weight=weights,
    counts=st.lists(st.integers(0, 9), min_size=WORDS + 1, max_size=WORDS + 1),
    progress=st.floats(0, 1),
    seed=seeds,
)
@pytest.mark.parametrize("objective", [BlockDiffusion(), MaskedDiffusion()], ids=lambda o: o.name)
def test_the_loss_of_diffusion(objective, shape, batch, layers, values, weight, counts, progress, seed):
    block_size, blocks = shape
    if objective.whole:
        block_size, blocks = block_size * blocks, 1
    length = block_size * blocks
    phase = phase_of(objective, length, {**values, "reweighting": weight, "block_size": block_size}, counts)
    model, x0_BL = network(objective, length, layers, seed), tokens(batch, length, seed)
    fast = objective.loss(model, x0_BL, phase, progress, torch.Generator().manual_seed(seed))
    masked_BL, _, charge_BN = slow_noise(phase, counts, x0_BL, progress, seed)
    xt_BL = torch.where(masked_BL, WORDS, x0_BL)
    slow_BL = nats(weights_of(model), HEADS, xt_BL, x0_BL, block_size, WORDS)
    slow_BL = slow_BL * charge_BN.repeat_interleave(block_size, dim=1)
    torch.testing.assert_close(fast.loss_BL.double(), slow_BL, rtol=1e-4, atol=1e-6)
    assert torch.equal(fast.loss_BL != 0, masked_BL)
    assert fast.scored_BL.sum() == batch * (length - 1)


@SLOW
@given(
    length=st.integers(2, 8),
    layers=layers,
    values=noises,
    counts=st.lists(st.integers(0, 9), min_size=WORDS + 1, max_size=WORDS + 1),
    progress=st.floats(0, 1),
    seed=seeds,
)
def test_the_loss_of_sedd(length, layers, values, counts, progress, seed):
    objective = ScoreEntropy()
    phase = phase_of(objective, length, {**values, "block_size": length}, counts)
    model, x0_BL = network(objective, length, layers, seed), tokens(2, length, seed)
    fast = objective.loss(model, x0_BL, phase, progress, torch.Generator().manual_seed(seed))
    masked_BL, p_B1, charge_B1 = slow_noise(phase, counts, x0_BL, progress, seed)
    xt_BL = torch.where(masked_BL, WORDS, x0_BL)
    slow_BL = score_entropy_nats(weights_of(model), HEADS, xt_BL, x0_BL, p_B1.squeeze(1), WORDS)
    torch.testing.assert_close(fast.loss_BL.double(), slow_BL * charge_B1, rtol=1e-4, atol=1e-5)


@SLOW
@given(length=st.integers(2, 12), layers=layers, seed=seeds)
def test_the_loss_and_the_bound_of_ar(length, layers, seed):
    objective = Autoregressive()
    model, x0_BL = network(objective, length, layers, seed), tokens(3, length, seed)
    slow_BL = ar_nats(weights_of(model), HEADS, x0_BL, WORDS)
    phase = phase_of(objective, length, {}, [])
    torch.testing.assert_close(objective.loss(model, x0_BL, phase, 0.0, torch.Generator()).loss_BL, slow_BL)
    torch.testing.assert_close(objective.bound(model, x0_BL, 1, 1, [0, 1, 2]), slow_BL.detach())


@SLOW
@given(shape=shapes, layers=layers, seed=seeds)
def test_the_bound_of_small_blocks_is_the_sum_over_all_masks(shape, layers, seed):
    block_size, blocks = shape
    length = block_size * blocks
    model, x0_BL = network(BlockDiffusion(), length, layers, seed), tokens(2, length, seed)
    fast = subset_bound(model, x0_BL, block_size, 1, [0, 1])
    nats_of = lambda xt, x0: nats(weights_of(model), HEADS, xt, x0, block_size, WORDS)  # noqa: E731
    with torch.no_grad():
        for row in range(2):
            slow_L = enumerate_bound(nats_of, x0_BL[row], block_size, WORDS)
            torch.testing.assert_close(fast[row], slow_L, rtol=1e-9, atol=1e-12)


@SLOW
@given(
    block_size=st.integers(5, 8), blocks=st.integers(1, 2), draws=st.integers(1, 5), layers=layers, seed=seeds
)
def test_the_bound_of_large_blocks_is_the_sum_over_its_draws(block_size, blocks, draws, layers, seed):
    """Mask by mask; that their mean is the bound: test_subsets.py."""
    length = block_size * blocks
    model, x0_BL = network(BlockDiffusion(), length, layers, seed), tokens(1, length, seed)
    fast_L = subset_bound(model, x0_BL, block_size, draws, [seed])[0]
    slow_L = torch.zeros(length, dtype=torch.float64)
    for masked_L in subsets_of(length, block_size, draws, seed).masked_KL:
        xt_BL = torch.where(masked_L, WORDS, x0_BL)
        with torch.no_grad():
            nats_L = nats(weights_of(model), HEADS, xt_BL, x0_BL, block_size, WORDS)[0]
        for position in range(1, length):
            first = position // block_size * block_size
            maskable = block_size - (first == 0)
            count = int(masked_L[first : first + block_size].sum())
            slow_L[position] += maskable / count / draws * nats_L[position] if masked_L[position] else 0
    torch.testing.assert_close(fast_L, slow_L, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(masked=st.integers(1, 12), maskable=st.integers(1, 12))
def test_the_weight_of_a_mask_is_the_integral_over_p(masked, maskable):
    """The reference itself: 1 / (n C(M, n))."""
    if masked <= maskable:
        exact = 1 / (masked * comb(maskable, masked))
        assert mask_weight(masked, maskable) == pytest.approx(exact, rel=1e-9)


@settings(deadline=None)
@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_the_attention_mask(shape):
    block_size, blocks = shape
    length = block_size * blocks
    kept = length + length - block_size  # nobody reads the last clean block
    slow_SS = attention.mask(length, block_size)[:kept, :kept]
    assert torch.equal(dense_mask(noised(length, block_size), torch.device("cpu")), slow_SS)


prompts = st.lists(st.integers(0, WORDS - 1), max_size=5)
nuclei = st.sampled_from([1.0, 0.8, 0.5])


def both(model: Denoiser, objective: Objective, **given: Any):
    """The tokens and NFE, with a cache and without: they are the same."""
    cached, uncached = (
        sample(model, objective, num=2, bos_id=0, cached=cached, **given) for cached in (True, False)
    )
    assert [each.tokens for each in cached] == [each.tokens for each in uncached]
    assert [each.nfe for each in cached] == [each.nfe for each in uncached]
    return [(each.tokens, each.nfe) for each in cached]


@SLOW
@given(
    shape=shapes,
    trained=st.integers(1, 2),
    layers=layers,
    prompt=prompts,
    steps=st.sampled_from([None, 1, 4, 9]),
    nucleus=nuclei,
    seed=seeds,
)
def test_blocks_are_sampled_as_slowly(shape, trained, layers, prompt, steps, nucleus, seed):
    """First hitting (steps None) and ancestral, within the trained length and past it."""
    block_size, blocks = shape
    length, window = block_size * blocks, block_size * trained
    prompt = prompt[: max(0, length - 2)]
    model = network(BlockDiffusion(), window, layers, seed)
    sampler = FirstHitting(nucleus=nucleus) if steps is None else Ancestral(steps=steps, nucleus=nucleus)
    plan = {"length": length, "block_size": block_size, "seed": seed, "prompt": prompt, "sampler": sampler}
    for number, found in enumerate(both(model, BlockDiffusion(), **plan)):
        settings = {"seed": seed, "number": number, "nucleus": nucleus, "steps": steps}
        with torch.no_grad():
            assert found == sampling.block_by_block(
                weights_of(model), HEADS, [0, *prompt], length, block_size, window, WORDS, **settings
            )


@SLOW
@given(length=st.integers(2, 14), layers=layers, prompt=prompts, nucleus=nuclei, seed=seeds)
def test_autoregression_is_sampled_as_slowly(length, layers, prompt, nucleus, seed):
    prompt = prompt[: length - 2]
    model = network(Autoregressive(), 8, layers, seed)
    plan = {"length": length, "block_size": 1, "seed": seed, "prompt": prompt}
    sampler = FirstHitting(nucleus=nucleus)
    for number, found in enumerate(both(model, Autoregressive(), sampler=sampler, **plan)):
        settings = {"seed": seed, "number": number, "nucleus": nucleus}
        with torch.no_grad():
            assert found == sampling.autoregressive(
                weights_of(model), HEADS, [0, *prompt], length, 7, WORDS, **settings
            )


@SLOW
@given(
    length=st.integers(2, 8),
    layers=layers,
    prompt=prompts,
    steps=st.sampled_from([1, 3, 12]),
    nucleus=nuclei,
    seed=seeds,
)
def test_sedd_is_sampled_as_slowly(length, layers, prompt, steps, nucleus, seed):
    prompt = prompt[: length - 2]
    model = network(ScoreEntropy(), 8, layers, seed)
    everything = torch.ones(length, length, dtype=torch.bool)

    def words(text, sigma):
        told = torch.tensor([sigma])
        return logits(weights_of(model), HEADS, torch.tensor([text]), torch.arange(length), everything, told)[
            0, :, :WORDS
        ]

    plan = {"length": length, "block_size": length, "seed": seed, "prompt": prompt}
    sampler = Analytic(steps=steps, nucleus=nucleus)
    for number, found in enumerate(both(model, ScoreEntropy(), sampler=sampler, **plan)):
        settings = {"seed": seed, "number": number, "nucleus": nucleus}
        with torch.no_grad():
            assert found == sampling.analytic(words, [0, *prompt], length, WORDS, steps, **settings)
