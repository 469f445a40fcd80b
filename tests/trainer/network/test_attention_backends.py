"""Every backend is the dense one; which is taken; which are refused. No GPU is needed.

FlexAttention runs uncompiled, and a function of torch's own kernels stands in for flash-attn's.
"""

import sys
import threading
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask, flex_attention

from tests.reference.attention import mask as slow_mask
from tests.trainer.networks import network
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.errors import TrainingError
from trainer.network import attention_flash, attention_flex, backends
from trainer.network.attention import Layout, Recall, block_causal, dense, dense_mask, noised, recall_densely
from trainer.network.attention_flash import flash, recall_by_flash
from trainer.network.backends import Place, attention_named, backend_for, unmasked
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.sampling.generate import sample
from trainer.sampling.union import default_sampler

LAYOUTS = [noised(12, 1), noised(12, 3), noised(12, 12), noised(12, 4, copies=3), block_causal(11, 1)]
CAUSAL_OR_FULL = [block_causal(11, 1), noised(12, 12), noised(8, 8, copies=3)]


def given_of(layout: Layout, heads: int = 2, size: int = 16) -> torch.Tensor:
    """q, k and v of every token."""
    tokens = layout.num_noisy + layout.clean
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, heads, tokens, size, generator=generator)


class FlashAttention:
    """Of flash-attn's signature and layout (B, S, H, K); its causal rows end with the last key."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], int, bool, tuple[int, int]]] = []

    def __call__(self, q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1)):
        batch, rows, heads, size = q.shape
        keys = k.shape[1]
        assert k.shape == v.shape == (batch, keys, heads, size)
        assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1  # as its kernel asks
        self.calls.append((tuple(q.shape), keys, causal, window_size))
        place_R1 = torch.arange(keys - rows, keys)[:, None]
        place_S = torch.arange(keys)
        allowed_RS = torch.ones(rows, keys, dtype=torch.bool)
        if causal:
            allowed_RS &= place_S <= place_R1
        if window_size[0] >= 0:
            allowed_RS &= place_S >= place_R1 - window_size[0]
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed_RS).transpose(1, 2)


@pytest.fixture
def flash_attn(monkeypatch: pytest.MonkeyPatch) -> FlashAttention:
    """As if it were installed."""
    module, stand_in = ModuleType("flash_attn"), FlashAttention()
    module.flash_attn_func = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    return stand_in


@pytest.mark.parametrize("layout", CAUSAL_OR_FULL, ids=str)
@pytest.mark.parametrize("backend", ["flash", "unmasked"])
def test_causal_and_full_attention_need_no_mask(layout: Layout, backend: str, flash_attn: FlashAttention):
    q, k, v = given_of(layout)
    expected = dense(q, k, v, layout)
    torch.testing.assert_close(backends.ATTENTION[backend](q, k, v, layout), expected)
    if backend == "flash":
        (shape, keys, causal, window) = flash_attn.calls[0]
        assert shape == (2 * layout.copies, q.shape[2] // layout.copies, 2, 16)
        assert (keys, causal, window) == (shape[1], layout.causal, (-1, -1))


def test_flash_does_not_attend_by_blocks(flash_attn: FlashAttention):
    layout = noised(12, 4)
    with pytest.raises(ValueError, match="not by blocks of 4"):
        flash(*given_of(layout), layout)
    assert not flash_attn.calls


@settings(max_examples=60, deadline=None)
@given(
    block_size=st.sampled_from([1, 2, 4]),
    window_blocks=st.integers(1, 5),
    stored_blocks=st.integers(0, 5),
    new_blocks=st.integers(1, 4),
)
def test_recall_by_flash(block_size: int, window_blocks: int, stored_blocks: int, new_blocks: int):
    """Any that a cache can ask for: at most a window is new, and stored is what the first new block reads."""
    window = window_blocks * block_size
    new = min(new_blocks, window_blocks) * block_size
    recall = Recall(min(stored_blocks * block_size, window - block_size), new, block_size, window)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 2, new, 8, generator=generator)
    k, v = torch.randn(2, 2, 2, recall.stored + new, 8, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_flash, "kernel", FlashAttention)
        torch.testing.assert_close(recall_by_flash(q, k, v, recall), recall_densely(q, k, v, recall))


@pytest.mark.parametrize("objective", [BlockDiffusion(), Autoregressive()], ids=lambda each: each.name)
def test_sampling_with_the_cache_by_flash(objective: Objective, flash_attn: FlashAttention):
    """The same tokens as torch's kernel, far past the trained length, with a prompt of several blocks."""
    model = network(objective, length=8).double()
    block_size = 4 if objective.noisy else 1
    kind = default_sampler(objective)
    texts = []
    for recalling in (recall_densely, recall_by_flash):
        model.recalling = recalling
        drawn = sample(
            model,
            objective,
            sampler=type(kind)(),
            num=3,
            length=24,
            block_size=block_size,
            bos_id=7,
            seed=0,
            prompt=[7, 1, 2, 3, 4, 5, 6, 0],
        )
        texts.append([each.tokens for each in drawn])
    assert texts[0] == texts[1]
    assert flash_attn.calls


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_rule_of_flex_is_the_mask(layout: Layout):
    tokens = layout.num_noisy + layout.clean
    found = create_mask(attention_flex.rule(layout), 1, 1, tokens, tokens, device="cpu")[0, 0]
    if layout.copies == 1:
        assert torch.equal(found, dense_mask(layout, torch.device("cpu")))
    single = dense_mask(layout, torch.device("cpu"))
    n, total = layout.noisy, layout.num_noisy
    for copy in range(layout.copies):
        mine = [*range(copy * n, (copy + 1) * n), *range(total, tokens)]
        assert torch.equal(found[mine][:, mine], single)
        others = [i for i in range(total) if i not in mine]
        assert not found[mine][:, others].any()


def test_the_rule_of_flex_is_the_slow_one():
    layout = Layout(noisy=12, clean=12, block_size=3)
    found = create_mask(attention_flex.rule(layout), 1, 1, 24, 24, device="cpu")[0, 0]
    assert torch.equal(found, slow_mask(12, 3))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_flex_forward(layout: Layout, last: bool, monkeypatch: pytest.MonkeyPatch):
    """Uncompiled: a CPU can do no more of it."""
    monkeypatch.setattr(attention_flex, "compiled", lambda: flex_attention)
    q, k, v = given_of(layout)
    rows = layout.num_read if last else q.shape[2]
    with torch.no_grad():
        found = attention_flex.flex(q[:, :, :rows], k, v, layout)
    torch.testing.assert_close(found, dense(q, k, v, layout)[:, :, :rows])


CPU = Place("cpu", torch.float32, (0, 0), flash=False)
LOW = CPU._replace(dtype=torch.bfloat16)
H200 = Place("cuda", torch.bfloat16, (9, 0), flash=True)
TRAINING, SHORT, AR, MDLM = noised(1024, 16), noised(128, 16), block_causal(1023, 1), noised(1024, 1024)


@pytest.mark.parametrize(
    ("layout", "place", "expected"),
    [
        (TRAINING, CPU, "tiles"),
        (SHORT, CPU, "blocks"),
        (noised(64, 2, copies=3), CPU, "dense"),
        (SHORT, LOW, "blocks"),
        (SHORT, LOW._replace(multiplies=False), "tiles"),
        (noised(64, 16), LOW, "dense"),
        (noised(64, 16), LOW._replace(trains=False), "blocks"),
        (noised(64, 2), LOW._replace(trains=False), "dense"),
        (noised(64, 64), CPU, "dense"),
        (AR, CPU, "tiles"),
        (MDLM, CPU, "dense"),
        (TRAINING, LOW._replace(flash=True), "blocks"),
        (AR, LOW, "tiles"),
        (TRAINING, H200, "flex"),
        (noised(1024, 16, copies=4), H200, "flex"),
        (SHORT, H200, "dense"),
        (TRAINING, H200._replace(head_size=8), "dense"),
        (AR, H200, "flash"),
        (MDLM, H200, "flash"),
        (AR, H200._replace(flash=False), "unmasked"),
        (AR, H200._replace(dtype=torch.float32), "unmasked"),
        (AR, H200._replace(capability=(7, 5)), "unmasked"),
        (TRAINING, H200._replace(capability=(6, 1)), "dense"),
    ],
)
def test_the_backend_that_is_taken(layout: Layout, place: Place, expected: str):
    assert backend_for(layout, place) == expected


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("flash", CPU, "not installed"),
        ("flash", H200._replace(flash=False), "not installed"),
        ("flash", H200._replace(dtype=torch.float32), "bfloat16"),
        ("flash", CPU._replace(flash=True), "needs a GPU"),
        ("flex", CPU, "cannot train with flex on a CPU"),
    ],
)
def test_a_backend_that_this_machine_has_not(name: str, place: Place, sentence: str):
    with pytest.raises(TrainingError, match=sentence):
        attention_named(name, place)


def test_what_a_machine_has():
    assert attention_named("flash", H200) == (flash, recall_by_flash)
    assert attention_named("dense", CPU) == (dense, recall_densely)
    assert attention_named("flex", H200)[1] is recall_densely
    assert unmasked in backends.ATTENTION.values()


def test_flash_is_refused_for_block_diffusion_before_anything_runs():
    with pytest.raises(InvalidConfig, match=r"compute\.attention: flash attends causally or fully"):
        TrainConfig.from_dotted({"compute.attention": "flash"})
    for name in ("ar", "mdlm", "sedd"):
        TrainConfig.from_dotted({"compute.attention": "flash", "objective.name": name})


@pytest.mark.parametrize("objective", [Autoregressive(), MaskedDiffusion()], ids=lambda each: each.name)
def test_gradients_through_flash(objective: Objective, flash_attn: FlashAttention):
    length = 8
    model = network(objective, length=length).train()
    phase = TrainConfig.from_dotted({"objective.name": objective.name, "data.length": length}).finetune
    x0 = torch.randint(0, 10, (3, length), generator=torch.Generator().manual_seed(0))
    found = []
    for attention in (dense, flash):
        model.attention = attention
        loss = objective.loss(model, x0, phase, 0.0, torch.Generator().manual_seed(0)).loss_BL.sum()
        found.append(torch.autograd.grad(loss, list(model.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert len(flash_attn.calls) == model.shape.layers


def test_flex_is_compiled_for_every_shape_of_a_run(monkeypatch: pytest.MonkeyPatch):
    """torch gives up after a few, and computes every score from then on. A run is trained in a thread of its
    own, and what torch is told is a thread's."""
    limits: list[int] = []
    given = given_of(noised(8, 4))
    monkeypatch.setattr(
        attention_flex,
        "compiled",
        lambda: lambda *tensors, block_mask: limits.append(torch._dynamo.config.recompile_limit),
    )
    with torch._dynamo.config.patch(recompile_limit=8):  # monkeypatch would leave none behind
        for _ in range(2):
            thread = threading.Thread(target=attention_flex.flex, args=(*given, noised(8, 4)))
            thread.start()
            thread.join()
    assert limits == [attention_flex.SHAPES] * 2
