"""Every sampler against its slow version, and what they draw against the model's own distribution."""

from functools import cache
from itertools import permutations, product
from math import prod
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.forms import Case, prepared
from tests.reference import sampling as slow
from tests.reference import uncached
from tests.reference.model import logits as slow_logits
from tests.reference.step import Step
from tests.trainer.networks import network as peaked
from tests.trainer.networks import randomised, toy
from trainer.network.attention import Cache, block_causal
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.sampling import words
from trainer.sampling.analytic import Analytic
from trainer.sampling.ancestral import Ancestral
from trainer.sampling.decoder import WholeDecoder
from trainer.sampling.first_hitting import FirstHitting
from trainer.sampling.generate import sample
from trainer.sampling.reader import Reader
from trainer.sampling.stopping import End, Stopping, unigram_entropy
from trainer.sampling.union import default_sampler
from trainer.sampling.words import Draws, draw, within_nucleus

TRAINED, MASK = 8, 10


def network(objective=BlockDiffusion(), **shape):  # noqa: B008
    """One whose every word has a chance."""
    return peaked(objective, std=0.15, **shape)


def drawn(model, objective, **changes):
    values = {"num": 3, "length": 8, "block_size": 4, "bos_id": 7, "seed": 0, **changes}
    sampler = values.pop("sampler", default_sampler(objective))
    nucleus = values.pop("nucleus", sampler.nucleus)
    return sample(model, objective, sampler=type(sampler)(**{**dict(sampler), "nucleus": nucleus}), **values)


def tokens_of(samples):
    return [each.tokens for each in samples]


def weights_of(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


@settings(max_examples=25, deadline=None)
@given(
    block_size=st.sampled_from([1, 2, 3, 4, 8]),
    blocks=st.integers(1, 6),
    prompt=st.lists(st.integers(0, MASK - 1), max_size=13),
    steps=st.sampled_from([None, 1, 3, 20]),
    nucleus=st.sampled_from([1.0, 0.7]),
    seed=st.integers(0, 99),
)
def test_cached_blocks_equal_the_slow_ones(block_size, blocks, prompt, steps, nucleus, seed):
    """Token for token, within the trained length of 8 and past it, from any prompt."""
    length = block_size * blocks
    prompt = prompt[: max(0, length - 2)]
    if length < 2:
        return
    model = network(length=TRAINED, vocab_size=MASK + 1).double()
    sampler = FirstHitting() if steps is None else Ancestral(steps=steps)
    fast = drawn(
        model,
        BlockDiffusion(),
        num=2,
        length=length,
        block_size=block_size,
        sampler=sampler,
        prompt=prompt,
        nucleus=nucleus,
        seed=seed,
    )
    window = TRAINED // block_size * block_size
    for number, each in enumerate(fast):
        with torch.no_grad():
            expected = slow.block_by_block(
                weights_of(model),
                2,
                [7, *prompt],
                length,
                block_size,
                window,
                MASK,
                seed=seed,
                number=number,
                nucleus=nucleus,
                steps=steps,
            )
        assert (each.tokens, each.nfe) == expected
        first = (1 + len(prompt)) // block_size
        chunks = -(-first * block_size // window)  # the prompt's own blocks, a window of them a pass
        assert each.cache_passes == max(0, chunks - 1)  # the last is read with the first block
        assert each.end == "length"


@settings(max_examples=10, deadline=None)
@given(
    length=st.integers(2, 24),
    prompt=st.lists(st.integers(0, MASK - 1), max_size=20),
    nucleus=st.sampled_from([1.0, 0.7]),
    seed=st.integers(0, 99),
)
def test_cached_autoregression_equals_the_slow_one(length, prompt, nucleus, seed):
    prompt = prompt[: length - 2]
    model = network(Autoregressive(), length=TRAINED, vocab_size=MASK + 1).double()
    fast = drawn(
        model,
        Autoregressive(),
        num=2,
        length=length,
        block_size=1,
        prompt=prompt,
        nucleus=nucleus,
        seed=seed,
    )
    for number, each in enumerate(fast):
        with torch.no_grad():
            expected = slow.autoregressive(
                weights_of(model),
                2,
                [7, *prompt],
                length,
                TRAINED - 1,
                MASK,
                seed=seed,
                number=number,
                nucleus=nucleus,
            )
        chunks = -(-(1 + len(prompt)) // (TRAINED - 1))
        assert (each.tokens, each.nfe, each.cache_passes) == (*expected, chunks - 1)


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(2, 8),
    prompt=st.lists(st.integers(0, MASK - 1), max_size=6),
    steps=st.sampled_from([1, 2, 5, 30]),
    nucleus=st.sampled_from([1.0, 0.7]),
    seed=st.integers(0, 99),
)
def test_analytic_equals_the_slow_one(length, prompt, steps, nucleus, seed):
    prompt = prompt[: length - 2]
    model = network(ScoreEntropy(), length=TRAINED, vocab_size=MASK + 1).double()
    everything = torch.ones(length, length, dtype=torch.bool)

    def words(tokens, sigma):
        text, told = torch.tensor([tokens]), torch.tensor([sigma])
        return slow_logits(weights_of(model), 2, text, torch.arange(length), everything, told)[0, :, :MASK]

    sampler = Analytic(steps=steps)
    fast = drawn(
        model,
        ScoreEntropy(),
        num=2,
        length=length,
        sampler=sampler,
        prompt=prompt,
        nucleus=nucleus,
        seed=seed,
    )
    for number, each in enumerate(fast):
        with torch.no_grad():
            expected = slow.analytic(
                words, [7, *prompt], length, MASK, steps, seed=seed, number=number, nucleus=nucleus
            )
        assert (each.tokens, each.nfe) == expected
        assert each.nfe <= steps + 1


@pytest.mark.parametrize("sampler", [FirstHitting(), Ancestral(steps=5)], ids=lambda sampler: sampler.name)
def test_mdlm_is_one_block(sampler):
    model = network(MaskedDiffusion()).double()
    of_mdlm = drawn(model, MaskedDiffusion(), block_size=4, sampler=sampler)
    assert of_mdlm == drawn(model, BlockDiffusion(), block_size=8, sampler=sampler)
    assert all(MASK not in each.tokens for each in of_mdlm)


KINDS = [
    (Autoregressive(), 1, FirstHitting()),
    (BlockDiffusion(), 4, FirstHitting()),
    (BlockDiffusion(), 4, Ancestral(steps=6)),
    (MaskedDiffusion(), 8, Ancestral(steps=6)),
    (ScoreEntropy(), 8, Analytic(steps=6)),
]


@pytest.mark.parametrize(("objective", "block_size", "sampler"), KINDS, ids=str)
def test_a_sample_is_the_same_in_whatever_batch_it_stands(objective, block_size, sampler):
    model = network(objective).double()
    many = drawn(model, objective, num=4, block_size=block_size, sampler=sampler)
    few = drawn(model, objective, num=2, block_size=block_size, sampler=sampler)
    assert many[:2] == few
    assert many[2:] == drawn(model, objective, num=2, first=2, block_size=block_size, sampler=sampler)
    assert len({tuple(each.tokens) for each in many}) == 4
    assert drawn(model, objective, num=2, block_size=block_size, sampler=sampler, seed=1) != few


@pytest.mark.parametrize(("objective", "block_size", "sampler"), KINDS, ids=str)
def test_what_is_kept_between_passes_changes_no_token(objective, block_size, sampler):
    """Past the trained length, from a prompt, and after some samples have left."""
    model = network(objective).double()
    length = 8 if objective.whole else 32
    rules = {"stopping": Stopping(after=3, entropy=False), "eos_id": 2, "prompt": [1, 4], "num": 5}
    changes = {"length": length, "block_size": block_size, "sampler": sampler, **rules}
    kept, reread = (drawn(model, objective, cached=cached, **changes) for cached in (True, False))
    assert tokens_of(kept) == tokens_of(reread)
    assert [(each.nfe, each.end) for each in kept] == [(each.nfe, each.end) for each in reread]
    assert objective.whole or len({len(each.tokens) for each in kept}) > 1


@pytest.mark.parametrize(("objective", "block_size"), [(Autoregressive(), 1), (BlockDiffusion(), 4)], ids=str)
def test_finished_samples_leave_and_the_others_go_on_unmoved(objective, block_size, monkeypatch):
    model = network(objective).double()
    fixed = tokens_of(drawn(model, objective, num=6, length=32, block_size=block_size))
    eos = next(word for word in range(MASK) if 1 < sum(word in each[5:] for each in fixed) < 6)
    batches, hidden = [], Reader.hidden
    monkeypatch.setattr(
        Reader, "hidden", lambda self, x, *more: batches.append(len(x)) or hidden(self, x, *more)
    )
    stopping = Stopping(after=5, entropy=False)
    samples = drawn(model, objective, num=6, length=32, block_size=block_size, stopping=stopping, eos_id=eos)
    for each, text in zip(samples, fixed, strict=True):
        expected = text[: text.index(eos, 5) + 1] if eos in text[5:] else text
        assert each.tokens == expected
        assert each.end == ("eos" if eos in text[5:] else "length")
        decided = -(-len(expected) // block_size) * block_size - 1  # to the end of its last block
        assert each.nfe == decided
        assert each.cache_passes == 0
    assert batches == sorted(batches, reverse=True)
    assert batches[-1] < 6 == batches[0]


def test_degenerate_text_is_cut_off():
    model = network(vocab_size=500)
    stopping = Stopping(eos=False, after=8, tail=6, min_entropy=10.0)
    (one,) = drawn(model, BlockDiffusion(), num=1, length=32, stopping=stopping)
    assert (one.end, len(one.tokens)) == ("entropy", 12 - 6)
    (prompted,) = drawn(model, BlockDiffusion(), num=1, length=32, stopping=stopping, prompt=[1] * 8)
    assert (prompted.end, prompted.tokens) == ("entropy", [7] + [1] * 8)
    (small,) = drawn(network(), BlockDiffusion(), num=1, length=32, stopping=stopping)
    assert small.end == "length"  # log V < 6
    (whole,) = drawn(model, BlockDiffusion(), num=1, length=32, stopping=Stopping(eos=False))
    assert whole.end == "length"  # no more than 256 tokens


def test_where_both_rules_stop_it_in_one_look_the_degenerate_tail_goes():
    """As in the public code: an EOS behind a text that says one word over and over keeps none of it."""
    tokens = [*range(1000, 1100), *[7] * 250, 5, *[7] * 5]
    assert Stopping(after=64).end(tokens, 16, 1, 5, 2**15) == End("entropy", 100)
    assert Stopping(after=64, entropy=False).end(tokens, 16, 1, 5, 2**15) == End("eos", 351)
    early = [*range(1000, 1020), 5, *[7] * 300]  # a look at more than the tail: what comes first
    assert Stopping(after=10).end(early, 311, 1, 5, 2**15) == End("eos", 21)


def test_stop_rules():
    end = lambda tokens, **rule: Stopping(**rule).end(tokens, 4, 1, 9, 1000)  # noqa: E731
    text = [0, 9, *range(10, 300)]
    assert end(text) is None  # an EOS that came early, and 5.5 nats
    assert end([*text, 9, 1, 2]) == ("eos", len(text) + 1)
    assert end([*text, 9, 1, 2], eos=False) is None
    assert end([*text, *[5] * 256]) == ("entropy", len(text))
    assert end([*text, *[5] * 256], entropy=False) is None
    assert end([0, 5, 5, 9]) is None
    assert end([0, 5, 5, 9], after=2) == ("eos", 4)
    assert unigram_entropy([1, 1, 2, 2]) == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize("length", [256, pytest.param(16_384, marks=pytest.mark.long)])
def test_far_past_the_trained_length(length):
    """Nothing that is far away is needed: two layers reach back over less than two windows of 8."""
    model = network(length=TRAINED).double()
    (long,) = drawn(model, BlockDiffusion(), num=1, length=length, block_size=4, nucleus=0.9)
    assert (len(long.tokens), long.nfe, long.cache_passes) == (length, length - 1, 0)
    with torch.no_grad():
        near = [*long.tokens[-28:-4], *[MASK] * 4]
        expected = slow.block_scores(weights_of(model), 2, near, TRAINED, 4, MASK)
        decoder = BlockDiffusion().decoder(model, 4)
        decoder.append(torch.tensor([long.tokens[:-4]]))
        block = torch.full((1, 4), MASK)
        found = decoder.logits(decoder.hidden(block, block == MASK, 1.0), 1.0)
    torch.testing.assert_close(found[:, :MASK], expected[-4:, :MASK], atol=1e-9, rtol=0)


def exact_distribution(model, objective, block_size):
    """Each string of three letters with its probability: the average over the orders within its blocks."""
    length, mask_id = 4, model.shape.mask_id
    strings = [torch.tensor((0, *letters)) for letters in product(range(4), repeat=length - 1)]

    @cache
    def probs(before, block):
        decoder = objective.decoder(model, block_size)
        if before:
            decoder.append(torch.tensor([before]))
        hidden_PD = decoder.hidden(torch.tensor([block]), torch.ones(1, block_size, dtype=torch.bool), 1.0)
        return decoder.logits(hidden_PD, 1.0).softmax(-1).expand(block_size, -1)

    def of_block(first, text):
        free = range(max(1, first), first + block_size)
        orders = list(permutations(free))
        total = 0.0
        for order in orders:
            seen, product_of_steps = [mask_id if i in free else text[i] for i in range(length)], 1.0
            for position in order:
                row = probs(tuple(text[:first]), tuple(seen[first : first + block_size]))[position - first]
                product_of_steps *= row[text[position]].item()
                seen[position] = text[position]
            total += product_of_steps / len(orders)
        return total

    texts = [tuple(x0.tolist()) for x0 in strings]
    return {text: prod(of_block(i, text) for i in range(0, length, block_size)) for text in texts}


@pytest.mark.parametrize(
    ("objective", "block_size", "sampler"),
    [
        (Autoregressive(), 1, FirstHitting()),
        (BlockDiffusion(), 2, FirstHitting()),
        (BlockDiffusion(), 4, FirstHitting()),
        (MaskedDiffusion(), 4, Ancestral(steps=30)),  # two at once are rare
    ],
    ids=str,
)
def test_samples_follow_the_model(objective, block_size, sampler):
    model = toy(causal=objective.name == "ar", length=4)
    count = 1_000
    with torch.no_grad():
        expected = exact_distribution(model, objective, block_size)
    assert sum(expected.values()) == pytest.approx(1)
    samples = drawn(model, objective, num=count, length=4, block_size=block_size, bos_id=0, sampler=sampler)
    found = dict.fromkeys(expected, 0)
    for each in samples:
        found[tuple(each.tokens)] += 1
    chi_square = sum((found[s] - count * p) ** 2 / (count * p) for s, p in expected.items())
    assert chi_square < 63 + 4 * (2 * 63) ** 0.5


def test_autoregressive_sampling_has_the_likelihood_it_is_judged_by():
    model = toy(causal=True, length=4)
    with torch.no_grad():
        expected = exact_distribution(model, Autoregressive(), 1)
    x0 = torch.tensor(list(expected))
    nats = Autoregressive().bound(model, x0, 1, 1, [0] * len(x0)).sum(dim=1)
    torch.testing.assert_close((-nats).exp(), torch.tensor(list(expected.values()), dtype=torch.float64))


class Constant(WholeDecoder):
    """It predicts word i at position i, and keeps what it was shown."""

    def __init__(self):
        super().__init__(network(vocab_size=4))
        self.shown = []

    def hidden(self, block_BP, chosen_BP, move_chance):
        self.shown.append(block_BP.clone())
        return torch.arange(block_BP.shape[1]).expand_as(block_BP)[chosen_BP][:, None]

    def logits(self, hidden_MD, move_chance):
        return torch.eye(4).log()[hidden_MD[:, 0]]


def test_first_hitting_decides_in_a_uniform_order():
    block, masked = torch.full((6000, 3), 10), torch.ones(6000, 3, dtype=torch.bool)
    decoder = Constant()
    draws = Draws(0, range(6000), torch.device("cpu"))
    filled, nfe, passes = FirstHitting().fill(decoder, block, masked, draws)
    assert torch.equal(filled, torch.arange(3).expand(6000, 3))
    assert nfe.tolist() == [3] * 6000
    times_decided = torch.stack([step != 10 for step in decoder.shown]).sum(dim=0)
    assert torch.equal(passes, 3 - times_decided)  # not yet there in so many of the three passes
    orders, counts = times_decided.unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert (counts - 1000).abs().max() < 4 * 1000**0.5


def test_ancestral_passes_are_the_steps_that_decide_something():
    block, masked = torch.full((4, 3), 10), torch.ones(4, 3, dtype=torch.bool)
    decoder = Constant()
    draws = Draws(0, range(4), torch.device("cpu"))
    filled, nfe, passes = Ancestral(steps=2).fill(decoder, block, masked, draws)
    assert torch.equal(filled, torch.arange(3).expand(4, 3))
    assert len(decoder.shown) == 2
    at_once = (decoder.shown[1] == 10).all(dim=1) | (decoder.shown[1] != 10).all(dim=1)
    assert nfe.tolist() == (2 - at_once.long()).tolist()
    assert torch.equal(passes.amax(dim=1), nfe)
    (one,) = drawn(network(), MaskedDiffusion(), num=1, sampler=Ancestral(steps=1))
    assert one.nfe == 1


def test_nucleus():
    probs = torch.tensor([[0.15, 0.5, 0.05, 0.3]], dtype=torch.float64)
    kept = lambda p: (within_nucleus(probs, p) > 0)[0].tolist()  # noqa: E731
    assert kept(0.1) == kept(0.5) == [False, True, False, False]
    assert kept(0.85) == [False, True, False, True]
    assert kept(1.0) == [True] * 4


@settings(max_examples=30, deadline=None)
@given(
    nucleus=st.floats(0.01, 0.99),
    peaked=st.floats(0.1, 8.0),
    among=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_a_nucleus_is_the_same_wherever_it_is_looked_for_first(nucleus, peaked, among, seed):
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    probs = (peaked * logits).softmax(dim=-1)
    with patch.object(words, "PROBABLE", among):
        found = within_nucleus(probs, nucleus)
    sums = probs.sort(descending=True).values.cumsum(dim=-1)
    sizes = (sums <= nucleus).sum(dim=-1).clamp(min=1)
    for row, size, kept in zip(probs, sizes.tolist(), found, strict=True):
        least = row.sort(descending=True).values[size - 1]
        assert torch.equal(kept, torch.where(row >= least, row, 0.0))


@settings(max_examples=15, deadline=None)
@given(
    block_size=st.sampled_from([1, 2, 4]),
    chunks=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    chosen=st.integers(1, 2**12 - 1),
    causal=st.booleans(),
)
def test_a_text_read_in_parts_is_read_as_a_whole(block_size, chunks, chosen, causal):
    """The reader against the network as it is trained, at rows chosen anywhere among the new tokens."""
    block_size = 1 if causal else block_size
    length = block_size * sum(chunks)
    model = network(Autoregressive() if causal else BlockDiffusion(), length=length).double()
    x_BL = torch.randint(0, MASK, (2, length), generator=torch.Generator().manual_seed(chosen))
    reader, text = Reader(model), Cache(length, block_size, model.recalling)
    with torch.no_grad():
        expected_BLD = model.hidden(x_BL, block_causal(length, block_size))
        for part_BS, expected_BSD in zip(
            *(x.split([n * block_size for n in chunks], dim=1) for x in (x_BL, expected_BLD)), strict=True
        ):
            rows_M = torch.tensor([i for i in range(part_BS.numel()) if chosen >> (i % 12) & 1]).long()
            found_MD = reader.hidden(part_BS, text, rows_M)
            torch.testing.assert_close(found_MD, expected_BSD.flatten(0, 1)[rows_M], atol=1e-11, rtol=0)
            torch.testing.assert_close(
                reader.logits(found_MD)[:, :MASK], model.logits(found_MD)[:, :MASK], atol=1e-11, rtol=0
            )
            text.advance(part_BS.shape[1])


def test_in_bfloat16_it_is_read_as_well_as_the_network_reads_it():
    model = network(length=16)
    x_BL = torch.randint(0, MASK, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact_MV = model.logits(model.hidden(x_BL, block_causal(16, 4))).flatten(0, 1)[:, :MASK]
        model.low_precision = True
        plain_MV = model.logits(model.hidden(x_BL, block_causal(16, 4))).flatten(0, 1)[:, :MASK]
        reader = Reader(model)
        hidden_MD = reader.hidden(x_BL, Cache(16, 4, model.recalling), torch.arange(32))
        found_MV = reader.logits(hidden_MD)[:, :MASK]
    assert found_MV.dtype == exact_MV.dtype == torch.float32
    assert 0 < (found_MV - exact_MV).norm() < 1.3 * (plain_MV - exact_MV).norm()


@pytest.mark.parametrize(("objective", "block_size"), [(Autoregressive(), 1), (BlockDiffusion(), 4)], ids=str)
def test_the_yardstick_of_the_benchmark_predicts_the_same(objective, block_size):
    """benchmarks/sample.py measures against it, so it must compute nothing else."""
    learner = prepared(Case(objective.name, "nano", 16, 50, 1, block_size), False)[0]
    randomised(learner.model)
    x_BL = torch.randint(0, 49, (2, 12), generator=torch.Generator().manual_seed(0))
    before_BS, block_BP = x_BL[:, :8], torch.full((2, block_size), 49)
    block_BP[1, 0] = 3 if block_size > 1 else 49
    decoder = objective.decoder(learner.model, block_size)
    decoder.append(before_BS)
    masked_BP = block_BP == 49
    with torch.no_grad():
        found_MV = decoder.logits(decoder.hidden(block_BP, masked_BP, 1.0), 1.0).softmax(dim=-1)
        text_BX = before_BS if block_size == 1 else torch.cat([before_BS, block_BP], dim=1)
        expected_BPV = uncached.block_probs(Step(learner, 16, None), text_BX, block_size)
    torch.testing.assert_close(found_MV.double(), expected_BPV[masked_BP], atol=1e-5, rtol=0)
    text_BX, calls = uncached.first_hitting(Step(learner, 16, None), 2, 12, block_size)
    assert (text_BX.shape, calls, int((text_BX == 49).sum())) == ((2, 12), 11, 0)


def test_what_has_no_weight_is_never_drawn():
    weights = torch.tensor([0.0, 1.0, 0.0, 1e-300, 0.0], dtype=torch.float64).expand(1000, -1)
    u = Draws(0, range(1000), torch.device("cpu")).uniform(1).squeeze(1)
    assert set(draw(weights, u).tolist()) == {1}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"length": 7}, "a multiple of the block size 4, not 7"),
        ({"block_size": 16, "length": 16}, "from 1 to the trained length 8, not 16"),
        ({"nucleus": 0.0}, "nucleus\n  Input should be greater than 0"),
        ({"num": 0}, "num must be at least 1"),
        ({"prompt": [1] * 7}, "BOS and the prompt take 8 tokens"),
        ({"prompt": [11]}, "the prompt holds 11"),
        ({"prompt": [10]}, "the prompt holds 10"),
        ({"stopping": Stopping()}, "needs a tokenizer that has one"),
        ({"sampler": Analytic()}, "bd3lm is sampled from by first_hitting or ancestral.*, not by analytic"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_impossible_settings_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        drawn(network(), BlockDiffusion(), **changes)


@pytest.mark.parametrize("objective", [MaskedDiffusion(), ScoreEntropy()], ids=lambda value: value.name)
def test_one_block_ends_at_the_trained_length(objective):
    with pytest.raises(ValueError, match="at most the trained length 8, not 12"):
        drawn(network(objective), objective, length=12)
    assert len(drawn(network(objective), objective, num=1, length=5)[0].tokens) == 5
