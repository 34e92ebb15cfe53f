"""viewer.html in Chromium: what is on the screen is what should be, by the numbers in the rendered pictures."""

import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest
from browser_pages import RATE, map_point, said, settled, shown
from PIL import Image
from report_alignments import make_alignment, make_hit, make_video
from videos import render_video

from lactoolkit.report.viewer.page import write_viewer
from lactoolkit.video.intervals import NamedInterval


@pytest.fixture
def clips(tmp_path):
    render_video(tmp_path / "a.mp4", count=90, rate=RATE, width=160, height=96)
    render_video(tmp_path / "b.mp4", count=90, rate=RATE, width=160, height=96)
    return make_video(tmp_path / "a.mp4", 90, RATE, 160, 96), make_video(tmp_path / "b.mp4", 90, RATE, 160, 96)


@pytest.fixture
def viewer(tmp_path, open_page):
    """Writes the page of an alignment into a folder beside the videos and opens it."""

    def write_and_open(alignment, *, browser_options=None, **options):
        (tmp_path / "out").mkdir()
        write_viewer(alignment, tmp_path / "out", **options)
        page = open_page(tmp_path / "out" / "viewer.html", **(browser_options or {}))
        settled(page)
        return page

    return write_and_open


def test_the_start_of_the_hit_is_on_the_screen(clips, viewer):
    page = viewer(make_alignment(*clips, range(10, 60), range(25, 75)))
    assert shown(page) == said(page) == (10, 25)
    assert page.title() == "a.mp4 and b.mp4"
    assert page.locator("#verdict").inner_text() == "Aligned, p = 0.01"


def test_scrubbing_the_map_moves_both_videos_along_the_path(clips, viewer):
    # Twice as slow in B.
    alignment = make_alignment(*clips, range(10, 40), range(5, 65, 2))
    page = viewer(alignment)
    page.mouse.move(*map_point(page, alignment, 12 / RATE, 9 / RATE))
    page.mouse.down()
    for frame_a, frame_b in ((20, 25), (33, 51), (15, 15)):
        page.mouse.move(*map_point(page, alignment, (frame_a + 0.1) / RATE, (frame_b + 0.2) / RATE), steps=4)
        a, b = shown(page)
        assert (a, b) == said(page)
        assert abs(a - frame_a) <= 1
        assert b == 5 + 2 * (a - 10) or b == 6 + 2 * (a - 10)
    page.mouse.up()
    # Beside the path: the nearest place on it.
    page.mouse.click(*map_point(page, alignment, 22 / RATE, 34 / RATE))
    a, b = shown(page)
    assert 22 < a < 26
    assert b - 5 - 2 * (a - 10) in (0, 1)


@pytest.mark.parametrize("rate", [RATE, 0.01], ids=["seconds", "hours"])
def test_numbers_and_name_of_an_axis_keep_clear_of_each_other(rate, clips, viewer):
    a, b = (dataclasses.replace(clip, times=clip.frames / rate) for clip in clips)
    page = viewer(make_alignment(a, b, range(10, 60), range(10, 60)))
    left = int(page.locator("#map").get_attribute("data-left"))
    assert left > 60 if rate < 1 else left < 60
    image = Image.open(io.BytesIO(page.locator("#map").screenshot(animations="disabled"))).convert("L")
    margin = np.asarray(image)[:, : left - 5]
    written = (margin < 200).any(axis=0)
    # The name, a gap, and the numbers.
    assert written[:15].any()
    assert not written[15:19].any()
    assert written[19:].any()


def test_off_the_path_any_two_frames(clips, viewer):
    alignment = make_alignment(*clips, range(10, 60), range(10, 60))
    page = viewer(alignment)
    page.keyboard.press("f")
    page.mouse.click(*map_point(page, alignment, 70.5 / RATE, 12.5 / RATE))
    assert shown(page) == (70, 12)
    assert "not matched" in page.locator("#reading").inner_text()
    page.keyboard.press("f")
    assert shown(page) == (10, 10)


def test_frames_seconds_and_ends_by_keyboard(clips, viewer):
    page = viewer(make_alignment(*clips, range(10, 70), range(15, 75)))
    for key, expected in [
        ("ArrowRight", (11, 16)),
        ("ArrowRight", (12, 17)),
        ("ArrowLeft", (11, 16)),
        ("Shift+ArrowRight", (41, 46)),
        ("End", (69, 74)),
        ("ArrowRight", (69, 74)),
        ("Shift+ArrowLeft", (39, 44)),
        ("Home", (10, 15)),
        ("ArrowLeft", (10, 15)),
    ]:
        page.keyboard.press(key)
        assert shown(page) == said(page) == expected, key


def test_frame_by_frame_through_a_gap_every_frame_of_who_goes_on(clips, viewer):
    # Frames 20 to 39 of A have no partner: B stands at frame 19 meanwhile.
    page = viewer(make_alignment(*clips, [*range(15, 20), *range(40, 45)], range(15, 25)))
    seen = [said(page)]
    for _ in range(29):
        page.keyboard.press("ArrowRight")
        seen.append(said(page))
    expected = [(k, min(k, 19)) for k in range(15, 40)] + [(k, k - 20) for k in range(40, 45)]
    assert seen == expected
    back = []
    for _ in range(29):
        page.keyboard.press("ArrowLeft")
        back.append(said(page))
    assert back == expected[-2::-1]
    page.locator("#differences button").click()
    assert shown(page) == (20, 19)
    assert page.locator(".waits:not([hidden])").all_text_contents() == ["waits: only A shows this"]
    assert page.locator("#differences").inner_text().split("\n") == ["A", "0:00.667 – 0:01.300", "extra in A", "0.63 s"]


@pytest.mark.parametrize("speed", [1, 0.5, 2])
def test_playing_keeps_both_in_step(clips, viewer, speed):
    # B takes two thirds of A's time.
    rows = np.arange(0, 90, 3)
    alignment = make_alignment(*clips, rows, rows * 2 // 3)
    page = viewer(alignment)
    page.locator("#speed").select_option(label={1: "1 ×", 0.5: "½ ×", 2: "2 ×"}[speed])
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("Space")
    page.wait_for_timeout(900 / speed)
    times = page.evaluate("() => [...document.querySelectorAll('video')].map(v => [v.currentTime, v.paused])")
    assert [paused for _, paused in times] == [False, False]
    (a, _), (b, _) = times
    assert 0.2 < a < 2.5
    assert abs(b - a * 2 / 3) < 0.12 * max(speed, 1)
    page.keyboard.press("Space")
    a, b = shown(page)
    assert (a, b) == said(page)
    assert abs(b - a * 2 / 3) <= 1
    assert page.locator("#play").get_attribute("aria-label") == "Play"


def test_playing_ends_at_the_end_and_loops_when_asked(clips, viewer):
    page = viewer(make_alignment(*clips, range(50, 70), range(55, 75)))
    page.keyboard.press("Space")
    page.wait_for_function("() => document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert shown(page) == (69, 74)
    page.keyboard.press("l")
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    assert page.locator("#play").get_attribute("aria-label") == "Pause"


def test_hits_by_keyboard_and_list(clips, viewer):
    alignment = make_alignment(*clips, range(10, 30), range(10, 30))
    second = make_hit(*clips, range(40, 60), range(65, 85), alignment.similarity, p_value=0.3)
    page = viewer(dataclasses.replace(alignment, hits=(alignment.hits[0], second)))
    assert page.locator("#hits button").count() == 2
    page.keyboard.press("]")
    assert shown(page) == (40, 65)
    assert page.locator("#hits button").nth(1).get_attribute("aria-current") == "true"
    page.keyboard.press("]")
    assert shown(page) == (40, 65)
    page.keyboard.press("[")
    assert shown(page) == (10, 10)
    page.locator("#hits button").nth(1).click()
    assert shown(page) == (40, 65)
    # On the map, the other hit can be picked up directly.
    page.mouse.click(*map_point(page, alignment, 20 / RATE, 20 / RATE))
    assert shown(page) in [(20, 20), (19, 19)]


def test_the_times_of_a_variable_frame_rate_count(tmp_path, viewer):
    ticks = [*range(0, 4000, 400), *range(4000, 4000 + 20 * 1200, 1200)]
    times = render_video(tmp_path / "a.mp4", ticks, width=160, height=96)
    render_video(tmp_path / "b.mp4", count=90, rate=RATE, width=160, height=96)
    a = dataclasses.replace(make_video(tmp_path / "a.mp4", 30, RATE, 160, 96), times=times, frame_rate=30 / times[-1])
    b = make_video(tmp_path / "b.mp4", 90, RATE, 160, 96)
    # Equal times: frame 10 + k of A, 0.1 s each, beside frame 10 + 3 k of B.
    rows = np.arange(30)
    page = viewer(make_alignment(a, b, rows, np.round(times * RATE).astype(int)))
    page.keyboard.press("Shift+ArrowRight")
    assert shown(page) == said(page) == (10 + 6, 30)  # 1 s is 0.033 s short of frame 17
    page.keyboard.press("End")
    assert shown(page)[0] == said(page)[0] == 29


@pytest.mark.parametrize(
    "options", [{"first_tick": 6000}, {"first_tick": 6000, "audio": True}, {"b_frames": 0, "audio": True}, {"gop": 300}]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_files_that_do_not_start_at_zero(options, suffix, tmp_path, viewer):
    path = tmp_path / f"a{suffix}"
    render_video(path, count=60, rate=RATE, width=160, height=96, **options)
    video = make_video(path, 60, RATE, 160, 96)
    page = viewer(make_alignment(video, video, range(0, 50), range(5, 55)))
    assert shown(page) == (0, 5)
    page.keyboard.press("Shift+ArrowRight")
    assert shown(page) == (30, 35)


@pytest.mark.parametrize("first", [0, 500])
def test_webm(first, tmp_path, viewer):
    ticks = [first + round(1000 * k / RATE) for k in range(60)]
    fast = {"cpu-used": "8", "deadline": "realtime"}
    base = Fraction(1, 1000)
    render_video(
        tmp_path / "a.webm", ticks, time_base=base, width=160, height=96, codec="libvpx-vp9", codec_options=fast
    )
    video = make_video(tmp_path / "a.webm", 60, RATE, 160, 96)
    page = viewer(make_alignment(video, video, range(0, 50), range(5, 55)))
    assert shown(page) == (0, 5)
    page.keyboard.press("Shift+ArrowRight")
    assert shown(page) == (30, 35)


def test_rotated_video_stands_upright(tmp_path, viewer):
    def turned(number, height, width):
        from videos import numbered_picture

        return np.rot90(numbered_picture(number, width, height)).copy()

    render_video(tmp_path / "a.mp4", count=40, width=160, height=96, picture=turned, display_matrix=(0, 1, -1, 0))
    video = make_video(tmp_path / "a.mp4", 40, RATE, 96, 160)
    page = viewer(make_alignment(video, video, range(3, 30), range(8, 35)))
    assert shown(page) == (3, 8)
    box = page.locator("#video-a").bounding_box()
    assert box["height"] / box["width"] == pytest.approx(160 / 96, rel=0.02)


UNPLAYABLE = {
    "mpeg4 in avi": ("a.avi", {"codec": "mpeg4", "time_base": 1 / RATE}),
    "h264 in mkv": ("a.mkv", {}),
    "4:4:4": ("a.mp4", {"pixel_format": "yuv444p"}),
}


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "embedded"])
@pytest.mark.parametrize("kind", sorted(UNPLAYABLE))
def test_what_browsers_do_not_play_is_copied(kind, embed, tmp_path, viewer):
    name, options = UNPLAYABLE[kind]
    options = {key: Fraction(1, RATE) if key == "time_base" else value for key, value in options.items()}
    render_video(tmp_path / name, count=60, rate=RATE, width=160, height=96, **options)
    whole = make_video(tmp_path / name, 60, RATE, 160, 96)
    # Only frames 10 to 49 were analysed.
    part = dataclasses.replace(whole, frames=whole.frames[10:50], times=whole.times[10:50])
    page = viewer(make_alignment(part, part, range(0, 30), range(5, 35)), embed=embed)
    copies = [] if embed else ["video_a.mp4", "video_b.mp4"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*copies, "viewer.html"]
    assert shown(page) == said(page) == (10, 15)
    page.keyboard.press("Shift+ArrowRight")
    assert shown(page) == (39, 44) or shown(page) == (40, 45)


def test_an_embedded_page_needs_no_other_file(clips, viewer, tmp_path, open_page):
    page = viewer(make_alignment(*clips, range(10, 60), range(25, 75)), embed=True)
    page.close()
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (tmp_path / "out" / "viewer.html").rename(alone / "page.html")
    clips[0].path.unlink()
    clips[1].path.unlink()
    page = open_page(alone / "page.html")
    settled(page)
    assert shown(page) == (10, 25)


HOSTILE = "</script><script>window.hacked = 1</script>"


def test_names_and_labels_are_text(tmp_path, viewer):
    names = ["<img src=x onerror=hacked=1> \"q\" 'q' &amp; %41#?.mp4", "-->\u202e{{title}} Übung Ж.mp4"]
    for name in names:
        render_video(tmp_path / name, count=40, width=160, height=96)
    videos = [make_video(tmp_path / name, 40, RATE, 160, 96) for name in names]
    labels = (
        [NamedInterval(HOSTILE, 0, 0.5), NamedInterval('x" onclick="hacked=1', 0.5, 2)],
        [NamedInterval("<b>bold</b>", 0, 2)],
    )
    page = viewer(make_alignment(*videos, range(5, 35), range(5, 35), note=HOSTILE), labels=labels)
    assert page.title() == f"{names[0]} and {names[1]}"
    assert page.locator("#name-a").inner_text() == names[0]
    assert page.locator("#name-b").inner_text() == names[1]
    assert page.locator("#note").inner_text() == HOSTILE
    assert page.locator(".panel.a .label").inner_text() == HOSTILE
    assert page.locator(".panel.b .label").inner_text() == "<b>bold</b>"
    assert page.evaluate("() => typeof window.hacked") == "undefined"
    assert shown(page) == (5, 5)


def test_labels_follow_the_place(clips, viewer):
    stretches = [NamedInterval("reach", 0, 20 / RATE), NamedInterval("lift", 20 / RATE, 40 / RATE)]
    page = viewer(
        make_alignment(*clips, range(18, 60), range(18, 60)), labels=(stretches, [NamedInterval("click", 19 / RATE)])
    )
    seen = []
    for _ in range(3):
        seen.append(tuple(page.locator(f".panel.{name} .label").inner_text() for name in ("a", "b")))
        page.keyboard.press("ArrowRight")
    assert seen == [("reach", ""), ("reach", "click"), ("lift", "click")]
    page.keyboard.press("End")
    assert page.locator(".panel.a .label").inner_text() == ""


def test_a_moved_video_is_named(clips, viewer, tmp_path, open_page):
    page = viewer(make_alignment(*clips, range(10, 60), range(25, 75)))
    page.close()
    clips[0].path.rename(tmp_path / "elsewhere.mp4")
    page = open_page(tmp_path / "out" / "viewer.html")
    message = page.locator(".panel.a .broken")
    message.wait_for(state="visible")
    assert message.inner_text().startswith("Cannot play a.mp4.")
    # Chromium itself reports the file that is not there.
    assert all("ERR_FILE_NOT_FOUND" in text for text in page.complaints)
    page.complaints.clear()


def test_without_a_hit_both_play(clips, viewer):
    alignment = make_alignment(*clips, [], [])
    page = viewer(alignment)
    assert shown(page) == (0, 0)
    page.mouse.click(*map_point(page, alignment, 30.5 / RATE, 60.5 / RATE))
    assert shown(page) == (30, 60)
    assert "Nothing matches" in page.locator("#reading").inner_text()


def test_help_light_and_dark(clips, viewer):
    page = viewer(make_alignment(*clips, range(10, 60), range(25, 75)), browser_options={"color_scheme": "dark"})
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 21, 24)"
    page.keyboard.press("t")
    assert page.evaluate(background) == "rgb(244, 244, 241)"
    page.keyboard.press("?")
    assert page.locator("#help-dialog").is_visible()
    page.keyboard.press("]")  # nothing happens behind the dialog
    page.keyboard.press("Escape")
    assert page.locator("#help-dialog").is_hidden()


def test_everything_can_be_reached_and_is_named(clips, viewer):
    alignment = make_alignment(*clips, [*range(15, 20), *range(40, 45)], range(15, 25))
    page = viewer(alignment)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, video, [role=slider], [role=img]')].filter(
            e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id || document.activeElement.textContent.slice(0, 3)"))
    assert {"theme", "help", "play", "step-back", "step-on", "speed", "loop", "ribbon", "free", "A0:"} <= reached
    page.locator("#ribbon").focus()
    page.keyboard.press("End")
    assert page.locator("#ribbon").get_attribute("aria-valuetext").startswith("A 0:01.467, B 0:00.800")


def test_a_finger_scrubs_on_a_phone_without_sideways_scrolling(clips, viewer):
    alignment = make_alignment(*clips, range(10, 60), range(10, 60))
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    page = viewer(alignment, browser_options=phone)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    page.locator("#map").evaluate("map => map.scrollIntoView({ block: 'end' })")
    page.touchscreen.tap(*map_point(page, alignment, 40.2 / RATE, 40.2 / RATE))
    # Map and videos are on the screen together.
    assert shown(page) in [(40, 40), (39, 39), (41, 41)]
    lowest = page.locator("#map").bounding_box()["y"]
    for name in ("a", "b"):
        box = page.locator(f"#video-{name}").bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= lowest


def test_the_whole_map_fits_on_a_phone_held_across(clips, viewer):
    alignment = make_alignment(*clips, range(10, 60), range(10, 60))
    page = viewer(alignment, browser_options={"viewport": {"width": 844, "height": 390}, "has_touch": True})
    box = page.locator("#map").bounding_box()
    assert 300 <= box["width"] <= 844
    assert box["height"] <= 390
