"""What a GPU has to keep: these run on one where there is one, which `python -m benchmarks.gpu_check` asks
for;
elsewhere on the CPU, as far as it goes, so that what they say is said right when a card is at hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import pytest
import torch

from tests.trainer.conftest import cache_of_its_own  # noqa: F401


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


GRAPH = torch.cuda.graph


class NoGraph:
    """In place of torch's, where there is no GPU: what is captured runs, and a replay does nothing."""

    def wait_stream(self, other: "NoGraph") -> None:
        pass

    def replay(self) -> None:
        pass


@contextmanager
def nothing(of: Any) -> Iterator[None]:
    yield


@contextmanager
def captured(into: NoGraph, *, capture_error_mode: str) -> Iterator[None]:
    assert "capture_error_mode" in signature(GRAPH).parameters  # torch's has it, too
    yield


@pytest.fixture
def replays(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a CUDA graph can be replayed here; where not, it can be captured all the same."""
    if device.type == "cuda":
        return True
    state: Any = torch.get_rng_state
    stand_ins = {
        "get_rng_state": state,
        "set_rng_state": torch.set_rng_state,
        "Stream": NoGraph,
        "current_stream": NoGraph,
        "stream": nothing,
        "device": nothing,
        "CUDAGraph": NoGraph,
        "graph": captured,
    }
    for name, each in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, each)
    return False
