"""Videos that come as a folder of images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lactoolkit.errors import VideoError
from lactoolkit.video.encoding import VideoWriter
from lactoolkit.video.opencv import import_cv2

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_QUALITY = 18  # looks lossless


def list_images(folder: str | Path) -> list[Path]:
    """Images of a folder in the order of the numbers in their names (2 before 10).

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    list of Path
        JPEG, PNG and BMP files; hidden ones are left out.
    """
    files = [file for file in Path(folder).iterdir() if file.suffix.lower() in _SUFFIXES and file.name[0] != "."]
    return sorted(files, key=lambda file: _natural(file.name))


def write_image_sequence(
    folder: str | Path, path: str | Path, *, frame_rate: float = 30.0, on_frame: Callable[[], object] | None = None
) -> int:
    """Write the images of a folder as an MP4 video: frame k is the k-th image.

    Parameters
    ----------
    folder : str or Path
        The folder of images of one size.
    path : str or Path
        The video to write; it appears when it is complete. An odd last row or column of pixels is lost.
    frame_rate : float, default 30
        Frames per second.
    on_frame : callable, optional
        Called after every image.

    Returns
    -------
    int
        Number of frames.

    Raises
    ------
    VideoError
        There are no images, one cannot be read, or their sizes differ.
    OutputError
        The video cannot be written.
    """
    images = list_images(folder)
    if not images:
        raise VideoError(f"{folder}: no images in this folder; their names should end with {', '.join(_SUFFIXES)}")
    path = Path(path)
    first = _read(images[0])
    height, width = first.shape[:2]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with VideoWriter(temporary, frame_rate, width, height, quality=_QUALITY) as writer:
            for file in images:
                picture = _read(file)
                if picture.shape != first.shape:
                    raise VideoError(
                        f"{file}: {picture.shape[1]} x {picture.shape[0]} pixels, but the first image has {width} x "
                        f"{height}; a video needs images of one size"
                    )
                writer.write(picture)
                if on_frame is not None:
                    on_frame()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(images)


def _read(file: Path) -> np.ndarray:
    """RGB picture (H, W, 3) uint8 of an image file, turned upright."""
    cv2 = import_cv2()
    try:
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise VideoError(f"{file}: cannot be read ({error.strerror}); check the access rights") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise VideoError(f"{file}: not an image that can be read; copy it again")
    return image[:, :, ::-1]


def _natural(name: str) -> list[int | str]:
    """Text and numbers in turns: every other part is a number."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"([0-9]+)", name))]
