"""Samples batch after batch: what `python -m trainer sample` prints, and what a run ends with."""

import threading
from collections.abc import Iterator, Sequence

from trainer.data.tokenizer import Tokenizer
from trainer.network.model import Denoiser
from trainer.sampling.base import Sampled
from trainer.sampling.config import SamplesConfig
from trainer.sampling.generate import Sample, sample


def drawn(
    model: Denoiser,
    source: Sampled,
    tokenizer: Tokenizer,
    block_size: int,
    how: SamplesConfig,
    *,
    prompt: Sequence[int] = (),
    cached: bool = True,
    stop: threading.Event | None = None,
) -> Iterator[Sample]:
    """All that `how` asks for, in order. Raises what trainer.sampling.generate.sample does."""
    for first in range(0, how.num, how.batch_size):
        yield from sample(
            model,
            source,
            num=min(how.batch_size, how.num - first),
            first=first,
            length=how.tokens(source, model.shape.length, block_size),
            block_size=block_size,
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            prompt=prompt,
            seed=how.seed,
            sampler=how.sampler,
            stopping=how.stopping,
            cached=cached,
            stop=stop,
        )
