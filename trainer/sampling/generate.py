"""Text from a trained network: block after block, all samples of a batch in lockstep.

Shapes: B samples that still go on, L length, P positions of the block.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from trainer.network.model import Denoiser, evaluating
from trainer.sampling.base import Sampled, Sampler
from trainer.sampling.config import problem_of_size
from trainer.sampling.decoder import Rereading, Stoppable
from trainer.sampling.stopping import End, Stopping
from trainer.sampling.union import default_sampler, problem_of_sampler
from trainer.sampling.words import Draws


@dataclass(frozen=True)
class Sample:
    tokens: list[int]  # BOS, the prompt and what was generated
    passes: list[int]  # that decided each token: which of its nfe, from 1 on; 0: it was given
    end: str  # what ended it: length, eos or entropy
    nfe: int  # denoiser passes behind it, as many as it would have needed alone
    cache_passes: int  # passes beside them that only stored keys and values
    seconds: float = field(compare=False)  # from the start of its batch to its own end


def sample(
    model: Denoiser,
    source: Sampled,
    *,
    num: int,
    length: int,
    block_size: int,
    bos_id: int,
    seed: int,
    prompt: Sequence[int] = (),
    sampler: Sampler | None = None,
    stopping: Stopping | None = None,
    eos_id: int | None = None,
    first: int = 0,
    cached: bool = True,
    stop: threading.Event | None = None,
) -> list[Sample]:
    """`num` samples of `length` tokens, BOS and the prompt included; with `stopping`, of at most so many.

    Each depends on the seed and its own number alone, counted from `first`. A prompt follows BOS and may
    end anywhere in a block: its tokens are given there, as BOS is, and the others of the block are sampled
    beside them. A finished sample leaves the batch. Past the trained length each block reads a sliding
    window of it (network.attention.Cache); mdlm and sedd, one block whatever block_size says, end there.
    The sampler defaults to the first that suits the source. cached=False reads the whole text in every
    pass: slow, for comparison. Raises ValueError in a sentence, and Stopped before the next pass once `stop`
    is set.
    """
    sampler = sampler or default_sampler(source)
    if source.whole:
        block_size = length
    given = [bos_id, *prompt]
    problem = (
        _problem_of_number(num)
        or problem_of_size(length, block_size, len(given), model.shape.length, source)
        or _problem_of_positions(length, model.most_positions)
        or _problem_of_words(given, model.shape.vocab_size, model.shape.mask_id)
        or problem_of_sampler(source, sampler)
        or _problem_of_stopping(stopping, eos_id)
    )
    if problem:
        raise ValueError(problem)

    device, mask_id = next(model.parameters()).device, model.shape.mask_id
    began = time.monotonic()
    draws = Draws(seed, range(first, first + num), device)
    samples: dict[int, Sample] = {}
    with evaluating(model):
        decoder = source.decoder(model, block_size)
        if not cached:
            decoder = Rereading(decoder)
        if stop is not None:
            decoder = Stoppable(decoder, stop)
        known = len(given) // block_size * block_size
        cache_passes = decoder.append(torch.tensor([given[:known]] * num, device=device)) if known else 0
        going = [_Text(number, given[:known], [0] * known, nfe=0) for number in range(num)]
        for start in range(known, length, block_size):
            block_BP = torch.full((len(going), block_size), mask_id, device=device)
            told = given[start : start + block_size]
            block_BP[:, : len(told)] = torch.tensor(told, dtype=torch.long, device=device)
            block_BP, nfe_B, pass_BP = sampler.fill(decoder, block_BP, block_BP == mask_id, draws)

            stay = []
            for row, (text, block, nfe, passes) in enumerate(
                zip(going, block_BP.tolist(), nfe_B.tolist(), pass_BP.tolist(), strict=True)
            ):
                text.tokens.extend(block)
                text.passes.extend(each and text.nfe + each for each in passes)
                text.nfe += nfe
                end = stopping and stopping.end(
                    text.tokens, block_size, len(given), eos_id, model.shape.vocab_size - 1
                )
                if not end and len(text.tokens) == length:
                    end = End("length", length)
                if end:
                    seconds = time.monotonic() - began
                    samples[text.number] = Sample(
                        text.tokens[: end.length],
                        text.passes[: end.length],
                        end.reason,
                        text.nfe,
                        cache_passes,
                        seconds,
                    )
                else:
                    stay.append(row)
            if not stay:
                break
            if len(stay) < len(going):
                rows_B = torch.tensor(stay, device=device)
                block_BP, going = block_BP[rows_B], [going[row] for row in stay]
                decoder.keep(rows_B)
                draws.keep(stay)
            cache_passes += decoder.append(block_BP)
    return [samples[number] for number in range(num)]


@dataclass
class _Text:
    """A sample on its way."""

    number: int
    tokens: list[int]
    passes: list[int]
    nfe: int


def _problem_of_number(num: int) -> str | None:
    return f"num must be at least 1, not {num}" if num < 1 else None


def _problem_of_positions(length: int, most: int | None) -> str | None:
    if most is None or length <= most:
        return None
    return f"this model has {most:,} positions, which are learned: no sample of {length:,} tokens"


def _problem_of_words(given: list[int], vocab_size: int, mask_id: int) -> str | None:
    strange = [word for word in given if not 0 <= word < vocab_size or word == mask_id]
    return f"the prompt holds {strange[0]}, which is no word of the vocabulary" if strange else None


def _problem_of_stopping(stopping: Stopping | None, eos_id: int | None) -> str | None:
    if stopping and stopping.eos and eos_id is None:
        return "stopping at EOS needs a tokenizer that has one"
    return None
