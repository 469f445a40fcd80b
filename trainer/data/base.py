"""The contract of a corpus: documents of three disjoint splits. Torch-free; heavy imports inside methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from trainer.settings import Settings

Split = Literal["train", "valid", "test"]


class DataError(Exception):
    """What a user can do something about, as one sentence."""


class DataSet(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    length: int = Field(64, ge=2, description="L, tokens in a packed sequence, BOS included.")
    tokenizer: str = Field(
        "bpe", description="'bpe': byte-level BPE trained on the train split; else a transformers tokenizer, by name or path."
    )
    vocab_size: int = Field(2048, ge=260, description="Words of the trained BPE; not read for other tokenizers.")
    forced_eos: bool = Field(
        False, description="End every sequence with EOS, as the public code does; else EOS stands at document ends alone."
    )

    @abstractmethod
    def documents(self, split: Split) -> Iterator[str]:
        """The split's documents in a fixed order. Raises DataError with what to do."""

    @abstractmethod
    def fingerprint(self) -> dict[str, str]:
        """What identifies the text itself: source, version, hashes of local files."""
