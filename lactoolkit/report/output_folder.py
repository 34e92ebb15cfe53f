"""Folders of results: written as a whole or not at all, replaced only where they are results of the same command."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lactoolkit.errors import OutputError
from lactoolkit.video.replacing_file import umask


@dataclass(frozen=True)
class ReportKind:
    """What a command writes into its folder.

    Parameters
    ----------
    command : str
        The command, for messages.
    files : tuple of str
        Names of all files.
    document : str
        The one by which such a folder is recognised: JSON with a field ``format``.
    format_name : str
        The value of that field.
    """

    command: str
    files: tuple[str, ...]
    document: str
    format_name: str


def check_folder(out: str | os.PathLike[str], kind: ReportKind, *, overwrite: bool = False) -> Path:
    """Check that results can be written to a folder, before any time is spent on computing them.

    Parameters
    ----------
    out : path
        The folder that is to receive the files.
    kind : ReportKind
        What will be written.
    overwrite : bool
        Whether results of the same kind that are already there may be replaced.

    Returns
    -------
    Path
        The folder, symbolic links resolved.

    Raises
    ------
    OutputError
        If the folder holds anything that may not be replaced, or if its parent is no folder or cannot be written to.
    """
    folder = Path(out).resolve()
    if folder.exists():
        _check_replaceable(out, folder, kind)
        if not overwrite and any(folder.iterdir()):
            raise OutputError(f"{out}: exists already; choose another name, or pass --overwrite (overwrite=True)")
    parent = _existing_parent(folder)
    if not parent.is_dir():
        raise OutputError(f"{out}: cannot be created, {parent} is a file; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be created, {parent} is not writable; choose another place")
    return folder


@contextmanager
def result_folder(out: str | os.PathLike[str], kind: ReportKind, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder that becomes ``out`` when the block succeeds and disappears when it does not.

    Parameters
    ----------
    out : path
        The folder to create; missing parents are created too.
    kind : ReportKind
        What will be written.
    overwrite : bool
        Whether to replace results of the same kind.

    Yields
    ------
    Path
        Where to write the files.

    Raises
    ------
    OutputError
        If the folder holds results (without ``overwrite``) or other files, cannot be created, or the disk is full.
    """
    folder = check_folder(out, kind, overwrite=overwrite)
    with _translated(out), _new_folder(folder, kind, overwrite=overwrite) as unfinished:
        try:
            yield unfinished
        except OutputError as error:
            # The user has never heard of the temporary folder.
            raise OutputError(str(error).replace(str(unfinished), str(out))) from error


def _check_replaceable(out: str | os.PathLike[str], folder: Path, kind: ReportKind) -> None:
    if not folder.is_dir():
        raise OutputError(f"{out}: is a file, not a report; it is not replaced, choose another name")
    names = {entry.name for entry in folder.iterdir()}
    foreign = sorted(names - set(kind.files))
    if foreign:
        raise OutputError(
            f"{out}: holds files that are no part of a report ({foreign[0]}) and is not replaced; "
            "move them away or choose another name"
        )
    if names and not _is_report(folder / kind.document, kind.format_name):
        raise OutputError(f"{out}: was not written by {kind.command} and is not replaced; choose another name")


def _is_report(file: Path, format_name: str) -> bool:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") == format_name


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
def _new_folder(folder: Path, kind: ReportKind, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes ``folder`` when the block succeeds and disappears when it does not."""
    parent = folder.parent
    created = [missing for missing in (parent, *parent.parents) if not missing.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}-", suffix=".unfinished", dir=parent))
        try:
            yield unfinished
            unfinished.chmod(0o777 & ~umask())
            _move_into_place(unfinished, folder, kind, overwrite=overwrite)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except BaseException:
        for made in created:
            # Not ours alone any more if somebody else has put something there meanwhile.
            if made.is_dir() and not any(made.iterdir()):
                made.rmdir()
        raise


def _move_into_place(unfinished: Path, folder: Path, kind: ReportKind, *, overwrite: bool) -> None:
    # Looked at again: the folder may have been created or filled since the computation began.
    check_folder(folder, kind, overwrite=overwrite)
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
