"""The contract of a corpus: documents of three disjoint splits. Torch-free; heavy imports inside methods."""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from trainer.errors import lacks
from trainer.paths import absolute_if_there, may_be_on_hub
from trainer.values import Settings

if TYPE_CHECKING:
    import numpy as np

    from trainer.data.tokenizer import Tokenizer

Split = Literal["train", "valid", "test"]
# Threads that parse Python at once may end in a SystemError (CPython 3.11): numpy does, each file's header.
PARSING = threading.Lock()


class Look(NamedTuple):
    """What a look finds, by the corpus's field."""

    wrong: Mapping[str, str] = {}
    unseen: Mapping[str, str] = {}  # what is not on this machine, or is only read when it is prepared


def no_folder(field: str, name: str, package: str, extra: str = "hub") -> Look:
    """Of a field that takes a folder, or a name on the hub: here is no such folder. package: which reads it;
    what was prepared before needs none."""
    if not may_be_on_hub(name):
        return Look({field: f"{name}: there is no such folder"})
    said = f"{name} is no folder here: as a name on the hub it is not looked at"
    return Look({}, {field: said if find_spec(package) else f"{said}; {lacks('it', package, extra)}"})


class DataSet(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    splits: ClassVar[tuple[Split, ...]] = (
        "train",
        "valid",
        "test",
    )  # those there are; without train: zero-shot
    independent: ClassVar[bool] = False  # whether a text that stands in two splits does so by chance, and may

    name: str
    length: int = Field(64, ge=2, le=1_000_000, description="L, tokens in a packed sequence, BOS included.")
    tokenizer: str = Field(
        "bpe",
        description="'bpe': byte-level, trained on train; else a transformers tokenizer, by name or path.",
    )
    vocab_size: int = Field(
        2048, ge=260, le=1_000_000, description="Words of the trained BPE; not read for other tokenizers."
    )
    eos: str | None = Field(
        None,
        min_length=1,
        description="The tokenizer's token that ends a document, where its files do not say, or another one.",
    )
    forced_eos: bool = Field(
        False,
        description="End every sequence with EOS, as the public code does, besides EOS at document ends.",
    )

    @field_validator("tokenizer")
    @classmethod
    def _absolute_tokenizer(cls, tokenizer: str) -> str:
        is_kind = tokenizer == cls.model_fields["tokenizer"].default
        return tokenizer if is_kind else absolute_if_there(tokenizer)

    @model_validator(mode="after")
    def _trained_bpe_has_its_own(self) -> DataSet:
        if self.eos is not None and self.tokenizer == type(self).model_fields["tokenizer"].default:
            raise ValueError(f"eos names a token of another tokenizer; {self.tokenizer} has its own")
        return self

    @abstractmethod
    def documents(self, split: Split) -> Iterator[str]:
        """The split's documents in a fixed order. Raises DataError with what to do."""

    @abstractmethod
    def fingerprint(self) -> dict[str, str]:
        """What identifies the text itself: source, version, hashes of local files."""

    def look_at_text(self) -> Look:
        """Whether it is here and can be read, by a row of each text: nothing is downloaded or prepared."""
        return Look()

    def look_at_splits(self) -> Look:
        """Of a text that is trained on, and can be read: whether each split would have a document."""
        return Look()

    def own_tokenizer(self) -> Tokenizer | None:
        """Of a source that brings one; else `tokenizer` says which."""
        return None

    def exact_nats_SL(self, tokens_SL: np.ndarray) -> np.ndarray | None:
        """-log p of each token given those before it in its sequence, where the law of the text is known."""
        return None


def text_hash(text: str) -> bytes:
    """8 bytes that tell one document's text from another's."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def split_of(text: str) -> Split:
    """90% train, 5% valid, 5% test, by the hash alone: for sources without splits."""
    percent = int.from_bytes(text_hash(text), "big") % 100
    return "test" if percent < 5 else "valid" if percent < 10 else "train"


def part_of_train(texts: Iterable[str], split: Split, lacking: set[Split]) -> Iterator[str]:
    """The split's share of a source's train documents; the source has no `lacking` splits of its own."""
    for text in texts:
        home = split_of(text)
        if split == (home if home in lacking else "train"):
            yield text
