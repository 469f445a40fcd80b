"""How many floating-point operations does training take? Counted from a configuration's values; no torch.

Counted is what a step needs at the least, forward and for both gradients: every product, two operations for
each multiplication. What the loss does not depend on is not counted: logits of unmasked tokens, pairs that
may not attend. Of masked tokens their expected number counts. Vectors are left out (biases, norms, the
condition), evaluations and samples too.
"""

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel

from trainer.noise.clips import AnyClip, Clip
from trainer.noise.schedules import AnySchedule, LogLinear
from trainer.noise.times import AnyTime, UniformTime
from trainer.objectives.union import OBJECTIVES
from trainer.settings.blocks import AnyBlocks, FixedBlocks
from trainer.values import kind_of

MET = 3  # times is each matrix of a product: forward, and for both gradients
TRAINED = "bpe"  # the tokenizer whose number of words a configuration says
WORDS = {"gpt2": 50_258, "bert-base-uncased": 30_522}  # of others that are often used, with the mask
OBJECTIVE = {kind_of(each): each for each in OBJECTIVES}
TIMES, PROGRESS = 64, (0.0, 0.5, 1.0)  # points over which the masking rate is averaged


class Network(Protocol):
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...


class Shape(NamedTuple):
    width: int
    layers: int
    vocab_size: int


class Rows(NamedTuple):
    """What passes through the network in a step, all sequences of a batch together."""

    tokens: int  # that enter
    read: int  # that the last layer reads off
    scored: float  # that have a loss
    pairs: int  # a token and one that it attends to, in every layer but the last
    pairs_read: int  # the same in the last layer

    def times(self, batch: int) -> "Rows":
        tokens, read, scored, pairs, pairs_read = self
        return Rows(batch * tokens, batch * read, batch * scored, batch * pairs, batch * pairs_read)


class Linear(NamedTuple):
    rows: float
    inputs: int
    outputs: int


# --- of a step ------------------------------------------------------------------------------------
def flops_of(shape: Network, rows: Rows) -> float:
    """A weight is met three times; of a pair, scores and what they sum: 2D forward, 4D backward."""
    per_row = sum(each.rows * each.inputs * each.outputs for each in (*body(shape, rows), head(shape, rows)))
    per_pair = 2 * shape.width * ((shape.layers - 1) * rows.pairs + rows.pairs_read)
    return 2 * MET * (per_row + per_pair)


def body(shape: Network, rows: Rows) -> list[Linear]:
    """The linear maps of all layers; of the last, keys and values of all tokens, the rest where asked."""
    width, (tokens, read, scored, *_) = shape.width, rows
    return [
        *(shape.layers - 1) * [Linear(tokens, width, 3 * width), *after_attention(width, tokens)],
        *[Linear(read, width, width), Linear(tokens, width, 2 * width), *after_attention(width, scored)],
    ]


def after_attention(width: int, rows: float) -> list[Linear]:
    return [Linear(rows, width, width), Linear(rows, width, 4 * width), Linear(rows, 4 * width, width)]


def head(shape: Network, rows: Rows) -> Linear:
    return Linear(rows.scored, shape.width, shape.vocab_size)


def causal_rows(length: int) -> Rows:
    """Of an autoregressive model: the last token is never read."""
    tokens = length - 1
    pairs = tokens * (tokens + 1) // 2
    return Rows(tokens, tokens, tokens, pairs, pairs)


def noised_rows(length: int, block_size: int, rate: float) -> Rows:
    """Of [x_t ; x_0] without the last clean block (trainer/network/attention.py). rate: of masked tokens; the
    first token, BOS, never is one."""
    blocks = length // block_size
    before = block_size**2 * blocks * (blocks - 1) // 2  # a noisy token and a clean one before its block
    noisy = length * block_size + before
    # A clean token reads its own block and those before it: as many as the noisy tokens of the next one.
    return Rows(2 * length - block_size, length, rate * (length - 1), noisy + before, noisy)


def complementary_rows(length: int, block_size: int, rate: float) -> Rows:
    """Of [x_t ; its complement ; x_0]: each token but BOS has a loss in one of the two."""
    tokens, read, _, pairs, noisy = noised_rows(length, block_size, rate)
    return Rows(tokens + length, 2 * read, length - 1, pairs + noisy, 2 * noisy)


# --- of a run -------------------------------------------------------------------------------------
class Course(NamedTuple):
    """How operations mount up as a run goes on: its pretrain first, as if it were its own."""

    before: float  # steps of the pretrain
    pretrain: float  # operations of one step
    finetune: float

    def at(self, steps: Iterable[float] | np.ndarray) -> np.ndarray:
        """Done when the run has come to each of these steps, which count from the pretrain's first."""
        steps = np.asarray(list(steps), float)
        in_pretrain, after = np.minimum(steps, self.before), np.maximum(steps - self.before, 0.0)
        return in_pretrain * self.pretrain + after * self.finetune


def course(values: Mapping[str, Any]) -> Course:
    """Of a run of a configuration: dotted and complete. NaN where it cannot be told: of a tokenizer whose
    number of words the values do not say, or of values of another version."""
    before = float(values.get("pretrain.steps") or 0)
    try:
        return Course(before, of_step(values, "pretrain") if before else 0.0, of_step(values, "finetune"))
    except (KeyError, TypeError, ValueError):
        return Course(before, math.nan, math.nan)


def flops_of_run(values: Mapping[str, Any]) -> float:
    """Of a whole one."""
    steps = (values.get("pretrain.steps") or 0) + (values.get("finetune.steps") or 0)
    return float(course(values).at([steps])[0])


def of_step(values: Mapping[str, Any], phase: str) -> float:
    """Raises KeyError, TypeError or ValueError where the values do not say."""
    length, objective = values["data.length"], OBJECTIVE[values["objective.name"]]
    shape = Shape(values["model.width"], values["model.layers"], _words(values))
    batch = values[f"{phase}.batch_size"]
    causal = flops_of(shape, causal_rows(length).times(batch))
    if not objective.noisy:
        return causal
    rate, only = mean_rate(values, phase), objective.only_block_size(length)
    sizes = ((only, 1.0),) if only else trained_sizes(values, phase)
    rows_of = complementary_rows if values.get(f"{phase}.complementary") else noised_rows
    noised = (share * flops_of(shape, rows_of(length, n, rate).times(batch)) for n, share in sizes)
    return sum(noised) + (causal if values.get(f"{phase}.ar_weight") else 0.0)


def _words(values: Mapping[str, Any]) -> int:
    tokenizer = values.get("data.tokenizer", TRAINED)
    return values["data.vocab_size"] if tokenizer == TRAINED else WORDS[tokenizer]


class _Noise(BaseModel, frozen=True, extra="forbid"):
    schedule: AnySchedule = LogLinear()
    clip: AnyClip = Clip()  # auto: as it begins
    time: AnyTime = UniformTime()


class _Trained(BaseModel, frozen=True, extra="forbid"):
    blocks: AnyBlocks = FixedBlocks()


def mean_rate(values: Mapping[str, Any], phase: str) -> float:
    """Of masked tokens, over the times and the progress of training. Raises ValueError for values of another
    version."""
    return _mean_rate(json.dumps(_groups(values, phase, _Noise), sort_keys=True))


def trained_sizes(values: Mapping[str, Any], phase: str) -> Iterable[tuple[int, float]]:
    """(block size, share of the steps). Raises KeyError or ValueError as `of_step`."""
    blocks = _Trained.model_validate(_groups(values, phase, _Trained)).blocks
    return blocks.shares_of(values[f"{phase}.block_size"])


def _groups(values: Mapping[str, Any], phase: str, kind: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The phase's groups that are fields of this kind."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        of, _, path = name.partition(".")
        part, _, field = path.partition(".")
        if of == phase and part in kind.model_fields:
            found.setdefault(part, {})[field] = value
    return found


@lru_cache(maxsize=16384)
def _mean_rate(noise: str) -> float:
    it = _Noise.model_validate_json(noise)  # its error is a ValueError
    u = (np.arange(TIMES) + 0.5) / TIMES
    moments = PROGRESS if it.schedule.moves else PROGRESS[:1]
    levels = [it.time.level(it.schedule, it.clip, u, at).level for at in moments]
    return float(np.mean([level.move_chance for level in levels]))
