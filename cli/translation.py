"""The one place where errors, warnings and signals become lines on stderr and exit statuses."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import click

from lactoolkit.errors import LacToolkitError, LacToolkitWarning

_INTERRUPTED = 130
_TERMINATED = 143
_SECONDS_TO_ARRIVE = 1


class TranslatingGroup(click.Group):
    """A group whose commands may raise what the library raises.

    Errors of lactoolkit become one line on stderr and exit status 1, its warnings one line each; Ctrl-C ends with
    status 130 and SIGTERM with 143, each with what the library notes on how far it came. Usage errors (2) and broken
    pipes are click's business. Anything else is a bug and keeps its traceback.
    """

    def invoke(self, context: click.Context) -> Any:
        """Run the chosen command."""
        try:
            with _one_line_warnings(), _unwinding_signals():
                return super().invoke(context)
        except LacToolkitError as error:
            raise click.ClickException(_one_line(error)) from error
        except KeyboardInterrupt as interruption:
            _tell("Interrupted.", interruption)
            raise click.exceptions.Exit(_INTERRUPTED) from None
        except _Terminated as termination:
            _tell("Terminated.", termination)
            raise
        except MemoryError as error:
            raise click.ClickException(
                "out of memory; analyse fewer frames (--fps) or a shorter part (--start-a, --end-a, ...)"
            ) from error


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print each of lactoolkit's warnings once, without the source line that Python adds."""
    shown: set[str] = set()
    show_others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, LacToolkitWarning):
            show_others(message, category, filename, lineno, file, line)
        elif (text := _one_line(message)) not in shown:
            shown.add(text)
            click.echo(f"Warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LacToolkitWarning)
        warnings.showwarning = show
        yield


class _Terminated(SystemExit):
    """SIGTERM came."""

    def __init__(self) -> None:
        super().__init__(_TERMINATED)


@contextmanager
def _unwinding_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the stack, so that temporary files go away.

    The exception is raised again until it arrives: modules that Cython has compiled swallow the one that comes while
    they are imported, and others make an ImportError of it.
    """
    # Python hands signals to the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    endings = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: _Terminated}
    came: list[type[BaseException]] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(endings[signal.Signals(number)])
        if hasattr(signal, "setitimer"):
            previous.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, end_again))
            signal.setitimer(signal.ITIMER_REAL, _SECONDS_TO_ARRIVE, _SECONDS_TO_ARRIVE)
        raise came[-1]

    def end_again(_: int, __: FrameType | None) -> None:
        if sys.exc_info()[1] is None:  # else it may be on its way, through what cleans up
            raise came[-1]

    # What is ignored from the start, as by jobs in the background, stays so.
    heeded = [number for number in endings if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    except Exception as error:
        if came:
            raise came[-1] from error
        raise
    finally:
        if came and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _tell(ending: str, exception: BaseException) -> None:
    click.echo("\n".join(["", ending, *getattr(exception, "__notes__", ())]), err=True)


def _one_line(message: object) -> str:
    # File names may hold what no terminal can show.
    return " ".join(str(message).encode("utf-8", "replace").decode("utf-8").split())
