"""`lac extract`: frames and features of many videos into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .notices import report_failures
from .options import (
    device_option,
    encoder_option,
    frame_rate_option,
    quiet_option,
    video_path,
    wants_progress,
    weights_option,
    workers_option,
)

if TYPE_CHECKING:
    from lactoolkit.features.store import StoreSummary


@click.command(short_help="Store frames and features of many videos.")
@click.argument("videos", nargs=-1, required=True, type=video_path(), metavar="VIDEO|FOLDER...")
@click.option(
    "-o", "--out", "store", required=True, type=click.Path(path_type=Path), metavar="STORE", help="Folder to write to."
)
@click.option(
    "--frames",
    type=click.Choice(["jpeg", "array", "none"]),
    default="jpeg",
    show_default=True,
    help="Store frames as JPEG files, as one array per video, or not at all.",
)
@click.option(
    "--features/--no-features",
    default=True,
    show_default=True,
    help="Store the encoder's features, or a checkpoint's embeddings.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    default=224,
    show_default=True,
    metavar="PIXELS",
    help="Width and height of the stored frames.",
)
@encoder_option
@weights_option
@frame_rate_option
@workers_option("Videos to work on at once.")
@device_option
@quiet_option
def extract(
    videos: tuple[Path, ...],
    store: Path,
    frames: str,
    features: bool,
    size: int,
    encoder: str,
    weights: Path | None,
    frame_rate: float | None,
    workers: int,
    device: str,
    quiet: bool,
) -> None:
    """Extract frames and features of videos, and of all videos in folders, into STORE.

    Each video gets a folder with a manifest of its frames' numbers and times. Run the command again to go on after an
    interruption or to add videos: what STORE holds already is skipped. Exits with status 1 if any video failed.

    \b
    Examples:
      lac extract takes/ -o store --workers 2
      lac extract swing.mp4 -o store --frames none --fps 10
    """
    from lactoolkit.features.store import extract_store

    summary = extract_store(
        videos,
        store,
        frames=None if frames == "none" else frames,  # type: ignore[arg-type]  # click has checked the choice
        features=features,
        size=size,
        encoder=encoder,
        weights=weights,
        device=device,
        frame_rate=frame_rate,
        workers=workers,
        progress=wants_progress(quiet),
    )
    click.echo(_describe(summary))
    report_failures(summary.failed)


def _describe(summary: StoreSummary) -> str:
    counts = f"{len(summary.done)} extracted, {len(summary.skipped)} there already, {len(summary.failed)} failed"
    return f"{click.format_filename(summary.store)}: {counts}"
