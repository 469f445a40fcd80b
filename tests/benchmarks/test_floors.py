"""What a step needs, counted from shapes: against torch's own count, and against counts by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.floors import H200, Launches, Work, counted, rows_of, work
from sweeper.planning.flops import Rows, flops_of
from tests.trainer.networks import randomised
from trainer.config.train_config import TrainConfig
from trainer.network.attention import WHOLE, block_causal, noised
from trainer.network.model import Shape
from trainer.training.learner import Learner

BATCH, LENGTH, WIDTH, COND, VOCAB_SIZE = 2, 16, 8, 6, 32  # a CPU rounds vocabularies up to 16s


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    ("objective", "block_size"), [("bd3lm", 4), ("bd3lm", 1), ("mdlm", LENGTH), ("ar", 1)]
)
def test_operations_are_those_that_torch_counts(
    objective: str, block_size: int, layers: int, monkeypatch: pytest.MonkeyPatch
):
    """All but two: a dense mask, its keys filled up to whole vectors, computes pairs in vain, and the vectors
    of the condition are left out."""
    monkeypatch.setattr("trainer.network.products.EMULATED", False)  # as with instructions for bfloat16
    config = TrainConfig.from_dotted(
        {
            "objective.name": objective,
            "data.length": LENGTH,
            "model.dropout": 0,
            # Attention is products then, which torch's counter sees; its own kernel on a CPU it does not.
            "compute.precision": "bfloat16",
            "finetune.block_size": block_size,
            "finetune.batch_size": BATCH,
        }
    )
    shape = Shape(WIDTH, layers, 2, COND, LENGTH, VOCAB_SIZE, VOCAB_SIZE - 1)
    learner = Learner(config, shape, torch.device("cpu"))
    randomised(learner.model, std=0.2)
    x0_BL = torch.randint(0, VOCAB_SIZE - 1, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))

    def masks() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    with FlopCounterMode(display=False) as done:
        learner._gradients(x0_BL, config.finetune, 0.0, masks())

    ar = objective == "ar"
    layout = block_causal(LENGTH - 1, 1) if ar else noised(LENGTH, block_size)
    read = layout.num_read
    scored = BATCH * read if ar else int(_masked(learner, x0_BL, masks()).sum())
    rows = rows_of(layout, BATCH, scored)
    tokens = layout.noisy + layout.clean
    keys = tokens + -tokens % WHOLE
    vain = BATCH * ((layers - 1) * tokens + read) * keys - (layers - 1) * rows.pairs - rows.pairs_read
    # The condition is made once for the layers and once for the head: 256 sinusoids, then C by C.
    of_condition = 2 * (2 * 256 * COND + 3 * COND**2) + 3 * COND * WIDTH * (6 * layers + 2)
    expected = flops_of(shape, rows) + 2 * 3 * 2 * WIDTH * vain + (0 if ar else 2 * of_condition)
    assert done.get_total_flops() == expected


def _masked(learner: Learner, x0_BL: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    phase, objective = learner.config.finetune, learner.config.objective
    return objective.draw(learner.model, x0_BL, phase, 0.0, generator)[1]


def test_counted_by_hand():
    """One layer of width 2, five words; two tokens in blocks of one, of which one is masked."""
    shape = Shape(width=2, layers=1, heads=1, cond_width=1, length=2, vocab_size=5, mask_id=4)
    rows = rows_of(noised(2, 1), batch=1, scored=1)
    # Two noisy tokens and one clean: each reads itself, the second noisy one the clean one too.
    assert rows == Rows(tokens=3, read=2, scored=1, pairs=4, pairs_read=3)
    q_k_v = 2 * 2 * 2 + 3 * 2 * 4
    out_mlp_head = 1 * 2 * 2 + 1 * 2 * 8 + 1 * 8 * 2 + 1 * 2 * 5
    pairs = 3 * 2 * 2
    matrices = 4 + 8 + 4 + 16 + 16 + 10
    inputs_and_outputs = 2 * (2 + 2) + 3 * (2 + 4) + (2 + 2) + (2 + 8) + (8 + 2) + 2
    q_k_v_o = (2 + 3 + 3 + 2) * 2
    stream = (3 + 1 + 1) * 2  # embedded, and the masked one after attention and after the MLP
    assert work(shape, rows, parameters=7, element=2) == Work(
        flops=2 * 3 * (q_k_v + out_mlp_head + pairs),
        weights=matrices * (2 + 2 + 4) + 5 * 2 * 4,
        activations=3 * 2 * (inputs_and_outputs + q_k_v_o) + 4 * 4 * stream,
        optimizer=7 * 40,
    )


def test_every_layer_but_the_last_is_computed_for_all_tokens():
    shape = Shape(width=8, layers=3, heads=2, cond_width=1, length=4, vocab_size=5, mask_id=4)
    rows = rows_of(noised(4, 2), batch=2, scored=3)
    three, two = work(shape, rows, 0, 2), work(shape._replace(layers=2), rows, 0, 2)
    tokens, width = 2 * (4 + 2), 8
    assert three.flops - two.flops == 2 * 3 * (12 * width**2 * tokens + 2 * width * rows.pairs)
    assert three.weights - two.weights == 12 * width**2 * (2 + 2 + 4)
    products = (1 + 3) + (1 + 1) + (1 + 4) + (4 + 1)
    assert three.activations - two.activations == tokens * width * (3 * 2 * (products + 4) + 4 * 4 * 2)


def test_a_number_of_four_bytes_doubles_what_goes_between_products():
    shape = Shape(width=8, layers=2, heads=2, cond_width=1, length=4, vocab_size=5, mask_id=4)
    rows = rows_of(noised(4, 2), batch=2, scored=3)
    low, full = work(shape, rows, 9, 2), work(shape, rows, 9, 4)
    assert (low.flops, low.optimizer) == (full.flops, full.optimizer)
    stream = 4 * 4 * 8 * (12 * (1 + 2) + 2 * 3)
    assert full.activations - stream == 2 * (low.activations - stream)


def test_floors_are_at_the_cards_rates():
    needed = Work(flops=1_580_000_000_000, weights=4_300_000_000, activations=0, optimizer=8_600_000_000)
    assert needed.milliseconds(H200) == {"operations": 2.0, "bytes": 3.0}


def test_kernels_and_calls_are_counted():
    def event(name: str, device: DeviceType, named: bool = False) -> SimpleNamespace:
        return SimpleNamespace(name=name, device_type=device, is_user_annotation=named)

    on_gpu = ["ampere_bf16_gemm", "Memcpy HtoD (Pageable -> Device)", "Memset (Device)", "softmax", "softmax"]
    of_host = [
        "cudaLaunchKernel",
        "cuLaunchKernelEx",
        "cudaGraphLaunch",
        "cudaMemcpyAsync",
        "cudaMemsetAsync",
    ]
    neither = ["aten::mm", "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventRecord"]
    events = [event(name, DeviceType.CUDA) for name in on_gpu]
    events += [event(name, DeviceType.CPU) for name in (*of_host, *neither)]
    events.append(event("Optimizer.step#AdamW.step", DeviceType.CUDA, named=True))
    assert counted(events) == Launches(kernels=5, calls=5)


def test_a_profile_has_what_is_counted():
    with profile(activities=[ProfilerActivity.CPU]) as found:
        torch.ones(3).sum()
    assert len(found.events()) > 0
    assert counted(found.events()) == Launches(0, 0)
