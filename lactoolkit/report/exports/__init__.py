"""Further files of `lac align`: one entry for each format, from which help and documentation are made.

Nothing heavy is imported here: the command line reads this list before it does anything.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lactoolkit.errors import LacToolkitWarning, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    from lactoolkit.alignment.result import Alignment
    from lactoolkit.report.edit import Edit


@dataclass(frozen=True)
class ExportFormat:
    """One kind of file that an alignment can be written as.

    Parameters
    ----------
    name : str
        What the user asks for.
    files : tuple of str
        Names of the files that are written.
    description : str
        What they hold, in a few words.
    writer : str
        ``module:function``, called with an :class:`Export`; "" for what every report holds.
    package : str
        An optional package that it needs, "" for none.
    needs_match : bool
        Whether there is nothing to write when no match was found.
    """

    name: str
    files: tuple[str, ...]
    description: str
    writer: str = ""
    package: str = ""
    needs_match: bool = False


@dataclass(frozen=True)
class Export:
    """What a writer is to write from, and where.

    Parameters
    ----------
    alignment : Alignment
        What to write.
    folder : Path
        Where: a folder that holds the report already.
    sound : bool
        Whether videos on A's clock have A's sound.
    progress : bool
        Whether to show a progress bar on stderr for what takes longer than a second.
    """

    alignment: Alignment
    folder: Path
    sound: bool = False
    progress: bool = False

    @cached_property
    def edit(self) -> Edit:
        """The alignment as an edit, planned once for all formats; it needs a hit.

        Raises
        ------
        VideoError
            If an input can no longer be read.
        """
        from lactoolkit.report.edit import plan_edit

        return plan_edit(self.alignment)


def _module(name: str, function: str) -> str:
    return f"{__name__}.{name}:{function}"


EXPORT_FORMATS = {
    entry.name: entry
    for entry in (
        ExportFormat("csv", ("pairs.csv",), "matched pairs as a table (always written)"),
        ExportFormat("json", ("alignment.json",), "everything but pairs and matrix (always written)"),
        ExportFormat("png", ("similarity.png",), "picture of the similarities and the path (always written)"),
        ExportFormat("side_by_side", ("side_by_side.mp4",), "both videos playing in step (always written)"),
        ExportFormat(
            "npz", ("alignment.npz",), "pairs, times and similarity matrix for NumPy", _module("tables", "write_npz")
        ),
        ExportFormat(
            "parquet",
            ("pairs.parquet",),
            "matched pairs as a Parquet table",
            _module("tables", "write_parquet"),
            package="pyarrow",
        ),
        ExportFormat("svg", ("similarity.svg",), "the picture, to print or edit", _module("pictures", "write_svg")),
        ExportFormat(
            "gif", ("side_by_side.gif",), "the side-by-side video, its first minute", _module("pictures", "write_gif")
        ),
        ExportFormat(
            "overlay",
            ("overlay.mp4",),
            "ghost: B over A at 50 %, on A's clock",
            _module("retimed_videos", "write_overlay"),
            needs_match=True,
        ),
        ExportFormat(
            "warped",
            ("warped.mp4",),
            "B retimed onto A's clock",
            _module("retimed_videos", "write_warped"),
            needs_match=True,
        ),
        ExportFormat(
            "edl",
            ("edit_a.edl", "edit_b.edl"),
            "CMX 3600 edit lists of A and of B retimed to it",
            _module("edl", "write_edl"),
            needs_match=True,
        ),
        ExportFormat(
            "otio",
            ("edit.otio",),
            "OpenTimelineIO timeline, A and B on two tracks",
            _module("otio", "write_otio"),
            package="opentimelineio",
            needs_match=True,
        ),
        ExportFormat(
            "fcpxml",
            ("edit.fcpxml",),
            "the same edit for Final Cut Pro and DaVinci Resolve",
            _module("fcpxml", "write_fcpxml"),
            needs_match=True,
        ),
        ExportFormat(
            "ffmpeg",
            ("ffmpeg.sh",),
            "commands that cut both videos to the match without re-encoding",
            _module("ffmpeg_commands", "write_ffmpeg_commands"),
            needs_match=True,
        ),
    )
}


def check_exports(names: Iterable[str]) -> None:
    """Check that exports are known and that what they need is installed, before any time is spent on computing.

    Parameters
    ----------
    names : iterable of str
        Names from :data:`EXPORT_FORMATS`.

    Raises
    ------
    ParameterError
        A name is unknown.
    MissingDependencyError
        An optional package is not installed.
    """
    for name in names:
        if name not in EXPORT_FORMATS:
            raise ParameterError(f"export {name!r} is unknown; choose from {', '.join(EXPORT_FORMATS)}")
        package = EXPORT_FORMATS[name].package
        if package and importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"export {name!r} needs the package {package}; install it: `pip install {package}`, or all of them: "
                "`pip install 'lactoolkit[export]'`"
            )


def write_exports(export: Export, names: Iterable[str]) -> None:
    """Write exports.

    Parameters
    ----------
    export : Export
        What to write, and where.
    names : iterable of str
        Names from :data:`EXPORT_FORMATS`.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    OSError
        If a file cannot be written.

    Warns
    -----
    LacToolkitWarning
        Of what is not written because no match was found.
    """
    missed = []
    for name in dict.fromkeys(names):
        entry = EXPORT_FORMATS[name]
        if entry.needs_match and not export.alignment.hits:
            missed.append(name)
        elif entry.writer:
            write: Callable[[Export], None] = pkgutil.resolve_name(entry.writer)
            write(export)
    if missed:
        warnings.warn(
            f"no match was found, so there is nothing to write for {', '.join(missed)}", LacToolkitWarning, stacklevel=2
        )
