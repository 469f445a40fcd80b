"""The transformer, all of it."""

from typing import NamedTuple


class Shape(NamedTuple):
    """What a network's parameters are made from."""

    width: int
    layers: int
    heads: int
    cond_width: int
    length: int
    vocab_size: int
    mask_id: int
