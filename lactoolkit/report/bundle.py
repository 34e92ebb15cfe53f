"""All the files of a report in one folder, written as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lactoolkit.alignment.result import Alignment
from lactoolkit.errors import OutputError

REPORT_FILES = ("pairs.csv", "alignment.json", "similarity.png", "side_by_side.mp4")


def check_output(out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check that a report can be written to a folder, before any time is spent on computing it.

    Parameters
    ----------
    out : path
        The folder that is to receive the report.
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
    """
    folder = Path(out).resolve()
    if folder.exists():
        if not overwrite:
            raise OutputError(f"{out}: exists already; choose another name, or pass --overwrite (overwrite=True)")
        _check_replaceable(folder)
    parent = _existing_parent(folder)
    if not parent.is_dir():
        raise OutputError(f"{out}: cannot be created, {parent} is a file; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be created, {parent} is not writable; choose another place")
    return folder


def write_report(
    alignment: Alignment, out: str | os.PathLike[str], *, overwrite: bool = False, progress: bool = False
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

    Examples
    --------
    >>> from lactoolkit import align_videos
    >>> from lactoolkit.report.bundle import write_report
    >>> alignment = align_videos("a.mp4", "b.mp4")  # doctest: +SKIP
    >>> write_report(alignment, "result")  # doctest: +SKIP
    PosixPath('result')
    """
    folder = check_output(out, overwrite=overwrite)
    # Imported here: they load matplotlib and PyAV.
    from lactoolkit.report.alignment_json import write_alignment_json
    from lactoolkit.report.pairs_csv import write_pairs_csv
    from lactoolkit.report.side_by_side import write_side_by_side
    from lactoolkit.report.similarity_plot import write_similarity_plot

    with _translated(out), _new_folder(folder, overwrite=overwrite) as unfinished:
        try:
            write_pairs_csv(alignment, unfinished / "pairs.csv")
            write_alignment_json(alignment, unfinished / "alignment.json")
            write_similarity_plot(alignment, unfinished / "similarity.png")
            write_side_by_side(alignment, unfinished / "side_by_side.mp4", progress=progress)
        except OutputError as error:
            # The user has never heard of the temporary folder.
            raise OutputError(str(error).replace(str(unfinished), str(out))) from error
    return Path(out)


def _check_replaceable(folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a report; it is not replaced, choose another name")
    names = {entry.name for entry in folder.iterdir()}
    foreign = sorted(names - set(REPORT_FILES))
    if foreign:
        raise OutputError(
            f"{folder}: holds files that are no part of a report ({foreign[0]}) and is not replaced; "
            "move them away or choose another name"
        )
    if names and not _is_report(folder / "alignment.json"):
        raise OutputError(f"{folder}: was not written by lac align and is not replaced; choose another name")


def _is_report(file: Path) -> bool:
    from lactoolkit.report.alignment_json import FORMAT_NAME

    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT_NAME


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in folder.parents if parent.exists())


@contextmanager
def _translated(out: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the file system into one that names the folder and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"{out}: the disk is full; free some space or choose another disk") from error
        reason = error.strerror or str(error)
        raise OutputError(f"{out}: cannot be written ({reason}); choose another place") from error


@contextmanager
def _new_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes ``folder`` when the block succeeds and disappears when it does not."""
    parent = folder.parent
    created = [missing for missing in (parent, *parent.parents) if not missing.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}-", suffix=".unfinished", dir=parent))
        try:
            yield unfinished
            _open_permissions(unfinished)
            _move_into_place(unfinished, folder, overwrite=overwrite)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except BaseException:
        for made in created:
            # Not ours alone any more if somebody else has put something there meanwhile.
            if made.is_dir() and not any(made.iterdir()):
                made.rmdir()
        raise


def _move_into_place(unfinished: Path, folder: Path, *, overwrite: bool) -> None:
    # Looked at again: the folder may have been created or filled since the computation began.
    check_output(folder, overwrite=overwrite)
    if not folder.exists():
        unfinished.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}-", suffix=".replaced", dir=folder.parent))
    replaced = folder.rename(aside / "report")
    try:
        unfinished.rename(folder)
    except BaseException:
        replaced.rename(folder)
        aside.rmdir()
        raise
    shutil.rmtree(aside)


def _open_permissions(folder: Path) -> None:
    """Give the folder the permissions of any new one; mkdtemp makes it private."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
