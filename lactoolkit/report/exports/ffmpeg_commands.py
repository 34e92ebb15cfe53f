"""`ffmpeg.sh`: commands that cut both videos to what matches, without encoding them again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lactoolkit.alignment.result import AlignedVideo, Alignment, Hit
from lactoolkit.report.exports import Export
from lactoolkit.video.media_facts import read_media_facts

_HEAD = """\
#!/bin/sh
# Cuts both videos to the stretches that match, without encoding them again (ffmpeg's -c copy): at once, without loss.
# Such a cut can only begin at a keyframe: the results may begin earlier than the match, by up to the distance of
# keyframes, often some seconds. To cut at the very frame, replace "-c copy" by "-c:v libx264 -crf 18 -c:a copy".
set -e
"""
_OFFSET = """
# Both whole videos in one file, moved so that the first match begins at the same time in both; for players that show
# two video tracks, right throughout only where both run at the same speed (here B takes {pacing:.2f} times as long):
"""


def write_ffmpeg_commands(export: Export) -> None:
    """Write ``ffmpeg.sh``, which writes ``matched_a`` and ``matched_b`` into the current folder.

    Parameters
    ----------
    export : Export
        What to write, and where; it has hits.

    Raises
    ------
    VideoError
        If an input can no longer be read.
    """
    alignment = export.alignment
    offsets = [read_media_facts(video.path).first_time for video in (alignment.a, alignment.b)]
    text = _HEAD
    for number, hit in enumerate(alignment.hits, start=1):
        suffix = f"_{number}" if len(alignment.hits) > 1 else ""
        text += f"\n# Hit {number}\n" if suffix else "\n"
        text += _cut(alignment.a, hit.times_a[0], hit.times_a[-1], offsets[0], f"matched_a{suffix}")
        text += _cut(alignment.b, hit.times_b[0], hit.times_b[-1], offsets[1], f"matched_b{suffix}")
    text += _OFFSET.format(pacing=alignment.hits[0].pacing) + _offset(alignment, alignment.hits[0], offsets)
    script = export.folder / "ffmpeg.sh"
    # Names that are no valid UTF-8 are written byte by byte.
    script.write_bytes(os.fsencode(text))
    script.chmod(script.stat().st_mode | ((script.stat().st_mode & 0o444) >> 2))


def _cut(video: AlignedVideo, start: float, end: float, offset: float, name: str) -> str:
    length = end - start + 1 / video.frame_rate
    place = ["-ss", f"{start + offset:.6f}", "-i", _file(video.path), "-t", f"{length:.6f}"]
    return _command([*place, "-c", "copy", _output(name, video.path.suffix)])


def _offset(alignment: Alignment, hit: Hit, offsets: list[float]) -> str:
    shift = float(hit.times_a[0]) + offsets[0] - float(hit.times_b[0]) - offsets[1]
    inputs = ["-i", _file(alignment.a.path), "-itsoffset", f"{shift:.6f}", "-i", _file(alignment.b.path)]
    command = _command([*inputs, "-map", "0", "-map", "1:v", "-c", "copy", "in_step.mkv"])
    # Line by line: a line break in a file name may not end the comment.
    return "".join(f"# {line}\n" for line in command.splitlines())


def _command(arguments: list[str]) -> str:
    return shlex.join(["ffmpeg", "-n", *arguments]) + "\n"


def _file(path: Path) -> str:
    """An absolute path cannot be taken for an option or a protocol."""
    return os.path.abspath(path)


def _output(name: str, suffix: str) -> str:
    # An ending that ffmpeg cannot tell a format by: a container that takes everything.
    return name + (suffix.lower() if suffix[1:].isalnum() else ".mkv")
