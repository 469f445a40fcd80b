"""A CUDA graph is captured by one thread of a process: what others must not do meanwhile, and what it reads.

While a stream is captured CUDA refuses to wait for the whole device, and the capture is lost over it. torch
waits so where a shape is new to what it has compiled, for it times its kernels; it may where memory is given
back. After a capture that was lost the process is of no use: torch's allocator believes that it goes on. So
the one waits for the other here.
A graph reads what lay at its places when it was captured: what a cache handed out then, it has to hold.
No torch at module level.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    import torch

Given = ParamSpec("Given")
Made = TypeVar("Made")
MOST = 64  # that are kept of a kind

_changed = threading.Condition()
_capturing: int | None = None  # the thread
_beside = 0  # calls of other threads that a capture has to wait for
_of_thread = threading.local()  # held: what its capture was handed


@contextmanager
def capturing() -> Iterator[None]:
    """By this thread, once nobody is inside of `beside_captures`, or draws."""
    from trainer.network.seeded import unseeded

    global _capturing
    with unseeded():  # first, as `compiled` has it: else each could have what the other waits for
        with _changed:
            _changed.wait_for(lambda: _capturing is None and not _beside)
            _capturing = threading.get_ident()
        try:
            yield
        finally:
            with _changed:
                _capturing = None
                _changed.notify_all()


@contextmanager
def beside_captures() -> Iterator[None]:
    """What may wait for the device: never while another thread captures."""
    global _beside
    with _changed:
        _changed.wait_for(lambda: _capturing in (None, threading.get_ident()))
        _beside += 1
    try:
        yield
    finally:
        with _changed:
            _beside -= 1
            _changed.notify_all()


def compiled(function: Callable[Given, Made], **how: Any) -> Callable[Given, Made]:
    """torch.compile of it. Any call may meet a new shape, and be compiled for it."""
    import torch

    from trainer.network.seeded import unseeded

    made = torch.compile(function, **how)

    def call(*given: Given.args, **named: Given.kwargs) -> Made:
        with unseeded(), beside_captures():
            return made(*given, **named)

    return call


def memory_given_back() -> None:
    """What torch keeps of a GPU's memory for what is no more. Of a device that is broken nothing is: whoever
    uses it next says what is wrong with it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with beside_captures(), suppress(RuntimeError):
            torch.cuda.empty_cache()


@contextmanager
def holding() -> Iterator[list[Any]]:
    """What is handed out by any `Kept` to this thread meanwhile."""
    held: list[Any] = []
    _of_thread.held = held
    try:
        yield held
    finally:
        _of_thread.held = None


class Kept(Generic[Given, Made]):
    """The last MOST that a function has made, by its arguments, of which the last is the device. They are
    ready for any stream of it: a graph is tried out on another than the rest is computed on."""

    def __init__(self, make: Callable[Given, Made]):
        self._make = make
        self._found: OrderedDict[Any, Made] = OrderedDict()
        self._lock = threading.Lock()
        update_wrapper(self, make)

    def __call__(self, *given: Given.args, **named: Given.kwargs) -> Made:
        assert not named, "kept by place"
        with self._lock:
            found = self._found.get(given)
            if found is not None:
                self._found.move_to_end(given)
        if found is None:
            found = self._make(*given, **named)
            if _is_ready(cast(Any, given[-1])):
                with self._lock:
                    self._found[given] = found
                    if len(self._found) > MOST:
                        self._found.popitem(last=False)
        held = getattr(_of_thread, "held", None)
        if held is not None and not any(each is found for each in held):
            held.append(found)
        return found

    def cache_clear(self) -> None:
        with self._lock:
            self._found.clear()


def _is_ready(device: "torch.device") -> bool:
    """Waits for it; False where it is a part of a graph, and made with each replay alone."""
    if device.type != "cuda":
        return True
    import torch

    if torch.cuda.is_current_stream_capturing():
        return False
    torch.cuda.current_stream(device).synchronize()
    return True
