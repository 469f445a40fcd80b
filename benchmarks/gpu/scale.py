"""How much of everything `python -m benchmarks.gpu_check` does: on a card, and where it is pretended."""

from collections.abc import Mapping
from typing import NamedTuple

# Of tests/gpu/test_*_on_gpu.py, in this order: seconds that a file may take.
TESTS = {"precision": 40, "graphs": 110, "promises": 50, "backends": 110, "together": 40}


class Row(NamedTuple):
    """One thing that was looked at."""

    what: str
    ok: bool | None  # None: it is only said
    found: str
    asked: str = ""
    facts: Mapping[str, object] = {}  # every figure behind it


class Step(NamedTuple):
    """A case of benchmarks.step."""

    length: int
    batch: int
    ratio: float | None = None  # over the straightforward form, that is asked
    of_floor: float | None = None  # the share of the floor's rate, that is asked


class Scale(NamedTuple):
    device: str
    size: str  # of the network
    vocab_size: int
    block_size: int
    steps: tuple[Step, ...]
    repeats: int  # of a step
    product: int  # the side of the matrices whose product is timed
    copied: int  # bytes
    trials: int  # on one card
    batch: int  # of each
    length: int
    seconds: float  # in which trials are counted
    run: tuple[tuple[str, object], ...]  # values of the whole run
    text: str | None = None  # a file to train on, instead of pydocs


# In the order of what they are worth, should the time not suffice for all.
FULL = Scale(
    device="cuda",
    size="tiny",
    vocab_size=30_522,
    block_size=16,
    steps=(
        Step(128, 8, ratio=5),
        Step(128, 512, ratio=3, of_floor=0.5),
        Step(128, 32, ratio=5),
        Step(1024, 64),
        Step(1024, 8),
    ),
    repeats=10,
    product=8192,
    copied=2**32,
    trials=8,
    batch=8,
    length=128,
    seconds=4.0,
    run=(
        ("model.size", "tiny"),
        ("data.length", 128),
        ("finetune.steps", 300),
        ("finetune.batch_size", 32),
        ("evaluation.every", 100),
        ("evaluation.variance_batches", 4),
    ),
)
PRETENDED = Scale(
    device="cpu",
    size="nano",
    vocab_size=97,
    block_size=4,
    steps=(Step(16, 2, ratio=0, of_floor=0),),
    repeats=1,
    product=64,
    copied=2**16,
    trials=2,
    batch=2,
    length=16,
    seconds=0.05,
    run=(
        ("model.size", "nano"),
        ("data.length", 16),
        ("data.vocab_size", 300),
        ("finetune.block_size", 4),
        ("finetune.steps", 24),
        ("finetune.batch_size", 4),
        ("evaluation.every", 12),
        ("evaluation.sequences", 4),
        ("evaluation.variance_batches", 1),
    ),
)
