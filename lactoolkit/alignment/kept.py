"""Finished alignments in the cache: an interrupted command that is run again computes only what is left."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import lactoolkit
from lactoolkit.alignment.align import package_versions
from lactoolkit.alignment.deviations import Course
from lactoolkit.alignment.result import AlignedVideo, Alignment, GapRun, Hit
from lactoolkit.errors import VideoWarning
from lactoolkit.features.cache import entry_key, load_entry, save_entry
from lactoolkit.features.video_embeddings import embedding_identity

# Raised when the form of an entry changes: older entries are then not found any more.
_FORMAT = 1
_TYPES = {one.__name__: one for one in (Alignment, AlignedVideo, Hit, GapRun, Course)}


class PairKeys:
    """Keys of what is made of pairs of videos: whatever changes a result changes its key.

    Parameters
    ----------
    made : callable
        The function of a module that makes the results.
    options : dict
        Arguments of :func:`lactoolkit.align_videos`.

    Raises
    ------
    EncoderError, CheckpointError, ParameterError
        The encoder cannot be used.
    """

    def __init__(self, made: Callable, options: dict[str, Any]) -> None:
        others = {"encoder": "lite0", "weights": None, **options}
        encoder = others.pop("encoder")
        identity = embedding_identity(encoder, others.pop("weights"))
        self._shared = {
            "result": [_FORMAT, made.__module__, made.__qualname__],
            "program": [_source_digest(), package_versions()],
            # Results repeat the encoder's name; its identity is what decides on the numbers.
            "encoder": [str(encoder) if isinstance(encoder, str | Path) else identity, identity],
            "options": {name: repr(value) for name, value in others.items() if name not in ("cache", "progress")},
        }

    def of(self, a: Path, sha256_a: str, b: Path, sha256_b: str, ranges: dict[str, Any]) -> str:
        """The key for two videos, their content and the ranges to analyse."""
        return entry_key(videos=[str(a), sha256_a, str(b), sha256_b], ranges=ranges, **self._shared)


def load_kept(key: str) -> Any | None:
    """What was kept under a key, or None; what was odd about the videos is warned of again."""
    entry = load_entry(key)
    if entry is None:
        return None
    structure = json.loads(str(entry.pop("structure")))
    for message in structure["damage"]:
        warnings.warn(message, VideoWarning, stacklevel=2)
    return _unpacked(structure["result"], entry)


def keep_result(key: str, result: Any, damage: Iterable[str]) -> None:
    """Keep a result under a key, with what was said about damage in the videos.

    Parameters
    ----------
    key : str
        From :class:`PairKeys`.
    result : object
        Alignments and courses, tuples of them, and what they hold.
    damage : iterable of str
        Messages of the warnings.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = {"result": _packed(result, arrays), "damage": list(damage)}
    save_entry(key, structure=np.array(json.dumps(structure)), **arrays)


def _packed(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value in the terms of JSON; its arrays are put aside."""
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, arrays) for item in value]}
    if is_dataclass(value):
        parts = {field.name: _packed(getattr(value, field.name), arrays) for field in fields(value)}
        return {"type": type(value).__name__, "fields": parts}
    if isinstance(value, dict):
        return {"dict": {key: _packed(item, arrays) for key, item in value.items()}}
    return value


def _unpacked(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    match value:
        case {"array": name}:
            return arrays[name]
        case {"path": path}:
            return Path(path)
        case {"tuple": items}:
            return tuple(_unpacked(item, arrays) for item in items)
        case {"type": name, "fields": parts}:
            found = _TYPES[name](**{key: _unpacked(item, arrays) for key, item in parts.items()})
            return _with_present_preview(found) if isinstance(found, AlignedVideo) else found
        case {"dict": items}:
            return {key: _unpacked(item, arrays) for key, item in items.items()}
    return value


def _with_present_preview(video: AlignedVideo) -> AlignedVideo:
    """The cache may have removed the preview to make room."""
    return video if video.preview is None or video.preview.is_file() else replace(video, preview=None)


@cache
def _source_digest() -> str:
    """Digest of the package's source: what other code has computed, this one may compute otherwise."""
    digest = hashlib.sha256()
    for path in sorted(Path(lactoolkit.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
