"""The page: its template, style and scripts put together with what there is to show."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lactoolkit.alignment.compare import Comparison
from lactoolkit.alignment.result import Alignment
from lactoolkit.report.viewer import COPY_FOLDER, COPY_NAMES, PAGE_NAME
from lactoolkit.report.viewer.document import Annotation, MediaKey, View, viewer_document
from lactoolkit.report.viewer.sources import VideoSource, check_embedded_size, embed_video, refer_to_video

_SCRIPTS = ("path.js", "player.js", "drawing.js", "main.js")


def write_viewer(
    alignment: Alignment,
    folder: Path,
    *,
    embed: bool = False,
    labels: tuple[Annotation, Annotation] = ((), ()),
    progress: bool = False,
) -> None:
    """Write ``viewer.html`` into a folder.

    The page refers to the videos where they are, by relative paths. A video that browsers do not play (HEVC, ProRes,
    AVI, ...) is copied into the folder as H.264, as ``video_a.mp4`` or ``video_b.mp4``, in the stretch that was
    analysed.

    Parameters
    ----------
    alignment : Alignment
        What to show; its input files must still be where they were.
    folder : Path
        An existing folder; files in it are replaced.
    embed : bool
        Whether the page holds the videos itself, so that it can be passed on as one file.
    labels : (FrameLabels or sequence of NamedInterval, the same)
        Labels of A and of B, such as the phases of the process, shown beside the videos.
    progress : bool
        Whether to show a progress bar on stderr when a video has to be copied.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    ParameterError
        If a video is too long to be embedded.
    OSError
        If a file cannot be written.
    """
    copies: dict[MediaKey, str] = {("a", alignment.a.path): COPY_NAMES[0], ("b", alignment.b.path): COPY_NAMES[1]}
    _write_page([View(alignment, labels)], folder, copies, embed, progress)


def write_comparison_viewer(
    comparison: Comparison, folder: Path, *, embed: bool = False, progress: bool = False
) -> None:
    """Write ``viewer.html`` of videos beside a reference: one at a time, with the stretches that deviate.

    Copies of videos that browsers do not play are written into a folder ``videos`` beside it.

    Parameters
    ----------
    comparison : Comparison
        What to show; its input files must still be where they were.
    folder, embed, progress
        As for :func:`write_viewer`.

    Raises
    ------
    VideoError, ParameterError, OSError
        As for :func:`write_viewer`.
    """
    views = [View(one.alignment, deviations=one.deviations, level=comparison.level) for one in comparison.videos]
    copies: dict[MediaKey, str] = {("a", comparison.reference.path): f"{COPY_FOLDER}/reference.mp4"}
    for number, one in enumerate(comparison.videos, start=1):
        copies["b", one.video.path] = f"{COPY_FOLDER}/{number}.mp4"
    _write_page(views, folder, copies, embed, progress)


def _write_page(
    views: Sequence[View], folder: Path, copies: Mapping[MediaKey, str], embed: bool, progress: bool
) -> None:
    sources: dict[MediaKey, VideoSource] = {}
    place = embed_video if embed else refer_to_video
    for view in views:
        for key, video in view.media.items():
            if key not in sources:
                sources[key] = place(video, folder / copies[key], folder, progress=progress)
                embedded = sum(len(source.data) for source in sources.values()) * 3 // 4
                check_embedded_size(embedded, video.path, "with the other videos")
    (folder / PAGE_NAME).write_text(assemble_page(viewer_document(views, sources)), encoding="utf-8")


def assemble_page(document: dict[str, Any]) -> str:
    """Put the page together.

    Parameters
    ----------
    document : dict
        From :func:`lactoolkit.report.viewer.document.viewer_document`.

    Returns
    -------
    str
        HTML that refers to nothing but the videos. Its content security policy lets no script run but its own,
        and nothing be fetched.
    """
    package = files(__package__)
    script = "".join((package / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; media-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy),
        "title": html.escape(document["views"][0]["title"]),
        "style": (package / "style.css").read_text(encoding="utf-8"),
        "data": script_json(document),
        "script": script,
    }
    template = (package / "template.html").read_text(encoding="utf-8")
    # In one pass: what is put in is not searched for marks again.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], template)


def script_json(value: Any) -> str:
    """Write JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
