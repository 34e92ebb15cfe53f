"""Exact frame numbers after a seek: counting packets instead of decoding them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av.error
import numpy as np

from lactoolkit.video.container import PacketDecoder, open_video

# So many decoded frames must carry exactly the timestamps that the packets promise, both at the start of
# the file and after the seek, before packets are trusted to stand for frames.
_CHECKED_FRAMES = 8


@dataclass(frozen=True)
class SeekPoint:
    """A keyframe from which decoding may start.

    Parameters
    ----------
    pts : int
        Timestamp of the keyframe in units of the stream's time base.
    number : int
        Its frame number, counted from 0 in the file.
    first_pts : int
        Timestamp of the file's first frame.
    previous_pts : int
        Timestamp of the frame before the keyframe.
    packets : int
        Packets of the stream in the whole file.
    """

    pts: int
    number: int
    first_pts: int
    previous_pts: int
    packets: int


def find_seek_point(path: Path, start: float) -> SeekPoint | None:
    """Find the last keyframe at or before a time, and its frame number.

    The packets are read without being decoded, some hundred times faster than the video. One packet is one frame in
    nearly all files; where it is not (field pairs, invisible reference frames, missing timestamps), or
    where the seek does not land on the keyframe, the answer is None and the caller decodes from the beginning.

    Parameters
    ----------
    path : Path
        The video.
    start : float
        Seconds after the first frame.

    Returns
    -------
    SeekPoint or None
        The keyframe, or None when frame numbers cannot be known without decoding.
    """
    table = _packet_timestamps(path)
    if table is None:
        return None
    pts, key_pts, packets = table
    with open_video(path) as (container, stream):
        # VP8 has packets that show nothing, AVI no presentation times.
        if not stream.time_base or stream.codec_context.name == "vp8" or container.format.name == "avi":
            return None
        head = [frame.pts for frame in islice(PacketDecoder(container, stream).frames(), _CHECKED_FRAMES)]
        if not head:
            return None
        # Leading pictures whose references were cut away have packets but no frames: count from the first real frame.
        origin = int(np.searchsorted(pts, head[0] if head[0] is not None else 0))
        if pts[origin : origin + len(head)].tolist() != head:
            return None
        wanted = int(pts[origin]) + int(start / stream.time_base)
        candidates = key_pts[(key_pts <= wanted) & (key_pts > pts[origin])]
        if len(candidates) == 0:
            return None
        key = int(candidates[-1])
        row = int(np.searchsorted(pts, key))
        try:
            landed = PacketDecoder(container, stream, key_pts=key).frames()
            after = [frame.pts for frame in islice(landed, _CHECKED_FRAMES)]
        except av.error.FFmpegError:
            return None
        if not after or pts[row : row + len(after)].tolist() != after:
            return None
        return SeekPoint(key, row - origin, int(pts[origin]), int(pts[row - 1]), packets)


def _packet_timestamps(path: Path) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Sorted timestamps of the packets that are shown and of the keyframes among them; the number of all packets."""
    pts = array("q")
    key_pts = array("q")
    packets = 0
    with open_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.pts is None:
                    return None
                pts.append(packet.pts)
                if packet.is_keyframe:
                    key_pts.append(packet.pts)
        except av.error.FFmpegError:
            return None
    shown = np.unique(np.frombuffer(pts, dtype=np.int64))
    if len(shown) != len(pts):
        return None
    return shown, np.sort(np.frombuffer(key_pts, dtype=np.int64)), packets
