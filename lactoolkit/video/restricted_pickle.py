"""Reading pickles of data without running what they say: containers, numbers, text, NumPy arrays, torch tensors."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lactoolkit.errors import ManifestError

# What damage inside a pickle surfaces as.
_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _RefusedError(Exception):
    """The pickle asks for something that is not data."""


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle that holds nothing but plain data.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        Lists, tuples, sets, dicts, numbers, text, bytes, NumPy arrays of numbers or text, and torch tensors.

    Raises
    ------
    ManifestError
        The file is missing, damaged, or asks for any other class or function: nothing of it has been run then.
    """
    try:
        with open(path, "rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read ({error.strerror}); check the name and the access rights"
        ) from error
    except _RefusedError as error:
        raise ManifestError(
            f"{path}: refused, and nothing in it has been run: this pickle asks for {error}, but only plain data "
            "(containers, numbers, text, arrays, tensors) is read"
        ) from error
    except _DAMAGE as error:
        raise ManifestError(f"{path}: not a pickle, or a damaged one ({error}); copy it again") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give what a pickle may call; refuse all else."""
        known = _ALLOWED.get((module.replace("numpy.core.", "numpy._core."), name))
        if known is None:
            raise _RefusedError(f"{module}.{name}")
        return known


# NumPy trusts what a pickle says about an array's memory, and damaged ones can take the process down. So pickles only
# get to call these stand-ins, which look at everything before NumPy does.


class _Dtype:
    """Stands for numpy.dtype: the type of a number or of text of fixed length, nothing that holds Python objects."""

    def __init__(self, code: str, *_: Any):
        self.type = np.dtype(str(code))
        if self.type.kind not in "biufcSU":
            raise _RefusedError(f"an array of type {code!r}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.type = self.type.newbyteorder(state[1])


class _Array(np.ndarray):
    """Stands for numpy.ndarray."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        array = _from_bytes(data, dtype, shape, "F" if fortran else "C")
        super().__setstate__((1, array.shape, array.dtype, bool(fortran), array.tobytes("A")))  # type: ignore[arg-type]


def _empty_array(*_: Any) -> _Array:
    return _Array((0,), np.int8)


def _from_bytes(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: Literal["C", "F"] = "C") -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray | pickle.PickleBuffer):
        raise pickle.UnpicklingError("an array without a type or without content")
    size = [int(length) for length in shape]
    if min(size, default=0) < 0:
        raise pickle.UnpicklingError(f"an array of shape {shape}")
    content = bytes(data)
    flat = np.frombuffer(content, dtype.type) if content else np.empty(0, dtype.type)
    return flat.reshape(size, order=order)


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return _from_bytes(data, dtype, (1,))[0]


def _storage(data: bytes) -> Any:
    """What torch keeps the numbers of a tensor in: a file of torch's own within the pickle."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated storages, which is what these files hold
        return torch.load(BytesIO(data), weights_only=True, map_location="cpu")


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat = torch.tensor([], dtype=storage.dtype).set_(storage._untyped_storage)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min([offset, *size, *stride]) < 0 or (0 not in size and last >= len(flat)):
        raise pickle.UnpicklingError("a tensor that reaches beyond its numbers")
    return flat.as_strided(size, stride, offset)


def _text_to_bytes(text: str, encoding: str) -> bytes:
    """How Python 2's protocols write bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _text_to_bytes,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
    **{
        (builtins, kind.__name__): kind
        for builtins in ("builtins", "__builtin__")
        for kind in (set, frozenset, complex, bytes, bytearray)
    },
}
