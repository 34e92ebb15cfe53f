"""Features kept on disk, found again by content: never by a file's name or date."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

from lactoolkit.errors import LacToolkitWarning

_LOG = logging.getLogger(__name__)
# Raised when the meaning of an entry changes: older entries are then not found any more.
_FORMAT = 1


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


def cache_size() -> int:
    """Bytes that the cached features take."""
    return sum(entry.stat().st_size for entry in _folder().glob("*/*.npz"))


def clear_cache() -> None:
    """Delete all cached features."""
    if _folder().exists():
        shutil.rmtree(_folder())


def entry_key(**content: object) -> str:
    """SHA-256 over everything that determines an entry."""
    text = json.dumps({"format": _FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_entry(key: str) -> dict[str, np.ndarray] | None:
    """Arrays stored under a key, or None when there are none or they are damaged."""
    path = _path(key)
    try:
        # Reading an array to its end checks the archive's CRC.
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        _LOG.warning("cached features in %s are damaged (%s); they are computed anew", path, error)
        return None


def save_entry(key: str, **arrays: np.ndarray) -> None:
    """Store arrays under a key; a cache that cannot be written is a warning, not an error."""
    path = _path(key)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
        temporary = None
    except OSError as error:
        warnings.warn(
            f"features cannot be kept in {cache_dir()} ({error.strerror}); set LACTOOLKIT_CACHE to a writable folder "
            "to save the work next time",
            LacToolkitWarning,
            stacklevel=2,
        )
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _folder() -> Path:
    return cache_dir() / "features"


def _path(key: str) -> Path:
    return _folder() / key[:2] / f"{key}.npz"
