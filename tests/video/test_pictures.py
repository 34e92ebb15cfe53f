"""Planes of luma and chroma show what RGB shows, whatever the video's own colour matrix is."""

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from lactoolkit.video.orientation import Orientation
from lactoolkit.video.pictures import RgbPainter, YuvPainter, YuvPicture


def colour_bars(height, width):
    bars = np.array([(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255)], np.uint8)
    return np.broadcast_to(bars.repeat(width // 6, axis=0), (height, width, 3)).copy()


def in_rgb(picture):
    frame = picture.to_frame()
    frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
    return frame.to_ndarray(format="rgb24").astype(int)


def test_bt709_of_white_black_and_red():
    # ITU-R BT.709, 8 bits: luma 16 + 219 (.2126 R + .7152 G + .0722 B); chroma 128 + 112 for the largest difference.
    for colour, y, v in (((255, 255, 255), 235, 128), ((0, 0, 0), 16, 128), ((255, 0, 0), 63, 240)):
        picture = YuvPicture.from_rgb(np.full((4, 4, 3), colour, dtype=np.uint8))
        assert np.abs(picture.y.astype(int) - y).max() <= 1
        assert np.abs(picture.v.astype(int) - v).max() <= 1


@pytest.mark.parametrize("colorspace", [Colorspace.ITU601, Colorspace.ITU709, None])
@pytest.mark.parametrize("orientation", [Orientation(), Orientation(transpose=True, flip_columns=True)])
def test_both_painters_show_the_same(colorspace, orientation):
    frame = VideoFrame.from_ndarray(colour_bars(48, 96), format="rgb24")
    if colorspace is not None:
        frame = frame.reformat(format="yuv420p", dst_colorspace=colorspace, dst_color_range=ColorRange.MPEG)
        frame.colorspace, frame.color_range = colorspace, ColorRange.MPEG
    height, width = orientation.displayed_size(24, 48)
    rgb = RgbPainter(orientation, height, width).paint(frame).astype(int)
    yuv = in_rgb(YuvPainter(orientation, height, width).paint(frame))
    assert rgb.shape == yuv.shape == (height, width, 3)
    # Bars are 8 wide and chroma blurs their edges: look in their middles.
    middles = np.arange(4, 48, 8)
    if orientation.transpose:
        np.testing.assert_allclose(yuv[middles], rgb[middles], atol=6)
    else:
        np.testing.assert_allclose(yuv[:, middles], rgb[:, middles], atol=6)


def test_planes_survive_the_way_into_a_frame_and_back():
    random = np.random.default_rng(0)
    planes = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 10), (3, 5), (3, 5))]
    back = YuvPicture.from_frame(YuvPicture(*planes).to_frame())
    for plane, other in zip(planes, (back.y, back.u, back.v), strict=True):
        np.testing.assert_array_equal(plane, other)


def test_paste_cuts_off_at_the_border():
    canvas = YuvPicture(*(np.zeros(shape, np.uint8) for shape in ((8, 8), (4, 4), (4, 4))))
    canvas.paste(YuvPicture(*(np.ones(shape, np.uint8) for shape in ((6, 6), (3, 3), (3, 3)))), 4, 2)
    assert canvas.y.sum() == 4 * 6
    assert canvas.u.sum() == canvas.v.sum() == 2 * 3
    assert canvas.y[4:, 2:].all()


def test_darkening_keeps_black_and_takes_light_and_colour_alike():
    picture = YuvPicture.from_rgb(np.full((2, 2, 3), (200, 80, 40), np.uint8))
    np.testing.assert_allclose(in_rgb(picture.darkened(0.5))[0, 0], (100, 40, 20), atol=4)
    black = YuvPicture.from_rgb(np.zeros((2, 2, 3), np.uint8))
    np.testing.assert_array_equal(black.darkened(0.3).y, black.y)
