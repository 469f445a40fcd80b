"""Who captures a CUDA graph and who may wait for the device never meet; what a graph reads stays."""

import gc
import threading
import weakref
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.trainer.described_gpu import CARD, described_gpu
from trainer.network import captures
from trainer.network.attention import dense_mask, noised
from trainer.network.captures import (
    MOST,
    Kept,
    beside_captures,
    capturing,
    compiled,
    holding,
    memory_given_back,
)
from trainer.network.seeded import seeded
from trainer.training.cuda_graphs import CaptureFailed, captured

CPU = torch.device("cpu")
PATIENCE = 20


def in_a_thread(work: Any) -> tuple[threading.Thread, threading.Event]:
    """And that it is done."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: (work(), done.set()), daemon=True)
    thread.start()
    return thread, done


def test_nobody_waits_for_the_device_during_a_capture():
    calls = compiled(lambda x: x + 1, backend="eager", dynamic=False)
    with capturing():
        assert calls(torch.ones(2)).tolist() == [2, 2]  # its own thread's are part of the capture
        thread, done = in_a_thread(lambda: calls(torch.ones(3)))
        assert not done.wait(0.2)
        calls(torch.ones(4))  # while it waits
    assert done.wait(PATIENCE)
    thread.join()


def test_nothing_is_compiled_while_another_draws():
    """torch's compiler puts its generator back to where it was when that began."""
    calls, weights = compiled(lambda x: x * 2, backend="eager", dynamic=False), []
    for _ in range(2):
        with seeded(3):
            first = torch.rand(2)
            thread, done = in_a_thread(lambda: calls(torch.ones(5)))
            assert not done.wait(0.2)
            calls(torch.ones(6))  # its own, of a step with dropout
            weights.append(torch.cat([first, torch.rand(2)]))
        assert done.wait(PATIENCE)
        thread.join()
    assert torch.equal(*weights)


def test_a_capture_waits_for_those_who_are_inside():
    def capture() -> None:
        with capturing():
            pass

    with beside_captures():
        with beside_captures():
            thread, done = in_a_thread(capture)
            assert not done.wait(0.2)
        with beside_captures():  # again, while somebody waits to capture
            pass
    assert done.wait(PATIENCE)
    thread.join()


def test_one_captures_at_a_time():
    def capture() -> None:
        with capturing():
            pass

    with capturing():
        thread, done = in_a_thread(capture)
        assert not done.wait(0.2)
    assert done.wait(PATIENCE)
    thread.join()


def test_memory_is_given_back_beside_captures(monkeypatch: pytest.MonkeyPatch):
    """And of a broken device none: whoever gives it back has more to say."""
    given: list[int] = []

    def empty() -> None:
        given.append(captures._beside)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    there = SimpleNamespace(is_initialized=lambda: True, empty_cache=empty)
    monkeypatch.setattr(torch, "cuda", there)
    memory_given_back()
    assert given == [1]


def test_what_is_kept_is_made_once_and_the_oldest_goes():
    made: list[int] = []
    kept = Kept(lambda number, device: made.append(number) or [number])
    assert kept(0, CPU) is kept(0, CPU)
    for number in range(1, MOST):
        kept(number, CPU)
    kept(0, CPU)  # it is now the newest
    kept(MOST, CPU)
    kept(0, CPU)
    assert made == list(range(MOST + 1))
    kept(1, CPU)
    assert made[-1] == 1


def test_a_graph_keeps_the_masks_that_it_reads():
    """Whatever else is evaluated meanwhile."""
    dense_mask.cache_clear()
    with described_gpu():
        replay, _ = captured(lambda: (dense_mask(noised(8, 4), CARD).sum(), torch.ones(())), CARD)
        mask = weakref.ref(dense_mask(noised(8, 4), CARD))
        for length in range(16, 16 + 4 * MOST, 4):
            dense_mask(noised(length, 4), CARD)
        replay()
        assert mask() is not None
        del replay
        gc.collect()
        assert mask() is None
    dense_mask.cache_clear()


def test_each_thread_holds_its_own():
    with holding() as held:
        in_a_thread(lambda: dense_mask(noised(8, 2), CPU))[0].join()
        assert not held
        mask = dense_mask(noised(8, 2), CPU)
        dense_mask(noised(8, 2), CPU)
        assert [each is mask for each in held] == [True]


def test_a_mask_is_ready_for_every_stream_before_it_is_kept(monkeypatch: pytest.MonkeyPatch):
    """And one that was made within a capture, which computes it at replays alone, is not kept."""
    waited: list[str] = []
    kept = Kept(lambda layout, device: waited.append("made") or [layout])
    with described_gpu() as card:
        stream = SimpleNamespace(synchronize=lambda: waited.append("waited"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda *of: stream)
        kept(1, CARD), kept(1, CARD)
        assert waited == ["made", "waited"]
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            assert card.capturing is not None
            kept(2, CARD)
        kept(2, CARD)
        assert waited == ["made", "waited", "made", "made", "waited"]
        monkeypatch.undo()


def test_a_graph_is_of_the_device_of_its_tensors(monkeypatch: pytest.MonkeyPatch):
    """Of `cuda:1`, streams of the current device, the first, would capture nothing."""
    entered: list[torch.device] = []
    with described_gpu():

        @contextmanager
        def device(of: torch.device):
            entered.append(of)
            yield
            entered.append(CPU)

        monkeypatch.setattr(torch.cuda, "device", device)
        seen: list[int] = []
        captured(lambda: (seen.append(len(entered)) or torch.ones(()), torch.ones(())), CARD)
        monkeypatch.undo()
    assert entered == [CARD, CPU]
    assert set(seen) == {1}


def test_a_capture_that_is_lost_says_what_was_wrong_within():
    with described_gpu():
        within = [0]

        def step() -> Any:
            within[0] += 1
            if within[0] > 3:
                raise RuntimeError("operation not permitted when stream is capturing\nmore")
            return torch.ones(()), torch.ones(())

        with pytest.raises(CaptureFailed, match=r"\(operation not permitted when stream is capturing\)"):
            captured(step, CARD)


def test_memory_that_does_not_suffice_is_no_lost_capture():
    with described_gpu():
        within = [0]

        def step() -> Any:
            within[0] += 1
            if within[0] > 3:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return torch.ones(()), torch.ones(())

        with pytest.raises(torch.OutOfMemoryError):
            captured(step, CARD)
