"""Opening video files through PyAV and decoding one stream, with errors that name the file and the remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lactoolkit.errors import VideoError

_INCOMPLETE_MP4 = (
    "incomplete MP4: its index (moov atom) is missing or cut, so the recording or the copy was interrupted; "
    "copy it again, or repair it with a tool such as untrunc"
)
# Up to PyAV 18, tags that are not UTF-8 keep a file from being opened unless asked otherwise; PyAV 19 takes them always
# in this way and knows no such option.
_TAGS_IN_ANY_ENCODING: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# Streams of these kinds are pictures that accompany a recording (cover art, thumbnails), not the recording.
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails


class PacketDecoder:
    """Decode one video stream to its end, counting the damage.

    Frames of an edit list's hidden lead-in are dropped by the decoder, as in every player.

    Parameters
    ----------
    container : InputContainer
        The open file.
    stream : VideoStream
        The stream to decode.
    key_pts : int, optional
        Timestamp of a keyframe to begin with; from the current position when left out.

    Attributes
    ----------
    packets : int
        Packets read so far.
    damaged : int
        Packets that the decoder refused.
    read_error : str
        What ended the reading before the end of the file, else "".
    finished : bool
        Whether the end of the file (or of what can be read of it) was reached.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, key_pts: int | None = None):
        self._container = container
        self._stream = stream
        self._key_pts = key_pts
        self.packets = 0
        self.damaged = 0
        self.read_error = ""
        self.finished = False

    def frames(self) -> Iterator[VideoFrame]:
        """Decode the frames in presentation order."""
        if self._key_pts is None:
            return self._decode()
        self._container.seek(self._key_pts, stream=self._stream)
        # Frames before the keyframe may refer to what was skipped.
        return dropwhile(lambda frame: frame.pts != self._key_pts, self._decode())

    def _decode(self) -> Iterator[VideoFrame]:
        demuxed = self._container.demux(self._stream)
        while True:
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError as error:
                self.read_error = error.strerror or str(error)
                packet = None
            # An empty packet, which PyAV appends after the last one, drains the decoder.
            drain = packet is None or packet.size == 0
            try:
                yield from self._stream.decode(None if drain else packet)
            except av.error.EOFError:
                pass  # drained already
            except av.error.FFmpegError:
                self.damaged += 1
            if packet is None:
                self.finished = True
                return
            self.packets += not drain


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and choose its first real video stream; close it on leaving.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    container : InputContainer
        The open file.
    stream : VideoStream
        Its first video stream that is not a cover picture, set to decode with several threads.

    Raises
    ------
    VideoError
        The file is missing, a folder, empty, unreadable, not a video, incomplete or has no video stream.
    """
    _check_file(path)
    try:
        # An absolute path cannot be taken for a URL ("a:b.mp4"), and playlists cannot reach out to the network.
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"}, **_TAGS_IN_ANY_ENCODING)
    except PermissionError as error:
        raise VideoError(f"{path}: no permission to read this file; change its access rights") from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: {_why_not_a_video(path)}") from error
    with container:
        yield container, _choose_stream(path, container)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise VideoError(f"{path}: this is a folder; name a video file in it")
    if not path.exists():
        raise VideoError(f"{path}: no such file; check the name and the folder")
    if not path.is_file():
        raise VideoError(f"{path}: not a regular file; copy the video to a file first")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); copy or record it again")


def _choose_stream(path: Path, container: InputContainer) -> VideoStream:
    videos = container.streams.video
    if not videos and _lacks_mp4_index(path):
        raise VideoError(f"{path}: {_INCOMPLETE_MP4}")
    recordings = [stream for stream in videos if not stream.disposition & _PICTURES]
    if not recordings:
        if videos:
            raise VideoError(f"{path}: only sound and a cover picture, no video; name a file with a video stream")
        if container.streams.audio:
            raise VideoError(f"{path}: only sound, no video; name a file with a video stream")
        raise VideoError(f"{path}: no video stream; name a file with a video stream")
    stream = recordings[0]
    if stream.codec_context is None:
        if _lacks_mp4_index(path):
            raise VideoError(f"{path}: {_INCOMPLETE_MP4}")
        raise VideoError(
            f"{path}: the video's codec is unknown to FFmpeg; convert it, for example with "
            "`ffmpeg -i IN -c:v libx264 OUT.mp4` of a build that knows it"
        )
    stream.thread_type = "AUTO"
    return stream


def _why_not_a_video(path: Path) -> str:
    """Say why FFmpeg could not open a file, from the file's own bytes."""
    if _lacks_mp4_index(path):
        return _INCOMPLETE_MP4
    with open(path, "rb") as file:
        head = file.read(512)
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head):
        return "this is a text file, not a video; name a video file"
    return "not a video that FFmpeg can read; play it to see whether it is damaged, or convert it to MP4"


def _lacks_mp4_index(path: Path) -> bool:
    """Whether a file is ISO base media (MP4, MOV) whose movie box is not there or not complete."""
    boxes: list[str] = []
    size = path.stat().st_size
    with open(path, "rb") as file:
        position = 0
        while position + 8 <= size and len(boxes) < 64:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the length stands behind the name
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:  # up to the end of the file
                length = size - position
            name = header[4:8].decode("latin-1")
            if name == "moov":
                return position + length > size
            boxes.append(name)
            if length < 8:
                break
            position += length
    return bool(boxes) and boxes[0] in ("ftyp", "mdat", "wide", "skip", "free")
