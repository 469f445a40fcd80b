"""What holds of every masking rule in the union, at any values of its fields, over all masks of a block."""

from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.trainer.random_settings import settings_of
from trainer.noise.clips import Clip
from trainer.noise.masking import MASKINGS
from trainer.objectives import forward
from trainer.values import kind_of, named

MANY = settings(deadline=None, max_examples=50)
every_masking = pytest.mark.parametrize("kind", MASKINGS, ids=kind_of)
WORDS = 5  # and the mask
counts = st.lists(st.integers(0, 9), min_size=WORDS, max_size=WORDS).map(torch.tensor)
blocks = st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=5)
clips = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: Clip(low=min(ends), high=max(ends)))


def rule_of(data, kind, block_size, count_V, clip):
    rule = data.draw(settings_of(kind))
    assume(rule.problem(block_size, clip) is None)
    return rule.counted(lambda: count_V).within(clip)


def over_all_masks(rule, block, p):
    """Of two equal blocks, the first of which begins with BOS: chance_NP of each token, masked_ENP of every
    mask (E of them), and importance_EN."""
    size = len(block)
    masked_EL = torch.tensor(list(product((False, True), repeat=size))).repeat(1, 2)
    masked_EL[:, 0] = False
    seen = []

    def all_of_them(x0_EL, chance_EL, mask_id, generator, redrawn):
        seen.append(chance_EL)
        return torch.where(masked_EL, mask_id, x0_EL), masked_EL

    x0_EL = torch.tensor(block).repeat(len(masked_EL), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "mask_tokens", all_of_them)
        p_EN = torch.full((len(masked_EL), 2), p, dtype=torch.float64)
        _, _, importance_EN = forward.corrupt(x0_EL, p_EN, rule, WORDS, torch.Generator())
    return seen[0][0].view(2, size), masked_EL.view(-1, 2, size), importance_EN


@MANY
@every_masking
@given(data=st.data(), block=blocks, count_V=counts, p=st.floats(0, 1), clip=clips)
def test_a_blocks_mean_rate_is_the_schedules_and_its_weighted_mean_that_of_uniform_masks(
    kind, data, block, count_V, p, clip
):
    rule = rule_of(data, kind, len(block), count_V, clip)
    chance_NP, masked_ENP, importance_EN = over_all_masks(rule, block, p)
    for n, first in ((0, 1), (1, 0)):  # BOS is given
        chance_P, masked_EP = chance_NP[n, first:], masked_ENP[:, n, first:]
        assert torch.all((chance_P >= 0) & (chance_P <= 1))
        if len(chance_P):
            assert chance_P.mean().item() == pytest.approx(p, abs=1e-6)
        if not rule.unbiased:
            continue
        distinct = len(masked_EP) // 2**first  # BOS's own pattern doubles the others
        masks, weight_E = masked_EP[:distinct], importance_EN[:distinct, n]
        likely_E = torch.where(masks, chance_P, 1 - chance_P).double().prod(dim=1)
        uniform_E = torch.where(masks, p, 1 - torch.tensor(p, dtype=torch.float64)).prod(dim=1)
        assert likely_E.sum().item() == pytest.approx(1)
        torch.testing.assert_close(likely_E * weight_E, uniform_E, rtol=1e-5, atol=1e-7)


@MANY
@every_masking
@given(
    data=st.data(), block=blocks, count_V=counts, p=st.floats(0, 1), clip=clips, seed=st.integers(0, 2**31)
)
def test_masks_are_what_the_network_sees_and_bos_is_given(kind, data, block, count_V, p, clip, seed):
    rule = rule_of(data, kind, len(block), count_V, clip)
    x0_BL, p_BN = torch.tensor(block).repeat(3, 2), torch.full((3, 2), p)
    draws = [forward.corrupt(x0_BL, p_BN, rule, WORDS, torch.Generator().manual_seed(seed)) for _ in range(2)]
    for one, again in zip(*draws, strict=True):
        assert torch.equal(one, again)
    xt_BL, masked_BL, importance_BN = draws[0]
    assert torch.equal(xt_BL, torch.where(masked_BL, WORDS, x0_BL))
    assert not masked_BL[:, 0].any()
    assert importance_BN.shape == p_BN.shape
    assert torch.all(torch.isfinite(importance_BN) & (importance_BN > 0))


@MANY
@every_masking
@given(data=st.data(), block=blocks, count_V=counts)
def test_a_tilt_is_small_and_of_mean_0_over_a_block(kind, data, block, count_V):
    rule = rule_of(data, kind, len(block), count_V, Clip())
    tilt_BNP = rule.tilt(torch.tensor(block).view(1, 1, -1))
    assert tilt_BNP.shape == (1, 1, len(block))
    assert tilt_BNP.abs().max() < 1
    assert tilt_BNP.mean().item() == pytest.approx(0, abs=1e-6)


@every_masking
def test_it_is_chosen_by_its_name_alone(kind):
    assert named(kind().name, MASKINGS) is kind
