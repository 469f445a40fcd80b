"""The weights of a published checkpoint: one safetensors file, or several with an index, opened as one."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import torch

from trainer.checkpoints.tensors_file import Entry, TensorsFile
from trainer.config.published import INDEX, places_in, weights_file
from trainer.errors import CheckpointError


class PublishedWeights:
    """To be used in `with`. Raises CheckpointError where a file is missing, cut off or no such one, and where
    files and index contradict each other."""

    def __init__(self, path: Path):
        self.path = weights_file(path)  # or the index
        self.entries: dict[str, Entry] = {}
        self.metadata: dict[str, str] = {}  # of several files what any of them says
        self._homes: dict[str, TensorsFile] = {}
        self._opened = ExitStack()
        with ExitStack() as opened:
            places = places_in(self.path) if self.path.name == INDEX else {}
            for place in sorted(set(places.values())) or [self.path]:
                file = opened.enter_context(TensorsFile(place))
                if places and (wrong := sorted(name for name in file.entries if places.get(name) != place)):
                    raise CheckpointError(f"{place}: has {wrong[0]}, and by {self.path.name} it has not")
                self.entries |= file.entries
                self.metadata |= file.metadata
                self._homes |= dict.fromkeys(file.entries, file)
            if lacking := sorted(places.keys() - self.entries.keys()):
                name = lacking[0]
                raise CheckpointError(
                    f"{places[name]}: {name} is missing, and by {self.path.name} it is there"
                )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def tensor(self, name: str) -> torch.Tensor:
        """On the CPU."""
        return self._homes[name].tensor(name)
