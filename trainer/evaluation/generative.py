"""gen_ppl: the perplexity of generated text under a causal judge (docs/formulas.md section 5).

The judge's tokenizer reads the text anew. Before it stands the judge's BOS (its EOS where it has no BOS, as
GPT-2 has none of its own), so that the first token is scored like the others; a judge with neither scores
from the second token on. Between documents of a sample stands EOS: read, never scored. So is a prompt.

A text longer than the judge's context is read in windows of W tokens that start every W // 2: a token is
scored once, in the first window that holds it, with at least W - W // 2 tokens before it (but for the first
W). The public BD3-LM code has W = 1024 and stride 512; it also cuts texts at the trained length, which is not
done here.

Shapes: B windows of a batch, W tokens of a window, S samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.errors import JudgeError
from trainer.evaluation.interval import Interval, ppl_interval
from trainer.evaluation.record import ratio_and_se
from trainer.sampling.samples_file import SavedSample
from trainer.sampling.stopping import unigram_entropy

FIELDS_WINDOW = 1024  # tokens, the widest that is used
MAX_LOGITS = 2**27  # of one pass: bounds memory


class Judge(ABC):
    label: str  # what the number is under: it belongs to it like a unit
    context: int  # tokens that it can read at once
    vocab_size: int
    start_id: int | None
    separator_id: int | None

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of the text, without special ones."""

    @abstractmethod
    def nats(self, tokens_BW: Tensor) -> Tensor:
        """nats_BW of W - 1 columns, float64: -log p(token i + 1 | tokens 0 to i)."""


class NoText(JudgeError):
    """No sample has any: there is nothing to judge."""


class Verdict(NamedTuple):
    """Of a file of samples. Entropies are in nats, of the unigrams of a sample's own scored tokens."""

    judge: str
    nats_S: list[float]
    tokens_S: list[int]  # scored, of the judge's tokenizer
    entropy_S: list[float]
    empty: int  # samples without text, left out
    window: int

    @property
    def gen_ppl(self) -> Interval:
        """Over all tokens; the interval takes samples as clusters."""
        return ppl_interval(*ratio_and_se(self.nats_S, self.tokens_S), len(self.tokens_S))

    @property
    def gen_entropy(self) -> float:
        """The samples' mean. A low gen_ppl at a low entropy is repetition, not text."""
        return float(np.mean(self.entropy_S))


@dataclass
class _Text:
    """A sample as the judge reads it."""

    tokens: list[int]
    scored: list[bool]
    nats: float = 0.0

    def entropy(self) -> float:
        return unigram_entropy([t for t, scored in zip(self.tokens, self.scored, strict=True) if scored])


class _Window(NamedTuple):
    text: _Text
    start: int
    end: int
    unscored: int  # tokens before this place were scored before, or never are


def judged(judge: Judge, samples: Sequence[SavedSample], window: int | None = None) -> Verdict:
    """gen_ppl of the samples. window: W in tokens; none: the judge's context, at most 1024.

    Raises JudgeError.
    """
    scoring = judging(judge, samples, window)
    while True:
        try:
            next(scoring)
        except StopIteration as done:
            return done.value


def judging(
    judge: Judge, samples: Sequence[SavedSample], window: int | None = None
) -> Generator[None, None, Verdict]:
    """The same, yielding None after each pass of the judge."""
    width = min(judge.context, window or FIELDS_WINDOW)
    if width < 2:
        raise JudgeError(f"a window has 2 tokens at least, not {width}")
    texts = [text for text in (_read(judge, each) for each in samples) if any(text.scored)]
    if not texts:
        raise NoText("there is no text in any sample")
    windows = (each for text in texts for each in _windows(text, width))
    size = max(1, MAX_LOGITS // (width * judge.vocab_size))
    while batch := list(islice(windows, size)):
        _score(judge, batch)
        yield
    return Verdict(
        judge=judge.label,
        nats_S=[each.nats for each in texts],
        tokens_S=[sum(each.scored) for each in texts],
        entropy_S=[each.entropy() for each in texts],
        empty=len(samples) - len(texts),
        window=width,
    )


def _read(judge: Judge, sample: SavedSample) -> _Text:
    text = _Text([], [])

    def add(tokens: list[int], scored: bool) -> None:
        text.tokens.extend(tokens)
        text.scored.extend([scored] * len(tokens))

    add([] if judge.start_id is None else [judge.start_id], False)
    add(judge.encode(sample.prompt), False)
    for number, document in enumerate(sample.generated()):
        if number and judge.separator_id is not None:
            add([judge.separator_id], False)
        add(judge.encode(document), True)
    if text.tokens:
        text.scored[0] = False  # nothing stands before it
        if max(text.tokens) >= judge.vocab_size:
            raise JudgeError(f"{judge.label}: its tokenizer has words that the model has not: not its own")
    return text


def _windows(text: _Text, width: int) -> Iterator[_Window]:
    start, scored = 0, 1
    while True:
        end = min(start + width, len(text.tokens))
        yield _Window(text, start, end, scored)
        if end == len(text.tokens):
            return
        start, scored = start + width // 2, end


def _score(judge: Judge, batch: list[_Window]) -> None:
    """Adds to each text the nats of its tokens in these windows. They are padded on the right: unread."""
    width = max(each.end - each.start for each in batch)
    tokens_BW = torch.zeros(len(batch), width, dtype=torch.long)
    for row, each in enumerate(batch):
        tokens_BW[row, : each.end - each.start] = torch.tensor(each.text.tokens[each.start : each.end])
    nats_BW = judge.nats(tokens_BW).tolist()
    for (text, start, end, unscored), nats in zip(batch, nats_BW, strict=True):
        text.nats += sum(nats[i - start - 1] for i in range(unscored, end) if text.scored[i])
