"""viewer.html of videos beside a reference, in Chromium: deviations in the list, on the ribbon and on the map."""

import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest
from browser_pages import RATE, map_point, said, settled, shown
from PIL import Image
from report_alignments import make_alignment, make_hit, make_video
from videos import render_video

from lactoolkit.alignment.compare import ComparedVideo, Comparison
from lactoolkit.alignment.deviations import Deviation, course_of
from lactoolkit.report.viewer.page import write_comparison_viewer

NAMES = ("good.mp4", "first.mp4", "<img src=x onerror=hacked=1> & 'q'.mp4")
# Kinds and the colours of style.css, light.
COLOURS = {"looks different": (194, 24, 127), "slower or extra": (138, 99, 0), "faster or missing": (0, 121, 90)}


def deviation(kind, video, reference, p_value=0.01):
    """Of frames of the video and of the reference."""
    return Deviation(kind, *(frame / RATE for frame in (*video, *reference)), 1.0, p_value)


@pytest.fixture
def comparison(tmp_path):
    """One video shows frames 20 to 69 of the reference, with 30 of something else after 44; the other one nothing."""
    for name in NAMES:
        render_video(tmp_path / name, count=90, rate=RATE, width=160, height=96)
    reference, first, other = (make_video(tmp_path / name, 90, RATE, 160, 96) for name in NAMES)
    rows, columns = np.arange(20, 70), np.array([*range(5, 30), *range(60, 85)])
    whole = make_alignment(reference, first, rows, columns)
    hits = [
        make_hit(reference, first, rows[part], columns[part], whole.similarity) for part in (slice(25), slice(25, 50))
    ]
    found = [
        (
            dataclasses.replace(whole, hits=tuple(hits)),
            [
                deviation("faster or missing", (5, 5), (0, 19)),
                deviation("slower or extra", (28, 62), (43, 47), 0.0214),
                deviation("looks different", (30, 59), (44, 45)),
            ],
        ),
        (make_alignment(reference, other, [], []), [deviation("faster or missing", (0, 0), (0, 89))]),
    ]
    videos = [ComparedVideo(course_of(one), tuple(listed), {}, one) for one, listed in found]
    return Comparison(reference, tuple(videos), (), True, 0.05)


@pytest.fixture
def viewer(comparison, tmp_path, open_page):
    def write_and_open(**options):
        (tmp_path / "out").mkdir()
        write_comparison_viewer(comparison, tmp_path / "out", embed=options.pop("embed", False))
        page = open_page(tmp_path / "out" / "viewer.html", **options)
        settled(page)
        return page

    return write_and_open


def entries(page):
    return [text.split("\n") for text in page.locator("#deviations button").all_inner_texts()]


def current(page):
    """Kinds of the deviations that are marked as being shown."""
    return page.locator("#deviations [aria-current=true] .kind").all_inner_texts()


def ribbon_box(page):
    return page.locator("#ribbon canvas").bounding_box()


def colours_of(page, locator):
    image = Image.open(io.BytesIO(page.locator(locator).screenshot(animations="disabled"))).convert("RGB")
    return np.asarray(image).astype(int)


def seen(picture, colour):
    return (np.abs(picture - colour).max(axis=-1) <= 2).sum()


def test_the_list_says_what_deviates_where_and_how_surely(viewer):
    page = viewer()
    assert entries(page) == [
        ["faster or missing", "p 0.01", "A", "0:00.000 – 0:00.633", "B", "0:00.167"],
        ["slower or extra", "p 0.021", "A", "0:01.433 – 0:01.567", "B", "0:00.933 – 0:02.067"],
        ["looks different", "p 0.01", "A", "0:01.467 – 0:01.500", "B", "0:01.000 – 0:01.967"],
    ]
    assert page.locator("#name-a").inner_text() == "good.mp4"
    assert page.locator("#reference").is_visible()


def test_all_of_the_reference_is_played_and_the_video_waits_where_it_lacks_something(viewer):
    page = viewer()
    assert shown(page) == said(page) == (0, 5)
    assert page.locator(".waits:not([hidden])").all_text_contents() == ["waits: only A shows this"]
    assert current(page) == ["faster or missing"]
    page.keyboard.press("End")
    assert shown(page) == said(page) == (89, 84)
    assert "Only A shows this" in page.locator("#reading").inner_text()


def test_deviations_by_keyboard_list_and_mark(viewer):
    page = viewer()
    page.keyboard.press("n")
    assert shown(page) == (43, 28)
    assert current(page) == ["slower or extra"]
    assert "slower or extra" in page.locator("#reading").inner_text()
    page.keyboard.press("n")
    assert shown(page) == (44, 30)
    assert current(page) == ["slower or extra", "looks different"]
    page.keyboard.press("n")
    assert shown(page) == (44, 30)
    page.keyboard.press("p")
    page.keyboard.press("p")
    assert shown(page) == (0, 5)
    page.locator("#deviations button").nth(2).focus()
    page.keyboard.press("Enter")
    assert shown(page) == (44, 30)
    # On the ribbon, the clock runs over 20 frames that are missing, 25, 30 of something else, 25, and 20 again.
    box = ribbon_box(page)
    second_row = box["y"] + 46 + 20 + 10
    page.mouse.click(box["x"] + box["width"] * 60 / 119, second_row)
    assert shown(page) == (43, 28)
    page.mouse.click(box["x"] + box["width"] * 60 / 119, box["y"] + 20)
    assert said(page)[0] == 44
    assert 34 < said(page)[1] < 50


@pytest.mark.parametrize("kind", sorted(COLOURS))
def test_marks_have_the_colour_of_their_kind(kind, viewer):
    page = viewer()
    page.keyboard.press("End")  # the marks are not covered by the place
    for place in ("#map", "#ribbon canvas", "#deviations"):
        assert seen(colours_of(page, place), COLOURS[kind]) > 60, place


def test_a_click_on_the_mark_on_the_map_goes_there(viewer, comparison):
    page = viewer()
    page.mouse.click(*map_point(page, comparison.videos[0].alignment, 44.2 / RATE, 45 / RATE))
    assert said(page)[0] == 44
    assert abs(said(page)[1] - 45) <= 1
    assert current(page) == ["slower or extra", "looks different"]


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "embedded"])
def test_another_video_is_chosen(embed, viewer):
    page = viewer(embed=embed)
    options = page.locator("#chooser option").all_text_contents()
    assert options == ["1. first.mp4 (3 deviations)", f"2. {NAMES[2]} (1 deviation)"]
    with page.expect_navigation():
        page.keyboard.press(".")
    settled(page)
    assert page.locator("#name-b").inner_text() == NAMES[2]
    assert page.title() == f"good.mp4 and {NAMES[2]}"
    assert page.evaluate("() => typeof window.hacked") == "undefined"
    # Nothing matches: the list leads to the moments of the reference all the same.
    assert [entry[0] for entry in entries(page)] == ["faster or missing"]
    page.locator("#deviations button").click()
    assert shown(page) == (0, 0)
    with page.expect_navigation():
        page.locator("#chooser").select_option(index=0)
    settled(page)
    assert page.locator("#name-b").inner_text() == "first.mp4"


def test_nothing_conspicuous_is_said(comparison, tmp_path, open_page):
    (one, _) = comparison.videos
    fine = ComparedVideo(one.course, (), {}, one.alignment)
    write_comparison_viewer(Comparison(comparison.reference, (fine,), (), False, 0.01), tmp_path)
    page = open_page(tmp_path / "viewer.html")
    settled(page)
    assert page.locator("#deviations-note").inner_text().startswith("Nothing conspicuous")
    assert "0.01" in page.locator("#deviations-note").inner_text()
    assert page.locator("#chooser").is_hidden()
    page.keyboard.press("n")
    assert shown(page) == (0, 5)


def test_dark_and_on_a_phone(viewer):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    page = viewer(**phone, color_scheme="dark")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    page.locator("#deviations button").nth(1).tap()
    assert shown(page) == (43, 28)
    page.keyboard.press("End")
    page.evaluate("() => scrollTo(0, 0)")
    assert seen(colours_of(page, "#ribbon canvas"), (232, 185, 35)) > 60
    box = page.locator("#deviations").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_videos_that_browsers_do_not_play_are_copied_into_a_folder(comparison, tmp_path, viewer):
    # The same pictures as the reference's, in a container that no browser takes.
    path = tmp_path / NAMES[0]
    path.unlink()
    tick = Fraction(1, RATE)
    render_video(tmp_path / "good.avi", count=90, rate=RATE, width=160, height=96, codec="mpeg4", time_base=tick)
    (tmp_path / "good.avi").rename(path)
    page = viewer()
    assert sorted(str(one.relative_to(tmp_path / "out")) for one in (tmp_path / "out").rglob("*")) == [
        "videos",
        "videos/reference.mp4",
        "viewer.html",
    ]
    assert shown(page) == (0, 5)
