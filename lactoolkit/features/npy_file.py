"""Writing a .npy file row by row, when the number of rows is not known beforehand."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy_format


class NpyAppender:
    """Write an array of unknown length to a .npy file in constant memory.

    Parameters
    ----------
    path : Path
        The file to write.
    row_shape : tuple of int
        Shape of one row.
    dtype : dtype
        Type of the numbers.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: np.dtype):
        self._row_shape = row_shape
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by __exit__
        self._write_header()
        self._data_start = self._file.tell()

    def __enter__(self) -> NpyAppender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._write_header()
                # NumPy leaves room in the header for the first axis to grow; the rows already stand behind it.
                assert self._file.tell() == self._data_start
        finally:
            self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Append rows of shape (n, *row_shape)."""
        assert rows.shape[1:] == self._row_shape
        np.ascontiguousarray(rows, dtype=self._dtype).tofile(self._file)
        self._rows += len(rows)

    def _write_header(self) -> None:
        header = {
            "descr": npy_format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._row_shape),
        }
        npy_format.write_array_header_1_0(self._file, header)
