"""Text to ids and back: a byte-level BPE of one's own, or any tokenizer of the transformers library.

What is kept beside a corpus is one tokenizer.json and the special ids, so that a prepared corpus opens
without transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tokenizers

# Characters of the train split that a BPE is trained on: its merges hardly change with more.
BPE_CHARACTERS = 100_000_000
LONG = 100_000  # characters, from which on a text is encoded in pieces
BLANK = re.compile(r"(?<=[^\W_]) (?=[^\W_])")  # alone, between letters or digits
PARTING = {"ByteLevel", "BertPreTokenizer", "Whitespace", "WhitespaceSplit"}  # pre-tokenizers, at blanks


@dataclass(frozen=True)
class Tokenizer:
    """vocab_size V counts the special ids too. gpt2: bos_id == eos_id; bert: [CLS], [SEP], [MASK]."""

    backend: tokenizers.Tokenizer
    vocab_size: int
    bos_id: int
    eos_id: int
    mask_id: int

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, without special ids: a '<|endoftext|>' inside a text is text.

        A model that has it as an ordinary word (a Unigram does) would still end the document there, or score
        a mask, whose probability is 0: such a word is left out. Raises DataError where the vocabulary lacks
        a word and has none that stands for unknown ones.
        """
        try:
            encoded = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:  # the library has no kind of its own
            reason = (str(error).splitlines() or [""])[0].rstrip(".")
            raise DataError(
                f"The tokenizer cannot encode the text ({reason}): use another, or data.tokenizer=bpe."
            ) from None
        special = {self.bos_id, self.eos_id, self.mask_id}
        return [
            each.ids if special.isdisjoint(each.ids) else [i for i in each.ids if i not in special]
            for each in encoded
        ]

    def encode_arrays(self, texts: list[str], dtype: np.dtype[Any]) -> list[np.ndarray]:
        """The same ids, as arrays; a long text a piece at a time, for encoding takes 100 times its size."""
        import numpy as np

        short = iter(self.encode_batch([text for text in texts if len(text) <= LONG]))
        return [
            np.array(next(short), dtype)
            if len(text) <= LONG
            else np.concatenate(
                [np.array(self.encode_batch([each])[0], dtype) for each in self._pieces(text)]
            )
            for text in texts
        ]

    def _pieces(self, text: str) -> Iterator[str]:
        """Where that changes no token, as it is encoded piece by piece; else the text as it is."""
        return pieces(text) if self._parts_at_blanks else iter([text])

    @cached_property
    def _parts_at_blanks(self) -> bool:
        """Whether no token, and nothing that is done to the text before, reaches over a blank in it."""
        parts = json.loads(self.backend.to_str())
        split, normalizer = parts["pre_tokenizer"] or {}, parts["normalizer"] or {}
        steps = split.get("pretokenizers", [split])
        kinds = {each.get("type") for each in steps}
        return (
            bool(kinds & PARTING)
            and kinds <= PARTING | {"Digits", "Punctuation"}
            and all(each.get("use_regex", True) for each in steps)
            and normalizer.get("type", "BertNormalizer") == "BertNormalizer"
            and not any(
                each["lstrip"] or each["rstrip"] or " " in each["content"] for each in parts["added_tokens"]
            )
        )

    @cached_property
    def unknown_id(self) -> int | None:
        """The id that stands for what the vocabulary does not have; None where there is no such id."""
        model = json.loads(self.backend.to_str())["model"]
        if model.get("unk_id") is not None:  # unigram
            return int(model["unk_id"])
        unknown = model.get("unk_token")
        return None if unknown is None else self.backend.token_to_id(unknown)

    def problem(self) -> str | None:
        """Why text would be read wrongly, in words: what is left out of it must be no words."""
        mask, words = self.mask_id, (("BOS", self.bos_id), ("EOS", self.eos_id))
        for what, i in words:
            if i == mask:
                return f"{self._word(i)} is both its mask and its {what}: give it a mask token of its own"
        for what, i in (("mask", mask), *words):
            if i == self.unknown_id and not self._knows_every_byte():
                return (
                    f"{self._word(i)} is both its {what} and its token for unknown words, which would be "
                    f"deleted from the text: give it a {what} token of its own"
                )
        return None

    def _word(self, i: int) -> str:
        return repr(self.backend.id_to_token(i) or f"<{i}>")

    def _knows_every_byte(self) -> bool:
        """So that no word is unknown to it."""
        from tokenizers.pre_tokenizers import ByteLevel

        vocabulary = self.backend.get_vocab().keys()
        fallback = json.loads(self.backend.to_str())["model"].get("byte_fallback", False)
        return vocabulary >= set(ByteLevel.alphabet()) or (fallback and "<0x00>" in vocabulary)

    def decode(self, ids: Iterable[int]) -> str:
        """The text that the ids stand for; special ids stand for none."""
        special = {self.bos_id, self.eos_id, self.mask_id}
        words = [int(each) for each in ids if int(each) not in special and 0 <= int(each) < self.vocab_size]
        return self.backend.decode(words, skip_special_tokens=False)

    def words(self, ids: Sequence[int]) -> list[str]:
        """What each id adds to the text of those before it; special ids stand as <bos>, <eos> and <mask>.

        A character of several bytes may be spread over ids: then its parts stand as U+FFFD.
        """
        special = {self.mask_id: "<mask>", self.bos_id: "<bos>", self.eos_id: "<eos>"}
        before = [[each] if each not in special else [] for each in [self.eos_id, *ids[:-1]]]
        texts = self.backend.decode_batch(before, skip_special_tokens=False)
        pairs = [[*last, each] for last, each in zip(before, ids, strict=True)]
        both = self.backend.decode_batch(pairs, skip_special_tokens=False)
        return [
            special[each] if each in special else pair.removeprefix(text)
            for each, text, pair in zip(ids, texts, both, strict=True)
        ]

    @cached_property
    def lossless(self) -> bool:
        """Whether decode(encode(text)) == text for every text: byte-level, and nothing is changed."""
        from tokenizers.pre_tokenizers import ByteLevel

        parts = json.loads(self.backend.to_str())
        split = parts["pre_tokenizer"] or {}
        steps = split.get("pretokenizers", [split])
        return (
            parts["normalizer"] is None
            and (parts["decoder"] or {}).get("type") == "ByteLevel"
            and any(each.get("type") == "ByteLevel" for each in steps)
            and all(map(_keeps_text, steps))
            and not any(each["lstrip"] or each["rstrip"] for each in parts["added_tokens"])
            and self.backend.get_vocab().keys() >= set(ByteLevel.alphabet())
        )

    @cached_property
    def token_bytes_V(self) -> np.ndarray:
        """int64: UTF-8 bytes that each id stands for, 0 for special ids. All 0 where not lossless."""
        import numpy as np

        bytes_V = np.zeros(self.vocab_size, dtype=np.int64)
        if self.lossless:
            # The byte-level alphabet spells each byte as one character.
            for word, i in self.backend.get_vocab(with_added_tokens=False).items():
                bytes_V[i] = len(word)
            for i, token in self.backend.get_added_tokens_decoder().items():
                bytes_V[i] = 0 if token.special else len(token.content.encode())
            bytes_V[[self.bos_id, self.eos_id, self.mask_id]] = 0
        return bytes_V

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits: equal where equal text gives equal ids."""
        return sha256(f"{self.backend.to_str()} {self._ids()}".encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and special_ids.json, for `open`."""
        (folder / "tokenizer.json").write_text(self.backend.to_str(), encoding="utf-8")
        (folder / "special_ids.json").write_text(json.dumps(self._ids()), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Of what `save` wrote. Raises OSError or ValueError where that is not there whole."""
        import tokenizers

        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        if not text.rstrip().endswith("}"):
            raise ValueError("tokenizer.json is cut off")
        ids = json.loads((folder / "special_ids.json").read_text(encoding="utf-8"))
        return cls(taking_text_as_text(tokenizers.Tokenizer.from_str(text)), **ids)

    def _ids(self) -> dict[str, int]:
        return {
            "vocab_size": self.vocab_size,
            "bos_id": self.bos_id,
            "eos_id": self.eos_id,
            "mask_id": self.mask_id,
        }


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE of vocab_size ids, of which the last three are BOS, EOS and mask.

    The special ids are no words of the BPE, so no text can contain them. The same texts give the same
    merges. Fewer ids come out where the texts hold too few pairs to merge.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 3,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_up_to(BPE_CHARACTERS, texts), trainer)
    words = backend.get_vocab_size()
    return Tokenizer(backend, words + 3, bos_id=words, eos_id=words + 1, mask_id=words + 2)


def _keeps_text(step: dict[str, Any]) -> bool:
    """Of a pre-tokenizer: whether its pieces, joined, are what it was given."""
    match step.get("type"):
        case "ByteLevel":
            return not step["add_prefix_space"]
        case "Split" | "Punctuation":
            return step["behavior"] != "Removed"
    return step.get("type") == "Digits"


def taking_text_as_text(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    backend.encode_special_tokens = True  # not kept in tokenizer.json
    return backend


def pieces(text: str) -> Iterator[str]:
    """The text, cut before single blanks between words into pieces of little more than LONG characters."""
    begin = 0
    while len(text) - begin > LONG and (blank := BLANK.search(text, begin + LONG)):
        yield text[begin : blank.start()]
        begin = blank.start()
    yield text[begin:]


def _up_to(characters: int, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if characters <= 0:
            return
        characters -= len(text)
        yield from pieces(text)
