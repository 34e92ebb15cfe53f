"""`lac encoders`: which frame encoders there are."""

from __future__ import annotations

import click

from .tables import format_table


@click.command(short_help="List the frame encoders.")
def encoders() -> None:
    """List the frame encoders, whether they are ready to use, and what to do if not.

    \b
    Example:
      lac encoders
    """
    from lactoolkit.models.registry import available_encoders

    listed = available_encoders()
    click.echo(
        format_table(
            ["name", "ready", "description"],
            [[encoder.name, "yes" if encoder.ready else "no", encoder.description] for encoder in listed],
        )
    )
    for encoder in listed:
        if not encoder.ready:
            click.echo(f"\nTo get {encoder.name} ready: {encoder.remedy}")
