"""Decoded frames as upright pictures of one size: RGB for networks, planes of luma and chroma for video encoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from lactoolkit.video.orientation import Orientation


class RgbPainter:
    """Turns decoded frames of any size and pixel format into upright RGB pictures of one size.

    Parameters
    ----------
    orientation : Orientation
        How stored pixels become the displayed picture.
    height, width : int
        Size of the pictures.
    """

    def __init__(self, orientation: Orientation, height: int, width: int):
        self._orientation = orientation
        self._stored_height, self._stored_width = orientation.displayed_size(height, width)
        # One for all frames: each keeps the tables of its scaling, which take memory and time to make.
        self._reformatter = VideoReformatter()

    def paint(self, frame: VideoFrame) -> np.ndarray:
        """Give the picture as an array (height, width, 3), uint8, scaled by area averaging."""
        # One thread: splitting a picture among several costs more than it saves, 2.6 times as much for 640 x 360.
        rgb = self._reformatter.reformat(
            frame, self._stored_width, self._stored_height, "rgb24", interpolation="AREA", threads=1
        )
        return self._orientation.apply(rgb.to_ndarray())


@dataclass(frozen=True)
class YuvPicture:
    """A picture as H.264 stores it: BT.709 in the range of television, one chroma sample for 2 x 2 pixels.

    Parameters
    ----------
    y : ndarray, shape (H, W), uint8
        Luma, 16 (black) to 235 (white); H and W are even.
    u, v : ndarray, shape (H / 2, W / 2), uint8
        Chroma; 128 is grey.
    """

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @classmethod
    def from_frame(cls, frame: VideoFrame) -> YuvPicture:
        """Copy the planes of a frame in yuv420p of even size."""
        samples = frame.to_ndarray().reshape(-1)
        size = frame.height * frame.width
        half = (frame.height // 2, frame.width // 2)
        return cls(
            samples[:size].reshape(frame.height, frame.width),
            samples[size : size + size // 4].reshape(half),
            samples[size + size // 4 :].reshape(half),
        )

    @classmethod
    def from_rgb(cls, image: np.ndarray) -> YuvPicture:
        """Convert an RGB picture (H, W, 3), uint8, of even height and width."""
        return cls.from_frame(rgb_to_yuv_frame(image))

    def to_frame(self) -> VideoFrame:
        """Copy the planes into a frame in yuv420p."""
        height, width = self.y.shape
        samples = np.concatenate([plane.reshape(-1) for plane in (self.y, self.u, self.v)])
        return VideoFrame.from_ndarray(samples.reshape(height * 3 // 2, width), format="yuv420p")

    def copy(self) -> YuvPicture:
        """Copy all planes."""
        return YuvPicture(self.y.copy(), self.u.copy(), self.v.copy())

    def darkened(self, brightness: float) -> YuvPicture:
        """Scale the light of the picture, colours included, by a factor between 0 and 1."""
        levels = np.arange(256)
        luma = np.round(16 + (levels - 16) * brightness).clip(0, 255).astype(np.uint8)
        chroma = np.round(128 + (levels - 128) * brightness).clip(0, 255).astype(np.uint8)
        return YuvPicture(luma[self.y], chroma[self.u], chroma[self.v])

    def paste(self, picture: YuvPicture, top: int, left: int) -> None:
        """Put another picture onto this one at an even place, cut off where it does not fit."""
        for target, source, step in ((self.y, picture.y, 1), (self.u, picture.u, 2), (self.v, picture.v, 2)):
            part = target[top // step :, left // step :][: source.shape[0], : source.shape[1]]
            part[:] = source[: part.shape[0], : part.shape[1]]


class YuvPainter:
    """Turns decoded frames of any size and pixel format into upright :class:`YuvPicture` of one size.

    Parameters
    ----------
    orientation : Orientation
        How stored pixels become the displayed picture.
    height, width : int
        Size of the pictures, even.
    """

    def __init__(self, orientation: Orientation, height: int, width: int):
        self._orientation = orientation
        self._stored_height, self._stored_width = orientation.displayed_size(height, width)
        self._reformatter = VideoReformatter()

    def paint(self, frame: VideoFrame) -> YuvPicture:
        """Give the picture, scaled by area averaging; where the video is in yuv420p too, no colour is converted."""
        scaled = self._reformatter.reformat(
            frame,
            self._stored_width,
            self._stored_height,
            "yuv420p",
            interpolation="AREA",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        picture = YuvPicture.from_frame(scaled)
        return YuvPicture(*(self._orientation.apply(plane) for plane in (picture.y, picture.u, picture.v)))


def rgb_to_yuv_frame(image: np.ndarray) -> VideoFrame:
    """Convert an RGB picture (H, W, 3), uint8, of even height and width to a frame in yuv420p, BT.709."""
    return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
    )
