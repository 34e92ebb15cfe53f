"""Launching compiled kernels with little time on the host.

numba takes some 50 microseconds to launch a kernel, most of them to look at its arguments. All of ours are one-
dimensional arrays and numbers, so they are packed here and handed to the driver directly.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types
from numba.cuda import current_context

from lactoolkit.kernels.cuda_warp import LANES, SIMULATED

if SIMULATED:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
else:
    from cuda.bindings import driver


class DeviceArray(NamedTuple):
    """A C-contiguous array in device memory, seen as one-dimensional."""

    address: int
    size: int
    itemsize: int


class CompiledKernel:
    """A kernel for arguments of fixed types; compiled for each device at its first launch there.

    Parameters
    ----------
    function
        The kernel's Python function.
    signature : tuple of numba types
        One-dimensional C-contiguous arrays, int64 and float64.
    options
        Passed on to ``cuda.jit``.
    """

    def __init__(self, function: Any, signature: tuple[Any, ...], **options: Any) -> None:
        self._dispatcher = cuda.jit(**options)(function)
        self._signature = signature
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()
        words = sum(7 if isinstance(kind, types.Array) else 1 for kind in signature)
        self._offsets = np.arange(words, dtype=np.uint64) * np.uint64(8)

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

    def launch(self, blocks: int, arguments: list[Any], stream: int, device: int) -> None:
        """Put one launch of ``blocks`` blocks of a warp on a stream of the device, which must be the current one."""
        if SIMULATED:
            # numba copies NumPy arrays in and out, but two of ours share their memory.
            wrapped = [FakeCUDAArray(a) if isinstance(a, np.ndarray) else a for a in arguments]
            self._dispatcher[blocks, LANES](*wrapped)
            return
        packed: list[int] = []
        for argument in arguments:
            if isinstance(argument, DeviceArray):
                address, size, itemsize = argument
                packed += (0, 0, size, itemsize, address, size, itemsize)
            elif isinstance(argument, float):
                packed.append(np.float64(argument).view(np.int64).item())
            else:
                packed.append(argument)
        values = np.array(packed, np.int64)
        pointers = self._offsets + np.uint64(values.ctypes.data)
        handle = self._handles.get(device) or self.prepare(device)
        check(driver.cuLaunchKernel(handle, blocks, 1, 1, LANES, 1, 1, 0, stream, pointers.ctypes.data, 0))


def fill_ones(array: Any, words: int, stream: int) -> None:
    """Set the first ``words`` 4-byte words of an array to all ones."""
    if SIMULATED:
        array.view(np.uint32)[:words] = 0xFFFFFFFF
        return
    check(driver.cuMemsetD32Async(array.address, 0xFFFFFFFF, words, stream))


def check(result: Any) -> None:
    """Raise what the driver reports."""
    status = result[0]
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"the CUDA driver answers {status.name}")
