"""Features kept on disk, found again by content: never by a file's name or date."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np

from lactoolkit.errors import LacToolkitWarning, OutputError, ParameterError

_LOG = logging.getLogger(__name__)
# Raised when the meaning of an entry changes (decoding, resizing, rounding): older entries are then not found any more.
_FORMAT = 2
_LIMIT_GB = 10
_LEFTOVER_SECONDS = 86_400
_DIGEST_SIZE = hashlib.sha256().digest_size
# Of the limit, by which each process may exceed it: with many small entries, looking through them takes a while.
_UNCHECKED_SHARE = 0.01

# Bytes that this process has added to a cache since it looked through it; infinite before it did.
_not_looked_at: defaultdict[Path, float] = defaultdict(lambda: math.inf)


def cache_dir() -> Path:
    """Folder of the cache: ``$LACTOOLKIT_CACHE``, else the place for caches on this platform.

    Examples
    --------
    >>> cache_dir().name
    'lactoolkit'
    """
    chosen = os.environ.get("LACTOOLKIT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "lactoolkit"


def cache_limit() -> int:
    """Bytes that the cache may take: ``$LACTOOLKIT_CACHE_GB``, else 10 GB; what was used longest ago goes first.

    Raises
    ------
    ParameterError
        The variable is no number, or negative.
    """
    chosen = os.environ.get("LACTOOLKIT_CACHE_GB")
    try:
        gigabytes = float(chosen) if chosen else _LIMIT_GB
    except ValueError:
        gigabytes = math.nan
    if not gigabytes >= 0:
        raise ParameterError(f"LACTOOLKIT_CACHE_GB is {chosen!r}; give a number of gigabytes, such as {_LIMIT_GB}")
    return int(gigabytes * 1e9)


def cache_size() -> int:
    """Bytes that the cache takes."""
    return sum(size for _, size, _ in _entries())


def clear_cache() -> None:
    """Delete everything in the cache.

    Raises
    ------
    OutputError
        Something in it cannot be deleted.
    """
    try:
        if _folder().exists():
            shutil.rmtree(_folder())
    except OSError as error:
        raise OutputError(
            f"{error.filename or _folder()}: cannot be deleted ({error.strerror}); change its access rights"
        ) from error


def entry_key(**content: object) -> str:
    """SHA-256 over everything that determines an entry."""
    text = json.dumps({"format": _FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_entry(key: str) -> dict[str, np.ndarray] | None:
    """Arrays stored under a key, or None when there are none or they are damaged."""
    path = _path(key)
    try:
        with open(path, "rb") as file:
            # Checked before parsing: damage inside an archive can surface as almost any exception, or as other numbers.
            recorded = file.read(_DIGEST_SIZE)
            if hashlib.file_digest(file, "sha256").digest() != recorded:
                _LOG.warning("cached features in %s are damaged; they are computed anew", path)
                return None
            _mark_used(path)
            file.seek(_DIGEST_SIZE)
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.warning("cached features in %s cannot be read (%s); they are computed anew", path, error.strerror)
        return None


def save_entry(key: str, **arrays: np.ndarray) -> None:
    """Store arrays under a key; a cache that cannot be written is a warning, not an error."""
    archive = BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    file = None
    try:
        file = NewFile(key, ".npz")
        with open(file.temporary, "wb") as target:
            target.write(hashlib.sha256(archive.getbuffer()).digest())
            target.write(archive.getbuffer())
        file.temporary.replace(_path(key))
        _keep_limit(archive.getbuffer().nbytes)
    except OSError as error:
        warnings.warn(
            f"features cannot be kept in {cache_dir()} ({error.strerror or error}); set LACTOOLKIT_CACHE to a "
            "writable folder to save the work next time",
            LacToolkitWarning,
            stacklevel=2,
        )
    finally:
        if file is not None:
            file.discard()


def find_file(key: str, suffix: str) -> Path | None:
    """A file that was kept under a key, or None when there is none or it is damaged."""
    for path in _path(key).parent.glob(f"{key}-*{suffix}"):
        try:
            if path.stem.endswith(f"-{_short_digest(path)}"):
                _mark_used(path)
                return path
        except OSError as error:
            _LOG.warning("%s cannot be read (%s)", path, error.strerror)
            continue
        _LOG.warning("%s is damaged and is not used", path)
    return None


class NewFile:
    """A file that is written at a temporary place and enters the cache as a whole.

    Parameters
    ----------
    key : str
        Where to keep it.
    suffix : str
        Ending of its name.

    Attributes
    ----------
    temporary : Path
        Where to write it, on the disk of the cache.

    Raises
    ------
    OSError
        The cache cannot be written.
    """

    def __init__(self, key: str, suffix: str):
        self._key, self._suffix = key, suffix
        _path(key).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=_path(key).parent, suffix=f"{suffix}.tmp", delete=False) as file:
            self.temporary = Path(file.name)

    def keep(self) -> Path:
        """Give the file its name, which holds a digest of its content; remove what was used longest ago for it."""
        path = _path(self._key).with_name(f"{self._key}-{_short_digest(self.temporary)}{self._suffix}")
        size = self.temporary.stat().st_size
        self.temporary.replace(path)
        _keep_limit(size)
        return path

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        self.temporary.unlink(missing_ok=True)


def _short_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _mark_used(path: Path) -> None:
    # In a cache that is shared read-only, entries simply keep their age.
    with suppress(OSError):
        os.utime(path)


def _entries() -> list[tuple[float, int, Path]]:
    """Time of the last use, bytes and path of all files, unfinished ones included."""
    found = []
    for path in _folder().glob("*/*"):
        # Another process may remove entries at the same time.
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return found


def _keep_limit(added: int) -> None:
    """Look through the cache where bytes were added, unless it was done before and little has been added since."""
    _not_looked_at[_folder()] += added
    if _not_looked_at[_folder()] >= _UNCHECKED_SHARE * cache_limit():
        _not_looked_at[_folder()] = 0
        _evict()


def _evict() -> None:
    """Remove the entries used longest ago until the rest keeps the limit, and what killed processes left unfinished."""
    now, limit = time.time(), cache_limit()
    entries = sorted(_entries())
    excess = sum(size for _, size, _ in entries) - limit
    for used, size, path in entries:
        unfinished = path.suffix == ".tmp"
        if (now - used > _LEFTOVER_SECONDS) if unfinished else excess > 0:
            with suppress(OSError):
                path.unlink()
                excess -= size


def _folder() -> Path:
    return cache_dir() / "features"


def _path(key: str) -> Path:
    return _folder() / key[:2] / f"{key}.npz"
