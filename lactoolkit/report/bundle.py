"""All the files of a report in one folder, written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lactoolkit.alignment.result import Alignment
from lactoolkit.report.alignment_json import FORMAT_NAME
from lactoolkit.report.exports import EXPORT_FORMATS, Export, check_exports, write_exports
from lactoolkit.report.output_folder import ReportKind, check_folder, result_folder
from lactoolkit.report.viewer import VIEWER_FILES
from lactoolkit.video.intervals import NamedInterval
from lactoolkit.video.labels import FrameLabels

REPORT_FILES = ("pairs.csv", "alignment.json", "similarity.png", "side_by_side.mp4")
_EXPORTED_FILES = tuple(name for entry in EXPORT_FORMATS.values() if entry.writer for name in entry.files)
_KIND = ReportKind("lac align", (*REPORT_FILES, *VIEWER_FILES, *_EXPORTED_FILES), "alignment.json", FORMAT_NAME)


def check_output(out: str | os.PathLike[str], *, exports: Sequence[str] = (), overwrite: bool = False) -> Path:
    """Check that a report can be written to a folder, before any time is spent on computing it.

    Parameters
    ----------
    out : path
        The folder that is to receive the report.
    exports : sequence of str
        Names of further formats that will be asked for.
    overwrite : bool
        Whether a report that is already there may be replaced.

    Returns
    -------
    Path
        The folder, symbolic links resolved.

    Raises
    ------
    OutputError
        If the folder exists and may not be replaced, or if its parent is no folder or cannot be written to.
    ParameterError
        If an export is unknown.
    MissingDependencyError
        If an export needs a package that is not installed.
    """
    check_exports(exports)
    return check_folder(out, _KIND, overwrite=overwrite)


def write_report(
    alignment: Alignment,
    out: str | os.PathLike[str],
    *,
    exports: Sequence[str] = (),
    sound: bool = False,
    html: bool = False,
    embed: bool = False,
    labels: tuple[FrameLabels | Sequence[NamedInterval], FrameLabels | Sequence[NamedInterval]] = ((), ()),
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write ``pairs.csv``, ``alignment.json``, ``similarity.png`` and ``side_by_side.mp4`` into a new folder.

    Everything is written into a temporary folder beside it, which takes its name at the very end: whatever happens,
    the folder is either complete or as it was before.

    Parameters
    ----------
    alignment : Alignment
        What to report.
    out : path
        The folder to create; missing parents are created too.
    exports : sequence of str
        Names of further formats, from :data:`lactoolkit.report.exports.EXPORT_FORMATS`.
    sound : bool
        Whether the exports ``overlay`` and ``warped``, which run on A's clock, have A's sound.
    html : bool
        Whether to add ``viewer.html``, a page that plays both videos in step.
    embed : bool
        Whether that page holds the videos itself.
    labels : (FrameLabels or sequence of NamedInterval, the same)
        Labels of A and of B to show in it.
    overwrite : bool
        Whether to replace a report that is already there. Folders that hold anything else are never replaced.
    progress : bool
        Whether to show a progress bar on stderr for what takes longer than a second.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder exists (without ``overwrite``), holds other files, cannot be created, or the disk is full.
    VideoError
        If an input can no longer be read.
    ParameterError
        If an export is unknown, or a video is too long to be embedded.
    MissingDependencyError
        If an export needs a package that is not installed.

    Examples
    --------
    >>> from lactoolkit import align_videos, write_report
    >>> alignment = align_videos("a.mp4", "b.mp4")  # doctest: +SKIP
    >>> write_report(alignment, "result")  # doctest: +SKIP
    PosixPath('result')
    """
    # Imported here: it loads PyAV.
    from lactoolkit.report.side_by_side import write_side_by_side

    check_exports(exports)
    with result_folder(out, _KIND, overwrite=overwrite) as unfinished, ThreadPoolExecutor(1) as other:
        # The video keeps its thread waiting for decoder and encoder; the rest is done meanwhile.
        written = other.submit(_write_tables_and_plot, alignment, unfinished)
        write_side_by_side(alignment, unfinished / "side_by_side.mp4", progress=progress)
        written.result()
        write_exports(Export(alignment, unfinished, sound=sound, progress=progress), exports)
        if html:
            # Imported here: it loads matplotlib.
            from lactoolkit.report.viewer.page import write_viewer

            write_viewer(alignment, unfinished, embed=embed, labels=labels, progress=progress)
    return Path(out)


def report_listing(out: str | os.PathLike[str]) -> list[str]:
    """Names of the files of a report that are there, in the order in which they are described."""
    return [name for name in _KIND.files if Path(out, name).exists()]


def _write_tables_and_plot(alignment: Alignment, folder: Path) -> None:
    # Imported here: they load matplotlib and pandas.
    from lactoolkit.report.alignment_json import write_alignment_json
    from lactoolkit.report.pairs_csv import write_pairs_csv
    from lactoolkit.report.similarity_plot import write_similarity_plot

    write_alignment_json(alignment, folder / "alignment.json")
    write_similarity_plot(alignment, folder / "similarity.png")
    write_pairs_csv(alignment, folder / "pairs.csv")
