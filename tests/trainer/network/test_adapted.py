"""A causal model of transformers as a denoiser, against transformers' own code and against itself."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.causal_models import KINDS, LENGTH, MASK, WORDS, saved, taken_over, theirs
from trainer.network.adapted import Adapted, predicting
from trainer.network.attention import block_causal, dense_mask, noised
from trainer.network.model import evaluating
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.diffusion_loss import masked_cross_entropy
from trainer.sampling.decoder import CausalDecoder, decoder_of_blocks
from trainer.sampling.generate import sample
from trainer.sampling.reader import reader_of

SEQUENCES = torch.randint(0, WORDS, (3, LENGTH), generator=torch.Generator().manual_seed(0))
NO_MASKS = [0] * len(SEQUENCES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: saved(kind, tmp_path_factory.mktemp("models") / "one") for kind in KINDS}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(kind: str, folders: dict[str, Path]) -> Adapted:
    return taken_over(folders[kind])


@pytest.fixture(scope="module")
def source(kind: str) -> Any:
    return theirs(kind)


@torch.no_grad()
def test_it_predicts_what_its_source_predicts(model: Adapted, source: Any) -> None:
    found = model.logits(model.hidden(SEQUENCES, block_causal(LENGTH, 1)))
    assert found[..., MASK].eq(-torch.inf).all()
    torch.testing.assert_close(found[..., :WORDS], source(SEQUENCES).logits, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("block_size", [1, 2, 4, LENGTH])
def test_its_source_under_the_mask_of_blocks_predicts_the_same_a_row_before(
    model: Adapted, source: Any, block_size: int
) -> None:
    """[x_t ; x_0] through transformers' own code, told positions and who reads whom."""
    layout = noised(LENGTH, block_size)
    masked_BL = torch.rand(SEQUENCES.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    masked_BL[:, 0] = False
    source = with_mask(source, model)
    xt_BL = torch.where(masked_BL, MASK, SEQUENCES)
    tokens_BS = torch.cat([xt_BL, SEQUENCES[:, : layout.clean]], dim=1)
    may_B1SS = dense_mask(layout, torch.device("cpu")).expand(len(tokens_BS), 1, -1, -1)
    positions_BS = layout.positions(torch.device("cpu")).expand_as(tokens_BS)
    logits_BSV = source(tokens_BS, attention_mask=may_B1SS, position_ids=positions_BS).logits[..., :WORDS]

    found_BLV = model.logits(model.hidden(tokens_BS, layout))[..., :WORDS]
    for place in range(1, LENGTH):
        starts = place % block_size == 0
        row = LENGTH + place - 1 if starts else place - 1
        torch.testing.assert_close(found_BLV[:, place], logits_BSV[:, row], atol=1e-5, rtol=0)


def with_mask(source: Any, model: Adapted) -> Any:
    """One of transformers that has the mask's row, too."""
    source, rows = copy.deepcopy(source), model.embedding.weight
    source.set_input_embeddings(torch.nn.Embedding.from_pretrained(rows.detach().clone()))
    source.lm_head = torch.nn.Linear(*rows.shape[::-1], bias=False)
    source.lm_head.weight = torch.nn.Parameter(model.words.detach().clone())
    return source


def test_blocks_of_one_token_are_the_sources_likelihood(model: Adapted, source: Any) -> None:
    bound_BL = BlockDiffusion().bound(model, SEQUENCES, 1, 1, NO_MASKS)
    with torch.no_grad():
        log_probs = source(SEQUENCES).logits.log_softmax(dim=-1)[:, :-1]
    nats = -log_probs.gather(2, SEQUENCES[:, 1:, None]).squeeze(2)
    torch.testing.assert_close(bound_BL[:, 1:], nats.double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        bound_BL, Autoregressive().bound(model, SEQUENCES, 1, 1, NO_MASKS), atol=1e-5, rtol=0
    )


@settings(max_examples=20, deadline=None)
@given(
    block_size=st.sampled_from([1, 2, 3, 4, 6]),
    blocks=st.integers(1, 5),
    copies=st.integers(1, 3),
    clean=st.booleans(),
)
def test_a_noisy_token_is_predicted_by_the_row_before_it_that_knows_most(
    block_size: int, blocks: int, copies: int, clean: bool
) -> None:
    """Of the rows at place i - 1 one that reads token i's block, or where none does the clean one; never one
    that reads token i unmasked."""
    layout = noised(length := block_size * blocks, block_size, copies) if clean else block_causal(5, 1)
    read = torch.arange(layout.num_read)
    rows = predicting(layout, read)
    positions = layout.positions(torch.device("cpu"))
    if not clean:
        assert rows.equal(read)
        return
    copy, place = read // length, read % length
    of_text = place > 0
    assert positions[rows][of_text].equal(place[of_text] - 1)
    assert rows[~of_text].equal(read[~of_text])
    inside = place % block_size > 0
    assert (rows[inside] // length).equal(copy[inside])  # its own copy's
    assert (rows[of_text & ~inside] >= layout.num_noisy).all()  # a clean one


def test_copies_under_several_masks_are_predicted_as_each_alone(model: Adapted) -> None:
    masked_BKL = torch.rand((3, 4, LENGTH), generator=torch.Generator().manual_seed(2)) < 0.4
    masked_BKL[..., 0] = False
    xt_BKL = torch.where(masked_BKL, MASK, SEQUENCES[:, None])
    with evaluating(model):
        together = masked_cross_entropy(model, SEQUENCES, xt_BKL, masked_BKL, 4)
        for k in range(4):
            xt, masked = xt_BKL[:, k : k + 1], masked_BKL[:, k : k + 1]
            alone = masked_cross_entropy(model, SEQUENCES, xt, masked, 4)
            here = torch.zeros_like(masked_BKL)
            here[:, k] = True
            torch.testing.assert_close(together[here[masked_BKL]], alone, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("block_size", [1, 3, 4])
def test_a_text_that_grows_is_read_as_in_training(
    kind: str, folders: dict[str, Path], block_size: int
) -> None:
    """Block after block with a cache, each asked for twice, against one pass over [x_t ; x_0]."""
    model = taken_over(folders[kind]).double()
    masked_BL = torch.rand(SEQUENCES.shape, generator=torch.Generator().manual_seed(4)) < 0.6
    masked_BL[:, 0] = False
    xt_BL, layout = torch.where(masked_BL, MASK, SEQUENCES), noised(LENGTH, block_size)
    whole_BLD = model.hidden(torch.cat([xt_BL, SEQUENCES[:, : layout.clean]], dim=1), layout)
    decoder = decoder_of_blocks(model, block_size)
    others = torch.ones(SEQUENCES.shape, dtype=torch.bool)
    others[:, 0] = False
    for start in range(0, LENGTH, block_size):
        part = slice(start, start + block_size)
        for chosen_BL in (others, masked_BL):
            found_MD = decoder.hidden(xt_BL[:, part], chosen_BL[:, part], 0.5)
            expected_MD = whole_BLD[:, part][chosen_BL[:, part]]
            torch.testing.assert_close(found_MD, expected_MD, atol=1e-11, rtol=0)
            torch.testing.assert_close(
                decoder.logits(found_MD, 0.5)[:, :WORDS], model.logits(expected_MD)[:, :WORDS]
            )
        decoder.append(SEQUENCES[:, part])


@torch.no_grad()
def test_token_by_token_it_is_read_as_in_training(kind: str, folders: dict[str, Path]) -> None:
    model = taken_over(folders[kind], causal=True).double()
    whole_BLD = model.hidden(SEQUENCES[:, :-1], block_causal(LENGTH - 1, 1))
    decoder, asked = CausalDecoder(reader_of(model)), torch.ones(len(SEQUENCES), 1, dtype=torch.bool)
    for place in range(LENGTH - 1):
        decoder.append(SEQUENCES[:, place : place + 1])
        found_BD = decoder.hidden(torch.full((len(SEQUENCES), 1), MASK), asked, 1.0)
        torch.testing.assert_close(found_BD, whole_BLD[:, place], atol=1e-11, rtol=0)


@pytest.mark.parametrize(("objective", "block_size"), [(BlockDiffusion(), 4), (Autoregressive(), 1)], ids=str)
def test_samples_do_not_depend_on_the_cache(
    kind: str, folders: dict[str, Path], objective: Any, block_size: int
) -> None:
    model = taken_over(folders[kind], causal=not objective.noisy).double()

    def tokens(cached: bool) -> list[list[int]]:
        given = {"num": 3, "length": LENGTH, "block_size": block_size, "bos_id": 0, "seed": 1}
        drawn = sample(model, objective, prompt=(5, 6, 7, 8), cached=cached, **given)
        return [each.tokens for each in drawn]

    cached, reread = tokens(True), tokens(False)
    assert cached == reread
    assert all(MASK not in each for each in cached)


def test_learned_positions_end(folders: dict[str, Path]) -> None:
    model = taken_over(folders["gpt2"])
    with pytest.raises(ValueError, match="16 positions, which are learned: no sample of 20 tokens"):
        sample(model, BlockDiffusion(), num=1, length=20, block_size=4, bos_id=0, seed=0)
    rotary = taken_over(folders["llama"])
    (longer,) = sample(rotary, BlockDiffusion(), num=1, length=20, block_size=4, bos_id=0, seed=0)
    assert len(longer.tokens) == 20


@torch.no_grad()
def test_in_bfloat16_it_predicts_nearly_the_same(model: Adapted) -> None:
    exact = model.logits(model.hidden(SEQUENCES, block_causal(LENGTH, 4)))[..., :WORDS]
    try:
        model.low_precision = True
        low = model.logits(model.hidden(SEQUENCES, block_causal(LENGTH, 4)))[..., :WORDS]
    finally:
        model.low_precision = False
    assert low.dtype == torch.float32
    assert 0 < (low - exact).norm() < 0.1 * exact.norm()


def test_every_parameter_learns(model: Adapted) -> None:
    masked_BKL = torch.ones(SEQUENCES[:, None].shape, dtype=torch.bool)
    masked_BKL[..., 0] = False
    model.zero_grad()
    xt_BKL = torch.where(masked_BKL, MASK, SEQUENCES[:, None])
    masked_cross_entropy(model, SEQUENCES, xt_BKL, masked_BKL, 4).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    model.zero_grad(set_to_none=True)
