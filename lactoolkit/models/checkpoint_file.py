"""Checkpoints of training runs as files: written whole or not at all, read without running any code in them."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lactoolkit.errors import CheckpointError, OutputError
from lactoolkit.models.checkpoints import UNREADABLE

FORMAT = "lactoolkit checkpoint"
VERSION = 2
_READABLE = (1, VERSION)  # encoders of version 1 have no untrained_weight


def write_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint in one step: after a crash at any moment the file is the old one or the new one.

    Parameters
    ----------
    content : mapping
        Tensors, numbers, strings and containers of them.
    path : Path
        The file, replaced if it exists.

    Raises
    ------
    OutputError
        If it cannot be written; the old file then stays as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        kept = ": the checkpoint written before is intact" if path.exists() else ""
        raise OutputError(
            f"{path}: cannot be written ({_reason(error)}); free some space and go on with --resume{kept}"
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_checkpoint(
    path: str | Path, remedy: str = "name a file that `lac train` wrote (RUN/best.pt; RUN/last.pt may be intact)"
) -> dict[str, Any]:
    """Read a checkpoint that :func:`write_checkpoint` wrote, onto the CPU.

    Parameters
    ----------
    path : path
        The file.
    remedy : str
        What to do where it is damaged or something else, for the message.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, something else, or of a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums of what it reads
            if (part := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {part}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path}: cannot be read ({error.strerror}); name a file that `lac train` wrote (RUN/best.pt)"
        ) from error
    except pickle.UnpicklingError as error:  # torch's own message tells how to run what is in the file
        raise CheckpointError(
            f"checkpoint {path}: refused, and nothing in it has been run: it asks for more than tensors and "
            f"plain data, which no file of `lac train` does; {remedy}"
        ) from error
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"checkpoint {path}: damaged, or not a checkpoint ({reason}); {remedy}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path}: not written by `lac train`; {remedy}")
    if content["version"] not in _READABLE:
        raise CheckpointError(
            f"checkpoint {path}: format version {content['version']}, this lactoolkit reads up to {VERSION}; "
            "install the version that wrote it"
        )
    return content


def _reason(error: BaseException) -> str:
    """What the system said: torch answers a full disk with a RuntimeError about its file's layout."""
    first: BaseException | None = error
    while first is not None:
        if isinstance(first, OSError) and first.strerror:
            return first.strerror
        first = first.__cause__ or first.__context__
    return str(error).partition("\n")[0]


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power failure, where the system can (Windows cannot open folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
