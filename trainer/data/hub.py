"""Corpora in the layout of the Hugging Face hub, from there or from a folder: the same line of code."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from trainer.data.base import DataError, DataSet, Split, absolute_if_there

SECONDS_TO_ANSWER = 5.0


class HubDataSet(DataSet):
    """Abstract. What `datasets.load_dataset(path, config, split=...)` finds, with its text in 'text'."""

    path: str = Field(min_length=1)
    max_documents: int | None = Field(None, ge=1, description="Of each split, from its start; none: all.")

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        return absolute_if_there(path)

    @abstractmethod
    def split_documents(self, split: Split) -> Iterator[str]:
        """All documents of the split, cleaned."""

    @abstractmethod
    def cleaning(self) -> str:
        """What was done to the text, and in which version."""

    def documents(self, split: Split) -> Iterator[str]:
        return islice((text for text in self.split_documents(split) if text.strip()), self.max_documents)

    def fingerprint(self) -> dict[str, str]:
        folder = Path(self.path)
        return {
            "source": _hash_folder(folder) if folder.is_dir() else self.path,
            "config": str(self.model_dump().get("config")),
            "cleaning": self.cleaning(),
            "max_documents": str(self.max_documents),
        }

    def rows(self, split: str, config: str | None = None) -> Iterator[str]:
        """The source's texts in order. Raises DataError, soon, where neither hub nor copy is in reach."""
        for row in _load(self.path, config, split):
            yield row["text"]


def _load(path: str, config: str | None, split: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    advice = "set data.path to a folder with a copy of it in the hub's layout, or use data.name=files"
    was_offline = datasets.config.HF_HUB_OFFLINE
    try:
        # Offline, only what was downloaded before is looked for.
        datasets.config.HF_HUB_OFFLINE = was_offline or not (Path(path).is_dir() or hub_answers())
        try:
            loaded = datasets.load_dataset(path, config, split=split)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error) or Path(path).is_dir():
                raise
            # Old repositories hold a script; the hub keeps their tables on a branch of its own.
            loaded = datasets.load_dataset(path, "default", split=split, revision="refs/convert/parquet")
    except ConnectionError:
        raise DataError(f"The hub does not answer and {path} was not downloaded before: {advice}.") from None
    except Exception as error:
        raise DataError(f"{path} cannot be loaded ({_first_line(error)}): {advice}.") from None
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline
    if "text" not in loaded.column_names:
        raise DataError(f"{path} has no column 'text' (it has {', '.join(loaded.column_names)}): {advice}.")
    return loaded.select_columns("text")


def hub_answers() -> bool:
    """Asked first, because the libraries themselves try for half a minute and print each attempt."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS_TO_ANSWER)
    except Exception:  # whatever its HTTP library raises, the answer is no
        return False
    return True


def _hash_folder(folder: Path) -> str:
    """Of names, sizes and times: the copy may hold many gigabytes."""
    listing = [
        f"{path.relative_to(folder).as_posix()} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return hashlib.sha256(os.linesep.join(listing).encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0].rstrip('.')}"
