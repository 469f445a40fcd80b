"""python -m benchmarks.operators [--quick]: where the CPU seconds of a training step go, by operator.

Each form takes `--steps` steps under torch's profiler after two that warm it up, on one thread, without
dropout; ours in bfloat16 as well, where the processor has it. An operator's share is of its own time, without
the operators within it. `operators` counts the calls of a step.

torch's profiler reads the clock: beside other work shares are rough, and a rare operator's are noise.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.document import finish, options
from benchmarks.forms import Case, named, our_step, plain_step, prepared
from trainer.network.hardware import has_bfloat16

CASES = (
    Case("bd3lm", "nano", 64, 2_048, 16, 4),
    Case("bd3lm", "tiny", 128, 4_096, 16, 16),
    Case("bd3lm", "tiny", 128, 30_522, 16, 16),
)
BFLOAT16 = tuple(
    case._replace(dtype="bfloat16") for case in (*CASES, Case("bd3lm", "tiny", 1024, 50_258, 1, 16))
)
GROUPS = {
    "products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "attention": (
        "aten::bmm",
        "aten::baddbmm",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "softmax": ("aten::_softmax", "aten::_log_softmax", "aten::exp", "aten::exp_", "aten::logsumexp"),
    "GELU": ("aten::gelu", "aten::gelu_backward", "aten::sigmoid_"),
    "norms": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "by element": ("aten::mul", "aten::mul_", "aten::add", "aten::add_", "aten::sub_", "aten::addcmul"),
    "copies": ("aten::copy_", "aten::cat", "aten::fill_", "aten::index_select", "aten::zero_"),
    "AdamW, average, clipping": ("aten::_fused_adamw_", "aten::lerp_", "aten::linalg_vector_norm"),
}


def main() -> None:
    parser = options("operators", __doc__, quick="nano alone, five steps.")
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps = 5 if given.quick else given.steps
    rows: list[dict[str, Any]] = []
    print(f"{'':<38}{'':<7}{'operators':>10}" + "".join(f"{name.split(',')[0]:>12}" for name in GROUPS))
    for case in CASES[:1] if given.quick else (*CASES, *(BFLOAT16 if has_bfloat16("cpu") else ())):
        learner, plain, x0_BL = prepared(case)
        straightforward = {} if case in BFLOAT16 else {"plain": partial(plain_step, plain)}
        forms = {**straightforward, "ours": our_step}
        for form, take in forms.items():
            row = shares(partial(take, learner, x0_BL), steps)
            rows.append({**case._asdict(), "form": form, **row})
            print(f"{named(case):<38}{form:<7}{row['operators']:>10,}", end="")
            print("".join(f"{row['shares'][name]:>12.1%}" for name in GROUPS), flush=True)
    summary = {
        f"{row['size']} V={row['vocab_size']} {row['dtype']} {row['form']}": row["shares"] for row in rows
    }
    finish("operators", {"steps": steps, "threads": 1, "dropout": 0}, rows, summary, write=given.write)


def shares(take: Callable[[int], float], steps: int) -> dict[str, Any]:
    """Of a step: calls of operators, and each group's part of their time."""
    for step in (1, 2):
        take(step)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for step in range(3, 3 + steps):
            take(step)
    group_of = {operator: group for group, operators in GROUPS.items() for operator in operators}
    spent: Counter[str] = Counter()
    calls = 0
    for event in found.key_averages():
        spent[group_of.get(event.key, "the rest")] += event.self_cpu_time_total
        calls += event.count * event.key.startswith("aten::")
    total = sum(spent.values())
    return {
        "operators": round(calls / steps),
        "shares": {group: round(spent[group] / total, 4) for group in (*GROUPS, "the rest")},
    }


if __name__ == "__main__":
    main()
