"""The one place where errors, warnings and signals become lines on stderr and exit statuses."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from lactoolkit.errors import LacToolkitError, LacToolkitWarning

_INTERRUPTED = 130
_TERMINATED = 143


class TranslatingGroup(click.Group):
    """A group whose commands may raise what the library raises.

    Errors of lactoolkit become one line on stderr and exit status 1, its warnings one line each; Ctrl-C ends with
    status 130. Usage errors (2) and broken pipes are click's business. Anything else is a bug and keeps its traceback.
    """

    def invoke(self, context: click.Context) -> Any:
        """Run the chosen command."""
        try:
            with _one_line_warnings(), _clean_termination():
                return super().invoke(context)
        except LacToolkitError as error:
            raise click.ClickException(_one_line(error)) from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None
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


@contextmanager
def _clean_termination() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that temporary files go away."""
    # Python hands signals to the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _one_line(message: object) -> str:
    # File names may hold what no terminal can show.
    return " ".join(str(message).encode("utf-8", "replace").decode("utf-8").split())
