"""`alignment.json`: everything about an alignment except the matrix, for programs to read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.alignment.result import PAIR_COLUMNS, AlignedVideo, Alignment, GapRun, Hit
from lactoolkit.video.timecode import format_timecode

FORMAT_NAME = "lactoolkit-alignment"
FORMAT_VERSION = 2
_SPEED_POINTS = 200


def alignment_document(alignment: Alignment, *, pairs: bool = False) -> dict[str, Any]:
    """Describe an alignment by plain dictionaries, lists, strings and finite numbers.

    Parameters
    ----------
    alignment : Alignment
        What to describe.
    pairs : bool
        Whether to add the matched pairs, one dictionary each with the columns of ``pairs.csv``.

    Returns
    -------
    dict
        Ready for :func:`json.dumps`; what is not a finite number is None. Frames are native frame numbers counted
        from 0, intervals include their last frame, times are seconds from the start of the video.
    """
    document = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "verdict": alignment.verdict,
        "significant": bool(alignment.significant),
        "p_value": alignment.hits[0].p_value if alignment.hits else None,
        "note": alignment.note,
        "inputs": {"a": describe_input(alignment.a), "b": describe_input(alignment.b)},
        "settings": alignment.settings,
        "versions": alignment.versions,
        "hits": [
            _describe_hit(number, hit, role)
            for number, (hit, role) in enumerate(zip(alignment.hits, alignment.roles, strict=True), start=1)
        ],
        "chain": [position + 1 for position in alignment.chain],
    }
    if pairs:
        document["pairs"] = _describe_pairs(alignment)
    return plain(document)


def dump_document(document: dict[str, Any]) -> str:
    """Format a document as strict JSON text (no NaN), readable and with characters of every script as they are."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_alignment_json(alignment: Alignment, path: Path) -> None:
    """Write ``alignment.json``.

    Parameters
    ----------
    alignment : Alignment
        What to write.
    path : Path
        The file, replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.write_text(dump_document(alignment_document(alignment)), encoding="utf-8")


def describe_input(video: AlignedVideo) -> dict[str, Any]:
    """What a document says about an input."""
    return {
        "path": video.path,
        "sha256": video.sha256,
        "size_bytes": video.path.stat().st_size if video.path.is_file() else None,
        "width": video.width,
        "height": video.height,
        "frame_rate": video.frame_rate,
        "analysed_frames": len(video.frames),
        "analysed": _interval(video.frames, video.times) if len(video.frames) else None,
    }


def _describe_hit(number: int, hit: Hit, role: str) -> dict[str, Any]:
    return {
        "hit": number,
        "role": role,
        "a": _interval(hit.frames_a, hit.times_a),
        "b": _interval(hit.frames_b, hit.times_b),
        "pairs": len(hit),
        "mean_confidence": hit.mean_confidence,
        "pacing": hit.pacing,
        "score": hit.score,
        "p_value": hit.p_value,
        "e_value": hit.e_value,
        "speed_ratio": _describe_speed(hit),
        "gaps": [_describe_gap(gap) for gap in hit.gaps],
    }


def _describe_speed(hit: Hit) -> list[dict[str, Any]]:
    """Pacing along the hit, at most _SPEED_POINTS points."""
    chosen = np.unique(np.linspace(0, len(hit) - 1, min(len(hit), _SPEED_POINTS)).round().astype(int))
    ratio = hit.speed_ratio
    return [{"time_a": hit.times_a[k], "time_b": hit.times_b[k], "ratio": ratio[k]} for k in chosen]


def _describe_gap(gap: GapRun) -> dict[str, Any]:
    frames = np.array([gap.first_frame, gap.last_frame])
    return {"video": gap.video, "meaning": gap.meaning, **_interval(frames, np.array([gap.first_time, gap.last_time]))}


def _describe_pairs(alignment: Alignment) -> list[dict[str, Any]]:
    return [
        dict(zip(PAIR_COLUMNS, (number, *values), strict=True))
        for number, hit in enumerate(alignment.hits, start=1)
        for values in zip(
            hit.frames_a.tolist(),
            hit.times_a.tolist(),
            hit.frames_b.tolist(),
            hit.times_b.tolist(),
            hit.similarity.tolist(),
            hit.confidence.tolist(),
            strict=True,
        )
    ]


def _interval(frames: np.ndarray, times: np.ndarray) -> dict[str, Any]:
    return {
        "first_frame": frames[0],
        "last_frame": frames[-1],
        "start": times[0],
        "end": times[-1],
        "start_timecode": format_timecode(float(times[0])),
        "end_timecode": format_timecode(float(times[-1])),
    }


def plain(value: Any) -> Any:
    """Turn NumPy scalars, arrays and paths into what JSON knows; NaN and infinities become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Path):
        # File names that are no valid UTF-8 reach Python as lone surrogates, which no encoder accepts.
        return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, float):
        # Six decimals: microseconds, and far below the noise of any score.
        return round(value, 6) if math.isfinite(value) else None
    return value
