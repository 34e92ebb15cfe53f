"""The command line: `lac`.

Nothing here imports NumPy, torch or Numba before a command runs: `lac --help` answers at once.
"""

from __future__ import annotations

import click

from .align import align
from .compare import compare
from .doctor import doctor
from .encoders import encoders
from .evaluate import evaluate
from .extract import extract
from .manifest import manifest
from .repeats import repeats
from .retrieve import retrieve
from .sync import sync
from .train import train
from .transfer import transfer
from .translation import TranslatingGroup

__all__ = ["main"]


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from lactoolkit import __version__

        click.echo(f"lac {__version__}")
        context.exit()


@click.group(
    cls=TranslatingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Align two videos of the same process in time, frame by frame, with a confidence for each pair.

    \b
    Example:
      lac align first_swing.mp4 second_swing.mp4 -o swings
    """


for _command in (
    *(align, sync, compare, transfer, repeats, train, evaluate),
    *(retrieve, manifest, extract, encoders, doctor),
):
    main.add_command(_command)
