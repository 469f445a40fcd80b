"""A GPU as far as a CPU can describe one: for tests of what a card forbids, where there is none.

torch's own FakeTensorMode has no gradients of `cuda` tensors without a driver, and a build of torch for the
CPU ends the process over them. Here tensors are computed on the CPU, and it is noted of each storage whether
it lies `on the card`: its tensors say so, and what a card refuses is refused. An operation of tensors of both
places raises; so does a look at a value while a graph is captured, and so do a CPU's tensors there, whose
values would stay what they were. A graph keeps the operations; its replay does them again, in the same
memory, and is refused where somebody has given back what it reads.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
READ = {  # of their callers' thread; a boolean index is the same as nonzero
    *(getattr(Tensor, name) for name in ("item", "tolist", "numpy", "__array__")),
    *(getattr(Tensor, name) for name in ("__bool__", "__int__", "__float__", "__index__")),
}
ARRAYS = {Tensor.numpy, Tensor.__array__}
READING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "bincount", "unique_dim")
COPYING = ("copy_", "_to_copy", "_foreach_copy_")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


class Refused(RuntimeError):
    """By a card, or a capture on it."""


class Operation(NamedTuple):
    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[Tensor]  # new ones: what is a view, or written in place, lies where it lay


class Outside(NamedTuple):
    """A tensor that was there before a capture: no graph keeps it."""

    storage: StorageWeakRef
    dtype: torch.dtype
    place: tuple[int, torch.Size, tuple[int, ...]]

    def found(self) -> Tensor:
        storage = torch.UntypedStorage._new_with_weak_ptr(self.storage.cdata)
        if storage is None:
            raise Refused("a graph reads what was given back")
        return torch.empty(0, dtype=self.dtype).set_(storage, *self.place)


class DescribedGraph:
    """In place of torch.cuda.CUDAGraph."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.replays = 0
        self._own: set[int] = set()  # storages of its pool, which it keeps by its operations

    def record(self, run: Callable[..., Any], args: Any, kwargs: Any, results: list[Tensor]) -> None:
        self._own |= {_storage(each) for each in results}
        args, kwargs = tree_map(self._kept, (args, kwargs))
        self.operations.append(Operation(run, args, kwargs, results))

    def _kept(self, given: Any) -> Any:
        if not isinstance(given, Tensor) or _storage(given) in self._own or not Card.knows(given):
            return given
        place = (given.storage_offset(), given.shape, given.stride())
        return Outside(StorageWeakRef(given.untyped_storage()), given.dtype, place)

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad(), torch._C._DisableTorchDispatch(), torch._C._AutoDispatchBelowAutograd():
            for run, *given, results in self.operations:
                args, kwargs = tree_map(_found, given, is_leaf=lambda each: isinstance(each, Outside))
                for old, new in zip(results, _new(run(*args, **kwargs), (args, kwargs)), strict=True):
                    old.copy_(new)


class Card:
    """What lies on it, and the graph that is being captured."""

    # By storage, whether it lies here; held, so that no other storage takes the place. What is of neither
    # kind is a Python number, which a kernel is given. Of all cards: masks are kept beyond a test.
    _places: ClassVar[dict[int, tuple[bool, StorageWeakRef]]] = {}

    def __init__(self) -> None:
        self.capturing: DescribedGraph | None = None
        self.operations = 0  # on it

    def holds(self, tensor: Tensor) -> bool:
        return self._places.get(_storage(tensor), (False,))[0]

    @classmethod
    def knows(cls, tensor: Tensor) -> bool:
        """Else it is a Python number."""
        return tensor.dim() > 0 or _storage(tensor) in cls._places

    def put(self, tensor: Tensor, here: bool) -> Tensor:
        self._places[_storage(tensor)] = here, StorageWeakRef(tensor.untyped_storage())
        return tensor


def _found(given: Any) -> Any:
    return given.found() if isinstance(given, Outside) else given


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _new(results: Any, given: Any) -> list[Tensor]:
    old = {_storage(each) for each in tree_leaves(given) if isinstance(each, Tensor)}
    return [each for each in tree_leaves(results) if isinstance(each, Tensor) and _storage(each) not in old]


class _Said(TorchFunctionMode):
    """Where a tensor says that it is, and where it is to be made or to go."""

    def __init__(self, card: Card):
        super().__init__()
        self._card = card

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return CARD if self._card.holds(args[0]) else CPU
        if func in (Tensor.is_cuda.__get__, Tensor.is_cpu.__get__):
            return self._card.holds(args[0]) is (func == Tensor.is_cuda.__get__)
        if func in READ and self._card.holds(args[0]):
            if self._card.capturing is not None:
                raise Refused(f"{func.__name__} reads a value while a graph is captured")
            if func in ARRAYS:
                raise Refused("numpy cannot read what lies on the card")
        if func == Tensor.__deepcopy__:  # of the storage, without an operation
            return self._card.put(func(*args, **kwargs), self._card.holds(args[0]))
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self._moved(func, args, kwargs)
        device = kwargs.get("device")
        if device is None and func is not torch.tensor:
            return func(*args, **kwargs)
        found = func(*args, **{**kwargs, "device": CPU})
        if not isinstance(found, Tensor):
            return found
        if torch.device(device or CPU).type == "cpu":
            return self._card.put(found, False)
        if func in (torch.tensor, torch.as_tensor) and self._card.capturing is not None:
            raise Refused("a CPU's values are copied while a graph is captured")
        if self._card.capturing is not None:  # made of nothing that lies on the card
            self._card.capturing.record(func, args, {**kwargs, "device": CPU}, [found])
        return self._card.put(found.clone() if func is torch.as_tensor else found, True)

    def _moved(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        x, *words = args
        device = {Tensor.cpu: CPU, Tensor.cuda: CARD}.get(func) or kwargs.pop("device", None)
        rest = []
        for word in words:
            if isinstance(word, str | torch.device):
                device = word
            elif isinstance(word, Tensor):
                device, rest = word.device, [word.dtype]
            elif isinstance(word, torch.dtype):
                rest.append(word)
        here = CARD if self._card.holds(x) else CPU
        there = here if device is None else torch.device(device)
        made = Tensor.to(x, *rest, **kwargs) if rest or kwargs else x
        if there.type == here.type:
            return made
        if self._card.capturing is not None:
            raise Refused(f"a copy from {here} to {there} while a graph is captured")
        made = made.clone() if _storage(made) == _storage(x) else made
        return self._card.put(made, there.type == "cuda")


class _Done(TorchDispatchMode):
    """Every operation, those of the backward pass among them."""

    supports_higher_order_operators = True  # FlexAttention

    def __init__(self, card: Card):
        super().__init__()
        self._card = card

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, card, name = kwargs or {}, self._card, func._schema.name.partition("::")[2]
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        away = [each for each in given if not card.holds(each) and card.knows(each)]
        if not any(map(card.holds, given)):
            results = func(*args, **kwargs)
            for each in _new(results, (args, kwargs)):
                if name != "scalar_tensor":
                    card.put(each, False)
            return results
        card.operations += 1
        if card.capturing is not None and away:
            raise Refused(f"{name} of a CPU's tensor while a graph is captured")
        if card.capturing is not None and (name in READING or _by_places(name, args)):
            raise Refused(f"{name} reads a value while a graph is captured")
        pointwise = torch.Tag.pointwise in func.tags and not name.startswith("_f")
        if any(each.dim() or not pointwise for each in away) and name not in (*COPYING, *INDEXING):
            raise Refused(f"{name} of tensors on the card and on the CPU")
        results = func(*args, **kwargs)
        new = _new(results, (args, kwargs))
        for each in new:
            card.put(each, True)
        if card.capturing is not None and not func.is_view:
            card.capturing.record(func, args, kwargs, new)
        return results


def _by_places(name: str, args: Any) -> bool:
    indices = args[1] if name in INDEXING else ()
    return any(each is not None and each.dtype in (torch.bool, torch.uint8) for each in indices)


class DescribedStream:
    def wait_stream(self, other: "DescribedStream") -> None:
        pass

    def synchronize(self) -> None:
        pass


@contextmanager
def described_gpu() -> Iterator[Card]:
    """Within, in this thread, there is one: `cuda`."""
    card = Card()

    @contextmanager
    def graph(into: DescribedGraph, **how: Any) -> Iterator[None]:
        card.capturing = into
        try:
            yield
        finally:
            card.capturing = None

    def grouped(lists: list[list[Tensor]], *how: Any) -> Any:
        """torch's own asks tensors for their device without Python."""
        found = apart(lists, *how)
        return {
            (CARD if card.holds(each[0][0][0]) else where, dtype): each
            for (where, dtype), each in found.items()
        }

    apart = torch.nn.utils.clip_grad._group_tensors_by_device_and_dtype
    state: Any = torch.get_rng_state
    stand_ins: dict[str, Any] = {
        "get_rng_state": lambda *of: state(),
        "set_rng_state": lambda it, *of: torch.set_rng_state(it),
        "Stream": DescribedStream,
        "current_stream": lambda *of: DescribedStream(),
        "stream": lambda of: nullcontext(),
        "device": lambda of: nullcontext(),
        "CUDAGraph": DescribedGraph,
        "graph": graph,
        "get_device_capability": lambda *of: (9, 0),
        "is_available": lambda: True,
        "is_bf16_supported": lambda **of: True,
        "is_current_stream_capturing": lambda: card.capturing is not None,
        "reset_peak_memory_stats": lambda *of: None,
        "max_memory_reserved": lambda *of: 2**20,
    }
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, each in stand_ins.items():
            patch.setattr(torch.cuda, name, each)
        patch.setattr(torch.nn.utils.clip_grad, "_group_tensors_by_device_and_dtype", grouped)
        stack.enter_context(_Done(card))
        stack.enter_context(_Said(card))
        yield card
