"""Files that appear when they are complete: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lactoolkit.errors import OutputError


@contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """Give a temporary file that takes the place of ``path`` when the context is left without an error.

    Parameters
    ----------
    path : Path
        The file to write; its folder is created.

    Yields
    ------
    Path
        An empty file in the same folder.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written ({reason}); check the folder and free space") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def check_file(
    path: Path, suffix: str, *, overwrite: bool = False, inputs: Iterable[Path] = (), kind: str = "file"
) -> None:
    """Check that a file can be written, before any time is spent on computing what it is to hold.

    Parameters
    ----------
    path : Path
        The file.
    suffix : str
        How names of such files end, ``".csv"`` for instance: nothing else is replaced.
    overwrite : bool
        Whether a file that is already there may be replaced.
    inputs : iterable of Path
        Files that are read, which are never replaced.
    kind : str
        What to call such a file.

    Raises
    ------
    OutputError
        It cannot be written, or exists and may not be replaced.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a {kind} in it")
    if path.exists():
        if not overwrite:
            raise OutputError(f"{path}: exists already; choose another name, or pass --overwrite (overwrite=True)")
        if path.suffix.lower() != suffix:
            raise OutputError(
                f"{path}: its name does not end with {suffix}, so it is not replaced; choose another name"
            )
        if any(one.exists() and one.samefile(path) for one in inputs):
            raise OutputError(f"{path}: is read here and is not replaced; choose another name")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise OutputError(f"{path}: cannot be created, {parent} is a file; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be created, {parent} is not writable; choose another place")


def umask() -> int:
    """Permissions that new files and folders of this process do not get; tempfile makes its own private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
