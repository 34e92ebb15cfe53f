"""Files that appear when they are complete: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
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


def umask() -> int:
    """Permissions that new files and folders of this process do not get; tempfile makes its own private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
