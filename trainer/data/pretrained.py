"""Tokenizers that somebody made: by a name or folder of transformers, or of gpt2's or bert's own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainer.data.tokenizer import Tokenizer, taking_text_as_text
from trainer.errors import DataError, lacks

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

Read = TypeVar("Read")
MASKS = ("[MASK]", "<mask>")  # where no file says which


def pretrained(name: str, eos: str | None = None) -> Tokenizer:
    """A transformers tokenizer by name or folder; vocab.json and merges.txt alone will do, or vocab.txt.

    BOS and EOS are the tokenizer's own ([CLS] and [SEP] for BERT; where only EOS exists it is both). The
    mask is its own too, or else one new id at the end. What `save` wrote opens as it was. A tokenizer.json
    alone says neither: `eos` does, a word of it, which goes before the tokenizer's own. Raises DataError.
    """
    folder = Path(name)
    files = _files(folder) if folder.is_dir() else set()
    if {"tokenizer.json", "special_ids.json"} <= files:
        return _opened(folder, lambda: _sound(Tokenizer.open(folder), folder))
    if "tokenizer_config.json" not in files:
        if "tokenizer.json" in files:
            return _opened(folder, lambda: _alone(folder, eos))
        if {"vocab.json", "merges.txt"} <= files:
            return _opened(folder, lambda: _gpt2(folder, eos))
        if "vocab.txt" in files:
            return _opened(folder, lambda: _bert(folder, eos))
    return _transformers(name, eos)


def glance(name: str, eos: str | None = None) -> None:
    """Whether `pretrained` will do, of a folder: without transformers, whose import takes seconds, where the
    folder's own files say which tokens end a document. Raises DataError as that does, or OSError."""
    folder = Path(name)
    files = _files(folder)
    if {"tokenizer.json", "tokenizer_config.json"} <= files and "special_ids.json" not in files:
        special = _opened(folder, lambda: _special_tokens(folder))
        if any(special.get(each) for each in ("eos_token", "sep_token")):
            _opened(folder, lambda: _by_its_files(folder, special, eos))
            return
    pretrained(name, eos)


def _files(folder: Path) -> set[str]:
    """Their names; what is no file, a pipe, is as good as not there, for it may never be read to its end."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def _special_tokens(folder: Path) -> dict[str, str]:
    """By what they are for: eos_token."""
    said: dict[str, Any] = {}
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / file).is_file():
            said |= json.loads((folder / file).read_text(encoding="utf-8"))
    words = {key: word.get("content") if isinstance(word, dict) else word for key, word in said.items()}
    return {key: word for key, word in words.items() if key.endswith("_token") and isinstance(word, str)}


def _by_its_files(folder: Path, special: dict[str, str], eos: str | None) -> Tokenizer:
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    end = _named(backend, folder, eos or special.get("eos_token") or special["sep_token"])
    begin = special.get("bos_token") or special.get("cls_token")
    bos, mask = (backend.token_to_id(word or "") for word in (begin, special.get("mask_token")))
    return _finished(backend, folder, bos=bos, eos=end, mask=mask)


def _opened(folder: Path, opening: Callable[[], Read]) -> Read:
    try:
        return opening()
    except DataError:
        raise
    except Exception as error:  # the library has no kind of its own
        raise DataError(f"The tokenizer {folder} is damaged ({_first_line(error)}).") from None


def _alone(folder: Path, eos: str | None) -> Tokenizer:
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    mask = next((i for i in map(backend.token_to_id, MASKS) if i is not None), None)
    return _finished(backend, folder, bos=None, eos=_named(backend, folder, eos), mask=mask)


def _gpt2(folder: Path, eos: str | None) -> Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    backend = Backend(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    end = backend.token_to_id("<|endoftext|>")
    end = end if eos is None else _named(backend, folder, eos)
    return _finished(backend, folder, bos=end, eos=end, mask=backend.token_to_id("<mask>"))


def _bert(folder: Path, eos: str | None) -> Tokenizer:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    backend = Backend(models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
    uncased = backend.token_to_id("A") is None
    backend.normalizer = normalizers.BertNormalizer(lowercase=uncased)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    bos, mask = backend.token_to_id("[CLS]"), backend.token_to_id("[MASK]")
    return _finished(backend, folder, bos=bos, eos=_named(backend, folder, eos or "[SEP]"), mask=mask)


def _transformers(name: str, eos: str | None) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise DataError(lacks(f"data.tokenizer {name}", "transformers", "hub")) from None

    from trainer.data.online import hub_answers

    try:
        here_only = Path(name).is_dir() or not hub_answers()
        theirs: Any = AutoTokenizer.from_pretrained(name, local_files_only=here_only)
    except Exception as error:
        raise DataError(
            f"The tokenizer {name} cannot be loaded ({_first_line(error)}): "
            "set data.tokenizer to a folder with its files, or to bpe."
        ) from None
    if not theirs.is_fast:
        raise DataError(
            f"The tokenizer {name} has no fast form (a tokenizer.json); convert it with transformers."
        )
    bos = theirs.cls_token_id if theirs.bos_token_id is None else theirs.bos_token_id
    end = theirs.sep_token_id if theirs.eos_token_id is None else theirs.eos_token_id
    end = end if eos is None else _named(theirs.backend_tokenizer, name, eos)
    return _finished(theirs.backend_tokenizer, name, bos=bos, eos=end, mask=theirs.mask_token_id)


def _named(backend: Backend, name: object, word: str | None) -> int | None:
    """The id of a word; None where none is asked for."""
    i = None if word is None else backend.token_to_id(word)
    if word is not None and i is None:
        raise DataError(f"The tokenizer {name} has no token {word!r} (data.eos).")
    return i


def _finished(
    backend: Backend, name: object, bos: int | None, eos: int | None, mask: int | None
) -> Tokenizer:
    if eos is None:
        raise DataError(
            f"The tokenizer {name} has no token that ends a document (EOS or [SEP]): "
            "name one of its tokens as data.eos, or use bpe."
        )
    size = max(backend.get_vocab(with_added_tokens=True).values()) + 1
    backend.no_truncation()
    backend.no_padding()
    tokenizer = Tokenizer(
        taking_text_as_text(backend),
        vocab_size=size if mask is not None else size + 1,
        bos_id=eos if bos is None else bos,
        eos_id=eos,
        mask_id=size if mask is None else mask,
    )
    return _sound(tokenizer, name)


def _sound(tokenizer: Tokenizer, name: object) -> Tokenizer:
    if problem := tokenizer.problem():
        raise DataError(f"The tokenizer {name} cannot be used: {problem}.")
    return tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
