"""When a sample of variable length has come to its end."""

import math
from collections import Counter
from typing import NamedTuple

from pydantic import Field

from trainer.values import Settings

# Below it 4 nats over 256 tokens are no sign of degenerate text.
SMALLEST_LOG_VOCABULARY = 6.0


class End(NamedTuple):
    reason: str  # "eos", "entropy", or "length" where no rule stopped it
    length: int  # tokens that are kept, BOS included


class Stopping(Settings):
    """The two rules of the public BD3-LM code (Arriola et al. 2025, section 6.2), each by option.

    Neither looks at a sample of up to `after` tokens, BOS and prompt included. An EOS among those is text
    like any other (the public code goes on to `after` tokens, and then cuts behind that EOS).
    """

    eos: bool = Field(True, description="Stop at the first EOS generated; it is kept.")
    entropy: bool = Field(True, description="Stop where the text degenerates, and cut its tail.")
    after: int = Field(256, ge=0, description="Tokens before either rule looks.")
    tail: int = Field(256, ge=1, description="Tokens whose unigram entropy is watched, and which are cut.")
    min_entropy: float = Field(4.0, ge=0, description="Nats below which the tail is degenerate.")

    def end(self, tokens: list[int], new: int, given: int, eos_id: int | None, words: int) -> End | None:
        """Where the sample ends, if it does. `new` of the tokens were not looked at before, `given` were not
        generated; `words` is the vocabulary without the mask. The entropy rule is off where log(words) < 6.
        Where both rules stop it in one look, less is kept: the degenerate tail goes, as in the public code.
        """
        ends = (self._at_eos(tokens, new, given, eos_id), self._degenerate(tokens, given, words))
        return min((end for end in ends if end), key=lambda end: end.length, default=None)

    def _at_eos(self, tokens: list[int], new: int, given: int, eos_id: int | None) -> End | None:
        first = max(len(tokens) - new, self.after, given)
        if self.eos and eos_id in tokens[first:]:
            return End("eos", tokens.index(eos_id, first) + 1)
        return None

    def _degenerate(self, tokens: list[int], given: int, words: int) -> End | None:
        long_enough = len(tokens) > self.after and len(tokens) >= self.tail
        watched = self.entropy and math.log(words) >= SMALLEST_LOG_VOCABULARY
        if watched and long_enough and unigram_entropy(tokens[-self.tail :]) < self.min_entropy:
            return End("entropy", max(len(tokens) - self.tail, given))
        return None


def unigram_entropy(tokens: list[int]) -> float:
    """Nats, of the distribution of the tokens' own counts."""
    return sum(n / len(tokens) * math.log(len(tokens) / n) for n in Counter(tokens).values())
