"""side_by_side.mp4: every panel shows the frame it should, found again by the numbers in the rendered pictures."""

import dataclasses
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from report_alignments import make_alignment, make_video
from videos import picture_number, render_video, truncate

from lactoolkit.errors import LacToolkitWarning, OutputError, VideoError
from lactoolkit.report import frame_layout, text
from lactoolkit.report.frame_layout import picture_sizes
from lactoolkit.report.playback import plan_playback
from lactoolkit.report.side_by_side import write_side_by_side
from lactoolkit.video.decoding import probe, read_frames


def play(path):
    return np.concatenate([batch.images for batch in read_frames(path)])


def panels(images, alignment):
    """The pictures of both panels, cut out of the frames by the layout's documented arrangement."""
    (height, width_a), (_, width_b) = picture_sizes(alignment.a, alignment.b)
    panel_a = max(width_a, frame_layout._NARROWEST_PANEL)
    panel_b = max(width_b, frame_layout._NARROWEST_PANEL)
    margin, top = frame_layout._MARGIN, frame_layout._LINE
    left_a = margin + (panel_a - width_a) // 4 * 2
    left_b = 2 * margin + panel_a + (panel_b - width_b) // 4 * 2
    return (
        images[:, top : top + height, left_a : left_a + width_a],
        images[:, top : top + height, left_b : left_b + width_b],
    )


@pytest.fixture
def clips(tmp_path):
    render_video(tmp_path / "a.mp4", count=60, rate=30, width=96, height=64)
    render_video(tmp_path / "b.mp4", count=60, rate=30, width=64, height=96)
    return make_video(tmp_path / "a.mp4", 60, 30, 96, 64), make_video(tmp_path / "b.mp4", 60, 30, 64, 96)


def test_matched_frames_appear_together(clips, tmp_path):
    rows, columns = np.arange(10, 40), np.arange(20, 50)
    alignment = make_alignment(*clips, rows, columns)
    write_side_by_side(alignment, tmp_path / "out.mp4")
    images = play(tmp_path / "out.mp4")
    left, right = panels(images, alignment)
    assert [picture_number(image) for image in left] == rows.tolist()
    assert [picture_number(image) for image in right] == columns.tolist()
    info = probe(tmp_path / "out.mp4")
    assert (info.codec, info.pixel_format, info.frame_rate) == ("h264", "yuv420p", 30)


def test_pacing_and_gaps(clips, tmp_path):
    # Twice as slow in B, then ten frames of A that B does not have.
    rows = np.r_[0:10, 20:30]
    columns = np.r_[0:20:2, 19:29]
    alignment = make_alignment(*clips, rows, columns)
    write_side_by_side(alignment, tmp_path / "out.mp4")
    left, right = panels(play(tmp_path / "out.mp4"), alignment)
    playback = plan_playback(alignment)
    assert len(left) == len(playback)
    numbers_a = [picture_number(image) for image in left]
    assert numbers_a[:19:2] == list(range(10))
    assert numbers_a[19:] == list(range(10, 30))
    for image, time, held in zip(right, playback.times_b, playback.held_b, strict=True):
        if held:
            # Darkened, and not by accident: nothing of the clip's white (230) is left around the sign.
            assert image[:6].max() < 120
        else:
            assert picture_number(image) == round(time * 30)
    assert playback.held_b.sum() == 10


def test_timestamps_decide_not_frame_numbers(tmp_path):
    # A varies its rate: frames 0..9 at 30 a second, then at 10 a second.
    ticks = [*range(0, 4000, 400), *range(4000, 4000 + 12 * 1200, 1200)]
    times = render_video(tmp_path / "a.mp4", ticks)
    render_video(tmp_path / "b.mp4", count=45, rate=30)
    a = dataclasses.replace(make_video(tmp_path / "a.mp4", len(times), 15, 96, 64), times=times)
    b = make_video(tmp_path / "b.mp4", 45, 30, 96, 64)
    nearest = [int(np.abs(b.times - time).argmin()) for time in times]
    alignment = make_alignment(a, b, range(len(times)), nearest)
    write_side_by_side(alignment, tmp_path / "out.mp4")
    left, right = panels(play(tmp_path / "out.mp4"), alignment)
    for k, (image_a, image_b) in enumerate(zip(left, right, strict=True)):
        assert picture_number(image_b) == pytest.approx(k, abs=1)
        assert abs(times[picture_number(image_a)] - k / 30) <= 0.051


def test_rotated_phone_video_stands_upright(tmp_path):
    render_video(tmp_path / "a.mp4", count=12, width=96, height=64, display_matrix=(0, 1, -1, 0))
    info = probe(tmp_path / "a.mp4")
    a = make_video(tmp_path / "a.mp4", 12, 30, info.width, info.height)
    assert a.height > a.width
    alignment = make_alignment(a, a, range(12), range(12))
    write_side_by_side(alignment, tmp_path / "out.mp4")
    left, _ = panels(play(tmp_path / "out.mp4"), alignment)
    assert left.shape[1] > left.shape[2]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1920, 1080), (1920, 1080), ((360, 640), (360, 640))),
        ((1080, 1920), (1920, 1080), ((444, 250), (444, 790))),
        ((1080, 1920), (1080, 1920), ((640, 360), (640, 360))),
        ((224, 224), (320, 240), ((240, 240), (240, 320))),
        ((97, 65), (97, 65), ((200, 298), (200, 298))),
        ((4000, 500), (640, 480), ((120, 960), (120, 160))),
    ],
)
def test_sizes_keep_aspect_and_match_heights(a, b, expected, tmp_path):
    videos = [make_video(tmp_path / "x.mp4", 2, 30, *size) for size in (a, b)]
    assert picture_sizes(*videos) == expected


@pytest.mark.parametrize("kind", ["no hit", "one pair", "not significant"])
def test_every_kind_of_result_plays(kind, clips, tmp_path):
    alignment = make_alignment(
        *clips, [5] if kind == "one pair" else range(5, 15), [7] if kind == "one pair" else range(10)
    )
    if kind == "not significant":
        alignment = dataclasses.replace(alignment, hits=(dataclasses.replace(alignment.hits[0], p_value=0.5),))
    if kind == "no hit":
        alignment = dataclasses.replace(alignment, hits=())
    write_side_by_side(alignment, tmp_path / "out.mp4")
    left, right = panels(play(tmp_path / "out.mp4"), alignment)
    first = {"no hit": (0, 0), "one pair": (5, 7), "not significant": (5, 0)}[kind]
    assert (picture_number(left[0]), picture_number(right[0])) == first
    assert len(left) == {"no hit": 60, "one pair": 1, "not significant": 10}[kind]


def test_non_ascii_names_are_drawn_and_long_ones_shortened(clips, tmp_path):
    alignment = make_alignment(*clips, range(3), range(3))
    plain = frame_layout.FrameLayout(*clips, plan_playback(alignment))._template.y
    named = dataclasses.replace(clips[0], path=tmp_path / ("Öäß Привет Ωμέγα " + "long " * 60 + "end.mp4"))
    drawn = frame_layout.FrameLayout(named, clips[1], plan_playback(alignment))._template.y
    assert drawn.shape == plain.shape
    assert (drawn[: frame_layout._LINE] != plain[: frame_layout._LINE]).any()
    # B's half of the line is untouched by A's long name.
    half = 2 * frame_layout._MARGIN + picture_sizes(*clips)[0][1]
    np.testing.assert_array_equal(drawn[:, half:], plain[:, half:])


def test_letters_of_many_scripts_need_no_replacement():
    for name in ("Zoë – Übung №7", "Привет", "Ωμέγα", "e\u0301te\u0301.mp4"):
        shown, font = text.printable(name)
        assert "\u25af" not in shown
        assert font.is_file()


def test_characters_without_any_font_become_boxes_and_the_user_is_told(monkeypatch):
    # matplotlib's own fonts have no Japanese; one of them, of last resort, draws a sign of its own for any character.
    own = Path(matplotlib.get_data_path())
    fonts = [entry for entry in font_manager.fontManager.ttflist if own in Path(entry.fname).parents]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    text._font_with.cache_clear()
    with pytest.warns(LacToolkitWarning, match="no installed font"):
        shown, font = text.printable("犬と猫.mp4")
    text._font_with.cache_clear()
    assert shown == "\u25af\u25af\u25af.mp4"
    assert font.name == "DejaVuSans.ttf"


def test_names_that_are_alike_are_told_apart_by_their_folders():
    def names(*paths):
        return text.distinct_names(map(Path, paths))

    assert names("/x/a.mp4", "/y/b.mp4") == ["a.mp4", "b.mp4"]
    assert names("left/1.mp4", "right/1.mp4", "2.mp4") == ["left/1.mp4", "right/1.mp4", "2.mp4"]
    assert names("a/day/1.mp4", "b/day/1.mp4", "c/1.mp4") == ["a/day/1.mp4", "b/day/1.mp4", "c/1.mp4"]
    assert names("1.mp4", "b/1.mp4") == ["1.mp4", "b/1.mp4"]
    assert names("/x/1.mp4", "/x/1.mp4", "/x/2.mp4") == ["1.mp4", "1.mp4", "2.mp4"]


def test_shorten_keeps_both_ends():
    assert text.shorten("abc", 5) == "abc"
    assert text.shorten("abcdefghij", 5) == "ab…ij"
    assert len(text.shorten("x" * 100, 20)) == 20


def test_damage_that_was_reported_before_is_not_reported_again(tmp_path):
    render_video(tmp_path / "a.mp4", count=60, container_options={"movflags": "frag_keyframe+empty_moov"})
    truncate(tmp_path / "a.mp4", 0.7)
    a = make_video(tmp_path / "a.mp4", 20, 30, 96, 64)
    alignment = make_alignment(a, a, range(20), range(20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_side_by_side(alignment, tmp_path / "out.mp4")
    assert len(play(tmp_path / "out.mp4")) == 20


def test_a_vanished_input_is_named(clips, tmp_path):
    alignment = make_alignment(*clips, range(5), range(5))
    clips[1].path.unlink()
    with pytest.raises(VideoError, match=r"b\.mp4"):
        write_side_by_side(alignment, tmp_path / "out.mp4")


def test_an_unwritable_place_is_an_output_error(clips, tmp_path):
    with pytest.raises(OutputError):
        write_side_by_side(make_alignment(*clips, range(5), range(5)), tmp_path / "missing" / "out.mp4")
