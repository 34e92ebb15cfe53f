"""`lac compare`: where videos deviate from how it should be done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .notices import compilation_notice, finished_pairs_noted, report_failures
from .options import check_viewer_options, embedding_options, report_options, video_path, wants_progress, workers_option
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.alignment.compare import ComparedVideo, Comparison
    from lactoolkit.alignment.deviations import Deviation


@click.command(short_help="Find what deviates from a reference.")
@click.argument("reference", type=video_path())
@click.argument("videos", nargs=-1, required=True, type=video_path(), metavar="FOLDER|VIDEO...")
@click.option(
    "--normal",
    multiple=True,
    type=video_path(),
    metavar="FOLDER|VIDEO",
    help="Correct videos to judge by, 3 or more; may be given several times.",
)
@click.option(
    "--level",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    metavar="P",
    help="List what a correct video has with a probability below P.",
)
@report_options("lac compare")
@click.option("--html", is_flag=True, help="Add viewer.html, a page that plays each video beside the reference.")
@click.option("--embed", is_flag=True, help="Put the videos into viewer.html, to pass it on as one file.")
@workers_option("Videos to align at once.")
@embedding_options
def compare(
    reference: Path,
    videos: tuple[Path, ...],
    normal: tuple[Path, ...],
    level: float,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    html: bool,
    embed: bool,
    workers: int,
    **embedding: Any,
) -> None:
    """Find the stretches of VIDEOs that deviate from REFERENCE by more than correct videos do.

    Three things are compared from moment to moment: what it looks like, whether it takes longer (a pause, something
    extra), and whether it takes less time or leaves something out. What counts as conspicuous follows from how much
    the correct videos (--normal) differ from each other; without any, the VIDEOs (4 or more) judge each other.
    REFERENCE itself is left out if it is among them. With -o, FOLDER receives deviations.csv, comparison.json and
    comparison.png; with --html also viewer.html, a page to open in a browser: each video beside the reference, in step,
    with the deviations marked.

    Videos that cannot be read are named and left out (exit status 1). Run the same command again to go on after an
    interruption: finished alignments are kept in the cache.

    \b
    Examples:
      lac compare best.mp4 today.mp4 --normal correct/ -o today --html
      lac compare best.mp4 takes/ --level 0.01
    """
    check_viewer_options(html, embed, out)
    progress = wants_progress(quiet)
    if out is not None:
        from lactoolkit.report.comparison import check_comparison_output

        check_comparison_output(out, overwrite=overwrite)
    from lactoolkit.alignment.compare import compare_videos
    from lactoolkit.video.folders import find_videos

    with compilation_notice(progress):
        result = compare_videos(
            reference,
            find_videos(videos),
            find_videos(normal) if normal else (),
            level=level,
            workers=workers,
            progress=progress,
            **embedding,
        )
    if out is not None:
        from lactoolkit.report.comparison import write_comparison

        with finished_pairs_noted(embedding["cache"]):
            write_comparison(result, out, html=html, embed=embed, overwrite=overwrite, progress=progress)
    if as_json:
        from lactoolkit.report.alignment_json import dump_document
        from lactoolkit.report.comparison import comparison_document

        click.echo(dump_document(comparison_document(result)), nl=False)
    else:
        click.echo("\n\n".join(_describe(result, out, quiet)))
    report_failures(result.failed)


def _describe(result: Comparison, out: Path | None, quiet: bool) -> list[str]:
    if result.leave_one_out:
        judges = f"Each video is judged by the {len(result.videos) - 1} others."
    else:
        judges = f"Judged by {len(result.normal)} correct videos."
    paragraphs = [judges, *map(_describe_video, result.videos)]
    if out is not None:
        from lactoolkit.report.comparison import COMPARISON_FILES
        from lactoolkit.report.viewer import PAGE_NAME

        files = [name for name in (*COMPARISON_FILES, PAGE_NAME) if (out / name).exists()]
        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(files)}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for a table and a picture.")
    return paragraphs


def _describe_video(one: ComparedVideo) -> str:
    from lactoolkit.report.comparison import describe_match
    from lactoolkit.video.timecode import format_timecode

    name = click.format_filename(one.video.path)
    doubt = describe_match(one)
    if not one.deviations:
        return f"{name}{doubt}: nothing conspicuous{' in what was matched, perhaps by chance' if doubt else ''}."
    rows = [
        [
            found.kind,
            *(f"{format_timecode(a)} - {format_timecode(b)}" for a, b in ((found.start, found.end), _there(found))),
            f"{found.p_value:.2g}",
        ]
        for found in one.deviations
    ]
    return f"{name}{doubt}:\n" + format_table(["", "in the video", "in the reference", "p"], rows, right=(1, 2, 3))


def _there(found: Deviation) -> tuple[float, float]:
    return found.reference_start, found.reference_end
