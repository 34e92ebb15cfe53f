"""Content of a file as a key: the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lactoolkit.errors import VideoError


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, read in constant memory.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    VideoError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except IsADirectoryError as error:
        raise VideoError(f"{path}: this is a folder; name a video file in it") from error
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file; check the name and the folder") from error
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror}); check the disk and the access rights") from error
