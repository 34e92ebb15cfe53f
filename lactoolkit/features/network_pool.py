"""Running an encoder on several batches at once, while frames are decoded in the calling thread."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder

# Decoding keeps no more threads than that busy.
_MOST_THREADS = 8

Result = TypeVar("Result")


class NetworkPool:
    """Encodes batches of frames, each on one thread with one core; on a CUDA device, all on one lasting thread.

    Batches side by side need no barriers. Splitting each batch over all cores has one behind every layer, where a core
    that is busy with decoding or with another process keeps all others waiting: on two cores that decode at the same
    time it took twice the processor time.

    On a CUDA device torch plans every convolution anew in every thread that it meets it in. Threads that end with their
    video would have that done for each video.

    Parameters
    ----------
    load : callable
        Gives the encoder. It is called at once, in another thread, and batches wait for it: importing torch takes a
        second or more.
    """

    def __init__(self, load: Callable[[], FrameEncoder]):
        self._pool = ThreadPoolExecutor(_thread_count(), thread_name_prefix="encoder")
        self._threads_before: int | None = None
        self._prepared = threading.local()
        self._loading = self._pool.submit(self._load, load)

    def submit(self, job: Callable[[FrameEncoder], Result]) -> Future[Result]:
        """Call a function with the encoder, without gradients, on one of the threads."""
        return self._pool.submit(self._run, job)

    def _load(self, load: Callable[[], FrameEncoder]) -> FrameEncoder:
        import torch

        self._threads_before = torch.get_num_threads()
        return load()

    def _run(self, job: Callable[[FrameEncoder], Result]) -> Result:
        encoder = self._loading.result()
        import torch

        if encoder.mean.device.type == "cuda":
            return _card_thread().submit(_without_gradients, job, encoder).result()
        if not getattr(self._prepared, "done", False):
            torch.set_num_threads(1)
            self._prepared.done = True
        return _without_gradients(job, encoder)

    def __enter__(self) -> NetworkPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error or Ctrl-C, what waits is not computed any more.
        self._pool.shutdown(cancel_futures=True)
        if self._threads_before is not None:
            import torch

            # Threads that start from now on would take over the single core.
            torch.set_num_threads(self._threads_before)


@functools.cache
def _card_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="encoder on a card")


def _without_gradients(job: Callable[[FrameEncoder], Result], encoder: FrameEncoder) -> Result:
    import torch

    with torch.inference_mode():
        return job(encoder)


def _thread_count() -> int:
    """Cores to use: those that this process may use, or as many as the user has told torch."""
    if "torch" in sys.modules:
        wanted = sys.modules["torch"].get_num_threads()
    else:
        asked = os.environ.get("OMP_NUM_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = int(asked) if asked.isdigit() else cores
    return max(1, min(wanted, _MOST_THREADS))
