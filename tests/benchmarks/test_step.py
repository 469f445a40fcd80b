"""Both forms that benchmarks.step compares."""

import pytest
import torch

from benchmarks.forms import Case, our_step, plain_step, prepared
from benchmarks.step import ON_GPU, beside_floors, needed_work

NANO = Case("bd3lm", "nano", 64, 31, 2, 4)
MDLM = NANO._replace(objective="mdlm", block_size=64)
AR = NANO._replace(objective="ar", block_size=1)


@pytest.mark.parametrize("case", [NANO, MDLM, AR], ids=lambda case: case.objective)
def test_both_take_every_tensor_to_where_the_weights_are(case: Case):
    """Whatever is made without saying where would land on another device here, as it would beside a GPU."""
    learner, plain, x0_BL = prepared(case)
    expected = plain_step(plain, learner, x0_BL, 1), our_step(learner, x0_BL, 1)
    learner, plain, x0_BL = prepared(case)
    with torch.device("meta"):
        found = plain_step(plain, learner, x0_BL, 1), our_step(learner, x0_BL, 1)
    assert found == expected


def test_what_is_needed_follows_the_masks_and_the_precision():
    learner, _, x0_BL = prepared(NANO, with_plain=False)
    needed = needed_work(NANO, learner, x0_BL)
    low = needed_work(NANO._replace(dtype="bfloat16"), learner, x0_BL)
    assert needed.optimizer == 40 * sum(each.numel() for each in learner.model.parameters())
    assert low.flops == needed.flops
    assert low.bytes < needed.bytes
    of_ar = needed_work(AR, prepared(AR, with_plain=False)[0], x0_BL)
    assert of_ar.flops != needed.flops


def test_cases_of_a_gpu_are_in_the_precision_of_the_floors():
    assert {(case.dtype, case.device) for case in ON_GPU} == {("bfloat16", "cuda")}


def test_a_gpus_row_stands_beside_its_floors():
    row = {
        "floors_ms": {"operations": 8.684, "bytes": 9.5},
        "cpu_seconds": {"plain": [0.09, 0.08, 0.1], "ours": [0.024, 0.025, 0.0245]},
        "launches": {
            "plain": {"kernels": 2250, "calls": 2251},
            "ours": {"kernels": 912, "calls": 23},
        },
    }
    assert beside_floors(row).strip() == (
        "floors of an H200: operations 8.68 ms, bytes 9.50 ms; plain 90.00 ms, 2,250 kernels by 2,251 calls; "
        "ours 24.50 ms, 912 kernels by 23 calls"
    )
