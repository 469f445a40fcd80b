import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import masking as reference
from trainer.noise.clips import Clip
from trainer.noise.schedules import SCHEDULES, BimodalGaussian
from trainer.objectives.forward import mask_tokens, sample_time


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(batch: int, blocks: int, antithetic: bool, generator: torch.Generator) -> torch.Tensor:
    return sample_time(batch, blocks, antithetic=antithetic, generator=generator, device="cpu")


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 33), blocks=st.integers(1, 65), antithetic=st.booleans(), seed=st.integers(0, 2**31)
)
def test_times_are_in_0_1(batch, blocks, antithetic, seed):
    u_BN = draw(batch, blocks, antithetic, seeded(seed))
    assert u_BN.shape == (batch, blocks)
    assert u_BN.dtype == torch.float32
    assert (u_BN >= 0).all()
    assert (u_BN < 1).all()
    if antithetic:  # one in each stratum, give or take float32's rounding at an edge
        count = batch * blocks
        centres = (torch.arange(count) + 0.5) / count
        assert ((u_BN.flatten().sort().values - centres).abs() <= 0.5 / count + 1e-7).all()


@pytest.mark.parametrize("antithetic", [True, False])
def test_the_largest_draw_does_not_round_to_1(monkeypatch, antithetic):
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 1 - 2**-53, dtype=torch.float64))
    assert (draw(1, 2, antithetic, seeded()) < 1).all()


def test_antithetic_covers_each_stratum_once():
    u_BN = draw(8, 16, True, seeded())
    assert torch.equal((u_BN.flatten() * 128).floor().sort().values, torch.arange(128.0))


def test_plain_times_do_not():
    u_BN = draw(8, 16, False, seeded())
    assert len((u_BN * 128).floor().unique()) < 100


def test_strata_are_permuted_anew_each_call():
    generator = seeded()
    first, second = ((draw(8, 16, True, generator) * 128).floor() for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first.flatten(), torch.arange(128.0))


def test_rows_are_alike_on_average():
    """Unpermuted strata would give row b times near b / B: here a row's mean is that of any other."""
    generator = seeded()
    mean_B = torch.stack([draw(4, 4, True, generator) for _ in range(2000)]).mean(dim=(0, 2))
    assert (mean_B - 0.5).abs().max() < 0.02
    first_mode_B = torch.stack([(draw(4, 4, True, generator) < 0.6).float() for _ in range(2000)]).mean(
        dim=(0, 2)
    )
    assert (first_mode_B - BimodalGaussian().w).abs().max() < 0.03


@pytest.mark.parametrize("antithetic", [True, False])
def test_equal_seeds_give_equal_times_and_masks(antithetic):
    x0_BL = torch.arange(4 * 16).view(4, 16)

    def both(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = seeded(seed)
        u_BN = draw(4, 4, antithetic, generator)
        return u_BN, mask_tokens(x0_BL, u_BN, 99, generator)[0]

    assert all(torch.equal(a, b) for a, b in zip(both(3), both(3), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(both(3), both(4), strict=True))


@pytest.mark.parametrize("blocks", [1, 2, 8, 16])
def test_mask_tokens_equals_three_loops(blocks):
    x0_BL = torch.randint(0, 50, (5, 16), generator=seeded(1))
    move_chance_BN = torch.rand(5, blocks, generator=seeded(2))
    xt_BL, masked_BL = mask_tokens(x0_BL, move_chance_BN, 50, seeded(3))
    assert torch.equal(xt_BL, reference.mask_tokens(x0_BL, move_chance_BN, 50, seeded(3)))
    assert torch.equal(masked_BL, xt_BL == 50)
    assert torch.equal(xt_BL[~masked_BL], x0_BL[~masked_BL])
    assert xt_BL.dtype == x0_BL.dtype


def test_bos_is_never_masked_and_p_1_masks_all_else():
    x0_BL = torch.zeros(3, 8, dtype=torch.long)
    _, masked_BL = mask_tokens(x0_BL, torch.ones(3, 2), 7, seeded())
    assert not masked_BL[:, 0].any()
    assert masked_BL[:, 1:].all()
    _, masked_BL = mask_tokens(x0_BL, torch.zeros(3, 2), 7, seeded())
    assert not masked_BL.any()


def test_the_input_is_left_alone():
    x0_BL = torch.zeros(2, 4, dtype=torch.long)
    mask_tokens(x0_BL, torch.ones(2, 1), 7, seeded())
    assert not x0_BL.any()


def test_mask_rate_is_the_blocks_move_chance():
    move_chance_BN = torch.tensor([[0.1, 0.5, 0.9, 0.0]]).expand(2000, 4)
    _, masked_BL = mask_tokens(torch.zeros(2000, 32, dtype=torch.long), move_chance_BN, 1, seeded())
    rate_N = masked_BL.view(2000, 4, 8)[:, :, 1:].float().mean(dim=(0, 2))  # without BOS
    torch.testing.assert_close(rate_N, torch.tensor([0.1, 0.5, 0.9, 0.0]), atol=0.015, rtol=0)


@pytest.mark.parametrize("schedule", [each() for each in SCHEDULES], ids=str)
def test_mask_rate_of_a_schedule_is_its_mean_p(schedule):
    clip, generator = Clip(low=0.2, high=0.9), seeded()
    level = clip.level(schedule, draw(500, 8, True, generator))
    _, masked_BL = mask_tokens(torch.zeros(500, 64, dtype=torch.long), level.move_chance, 1, generator)
    mean = clip.level(schedule, (torch.arange(10_000) + 0.5) / 10_000).move_chance.mean()
    assert abs(masked_BL[:, 8:].float().mean() - mean) < 0.01
