"""similarity.png: how a matrix is brought to the size of the picture, and what the picture survives."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report_alignments import make_alignment, make_video

from lactoolkit.report import similarity_plot
from lactoolkit.report.similarity_plot import mark_times, resample_matrix, write_similarity_plot


def test_a_small_even_matrix_is_shown_as_it_is():
    similarity = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    grid, extent_a, extent_b = resample_matrix(similarity, np.arange(7) / 10, 2 + np.arange(5) / 20)
    np.testing.assert_allclose(grid, similarity, rtol=1e-6)
    assert extent_a == pytest.approx((-0.05, 0.65))
    assert extent_b == pytest.approx((1.975, 2.225))


def test_a_big_matrix_is_averaged_in_blocks():
    rows, columns = np.meshgrid(np.arange(60), np.arange(90), indexing="ij")
    similarity = (rows + 1000 * columns).astype(np.float64)
    grid, *_ = resample_matrix(similarity, np.arange(60) / 30, np.arange(90) / 30, most_cells=30)
    assert grid.shape == (30, 30)
    expected = similarity.reshape(30, 2, 30, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(grid, expected, rtol=1e-6)


def test_variable_frame_rate_is_drawn_by_time():
    # Ten frames in the first second, then one a second until 4 s: the nearest frame fills its seconds.
    times = np.r_[np.arange(10) / 10, 1.0, 2.0, 3.0, 4.0]
    similarity = np.arange(14.0)[:, None].repeat(2, axis=1)
    grid, extent, _ = resample_matrix(similarity, times, np.array([0.0, 1.0]))
    assert len(grid) == 41
    assert extent == pytest.approx((-0.05, 4.05))
    np.testing.assert_allclose(grid[:11, 0], np.arange(11))
    np.testing.assert_allclose(grid[[14, 16, 24, 26, 40], 0], [10, 11, 11, 12, 13])


def test_single_frames():
    grid, extent_a, extent_b = resample_matrix(np.ones((1, 1), dtype=np.float32), np.array([2.0]), np.array([0.0]))
    assert grid.shape == (1, 1)
    assert (extent_a, extent_b) == ((1.5, 2.5), (-0.5, 0.5))


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0, 300, "min:s", ["0:00", "1:00", "2:00", "3:00", "4:00", "5:00"]),
        (570, 1170, "min:s", ["10:00", "12:00", "14:00", "16:00", "18:00"]),
        (0, 3600, "h:min:s", ["0:00:00", "0:10:00", "0:20:00", "0:30:00", "0:40:00", "0:50:00", "1:00:00"]),
    ],
)
def test_long_axes_are_marked_in_minutes(low, high, unit, labels):
    axes = Figure().add_subplot()
    axes.set_xlim(low, high)
    assert mark_times(axes.xaxis) == unit
    places = [place for place in axes.xaxis.get_majorticklocs() if low <= place <= high]
    assert axes.xaxis.get_major_formatter().format_ticks(places) == labels


def test_short_axes_are_marked_in_seconds():
    axes = Figure().add_subplot()
    axes.set_xlim(0, 20)
    assert mark_times(axes.xaxis) == "s"


def test_the_legend_names_what_any_hit_shows():
    a, b = make_video(Path("a.mp4"), 90, 30), make_video(Path("b.mp4"), 80, 30)
    whole, with_gap = (make_alignment(a, b, rows, range(len(rows))).hits[0] for rows in (range(9), [20, 21, 30, 31]))
    labels = [entry.get_label() for entry in similarity_plot._legend([whole, with_gap])]
    assert labels == ["matched frames", "frames of A without counterpart in B"]
    assert [entry.get_label() for entry in similarity_plot._legend([whole])] == ["matched frames"]


@pytest.mark.parametrize(
    ("p_values", "line"),
    [
        ([], []),
        ([0.3], []),
        ([0.04, 0.3], ["and 1 more stretch better than chance"]),
        ([0.04, 0.3, 0.01], ["and 2 more stretches better than chance"]),
    ],
)
def test_the_heading_counts_further_hits_that_are_no_chance(p_values, line):
    alignment = make_alignment(make_video(Path("a.mp4"), 90, 30), make_video(Path("b.mp4"), 80, 30), range(9), range(9))
    hits = [dataclasses.replace(alignment.hits[0], p_value=p_value) for p_value in (0.01, *p_values)]
    heading = similarity_plot._result_lines(dataclasses.replace(alignment, hits=tuple(hits)))
    assert heading.splitlines()[1:] == line


ROWS = list(range(10, 40)) + list(range(55, 70))
COLUMNS = list(range(5, 20)) + list(range(20, 50, 2)) + list(range(60, 75))


@pytest.mark.parametrize("case", ["gaps", "not significant", "no hit", "one pair", "one frame", "equal", "odd names"])
def test_every_kind_of_result_makes_a_picture(case, tmp_path):
    names = ("50 $ a $x_1$ Ü %d {}.mp4", "x" * 150 + ".mp4") if case == "odd names" else ("a.mp4", "b.mp4")
    a = make_video(Path(names[0]), 1 if case == "one frame" else 90, 30)
    b = make_video(Path(names[1]), 80, 30)
    rows, columns = (ROWS, COLUMNS) if case not in ("one pair", "one frame") else ([0], [3])
    alignment = make_alignment(a, b, rows, columns, p_value=0.5 if case == "not significant" else 0.01)
    if case == "no hit":
        alignment = dataclasses.replace(alignment, hits=())
    if case == "equal":
        alignment = dataclasses.replace(alignment, similarity=np.zeros_like(alignment.similarity))
    write_similarity_plot(alignment, tmp_path / "similarity.png")
    with Image.open(tmp_path / "similarity.png") as image:
        image.load()
        assert image.format == "PNG"
        assert min(image.size) > 400


def test_the_band_of_a_long_gap_lies_where_the_gap_is(tmp_path):
    """In the hit's box, the band's colour is found across the gap's seconds and nowhere else."""
    a, b = make_video(Path("a.mp4"), 90, 30), make_video(Path("b.mp4"), 90, 30)
    # Frames 30 to 59 of A, a third of its axis, have no partner.
    alignment = make_alignment(a, b, [*range(30), *range(60, 90)], list(range(60)))
    write_similarity_plot(dataclasses.replace(alignment, similarity=np.zeros((90, 90))), tmp_path / "similarity.png")
    pixels = np.asarray(Image.open(tmp_path / "similarity.png").convert("RGB")).astype(int)
    blue = (pixels[:, :, 2] - pixels[:, :, 0] > 40) & (pixels[:, :, 2] - pixels[:, :, 1] > 10)
    line = pixels.shape[0] // 2
    columns = np.flatnonzero(blue[line])
    # Long black vertical lines: the edges of the axes, then those of the two scales above each other.
    dark = np.flatnonzero((pixels.max(axis=2) < 60).mean(axis=0) > 0.6)
    left, right = dark[0], dark[np.flatnonzero(np.diff(dark) > 5)[0] + 1]
    share = (columns - left) / (right - left)
    assert share.min() == pytest.approx(1 / 3, abs=0.02)
    assert share.max() == pytest.approx(2 / 3, abs=0.02)
