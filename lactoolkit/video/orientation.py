"""Turning frames upright: the display matrix that phones store instead of turning the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become the displayed picture: transpose first, then mirror.

    Parameters
    ----------
    transpose : bool
        Whether rows and columns change places.
    flip_rows, flip_columns : bool
        Whether the (transposed) picture is mirrored top to bottom, left to right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def rotation(self) -> int:
        """Clockwise rotation in degrees (0, 90, 180, 270); that of the unmirrored picture when mirrored as well."""
        if self.transpose:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Turn an image of shape (H, W, 3) upright; a view, no copy."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        if self.flip_rows:
            image = image[::-1]
        if self.flip_columns:
            image = image[:, ::-1]
        return image

    def displayed_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) as displayed of a stored (height, width); its own inverse."""
        return (width, height) if self.transpose else (height, width)


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Orientation of a decoded frame.

    The display matrix ``[a b u; c d v; x y w]`` of ISO/IEC 14496-12 sends the pixel (p, q) to
    (ap + cq + x, bp + dq + y). Only its signs matter here: rotations that are no multiple of 90
    degrees are taken to the nearest one.
    """
    side_data = cast(Mapping[Type, SideData], frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return Orientation()
    matrix = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), dtype=np.int32)
    a, b, c, d = (int(matrix[k]) for k in (0, 1, 3, 4))
    if abs(b) > abs(a):
        return Orientation(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
    return Orientation(transpose=False, flip_rows=d < 0, flip_columns=a < 0)
