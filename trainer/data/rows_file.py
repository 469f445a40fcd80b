"""A numpy file that grows row by row, so that a corpus need not fit in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class RowsFile:
    """A .npy file of rows whose number is known at its end: numpy pads the header for that."""

    def __init__(self, path: Path, dtype: np.dtype[Any], width: int):
        self.path, self.dtype, self.width, self.rows = path, dtype, width, 0

    def __enter__(self) -> RowsFile:
        self.file = self.path.open("wb")
        self._write_header()
        return self

    def append(self, values_SL: np.ndarray) -> None:
        """S rows of `width` values, stored as the file's dtype."""
        self.file.write(values_SL.astype(self.dtype).tobytes())
        self.rows += len(values_SL)

    def __exit__(self, *_: object) -> None:
        self.file.seek(0)
        self._write_header()
        self.file.close()

    def _write_header(self) -> None:
        from numpy.lib import format as npy

        shape = (self.rows, self.width)
        facts = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self.file, facts)
