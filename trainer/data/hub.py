"""Corpora in the layout of the Hugging Face hub, from there or from a folder: the same line of code."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from trainer.data.base import DataSet, Look, Split, no_folder
from trainer.data.online import hub_answers
from trainer.errors import DataError, lacks
from trainer.paths import Place


class HubDataSet(DataSet):
    """Abstract. What `datasets.load_dataset(path, config, split=...)` finds, with its text in `column`."""

    column: ClassVar[str] = "text"
    # The folder of its tables on the hub's parquet branch, where the repository itself holds a script.
    tables: ClassVar[str | None] = None

    path: Place
    max_documents: int | None = Field(None, ge=1, description="Of each split, from its start; none: all.")
    streaming: bool = Field(
        False, description="Read the source as it arrives, and no more of it than is needed; keep no copy."
    )

    @abstractmethod
    def split_documents(self, split: Split) -> Iterator[str]:
        """All documents of the split, cleaned."""

    @abstractmethod
    def cleaning(self) -> str:
        """What was done to the text, and in which version."""

    def documents(self, split: Split) -> Iterator[str]:
        if split not in self.splits:
            raise DataError(
                f"{self.name} has no {split} split, only {', '.join(self.splits)}: "
                "score models on it that were trained on another corpus."
            )
        return islice((text for text in self.split_documents(split) if text.strip()), self.max_documents)

    def look_at_text(self) -> Look:
        folder = Path(self.path)
        if not folder.is_dir():
            return no_folder("path", self.path, "datasets")
        if not any(each.is_file() for each in folder.rglob("*")):
            return Look({"path": f"{folder} is empty"})
        return Look({}, {"path": f"{folder} is there; its tables are read when they are prepared"})

    def fingerprint(self) -> dict[str, str]:
        folder = Path(self.path)
        return {
            "source": _hash_folder(folder) if folder.is_dir() else self.path,
            "config": str(self.model_dump().get("config")),
            "cleaning": self.cleaning(),
            "max_documents": str(self.max_documents),
        }

    def rows(
        self, split: str, config: str | None = None, *, first: int = 0, number: int | None = None
    ) -> Iterator[str]:
        """The source's texts in order, `number` of them from `first` on.

        Raises DataError, soon, where neither hub nor copy is in reach.
        """
        loaded = self._load(split, config)
        loaded = loaded.skip(first) if first else loaded
        for row in loaded if number is None else loaded.take(number):
            yield row[self.column]

    def count(self, split: str, config: str | None = None) -> int:
        """Rows of the source's split: as it says itself, else by reading it once."""
        loaded = self._load(split, config)
        if not self.streaming:
            return len(loaded)
        said = (loaded.info.splits or {}).get(split)
        return said.num_examples if said and said.num_examples else sum(1 for _ in loaded)

    def _load(self, split: str, config: str | None) -> Any:
        try:
            import datasets
        except ImportError:
            raise DataError(lacks(f"data.path {self.path}", "datasets", "hub")) from None

        datasets.disable_progress_bars()
        path, here = self.path, Path(self.path).is_dir()
        advice = "set data.path to a folder with a copy of it in the hub's layout, or use data.name=files"
        wanted: dict[str, Any] = {"split": split, "streaming": self.streaming}
        if here:
            # The library knows a folder by its last name alone: another one's tables would be found there.
            wanted["cache_dir"] = os.path.join(
                datasets.config.HF_DATASETS_CACHE, _hash_folder(Path(path))[:16]
            )
        was_offline = datasets.config.HF_HUB_OFFLINE
        try:
            # Offline, only what was downloaded before is looked for.
            datasets.config.HF_HUB_OFFLINE = was_offline or not (here or hub_answers())
            try:
                loaded = datasets.load_dataset(path, config, **wanted)
            except RuntimeError as error:
                if "scripts are no longer supported" not in str(error) or here or self.tables is None:
                    raise
                # Old repositories hold a script; the hub keeps their tables on a branch of its own.
                wanted |= {"data_dir": self.tables, "revision": "refs/convert/parquet"}
                loaded = datasets.load_dataset(path, **wanted)
        except ConnectionError:
            raise DataError(
                f"The hub does not answer and {path} was not downloaded before: {advice}."
            ) from None
        except Exception as error:
            raise DataError(f"{path} cannot be loaded ({_first_line(error)}): {advice}.") from None
        finally:
            datasets.config.HF_HUB_OFFLINE = was_offline
        columns = loaded.column_names or list(loaded.features or next(iter(loaded), {}))
        if self.column not in columns:
            has = ", ".join(columns) or "nothing"
            raise DataError(f"{path} has no column '{self.column}' (it has {has}): {advice}.")
        return loaded.select_columns(self.column)


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
