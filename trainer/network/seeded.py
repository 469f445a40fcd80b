"""torch's own generator draws initial weights and dropout; all threads of a process share it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_GENERATOR = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What is drawn from it within is the seed's alone, whatever another run of this process draws."""
    with _GENERATOR:
        torch.manual_seed(seed)
        yield


@contextmanager
def unseeded() -> Iterator[None]:
    """Nobody else draws within: torch's compiler puts the generator back to where it found it."""
    with _GENERATOR:
        yield
