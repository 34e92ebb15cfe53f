"""Work on many items, one after the other or in several processes: one bad item stops no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

from tqdm import tqdm

from lactoolkit.errors import (
    BackendError,
    CheckpointError,
    EncoderError,
    LacToolkitError,
    LacToolkitWarning,
    MissingDependencyError,
    ParameterError,
)

Item = TypeVar("Item")
Result = TypeVar("Result")


# What no item can do without.
_OF_EVERY_ITEM = (BackendError, CheckpointError, EncoderError, MissingDependencyError)

_TERMINATED = 128 + signal.SIGTERM  # the exit status of a process that was asked to end
_SECONDS_TO_UNWIND = 10

# In a worker: whether it is at an item, and whether it was asked to end.
_working = False
_leaving = False


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item.

    Parameters
    ----------
    item : object
        The item.
    result : object or None
        What the work gave; None if it failed.
    error : str
        Why it failed, else "".
    kept : bool
        Whether the result was there already, from an earlier run.
    """

    item: Item
    result: Result | None
    error: str = ""
    kept: bool = False


@dataclass(frozen=True)
class FailedVideo:
    """A video that was left out because it cannot be read, and why."""

    path: Path
    message: str

    @classmethod
    def of(cls, path: Path, message: str) -> FailedVideo:
        """With a message that names the file."""
        return cls(path, message if str(path) in message else f"{path}: {message}")


def read_and_failed(outcomes: Iterable[Outcome[Path, Result]]) -> tuple[dict[Path, Result], list[FailedVideo]]:
    """Results of the videos that could be read, and the other videos."""
    read, failed = {}, []
    for outcome in outcomes:
        if outcome.result is None:
            failed.append(FailedVideo.of(outcome.item, outcome.error))
        else:
            read[outcome.item] = outcome.result
    return read, failed


def joined_reasons(failed: Iterable[FailedVideo]) -> str:
    """Why videos failed, each reason once."""
    return "; ".join(dict.fromkeys(one.message for one in failed))


def run_items(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int = 1
) -> Generator[Outcome[Item, Result]]:
    """Call a function on every item, and give what became of it as soon as that is known.

    Errors of lactoolkit and of the file system fail the item. Those of the encoder or the device, which would fail
    every item, and other exceptions, which are bugs, stop everything. When the generator is closed or interrupted,
    processes that are at work are ended.

    Parameters
    ----------
    work : callable
        For ``workers`` above 1 it, the items and the results must be picklable.
    items : sequence
        The items.
    workers : int
        Processes side by side, each with its share of the cores; 1 works in this process.

    Yields
    ------
    Outcome
        In order of completion.

    Raises
    ------
    ParameterError
        For ``workers`` below 1.
    BackendError, CheckpointError, EncoderError, MissingDependencyError
        The work's own.

    Warns
    -----
    LacToolkitWarning
        Whatever the work warns of.
    """
    if workers < 1:
        raise ParameterError(f"workers (--workers) is {workers}; it must be at least 1")
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            yield _attempt(work, item)
        return
    context = multiprocessing.get_context("spawn")  # torch's thread pools do not survive a fork
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (_share_of_cores(workers),))
    try:
        with _ctrl_c_blocked():
            futures = {pool.submit(partial(_work_aside, work), item): item for item in items}
        for future in as_completed(futures):
            try:
                outcome, messages = future.result()
            except BrokenProcessPool:
                outcome, messages = Outcome(futures[future], None, "a worker process died; use fewer workers"), []
            for category, message in messages:
                warnings.warn(message, category, stacklevel=2)
            yield outcome
        pool.shutdown()
    except BaseException:  # Ctrl-C above all: let no worker go on with what nobody waits for
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise


def _attempt(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    try:
        return Outcome(item, work(item))
    except _OF_EVERY_ITEM:
        raise
    except (LacToolkitError, OSError) as error:
        return Outcome(item, None, str(error))


def _work_aside(
    work: Callable[[Item], Result], item: Item
) -> tuple[Outcome[Item, Result], list[tuple[type[LacToolkitWarning], str]]]:
    """Work in another process: warnings are given to the one that knows how to show them."""
    global _working
    try:
        _working = True
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", LacToolkitWarning)
            outcome = _attempt(work, item)
    finally:
        _working = False
        if _leaving:  # the pool would take the exception for the item's and wait for the next one
            os._exit(_TERMINATED)
    messages = [(one.category, str(one.message)) for one in caught if issubclass(one.category, LacToolkitWarning)]
    return outcome, messages


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Let Ctrl-C wait, and never reach processes that are started here: they would print a traceback of their own."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _share_of_cores(workers: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _start_worker(threads: int) -> None:
    # Ctrl-C reaches every process of the terminal; the main process alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Read by numba and torch when they are imported, which no worker has done yet.
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    # The bars of one process need no lock between processes, whose semaphore would be left behind when it is ended.
    tqdm.set_lock(threading.RLock())


def _end_with_parent() -> None:
    """End when the process that started this one was killed: nothing else tells a worker that waits for an item."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(_: int, __: FrameType | None) -> None:
    """End; from within an item by unwinding the stack, so that temporary files go away."""
    global _leaving
    if not _working:
        os._exit(_TERMINATED)
    _leaving = True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # an exception raised in a destructor or a callback is lost
        signal.alarm(_SECONDS_TO_UNWIND)
    sys.exit(_TERMINATED)
