"""A process-wide pool of threads for kernels that release the interpreter lock.

numba's own parallel loops are avoided here: they compile slowly, the workqueue layer must not be entered by two Python
threads at once, and the OpenMP layer aborts in forked children. A pool of plain threads has none of these faults.
"""

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def default_threads() -> int:
    """Number of threads: numba's (``NUMBA_NUM_THREADS``), which is the number of usable cores unless set."""
    return int(getattr(numba.config, "NUMBA_NUM_THREADS"))  # noqa: B009 - set at import, unknown to type checkers


def _forget_pool() -> None:
    # Threads do not survive a fork: the child starts a pool of its own, and must not inherit a held lock.
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_pool)


def _shared_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(default_threads() - 1, 1), thread_name_prefix="lactoolkit-kernels")
        return _pool


def run_in_order(task: Callable[[int], None], count: int, threads: int) -> None:
    """Call ``task(0)`` ... ``task(count - 1)``, each once, started in this order by ``threads`` threads.

    The calling thread takes part. A task may wait for one that precedes it, since that one has been started.
    """
    threads = min(threads, count)
    if threads <= 1:
        for index in range(count):
            task(index)
        return
    counter = itertools.count()

    def work() -> None:
        for index in counter:
            if index >= count:
                return
            task(index)

    pool = _shared_pool()
    futures = [pool.submit(work) for _ in range(threads - 1)]
    work()
    for future in futures:
        future.result()
