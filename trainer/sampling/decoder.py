"""What a network predicts of a text that grows block by block; a class for each way to read what is there.

Shapes: B batch, S tokens, P positions of a block, M chosen rows, D width, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from trainer.attention import Cache, noised
from trainer.model import Denoiser
from trainer.score_entropy import sigma_of


class Decoder(ABC):
    def __init__(self, model: Denoiser):
        self.model = model

    @abstractmethod
    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        """hidden_BPD of the next block as it stands, its undecided tokens masked: one pass of the denoiser.

        move_chance is the noise that the block is at, for a network that is told.
        """

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        """logits_MV of rows of `hidden`, the mask's at -inf."""
        return self.model.logits(hidden_MD)

    @abstractmethod
    def append(self, tokens_BS: Tensor) -> int:
        """The next blocks are final. How many passes it took to store them."""

    @abstractmethod
    def keep(self, rows_B: Tensor) -> None:
        """Only these samples go on."""


class BlockDecoder(Decoder):
    """BD3-LM: the block reads itself and the cache of the blocks before it."""

    def __init__(self, model: Denoiser, block_size: int):
        super().__init__(model)
        self._cache = Cache(model.shape.length // block_size * block_size, block_size)

    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        return self.model.stream(block_BP, self._cache)

    def append(self, tokens_BS: Tensor) -> int:
        chunks = tokens_BS.split(self._cache.window, dim=1)
        for chunk_BS in chunks:
            self.model.stream(chunk_BS, self._cache)
            self._cache.advance(chunk_BS.shape[1])
        return len(chunks)

    def keep(self, rows_B: Tensor) -> None:
        self._cache.keep(rows_B)


class CausalDecoder(Decoder):
    """AR: the pass that stores a token predicts the next one, so nothing is stored beside it."""

    def __init__(self, model: Denoiser):
        super().__init__(model)
        # In training the last token of a sequence is read by nobody.
        self._cache = Cache(model.shape.length - 1, block_size=1)
        self._pending: list[Tensor] = []  # each (B, S), not yet read

    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        """Of the token before the block; what stands in the block is not read."""
        *earlier, last_BS = torch.cat(self._pending, dim=1).split(self._cache.window, dim=1)
        for chunk_BS in earlier:
            self._read(chunk_BS)
        self._pending = []
        return self._read(last_BS)[:, -1:]

    def append(self, tokens_BS: Tensor) -> int:
        self._pending.append(tokens_BS)
        return 0

    def keep(self, rows_B: Tensor) -> None:
        self._cache.keep(rows_B)
        self._pending = [tokens_BS[rows_B] for tokens_BS in self._pending]

    def _read(self, tokens_BS: Tensor) -> Tensor:
        hidden_BSD = self.model.stream(tokens_BS, self._cache)
        self._cache.advance(tokens_BS.shape[1])
        return hidden_BSD


class WholeDecoder(Decoder):
    """MDLM: the sample is one block, and every token reads every other."""

    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        length = block_BP.shape[1]
        return self.model.hidden(block_BP, noised(length, length))

    def append(self, tokens_BS: Tensor) -> int:
        raise AssertionError("the sample is one block")

    def keep(self, rows_B: Tensor) -> None:
        """Nothing is stored."""


class ScoreDecoder(WholeDecoder):
    """SEDD: told the noise."""

    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        length = block_BP.shape[1]
        sigma_B = self._sigma(move_chance, block_BP).expand(len(block_BP))
        return self.model.hidden(block_BP, noised(length, length), sigma_B=sigma_B)

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self.model.logits(hidden_MD, self._sigma(move_chance, hidden_MD))

    def _sigma(self, move_chance: float, like: Tensor) -> Tensor:
        return sigma_of(torch.tensor([move_chance], dtype=torch.float64, device=like.device))


class Rereading(Decoder):
    """Any other, without what it keeps between passes: each of them reads the whole text again.

    Slow: the text must be the same, token for token. Only the passes of the denoiser are counted.
    """

    def __init__(self, model: Denoiser, fresh: Callable[[], Decoder]):
        super().__init__(model)
        self._fresh = fresh
        self._last = fresh()
        self._text: list[Tensor] = []  # each (B, S)

    def hidden(self, block_BP: Tensor, move_chance: float) -> Tensor:
        self._last = self._fresh()
        if self._text:
            self._last.append(torch.cat(self._text, dim=1))
        return self._last.hidden(block_BP, move_chance)

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self._last.logits(hidden_MD, move_chance)

    def append(self, tokens_BS: Tensor) -> int:
        self._text.append(tokens_BS)
        return 0

    def keep(self, rows_B: Tensor) -> None:
        self._text = [tokens_BS[rows_B] for tokens_BS in self._text]
