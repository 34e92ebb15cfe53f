"""What to say when something takes long for a reason that the user cannot see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lactoolkit.features.process_pool import FailedVideo


def report_failures(failed: Sequence[FailedVideo]) -> None:
    """Name what was left out, and end with status 1 if there is any."""
    for one in failed:
        click.echo(f"Error: {' '.join(one.message.split())}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


@contextmanager
def finished_pairs_noted(kept: bool) -> Iterator[None]:
    """Note on what interrupts the writing of results that, if so, the alignments behind them are kept."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as interruption:
        if kept:
            interruption.add_note("All pairs are done; run the same command again to write the results.")
        raise


@contextmanager
def compilation_notice(progress: bool) -> Iterator[None]:
    """Say on stderr that kernels are being compiled, which happens on the first use on a machine."""
    if not progress:
        yield
        return
    from lactoolkit.kernels.compilation import watch_compilation

    def began() -> None:
        click.echo("Compiling the alignment kernels for this machine; only the first run does that ...", err=True)

    def ended(seconds: float) -> None:
        click.echo(f"Compiled in {seconds:.0f} s.", err=True)

    with watch_compilation(began, ended):
        yield
