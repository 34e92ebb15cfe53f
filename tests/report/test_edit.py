"""The alignment as an edit: pieces of constant speed that keep B where the path has it."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_alignments import make_alignment, make_hit, make_video
from videos import render_video

from lactoolkit.report.edit import EDIT_TOLERANCE, EditPiece, match_of_a, plan_edit


class Videos(tuple):
    """Two videos; hypothesis prints arguments, and theirs are long."""

    def __repr__(self):
        return "videos"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    render_video(folder / "a.mp4", count=5, rate=30)
    render_video(folder / "b.mp4", count=5, rate=25)
    # The files are short, the alignments are not: of the files, only the facts are read.
    return Videos([make_video(folder / "a.mp4", 900, 30), make_video(folder / "b.mp4", 900, 25)])


def seconds_of_b(edit, frame):
    """Moment of B beside a frame of A, by the pieces."""
    for piece in edit.pieces:
        if piece.start <= frame - edit.a_start < piece.start + piece.length:
            return float(piece.b_start + piece.b_length * (frame - edit.a_start - piece.start) / piece.length)
    return None


def test_equal_speed_is_one_piece(videos):
    rows = np.arange(30, 330, 6)
    edit = plan_edit(make_alignment(*videos, rows, (rows - 30) * 5 // 6 + 50))
    assert (edit.a.rate, edit.b.rate, edit.a_start, edit.length) == (30, 25, 30, 295)
    assert edit.pieces == (EditPiece(0, 295, Fraction(2), Fraction(295, 30)),)
    assert edit.pieces[0].speed(Fraction(30)) == 1


def test_twice_the_speed(videos):
    rows = np.arange(0, 300, 3)
    edit = plan_edit(make_alignment(*videos, rows, rows // 3 * 5))
    assert [piece.speed(Fraction(30)) for piece in edit.pieces] == [2]


def test_extra_frames_of_a_are_a_still_picture(videos):
    rows = np.r_[np.arange(0, 60, 6), np.arange(120, 180, 6)]
    edit = plan_edit(make_alignment(*videos, rows, np.arange(20) * 5))
    speeds = [piece.speed(Fraction(30)) for piece in edit.pieces]
    assert 0 in speeds
    still = edit.pieces[speeds.index(0)]
    assert still.start == 54
    assert 60 <= still.length <= 66
    assert float(still.b_start) == pytest.approx(9 * 5 / 25)


def test_frames_that_a_lacks_are_cut_out_of_b(videos):
    columns = np.r_[np.arange(0, 50, 5), np.arange(150, 200, 5)]
    edit = plan_edit(make_alignment(*videos, np.arange(20) * 6, columns))
    assert [(piece.start, float(piece.b_start)) for piece in edit.pieces] == [(0, 0.0), (60, 6.0)]
    assert all(piece.speed(Fraction(30)) == 1 for piece in edit.pieces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 25), st.integers(1, 25)), min_size=1, max_size=30))
def test_any_path_is_kept_within_the_tolerance(videos, steps):
    rows, columns = np.cumsum([(0, 0), *steps], axis=0).T
    alignment = make_alignment(*videos, rows, columns)
    edit = plan_edit(alignment)
    assert edit.pieces[0].start == 0
    for before, after in zip(edit.pieces[:-1], edit.pieces[1:], strict=True):
        assert before.start + before.length == after.start
    assert edit.pieces[-1].start + edit.pieces[-1].length == edit.length == rows[-1] - rows[0] + 1
    for row, column in zip(rows, columns, strict=True):
        assert abs(seconds_of_b(edit, row) - column / 25) <= EDIT_TOLERANCE + 0.5 / 30
    np.testing.assert_allclose(match_of_a(alignment, rows / 30), columns / 25, atol=1e-6)
    between = match_of_a(alignment, np.arange(rows[0], rows[-1] + 1) / 30)
    assert (np.diff(between) >= -1e-9).all()


def test_between_two_hits_b_has_nothing(videos):
    alignment = make_alignment(*videos, range(0, 60), range(0, 60))
    later = make_hit(*videos, range(90, 120), range(70, 100), alignment.similarity)
    alignment = dataclasses.replace(alignment, hits=(alignment.hits[0], dataclasses.replace(later, score=5.0)))
    edit = plan_edit(alignment)
    assert edit.length == 120
    assert seconds_of_b(edit, 59) is not None
    assert seconds_of_b(edit, 60) is seconds_of_b(edit, 89) is None
    assert seconds_of_b(edit, 90) == pytest.approx(70 / 25)
    matches = match_of_a(alignment, np.arange(125) / 30)
    assert np.flatnonzero(np.isnan(matches)).tolist() == [*range(60, 90), *range(120, 125)]


def test_hits_that_fit_into_no_order_are_left_out(videos):
    alignment = make_alignment(*videos, range(0, 60), range(100, 160))
    crossing = make_hit(*videos, range(90, 120), range(0, 30), alignment.similarity)
    edit = plan_edit(dataclasses.replace(alignment, hits=(alignment.hits[0], crossing)))
    assert edit.length == 60
