"""Telling when kernels are being compiled: on a machine's first use, for many seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event


@contextmanager
def watch_compilation(began: Callable[[], None], ended: Callable[[float], None]) -> Iterator[None]:
    """Call functions when Numba begins and ends to compile; loading compiled code from its cache does not count.

    Parameters
    ----------
    began : callable
        Called when the first function begins to be compiled.
    ended : callable
        Called at the end of the block with the seconds that compiling took, if anything was compiled.
    """
    watcher = _Watcher(began)
    with event.install_listener("numba:compile", watcher):
        yield
    if watcher.done:
        ended(watcher.duration)


class _Watcher(event.TimingListener):
    def __init__(self, began: Callable[[], None]):
        super().__init__()
        self._began: Callable[[], None] | None = began

    def on_start(self, event: event.Event) -> None:
        """Note the beginning of a compilation."""
        super().on_start(event)
        if self._began is not None:
            began, self._began = self._began, None
            began()
