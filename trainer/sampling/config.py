"""How text is drawn from a trained network: by `python -m trainer sample`, and at a run's end. No torch."""

from pydantic import Field

from trainer.paths import Place
from trainer.sampling.base import Sampled
from trainer.sampling.stopping import Stopping
from trainer.sampling.union import AnySampler, problem_of_sampler
from trainer.values import Settings

LONGEST = 16_384  # tokens, where a sample may stop by itself
MOST_TOKENS = 1_000_000  # of a sample, and
MOST_SAMPLES = 1_000_000  # of those: more is a mistake of typing
MOST_AT_ONCE = 65_536


class SamplingConfig(Settings):
    """What `python -m trainer sample` is told by KEY=VALUE.

    Without `stopping` every sample has the length that is asked for; any key of it turns both rules on.
    """

    sampler: AnySampler
    stopping: Stopping | None = Field(None)


class SamplesConfig(Settings):
    """Text that is drawn from the best checkpoint when a run has ended."""

    num: int = Field(
        0, ge=0, le=MOST_SAMPLES, description="Samples; 0: none are drawn, and nothing else here is read."
    )
    length: int | None = Field(
        None,
        ge=2,
        description="Tokens of each, BOS included; none: the trained length. With stopping.* a limit, by "
        "default 16,384; a model of one block stops at the trained length.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the samples; with its number it decides each.")
    batch_size: int = Field(
        16, ge=1, le=MOST_AT_ONCE, description="Samples drawn at once; changes none of them."
    )
    sampler: AnySampler | None = Field(
        None, description="None: the objective's first, which is also the name where only fields are given."
    )
    stopping: Stopping | None = Field(None, description="Any key of it turns both rules on.")
    judge: Place | None = Field(
        None,
        description="Of gen_ppl: a causal model of transformers, by name or folder, or an AR run's folder.",
    )

    def tokens(self, source: Sampled, trained: int, block_size: int) -> int:
        """The length of a sample, or with `stopping` its limit: whole blocks where nothing is said."""
        if self.length is None:
            return LONGEST // block_size * block_size if self._grows(source) else trained
        return min(self.length, trained) if self.stopping and source.whole else self.length

    def problem(self, source: Sampled, trained: int, block_size: int) -> tuple[str, str] | None:
        """(field, sentence) where nothing can be drawn so from its networks, else None."""
        if self.sampler and (wrong := problem_of_sampler(source, self.sampler)):
            return "sampler", wrong
        length = self.tokens(source, trained, block_size)
        wrong = problem_of_size(length, length if source.whole else block_size, 1, trained, source)
        return ("length", wrong) if wrong else None

    def _grows(self, source: Sampled) -> bool:
        return self.stopping is not None and not source.whole


def problem_of_size(length: int, block_size: int, given: int, trained: int, source: Sampled) -> str | None:
    """given: tokens that BOS and the prompt take. block_size: of a model of one block, the length."""
    if length > MOST_TOKENS:
        return f"a sample has at most {MOST_TOKENS:,} tokens, not {length:,}"
    if source.whole and length > trained:
        return f"a sample is one block here, of at most the trained length {trained}, not {length}"
    if not 1 <= block_size <= trained:
        return f"block size must be from 1 to the trained length {trained}, not {block_size}"
    if length < 1 or length % block_size:
        return f"a sample's length must be a multiple of the block size {block_size}, not {length}"
    if given >= length:
        return f"BOS and the prompt take {given} tokens, which leaves nothing of a length of {length}"
    return None
