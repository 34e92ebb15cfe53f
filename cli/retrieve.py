"""`lac retrieve`: the same moment in other videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .notices import report_failures
from .options import TIME, embedding_options, overwrite_option, quiet_option, video_path, wants_progress
from .tables import format_table

if TYPE_CHECKING:
    from lactoolkit.retrieval import FoundFrame, Retrieval


@click.command(short_help="Find the same moment in other videos.")
@click.argument("query", type=video_path())
@click.argument("videos", nargs=-1, type=video_path(), metavar="[VIDEO|FOLDER]...")
@click.option("--frame", type=int, metavar="N", help="The frame of QUERY to look for, counted from 0.")
@click.option("--time", type=TIME, help="The moment of QUERY to look for (62.5 or 1:02.5).")
@click.option(
    "-k", "--count", type=click.IntRange(min=1), default=9, show_default=True, metavar="N", help="Frames to find."
)
@click.option(
    "--apart",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Found frames of one video lie this far apart.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the embeddings of the searched videos in FILE (.npz) and reuse them; without VIDEOs, search all in it.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the query and the found frames."
)
@embedding_options
@click.option("--json", "as_json", is_flag=True, help="Print the found frames as JSON.")
@quiet_option
@overwrite_option("FILE.png")
def retrieve(
    query: Path,
    videos: tuple[Path, ...],
    frame: int | None,
    time: float | None,
    count: int,
    apart: float,
    index: Path | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    **embedding: Any,
) -> None:
    """Find the frames of other videos that show the same moment as one frame of QUERY.

    Searches every frame of the VIDEOs, and of all videos in folders, by the cosine of the embeddings. With --index,
    each video is embedded once; a file whose content has changed is embedded anew. Videos that cannot be read are named
    and left out (exit status 1).

    \b
    Examples:
      lac retrieve swing.mp4 --frame 120 takes/ -o impact.png
      lac retrieve swing.mp4 --time 1:02.5 takes/ --index takes.npz
      lac retrieve other.mp4 --frame 40 --index takes.npz
    """
    if (frame is None) == (time is None):
        raise click.UsageError("give either --frame or --time, to say which moment of QUERY to find")
    if not videos and index is None:
        raise click.UsageError("name videos or folders to search, or an --index to search in")
    if out is not None and out.suffix.lower() != ".png":
        raise click.UsageError(f"{click.format_filename(out)}: the picture is a PNG file; let its name end with .png")
    if out is not None:
        from lactoolkit.video.replacing_file import check_file

        check_file(out, ".png", overwrite=overwrite)
    from lactoolkit.retrieval import retrieve_frames

    answer = retrieve_frames(
        query,
        videos,
        frame=frame,
        time=time,
        count=count,
        apart=apart,
        index=index,
        progress=wants_progress(quiet),
        **embedding,
    )
    if out is not None:
        from lactoolkit.report.contact_sheet import SheetFrame, write_contact_sheet

        remarks = ["query", *(f"{one.similarity:.2f}" for one in answer.found)]
        shown = zip((answer.query, *answer.found), remarks, strict=True)
        write_contact_sheet([SheetFrame(one.path, one.frame, one.time, remark) for one, remark in shown], out)
    if as_json:
        import json

        click.echo(json.dumps(_document(answer), indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_describe(answer, out, index)))
    report_failures(answer.failed)


def _describe(answer: Retrieval, out: Path | None, index: Path | None) -> list[str]:
    from lactoolkit.video.timecode import format_timecode

    rows = [
        [
            str(rank),
            f"{one.similarity:.3f}",
            format_timecode(one.time),
            str(one.frame),
            click.format_filename(one.path),
        ]
        for rank, one in enumerate(answer.found, start=1)
    ]
    videos = "1 video" if answer.searched == 1 else f"{answer.searched} videos"
    query = answer.query
    paragraphs = [
        f"Frame {query.frame} ({format_timecode(query.time)}) of {click.format_filename(query.path)} in {videos}:",
        format_table(["", "cosine", "time", "frame", "video"], rows, right=(0, 1, 2, 3)),
    ]
    if index is not None and answer.embedded:
        paragraphs.append(f"Embedded {answer.embedded} of them for {click.format_filename(index)}")
    if out is not None:
        paragraphs.append(f"Written to {click.format_filename(out)}")
    return paragraphs


def _document(answer: Retrieval) -> dict[str, object]:
    def plain(one: FoundFrame) -> dict[str, object]:
        return {"video": str(one.path), "frame": one.frame, "time": one.time, "cosine": round(one.similarity, 6)}

    return {
        "query": plain(answer.query),
        "searched": answer.searched,
        "found": [plain(one) for one in answer.found],
        "failed": [{"path": str(one.path), "message": one.message} for one in answer.failed],
    }
