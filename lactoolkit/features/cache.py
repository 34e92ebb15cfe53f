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
from io import BytesIO
from pathlib import Path

import numpy as np

from lactoolkit.errors import LacToolkitWarning

_LOG = logging.getLogger(__name__)
# Raised when the meaning of an entry changes (decoding, resizing, rounding): older entries are then not found any more.
_FORMAT = 2
_DIGEST_SIZE = hashlib.sha256().digest_size


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
    return sum(entry.stat().st_size for entry in _folder().glob("*/*.npz*") if entry.exists())


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
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.warning("cached features in %s cannot be read (%s); they are computed anew", path, error.strerror)
        return None
    # Checked before parsing: damage inside an archive can surface as almost any exception, or as other numbers.
    digest, archive = content[:_DIGEST_SIZE], memoryview(content)[_DIGEST_SIZE:]
    if hashlib.sha256(archive).digest() != digest:
        _LOG.warning("cached features in %s are damaged; they are computed anew", path)
        return None
    with np.load(BytesIO(archive), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def save_entry(key: str, **arrays: np.ndarray) -> None:
    """Store arrays under a key; a cache that cannot be written is a warning, not an error."""
    path = _path(key)
    archive = BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz.tmp", delete=False) as file:
            temporary = Path(file.name)
            file.write(hashlib.sha256(archive.getbuffer()).digest())
            file.write(archive.getbuffer())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        warnings.warn(
            f"features cannot be kept in {cache_dir()} ({error.strerror or error}); set LACTOOLKIT_CACHE to a "
            "writable folder to save the work next time",
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
