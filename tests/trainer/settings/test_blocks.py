"""Every way to choose the block size of a step, at random parameters: shares kept, and no state."""

from collections import Counter
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.settings.blocks import AnyBlocks, Curriculum, FixedBlocks, Mixture
from trainer.settings.phase import Finetune
from trainer.values import kinds

SEVERAL = [kind for kind in kinds(AnyBlocks) if kind is not FixedBlocks]
sizes_and_shares = st.lists(
    st.tuples(st.sampled_from([1, 2, 4, 8]), st.floats(0.1, 9)), min_size=1, max_size=5
)


def trained(blocks, steps, seed=0, block_size=8):
    return [blocks.size(block_size, seed, step, steps) for step in range(1, steps + 1)]


@given(sizes_and_shares, st.sampled_from(SEVERAL), st.integers(1, 100), st.integers(0, 9))
def test_a_step_has_one_of_the_sizes_and_always_the_same(pairs, kind, steps, seed):
    blocks = kind(sizes=[size for size, _ in pairs], shares=[share for _, share in pairs])
    found = trained(blocks, steps, seed)
    assert set(found) <= {size for size, _ in pairs}
    assert found[::-1] == [blocks.size(8, seed, step, steps) for step in range(steps, 0, -1)]
    assert sum(share for _, share in blocks.shares_of(8)) == pytest.approx(1)


@given(sizes_and_shares, st.integers(1, 300))
def test_a_curriculum_gives_each_size_its_share_to_a_step_in_order(pairs, steps):
    blocks = Curriculum(sizes=[size for size, _ in pairs], shares=[share for _, share in pairs])
    found = trained(blocks, steps)
    wanted = Counter()
    for size, share in blocks.shares_of(8):
        wanted[size] += share * steps
    assert all(abs(Counter(found)[size] - count) <= len(pairs) for size, count in wanted.items())
    order = [size for size, _ in blocks.shares_of(8)]
    for size in found:  # each size is this place's or a later one's
        order = order[order.index(size) :]


@settings(deadline=None, max_examples=10)
@given(sizes_and_shares, st.integers(0, 2**40))
def test_a_mixture_draws_each_size_by_its_share(pairs, seed):
    blocks, steps = Mixture(sizes=[s for s, _ in pairs], shares=[share for _, share in pairs]), 2000
    found, wanted = Counter(trained(blocks, steps, seed)), Counter()
    for size, share in blocks.shares_of(8):
        wanted[size] += share
    for size, share in wanted.items():
        assert abs(found[size] / steps - share) <= 6 * sqrt(max(0.0, share * (1 - share)) / steps) + 1e-9


@pytest.mark.parametrize(("block_size", "sizes"), [(1, [1]), (8, [1, 2, 4, 8]), (12, [3, 6, 12])])
def test_by_default_sizes_double_up_to_the_phases_own(block_size, sizes):
    assert [size for size, _ in Mixture().shares_of(block_size)] == sizes
    assert sorted(set(trained(Curriculum(), 40, block_size=block_size))) == sizes


def test_a_phase_at_a_step_is_the_phase_at_that_size():
    phase = Finetune(block_size=8, lr=1.0, steps=3, blocks=Curriculum(sizes=[1, 4, 8]))
    assert [phase.at_size(7, step).block_size for step in (1, 2, 3)] == [1, 4, 8]
    assert phase.at_size(7, 3) == phase
    plain = Finetune(block_size=8, lr=1.0, steps=3)
    assert plain.at_size(7, 2) == plain


@pytest.mark.parametrize(
    "values",
    [
        {"sizes": [0, 4]},
        {"sizes": [1, 4], "shares": [1]},
        {"shares": [1]},
        {"sizes": [1, 4], "shares": [1, 0]},
    ],
)
def test_what_makes_no_sense_is_refused(values):
    with pytest.raises(ValidationError):
        Mixture(**values)
