"""Launching compiled kernels with little time on the host.

numba takes some 50 microseconds to launch a kernel, most of them to look at its arguments. All of ours are one-
dimensional arrays and numbers, so they are packed here and handed to the driver directly; kernels with the same
arguments share them.
"""

import ctypes
import functools
import hashlib
import struct
import threading
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types
from numba.cuda import current_context

from lactoolkit.kernels.cuda_warp import LANES, SIMULATED

if SIMULATED:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
else:
    from cuda.bindings import driver
    from numba.cuda import cudaimpl  # noqa: F401  loaded at the first compilation; with a NumPy that is too new, an error
    from numba.cuda.dispatcher import CUDACache

    # The predecessor within numba itself does not do; without numba-cuda this is an ImportError.
    _NUMBA_CUDA = metadata.version("numba-cuda")

    class _KernelCache(CUDACache):
        """Compiled kernels on disk, found again by what they were made from.

        numba goes by the objects that a function refers to, which are others in every process if they are compiled
        functions, and by the date of the one file that the function stands in.
        """

        def _index_key(self, signature: Any, codegen: Any) -> Any:
            return signature, codegen.magic_tuple(), _NUMBA_CUDA, _sources()


@functools.cache
def _sources() -> str:
    """A hash of all that kernels are made from."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Bound(threading.local):
    device = -1


_bound = _Bound()


def bind(device: int) -> None:
    """Make the device's primary context this thread's current one; threads that torch starts have none at first."""
    if SIMULATED or _bound.device == device:
        return
    status, context = driver.cuDevicePrimaryCtxRetain(device)
    check((status,))
    check(driver.cuCtxSetCurrent(context))
    _bound.device = device


class DeviceArray(NamedTuple):
    """A C-contiguous array in device memory; kernels see it as one-dimensional."""

    address: int
    size: int
    itemsize: int
    shape: tuple[int, ...] = ()
    is_shared: bool = False
    """Whether it holds what is the same for all pairs once only."""


class ArgumentRoom(threading.local):
    """Room for the arguments of one launch, in the form that the driver takes; one for each thread.

    The driver copies arguments before a launch returns, so the room can be used again at once.
    """

    def __init__(self, signature: tuple[Any, ...]) -> None:
        # An array is passed as numba does: two pointers of the host, size, item size, address, shape, strides.
        letters = {types.float64: "d", types.int64: "q"}
        self.packing = struct.Struct("".join(letters.get(kind, "7q") for kind in signature))
        self.values = ctypes.create_string_buffer(self.packing.size)
        count = self.packing.size // 8
        self.pointers = (ctypes.c_void_p * count)(*(ctypes.addressof(self.values) + 8 * k for k in range(count)))
        self.address = ctypes.addressof(self.pointers)

    def pack(self, arrays: list[Any], numbers: list[Any]) -> Any:
        """Bring arguments into the form that :meth:`CompiledKernel.launch` takes, until this thread packs others."""
        if SIMULATED:
            # numba copies NumPy arrays in and out, but two of ours share their memory.
            return [*map(FakeCUDAArray, arrays), *numbers]
        values: list[Any] = []
        for address, size, itemsize, *_ in arrays:
            values += (0, 0, size, itemsize, address, size, itemsize)
        self.packing.pack_into(self.values, 0, *values, *numbers)
        return self.address


class CompiledKernel:
    """A kernel for arguments of fixed types; compiled for each device at its first launch there.

    Parameters
    ----------
    name : str
        One that no other kernel has.
    function
        The kernel's Python function.
    signature : tuple of numba types
        One-dimensional C-contiguous arrays, int64 and float64.
    options
        Passed on to ``cuda.jit``.
    """

    def __init__(self, name: str, function: Any, signature: tuple[Any, ...], **options: Any) -> None:
        function.__name__ = function.__qualname__ = name
        self._dispatcher = cuda.jit(**options)(function)
        if not SIMULATED:
            self._dispatcher._cache = _KernelCache(function)
        self._signature = signature
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()

    def prepare(self, device: int) -> int:
        """Compile for the device, which must be the current one, and return the handle of the function."""
        handle = self._handles.get(device)
        if handle is None:
            with self._lock:
                current_context()
                self._function = self._dispatcher.compile(self._signature)._codelibrary.get_cufunc()
                handle = self._handles[device] = int(self._function.handle)
        return handle

    def resources(self) -> str:
        """Registers, shared and local memory of the compiled kernel."""
        attributes = self._function.attrs
        return f"{attributes.regs} registers, {attributes.shared} B shared, {attributes.local} B local memory"

    def launch(self, blocks: int, arguments: Any, stream: int, device: int) -> None:
        """Put one launch of ``blocks`` blocks of a warp on a stream of the device, which must be the current one.

        ``arguments`` come from an :class:`ArgumentRoom` of the same types.
        """
        if SIMULATED:
            self._dispatcher[blocks, LANES](*arguments)
            return
        handle = self._handles.get(device) or self.prepare(device)
        check(driver.cuLaunchKernel(handle, blocks, 1, 1, LANES, 1, 1, 0, stream, arguments, 0))


def fill_ones(array: Any, first: int, words: int, stream: int) -> None:
    """Set 4-byte words of an array to all ones."""
    if SIMULATED:
        array.view(np.uint32)[first : first + words] = 0xFFFFFFFF
        return
    check(driver.cuMemsetD32Async(array.address + 4 * first, 0xFFFFFFFF, words, stream))


def check(result: Any) -> None:
    """Raise what the driver reports."""
    status = result[0]
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"the CUDA driver answers {status.name}")
