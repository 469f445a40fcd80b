"""The one place that tells numpy from torch, so that each formula stands once and serves both."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = Any  # a float, a numpy array or a torch tensor, of any shape


def is_numpy(x: Array) -> bool:
    import numpy as np  # here, as below: who only reads a specification needs no arrays

    return isinstance(x, (np.ndarray, float, int, np.generic))  # a tuple: no union is made each time


def namespace(x: Array) -> Any:
    """numpy or torch, whichever x belongs to; torch is imported only for a tensor."""
    if is_numpy(x):
        import numpy as np

        return np
    import torch

    return torch


def normal_quantile(x: Array) -> Array:
    """Phi^-1, the inverse of the standard normal CDF."""
    if is_numpy(x):
        from scipy.special import ndtri
    else:
        from torch.special import ndtri
    return ndtri(x)


def place_in(edges: "np.ndarray", x: Array) -> Array:
    """How many of the edges, which rise, are x at most: whole numbers in the shape of x."""
    if is_numpy(x):
        import numpy as np

        return np.searchsorted(edges, x, side="right")
    import torch

    return torch.searchsorted(torch.as_tensor(edges, device=x.device), x.contiguous(), right=True)


def chosen(values: "np.ndarray", index: Array) -> Array:
    """values[index], for whole numbers of either kind."""
    if is_numpy(index):
        return values[index]
    import torch

    return torch.as_tensor(values, device=index.device)[index]


def to_float64(x: Array) -> Array:
    import numpy as np

    return np.asarray(x, np.float64) if is_numpy(x) else x.double()


def to_dtype_of(x: Array, y: Array) -> Array:
    """y in the floating-point type of x: a float for a float, float32 for float32, and so on."""
    if isinstance(x, float | int):
        return float(y)
    return y.astype(x.dtype) if is_numpy(x) else y.to(x.dtype)
