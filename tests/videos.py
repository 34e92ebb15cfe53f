"""Video clips with known truth: every picture carries its own frame number, every timestamp is chosen.

`render_video` writes a clip whose frame k shows the number k as a pattern of black and white cells that survives
compression, resizing and changes of pixel format; `picture_number` reads it back, and refuses pictures that are turned,
mirrored or mixed. Times are exact: timestamps are given in units of a time base, and returned as seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame

from lactoolkit.video.decoding import read_frames

TIME_BASE = Fraction(1, 12_000)

# The cells of a picture: 16 bits of the number, then 4 bits that tell a picture from its turned and mirrored images.
_ROWS, _COLUMNS = 4, 5


def number_cells(number: int) -> np.ndarray:
    """Cells (4, 5) of a frame number below 65536, True for white."""
    nibbles = [(number >> shift) & 15 for shift in (0, 4, 8, 12)]
    check = (nibbles[0] + 3 * nibbles[1] + 5 * nibbles[2] + 7 * nibbles[3] + 11) % 16
    bits = [(nibble >> bit) & 1 for nibble in [*nibbles, check] for bit in range(4)]
    return np.array(bits, dtype=bool).reshape(_ROWS, _COLUMNS)


def numbered_picture(number: int, height: int = 64, width: int = 96) -> np.ndarray:
    """RGB picture (height, width, 3) uint8 that shows a frame number."""
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    grey = np.where(number_cells(number), 230, 25).astype(np.uint8)[np.ix_(rows, columns)]
    return np.repeat(grey[:, :, None], 3, axis=2)


def picture_number(image: np.ndarray) -> int:
    """Frame number that a picture (H, W, 3) or (H, W) shows; ValueError when it shows none."""
    grey = image.mean(axis=2) if image.ndim == 3 else image
    height, width = grey.shape
    cells = np.empty((_ROWS, _COLUMNS))
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            top, bottom = (row + 0.3) * height / _ROWS, (row + 0.7) * height / _ROWS
            left, right = (column + 0.3) * width / _COLUMNS, (column + 0.7) * width / _COLUMNS
            cells[row, column] = grey[int(top) : int(bottom) + 1, int(left) : int(right) + 1].mean()
    if (np.abs(cells - 127.5) < 40).any():
        raise ValueError(f"cells are neither black nor white: {cells.round()}")
    bits = (cells > 127.5).ravel()
    number = int(sum(int(bit) << k for k, bit in enumerate(bits[:16])))
    if not np.array_equal(number_cells(number).ravel(), bits):
        raise ValueError("no upright frame number in this picture")
    return number


def picture_numbers(images: np.ndarray) -> list[int]:
    """Frame numbers of pictures (n, H, W, 3)."""
    return [picture_number(image) for image in images]


def read_all(path, **options):
    """Numbers, times and pictures of all frames."""
    batches = list(read_frames(path, **options))
    return tuple(np.concatenate([getattr(batch, name) for batch in batches]) for name in ("frames", "times", "images"))


def assert_reads_as(path, times, *, tolerance=1e-9, **options):
    """Check that a rendered video gives every frame with its number, its picture and its time."""
    frames, seconds, images = read_all(path, **options)
    assert frames.dtype == np.int64
    assert frames.tolist() == list(range(len(times)))
    assert picture_numbers(images) == frames.tolist()
    np.testing.assert_allclose(seconds, times, atol=tolerance)


def render_video(
    path: str | Path,
    ticks: Sequence[int] | None = None,
    *,
    count: int = 30,
    rate: float = 30,
    first_tick: int = 0,
    time_base: Fraction = TIME_BASE,
    width: int = 96,
    height: int = 64,
    picture: Callable[[int, int, int], np.ndarray] = numbered_picture,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    container_format: str | None = None,
    gop: int = 12,
    b_frames: int = 2,
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    display_matrix: tuple[int, int, int, int] | None = None,
    cover: bool = False,
    audio: bool = False,
    clicks: Sequence[float] = (),
    timecode: str | None = None,
) -> np.ndarray:
    """Write a clip and return the exact times of its frames.

    Parameters
    ----------
    path : str or Path
        The file to write; its ending chooses the container unless `container_format` does.
    ticks : sequence of int, optional
        Timestamps of the frames in units of `time_base`, increasing: any variable frame rate. When left out, `count`
        frames at `rate` (which should divide 12000) from `first_tick` on. AVI and MPEG-1/2 take 1 / rate only.
    picture : callable
        (number, height, width) -> RGB uint8.
    display_matrix : (a, b, c, d), optional
        Signs of the display matrix, patched into the MP4 file's track header: (0, 1, -1, 0) asks players
        to turn the picture clockwise by 90 degrees.
    cover, audio : bool
        Whether a cover picture comes first in the file, and silence beside the video.
    clicks : sequence of float
        Seconds of the file, which may begin before the first frame, at which a short noise is heard; needs `audio`.
    timecode : str, optional
        The first frame's SMPTE timecode; in MP4 and MOV a track of its own, as cameras write it.

    Returns
    -------
    ndarray, shape (count,), float64
        Seconds after the first frame.
    """
    if ticks is None:
        step = Fraction(1) / (Fraction(rate).limit_denominator(1001) * time_base)
        ticks = [first_tick + round(k * step) for k in range(count)]
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        if timecode is not None:
            container.metadata["timecode"] = timecode
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001), options=codec_options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.codec_context.max_b_frames = b_frames
        cover_stream = _add_cover(container) if cover else None
        audio_stream = container.add_stream("aac", rate=16_000, layout="mono") if audio else None
        if cover_stream is not None:
            _encode(container, cover_stream, VideoFrame.from_ndarray(numbered_picture(9999), format="rgb24"))
        for number, tick in enumerate(ticks):
            frame = VideoFrame.from_ndarray(picture(number, height, width), format="rgb24")
            frame.time_base, frame.pts = time_base, tick
            _encode(container, stream, frame)
        _encode(container, stream, None)
        if audio_stream is not None:
            _encode_sound(container, audio_stream, ticks[-1] * float(time_base), clicks)
    if display_matrix is not None:
        _patch_display_matrix(Path(path), display_matrix)
    return (np.array(ticks) - ticks[0]) * float(time_base)


def render_audio(path: str | Path, seconds: float = 1.0, *, cover: bool = False) -> None:
    """Write a file that holds silence and no video, with a cover picture on request."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        if cover:
            _encode(container, _add_cover(container), VideoFrame.from_ndarray(numbered_picture(9999), format="rgb24"))
        _encode_sound(container, stream, seconds)


def truncate(path: str | Path, keep: float) -> None:
    """Cut a file after a fraction of its bytes."""
    path = Path(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def _add_cover(container):
    cover = container.add_stream("mjpeg", rate=1)
    cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
    cover.disposition = Disposition.attached_pic
    return cover


def _encode(container, stream, frame) -> None:
    for packet in stream.encode(frame):
        container.mux(packet)
    if frame is not None and stream.disposition & Disposition.attached_pic:
        for packet in stream.encode(None):
            container.mux(packet)


def _encode_sound(container, stream, seconds: float, clicks: Sequence[float] = ()) -> None:
    samples = np.zeros((1, -(-max(1024, round(seconds * 16_000)) // 1024) * 1024), dtype=np.float32)
    for click in clicks:
        place = round(click * 16_000)
        samples[0, place : place + 80] = 0.8 * np.sin(np.arange(80) * 0.8)
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024].copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), start
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)


def _patch_display_matrix(path: Path, signs: tuple[int, int, int, int]) -> None:
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # in a version 0 track header (ISO/IEC 14496-12, 8.3.2)
    a, b, c, d = (sign * 65536 for sign in signs)
    for k, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[matrix + 4 * k : matrix + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))
