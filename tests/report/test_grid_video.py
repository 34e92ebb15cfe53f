"""grid.mp4: every panel shows the frame that its clock wants, dark where it has none."""

import numpy as np
import pytest
from report_alignments import make_video
from videos import picture_number, render_video

from lactoolkit.errors import LacToolkitWarning
from lactoolkit.report import grid_video
from lactoolkit.report.grid_video import GridPanel, write_grid_video
from lactoolkit.video.decoding import read_frames


@pytest.fixture
def clips(tmp_path):
    shapes = [(96, 64), (64, 96), (96, 64)]
    for number, (width, height) in enumerate(shapes):
        render_video(tmp_path / f"{number}.mp4", count=60, width=width, height=height)
    return [make_video(tmp_path / f"{n}.mp4", 60, 30, *shape) for n, shape in enumerate(shapes)]


def panel_pictures(path, panels, clock):
    """Pictures of each panel, cut out of the decoded frames where the layout puts them."""
    grid = grid_video._Grid(panels, clock)
    images = np.concatenate([batch.images for batch in read_frames(path)])
    for number, (height, width) in enumerate(grid.sizes):
        top, left = grid._place(number)
        top += (grid._cell[0] - height) // 4 * 2
        left += (grid._cell[1] - width) // 4 * 2
        yield images[:, top : top + height, left : left + width]


def test_all_videos_on_one_clock(clips, tmp_path):
    clock = np.arange(20) / 30
    always = np.ones(20, bool)
    late = clock >= 10 / 30
    panels = [
        GridPanel(clips[0], clock + 5 / 30, always, "reference"),
        GridPanel(clips[1], np.maximum(clock - 10 / 30, 0), late, confidence=np.full(20, 0.5)),
        GridPanel(clips[2], 2 * clock, always),
    ]
    write_grid_video(panels, clock, tmp_path / "grid.mp4", frame_rate=30)
    first, second, third = panel_pictures(tmp_path / "grid.mp4", panels, clock)
    assert [picture_number(image) for image in first] == list(range(5, 25))
    assert [picture_number(image) for image in second[10:]] == list(range(10))
    assert (second[:10].max(axis=(1, 2, 3)) < 120).all()  # white is 230 where it is not darkened
    assert [picture_number(image) for image in third] == list(range(0, 40, 2))


def test_videos_of_any_number_and_shape_fit():
    for count in (1, 2, 3, 5, 12, 36):
        for aspect in (0.4, 1.0, 16 / 9, 4.0):
            columns, (height, width) = grid_video._arrange(count, aspect)
            assert columns * -(-count // columns) >= count
            assert height % 2 == width % 2 == 0
            assert columns * width <= 1280 or height == 120
            for other in (0.3, 1.0, 5.0):
                fitted = grid_video._fit(other, height, width)
                assert fitted[0] <= height
                assert fitted[1] <= width


def test_more_videos_than_a_grid_can_show(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(grid_video, "MOST_PANELS", 2)
    clock = np.arange(3) / 30
    panels = [GridPanel(clip, clock, np.ones(3, bool)) for clip in clips]
    with pytest.warns(LacToolkitWarning, match=r"grid\.mp4 shows 2 of 3 videos"):
        write_grid_video(panels, clock, tmp_path / "grid.mp4", frame_rate=30)
    shown = list(panel_pictures(tmp_path / "grid.mp4", panels[:2], clock))
    assert [picture_number(image) for image in shown[1]] == [0, 1, 2]
