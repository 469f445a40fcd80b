"""What a network predicts of a text that grows block by block; a class for each way to read what is there.

Shapes: B batch, S tokens, P positions of a block, M chosen rows, D width, V vocabulary.
"""

import threading
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.network.adapted import Adapted
from trainer.network.attention import Cache, noised
from trainer.network.model import Denoiser
from trainer.network.score import sigma_of
from trainer.sampling.reader import AnyReader, reader_of


class Decoder(ABC):
    """Of a text that is empty at first."""

    def __init__(self, model: Denoiser):
        self.model = model

    @abstractmethod
    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        """hidden_MD of the chosen tokens of the next block, its undecided ones masked: one pass.

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

    @abstractmethod
    def fresh(self) -> "Decoder":
        """Another, of an empty text."""


class CachedDecoder(Decoder):
    """Abstract. Final tokens are stored by the pass that first needs them, beside what it predicts."""

    def __init__(self, reader: AnyReader, window: int, block_size: int):
        super().__init__(reader.model)
        self._reader = reader
        self._cache = Cache(window, block_size, reader.model.recalling)
        self._unread: list[Tensor] = []  # at most one, of (B, S), at most a window

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self._reader.logits(hidden_MD)

    def append(self, tokens_BS: Tensor) -> int:
        """More than a window of them takes passes of its own: a long prompt does."""
        *earlier, last_BS = torch.cat([*self._unread, tokens_BS], dim=1).split(self._cache.window, dim=1)
        nothing_M = torch.empty(0, dtype=torch.long, device=tokens_BS.device)
        for chunk_BS in earlier:
            self._reader.hidden(chunk_BS, self._cache, nothing_M)
            self._cache.advance(chunk_BS.shape[1])
        self._unread = [last_BS]
        return len(earlier)

    def keep(self, rows_B: Tensor) -> None:
        self._cache.keep(rows_B)
        self._unread = [tokens_BS[rows_B] for tokens_BS in self._unread]


class BlockDecoder(CachedDecoder):
    """BD3-LM: the block reads itself and the blocks before it."""

    def __init__(self, reader: AnyReader, block_size: int):
        super().__init__(reader, reader.model.shape.length // block_size * block_size, block_size)
        self._block_size = block_size

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        tokens_BS = torch.cat([*self._unread, block_BP], dim=1)
        final = tokens_BS.shape[1] - block_BP.shape[1]
        hidden_MD = self._reader.hidden(tokens_BS, self._cache, rows(F.pad(chosen_BP, (final, 0))))
        self._cache.advance(final)
        self._unread = []
        return hidden_MD

    def fresh(self) -> "BlockDecoder":
        return BlockDecoder(self._reader, self._block_size)


class ShiftedBlockDecoder(BlockDecoder):
    """BD3-LM of an adapted causal model: a token is predicted by the row before it, the first of a block by
    the last of the text before, which stays the same while the block is filled."""

    def __init__(self, reader: AnyReader, block_size: int):
        super().__init__(reader, block_size)
        self._before_B1D: Tensor | None = None

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        tokens_BS = torch.cat([*self._unread, block_BP], dim=1)
        final = tokens_BS.shape[1] - block_BP.shape[1]
        read_BS = torch.zeros_like(tokens_BS, dtype=torch.bool)
        read_BS[:, max(final - 1, 0) :] = True
        hidden_MD = self._reader.hidden(tokens_BS, self._cache, rows(read_BS))
        hidden_BRD = hidden_MD.unflatten(0, (len(tokens_BS), -1))
        if final:
            self._before_B1D = hidden_BRD[:, :1]
            hidden_BRD = hidden_BRD[:, 1:]
        self._cache.advance(final)
        self._unread = []
        # At the start of a text there is no row before: BOS is given, and asked for by nobody.
        before_B1D = hidden_BRD[:, :1] if self._before_B1D is None else self._before_B1D
        return torch.cat([before_B1D, hidden_BRD[:, :-1]], dim=1)[chosen_BP]

    def keep(self, rows_B: Tensor) -> None:
        super().keep(rows_B)
        if self._before_B1D is not None:
            self._before_B1D = self._before_B1D[rows_B]

    def fresh(self) -> "ShiftedBlockDecoder":
        return ShiftedBlockDecoder(self._reader, self._block_size)


def decoder_of_blocks(model: Denoiser, block_size: int) -> BlockDecoder:
    kind = ShiftedBlockDecoder if isinstance(model, Adapted) else BlockDecoder
    return kind(reader_of(model), block_size)


class CausalDecoder(CachedDecoder):
    """AR: a token predicts the next one, in the pass that stores it."""

    def __init__(self, reader: AnyReader):
        # In training the last token of a sequence is read by nobody.
        super().__init__(reader, reader.model.shape.length - 1, block_size=1)

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        """Of the token before the block, which is one token: nobody reads it."""
        (tokens_BS,) = self._unread
        batch, new = tokens_BS.shape
        last_B = torch.arange(1, batch + 1, device=tokens_BS.device) * new - 1
        hidden_BD = self._reader.hidden(tokens_BS, self._cache, last_B)
        self._cache.advance(new)
        self._unread = []
        return hidden_BD

    def fresh(self) -> "CausalDecoder":
        return CausalDecoder(self._reader)


class WholeDecoder(Decoder):
    """MDLM: the sample is one block, and every token reads every other."""

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        length = block_BP.shape[1]
        return self.model.hidden(block_BP, noised(length, length), rows(chosen_BP))

    def append(self, tokens_BS: Tensor) -> int:
        raise AssertionError("the sample is one block")

    def keep(self, rows_B: Tensor) -> None:
        """Nothing is stored."""

    def fresh(self) -> "WholeDecoder":
        return self


class ScoreDecoder(WholeDecoder):
    """SEDD: told the noise."""

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        length = block_BP.shape[1]
        sigma_B = self._sigma(move_chance, block_BP).expand(len(block_BP))
        return self.model.hidden(block_BP, noised(length, length), rows(chosen_BP), sigma_B)

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self.model.logits(hidden_MD, self._sigma(move_chance, hidden_MD))

    def _sigma(self, move_chance: float, like: Tensor) -> Tensor:
        return sigma_of(torch.tensor([move_chance], dtype=torch.float64, device=like.device))


class Rereading(Decoder):
    """Any other, without what it keeps between passes: each of them reads the whole text again.

    Slow: the text must be the same, token for token. Only the passes of the denoiser are counted.
    """

    def __init__(self, other: Decoder):
        super().__init__(other.model)
        self._other = other
        self._text: list[Tensor] = []  # each (B, S)

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        self._other = self._other.fresh()
        if self._text:
            self._other.append(torch.cat(self._text, dim=1))
        return self._other.hidden(block_BP, chosen_BP, move_chance)

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self._other.logits(hidden_MD, move_chance)

    def append(self, tokens_BS: Tensor) -> int:
        self._text.append(tokens_BS)
        return 0

    def keep(self, rows_B: Tensor) -> None:
        self._text = [tokens_BS[rows_B] for tokens_BS in self._text]

    def fresh(self) -> "Rereading":
        return Rereading(self._other)


class Stopped(Exception):
    """Nobody waits for these samples any more."""


class Stoppable(Decoder):
    """Any other, until `stop` is set by another thread: the next pass then raises Stopped."""

    def __init__(self, other: Decoder, stop: threading.Event):
        super().__init__(other.model)
        self._other, self._stop = other, stop

    def hidden(self, block_BP: Tensor, chosen_BP: Tensor, move_chance: float) -> Tensor:
        if self._stop.is_set():
            raise Stopped
        return self._other.hidden(block_BP, chosen_BP, move_chance)

    def logits(self, hidden_MD: Tensor, move_chance: float) -> Tensor:
        return self._other.logits(hidden_MD, move_chance)

    def append(self, tokens_BS: Tensor) -> int:
        return self._other.append(tokens_BS)

    def keep(self, rows_B: Tensor) -> None:
        self._other.keep(rows_B)

    def fresh(self) -> "Stoppable":
        return Stoppable(self._other.fresh(), self._stop)


def rows(chosen_BS: Tensor) -> Tensor:
    """row_M of the true ones, counted over B * S."""
    return chosen_BS.flatten().nonzero().squeeze(1)
