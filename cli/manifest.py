"""`lac manifest`: one list of videos from a folder or a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import quiet_option, wants_progress
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.video.dataset_item import DatasetItem

# Those of lactoolkit.video.layouts.LAYOUTS, which a test compares: --help must not wait for NumPy.
LAYOUTS = ("folder", "csv", "indexed", "carl", "penn-action")


@click.command(short_help="List the videos of a folder or data set.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE.csv", help="Write the list to this file.")
@click.option(
    "--layout",
    type=click.Choice(["auto", *LAYOUTS]),
    default="auto",
    show_default=True,
    help="How SOURCE is laid out; see below.",
)
@click.option(
    "--fps",
    "frame_rate",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    default=30,
    show_default=True,
    metavar="N",
    help="Frames per second of videos that come as images.",
)
@click.option("--check", is_flag=True, help="Decode every video to its end and compare its length with its labels.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.csv.")
@quiet_option
def manifest(
    source: Path, out: Path | None, layout: str, frame_rate: float, check: bool, overwrite: bool, quiet: bool
) -> None:
    """List the videos of a folder or data set, with splits, classes and labels, as `lac train` and others read it.

    Prints how many videos there are. With -o, FILE.csv receives one line per video: path, split, class, labels.
    Labels that come in a data set's own format are written to FILE_labels/, videos that come as images to
    FILE_videos/.

    \b
    Layouts (auto tells them apart):
      folder       any folder: all videos in it, at any depth
      csv          a list of videos that exists already
      indexed      index.json, videos/ and labels/ per task
      carl         Pouring and Penn Action of CARL and LAC: train.pkl, val.pkl, videos/
      penn-action  Penn Action as published: frames/NNNN/*.jpg and labels/NNNN.mat

    \b
    Examples:
      lac manifest takes/ -o takes.csv
      lac manifest datasets/pouring -o pouring.csv --check
    """
    from lactoolkit.video.layouts import check_videos, read_dataset, write_dataset

    progress = wants_progress(quiet)
    items = read_dataset(source, layout)
    if out is not None:
        records = write_dataset(items, out, frame_rate=frame_rate, overwrite=overwrite, progress=progress)
    else:
        records = [item.record for item in items]
        if check and any(item.images is not None or item.labels is not None for item in items):
            raise click.UsageError("--check needs -o here: it checks the videos and labels that are written")
    click.echo(_counts(items))
    if out is not None:
        click.echo(f"\nWritten to {click.format_filename(out)}")
    elif not quiet and not source.is_file():
        click.echo("\nAdd -o FILE.csv to write the list.")
    if check:
        problems = check_videos(records, progress=progress)
        for problem in problems:
            click.echo(f"Error: {' '.join(problem.split())}", err=True)
        click.echo(f"\n{_number(len(records), 'video')} checked, {_number(len(problems), 'problem')}")
        if problems:
            click.get_current_context().exit(1)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counts(items: Sequence[DatasetItem]) -> str:
    """Table of the numbers of videos, by class and split."""
    splits = [split for split in ("train", "val", "test", "") if any(one.record.split == split for one in items)]
    rows = []
    for name in sorted({item.record.class_name for item in items}):
        members = [item for item in items if item.record.class_name == name]
        by_split = Counter(item.record.split for item in members)
        labelled = sum(item.labels is not None or item.record.labels is not None for item in members)
        rows.append([name or "(none)", *(str(by_split[split]) for split in splits), str(len(members)), str(labelled)])
    if len(rows) > 1:
        rows.append(["all", *(str(sum(int(row[k]) for row in rows)) for k in range(1, len(splits) + 3))])
    header = ["class", *(split or "no split" for split in splits), "videos", "labelled"]
    if splits == [""]:
        header, rows = [header[0], *header[2:]], [[row[0], *row[2:]] for row in rows]
    return format_table(header, rows, right=range(1, len(header)))
