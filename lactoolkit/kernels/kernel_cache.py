"""Compilation of the CPU kernels: numba's ``njit`` with a cache on disk that is safe to share and to upgrade.

numba's own cache keeps a function as long as the one file that defines it stays the same. Kernels are made of inlined
functions and constants of several modules, so that after an upgrade one kernel would go on with the memory layout of
the old version beside another one with that of the new. It also writes an index of numbered files before the files
themselves, so that two processes that compile at once can swap each other's code. Here a compiled function lies in one
file, named after the source of all kernels, the version of Python, the argument types and the processor, and put in
place by a rename.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

logger = logging.getLogger(__name__)


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """Decorate a kernel: compiled at its first call, kept on disk, and run without the interpreter lock.

    Parameters
    ----------
    function : callable
        The kernel.
    **options
        Passed on to ``numba.njit``.
    """
    if function is None:
        return functools.partial(compiled, **options)
    # The wrapper for calls from C takes a second to compile, and nobody calls from C.
    options["no_cfunc_wrapper"] = True
    dispatcher = njit(nogil=True, **options)(function)
    # RuntimeError: neither the source's folder nor the user's cache folder can be written to.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = _KernelCache(function)
    return dispatcher


@functools.cache
def _source_stamp() -> str:
    """Digest of the source of all kernels."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class _KernelCache(FunctionCache):
    """numba's cache of one function, with files of our own."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self._cache_file: Any = _KernelFiles(Path(self._cache_path), name)


class _KernelFiles:
    """The compiled forms of one function; the interface is that of numba's ``IndexDataCacheFile``."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def _path(self, key: Any) -> Path:
        digest = hashlib.sha256(f"{sys.implementation.cache_tag} {key!r}".encode()).hexdigest()[:16]
        return self._folder / f"{self._name}.{_source_stamp()}.{digest}.nbc"

    def load(self, key: Any) -> Any:
        """What was saved under the key, or None."""
        try:
            stored_key, data = pickle.loads(self._path(key).read_bytes())
        except OSError:
            return None
        return data if stored_key == repr(key) else None

    def save(self, key: Any, data: Any) -> None:
        """Save under the key, and remove what other versions of the source have left."""
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(dumps((repr(key), data)))
            os.replace(temporary, path)
        except OSError as error:
            # A full disk costs the next process the time to compile, and nothing else.
            logger.debug("compiled kernel %s is not kept: %s", self._name, error)
            temporary.unlink(missing_ok=True)
            return
        for other in self._folder.glob(f"{self._name}.*.nbc"):
            if not other.name.startswith(f"{self._name}.{_source_stamp()}."):
                other.unlink(missing_ok=True)

    def flush(self) -> None:
        """Remove all files of the function."""
        for path in self._folder.glob(f"{self._name}.*.nbc"):
            path.unlink(missing_ok=True)
