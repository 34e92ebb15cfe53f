from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
from videos import (
    assert_reads_as,
    numbered_picture,
    picture_number,
    picture_numbers,
    read_all,
    render_video,
)

from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.video import decoding
from lactoolkit.video.decoding import probe, read_frames

FRAME = Fraction(1, 30)


# Matroska stores milliseconds.
FORMATS = {
    "h264": ("a.mp4", {}),
    "no b-frames": ("a.mp4", {"b_frames": 0}),
    "60 fps": ("a.mp4", {"rate": 60}),
    "late start": ("a.mp4", {"first_tick": 12_000 * 3600}),
    "huge start": ("a.ts", {"first_tick": 12_000 * 80_000}),
    "negative start": ("a.mkv", {"first_tick": -2400}),
    "audio": ("a.mp4", {"audio": True}),
    "cover picture": ("a.mp4", {"cover": True}),
    "hevc": ("a.mp4", {"codec": "libx265", "codec_options": {"x265-params": "log-level=none"}}),
    "vp8 with invisible frames": ("a.webm", {"codec": "libvpx"}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9"}),
    "avi, decoding order": ("a.avi", {"time_base": FRAME}),
    "avi, packed": ("a.avi", {"codec": "mpeg4", "time_base": FRAME}),
    "mpeg-1": ("a.mpg", {"codec": "mpeg1video", "time_base": FRAME}),
    "mpeg-2": ("a.ts", {"codec": "mpeg2video", "time_base": FRAME}),
    "fragmented": ("a.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "odd 4:2:0": ("a.mkv", {"codec": "ffv1", "width": 97, "height": 65}),
    "odd 4:4:4": ("a.mp4", {"width": 97, "height": 65, "pixel_format": "yuv444p"}),
    "10 bit": ("a.mp4", {"pixel_format": "yuv420p10le"}),
    "grey": ("a.mkv", {"codec": "ffv1", "pixel_format": "gray"}),
    "grey, 16 bit": ("a.mkv", {"codec": "ffv1", "pixel_format": "gray16le"}),
    "alpha": ("a.mov", {"codec": "qtrle", "pixel_format": "argb"}),
    "alpha, 10 bit": ("a.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}),
    "alpha, vp9": ("a.webm", {"codec": "libvpx-vp9", "pixel_format": "yuva420p"}),
    "gif": ("a.gif", {"codec": "gif", "pixel_format": "rgb8", "rate": 25}),
    "one frame": ("a.mp4", {"count": 1}),
}


@pytest.mark.parametrize(("name", "options"), FORMATS.values(), ids=FORMATS.keys())
def test_every_frame_with_its_number_and_time(tmp_path, name, options):
    times = render_video(tmp_path / name, **options)
    assert_reads_as(tmp_path / name, times, tolerance=6e-4 if name.endswith(("mkv", "webm")) else 1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("threads", [1, 16])
def test_short_videos_that_come_out_when_the_decoder_is_drained(tmp_path, monkeypatch, count, threads):
    open_video = decoding.open_video

    @contextmanager
    def open_with_threads(path):
        with open_video(path) as (container, stream):
            stream.thread_count = threads
            yield container, stream

    monkeypatch.setattr(decoding, "open_video", open_with_threads)
    times = render_video(tmp_path / "a.mp4", count=count)
    assert_reads_as(tmp_path / "a.mp4", times)


def test_variable_frame_rate_keeps_its_times(tmp_path):
    ticks = [0, 400, 900, 1000, 3000, 3400, 9000, 9100, 40_000, 40_001]
    times = render_video(tmp_path / "a.mp4", ticks)
    assert_reads_as(tmp_path / "a.mp4", times)


def test_colours_of_limited_and_full_range(tmp_path):
    colours = np.array([(255, 255, 255), (0, 0, 0), (200, 100, 50), (0, 0, 255)], dtype=np.uint8)

    def plain(number, height, width):
        return np.broadcast_to(colours[number], (height, width, 3)).copy()

    for codec, pixel_format in (("libx264", "yuv444p"), ("mjpeg", "yuvj444p"), ("ffv1", "bgra")):
        options = {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {"crf": "1"} if codec == "libx264" else {}
        render_video(
            tmp_path / "a.mkv", count=4, codec=codec, pixel_format=pixel_format, picture=plain, codec_options=options
        )
        images = read_all(tmp_path / "a.mkv")[2]
        assert np.abs(images.astype(int) - colours[:, None, None]).max() <= 4, codec


def test_frames_cut_off_by_an_edit_list_do_not_count(tmp_path):
    # The muxer hides frames with negative times: players, and we, see a video that begins with picture 6.
    render_video(tmp_path / "a.mp4", count=30, first_tick=-6 * 400)
    frames, times, images = read_all(tmp_path / "a.mp4")
    assert frames.tolist() == list(range(24))
    assert picture_numbers(images) == list(range(6, 30))
    np.testing.assert_allclose(times, np.arange(24) / 30, atol=1e-9)


def test_size_resizes_by_area(tmp_path):
    def stripes(number, height, width):  # columns alternate 0, 200: area averaging gives 100, point sampling 0 or 200
        return np.repeat(np.where(np.arange(width) % 2, 200, 0).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)

    render_video(tmp_path / "a.mkv", count=1, codec="ffv1", pixel_format="bgra", picture=stripes, width=96, height=64)
    images = read_all(tmp_path / "a.mkv", size=(16, 24))[2]
    assert images.shape == (1, 16, 24, 3)
    assert np.abs(images.astype(int) - 100).max() <= 2


def test_batches(tmp_path):
    render_video(tmp_path / "a.mp4", count=10)
    batches = list(read_frames(tmp_path / "a.mp4", batch_size=4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert all(batch.images.flags.c_contiguous for batch in batches)


@pytest.mark.parametrize(
    ("matrix", "turn", "rotation"),
    [
        # ISO/IEC 14496-12: (a, b, c, d) sends (p, q) to (ap + cq, bp + dq), q downwards.
        ((1, 0, 0, 1), lambda image: image, 0),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1), 90),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2), 180),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1), 270),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1], 0),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2), 270),
    ],
)
def test_display_matrix_turns_pictures_upright(tmp_path, matrix, turn, rotation):
    # Marked corners: red top left, blue top right.
    def corners(number, height, width):
        image = np.full((height, width, 3), 128, dtype=np.uint8)
        image[:16, :16] = (250, 10, 10)
        image[:16, -16:] = (10, 10, 250)
        return image

    path = tmp_path / "a.mp4"
    render_video(path, count=2, picture=corners, display_matrix=matrix, pixel_format="yuv444p")
    expected = turn(corners(0, 64, 96)).astype(int)
    image = read_all(path)[2][0]
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 6
    info = probe(path)
    assert (info.height, info.width, info.rotation) == (*expected.shape[:2], rotation)
    assert read_all(path, size=(40, 20))[2].shape == (2, 40, 20, 3)


def test_phone_video_agrees_with_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV does not load here", exc_type=ImportError)
    path = tmp_path / "a.mp4"
    render_video(
        path,
        display_matrix=(0, 1, -1, 0),
        picture=lambda number, height, width: np.ascontiguousarray(np.rot90(numbered_picture(number, width, height))),
    )
    ours = read_all(path)[2]
    capture = cv2.VideoCapture(str(path))
    theirs = []
    while True:
        found, image = capture.read()
        if not found:
            break
        theirs.append(image[:, :, ::-1])
    assert picture_numbers(ours) == picture_numbers(theirs) == list(range(30))
    assert np.abs(ours.astype(int) - np.stack(theirs)).mean() < 3


def test_probe(tmp_path):
    render_video(tmp_path / "a.mp4", count=45, rate=60, width=98)
    info = probe(str(tmp_path / "a.mp4"))
    assert (info.width, info.height, info.frame_count, info.rotation) == (98, 64, 45, 0)
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")
    assert info.frame_rate == pytest.approx(60)
    assert info.duration == pytest.approx(0.75)
    render_video(tmp_path / "a.mkv", first_tick=12_000 * 100)
    assert probe(tmp_path / "a.mkv").duration == pytest.approx(1)
    assert probe(tmp_path / "a.mkv").frame_count == 30


# Sampling by time.


def nearest_frames(times, rate, last):
    """The definition, frame by frame: those nearest to a tick; the earlier one on a tie."""
    ticks = np.arange(int(np.floor(last * rate + 1e-6)) + 1) / rate
    return sorted({int(np.argmin(np.round(np.abs(times - tick), 9))) for tick in ticks})


@pytest.mark.parametrize("rate", [1, 7, 10, 12.5, 20, 24, 29.97, 30, 60])
@pytest.mark.parametrize("native", [24, 30, 60])
def test_frame_rate_keeps_the_nearest_frames(tmp_path, native, rate):
    times = render_video(tmp_path / "a.mp4", count=64, rate=native, width=32, height=32)
    frames, seconds, images = read_all(tmp_path / "a.mp4", frame_rate=rate)
    assert frames.tolist() == nearest_frames(times, rate, times[-1] + 0.5 / native)
    np.testing.assert_allclose(seconds, times[frames], atol=1e-9)
    assert picture_numbers(images) == frames.tolist()


def test_frame_rate_on_variable_frame_rate(tmp_path):
    random = np.random.default_rng(3)
    ticks = np.concatenate([[0], np.cumsum(random.choice([100, 400, 401, 5000], size=59))]).tolist()
    times = render_video(tmp_path / "a.mp4", ticks, width=32, height=32)
    for rate in (2, 5, 30):
        frames = read_all(tmp_path / "a.mp4", frame_rate=rate)[0]
        assert frames.tolist() == nearest_frames(times, rate, times[-1] + (times[-1] - times[-2]) / 2)


# Start and end.


@pytest.mark.parametrize("batch_size", [1, 32])
def test_start_and_end_are_half_open(tmp_path, batch_size):
    render_video(tmp_path / "a.mp4")
    frames, times, images = read_all(tmp_path / "a.mp4", start=0.2, end=0.5, batch_size=batch_size)
    assert frames.tolist() == picture_numbers(images) == list(range(6, 15))
    np.testing.assert_allclose(times, np.arange(6, 15) / 30, atol=1e-9)


def test_times_as_shown_name_the_frame(tmp_path):
    render_video(tmp_path / "a.mp4")  # frame 2 is at 0.06667 s and shown as 0:00.067
    assert read_all(tmp_path / "a.mp4", start=0.067, end=0.1)[0].tolist() == [2]


LONG = {
    "scene cuts": ("a.mp4", {}),
    "late start": ("a.mp4", {"first_tick": 99_999}),
    "open GOP": ("a.mp4", {"gop": 40, "codec_options": {"x264-params": "open-gop=1:scenecut=0:keyint=40"}}),
    "few keyframes": ("a.mp4", {"gop": 250, "codec_options": {"x264-params": "scenecut=0"}}),
    "mkv": ("a.mkv", {}),
    "ts": ("a.ts", {}),
    "avi": ("a.avi", {"time_base": FRAME}),
    "vp8": ("a.webm", {"codec": "libvpx"}),
    "hidden lead-in": ("a.mp4", {"first_tick": -6 * 400}),
}


@pytest.mark.parametrize(("name", "options"), LONG.values(), ids=LONG.keys())
def test_numbers_stay_exact_after_seeking(tmp_path, name, options):
    path = tmp_path / name
    render_video(path, count=480, width=32, height=32, **options)
    all_frames, all_times, all_images = read_all(path)
    hidden = picture_number(all_images[0])
    coarse = read_all(path, frame_rate=7)[0]
    for start, end in ((10.5, 11.0), (12.01, 12.3), (15.5, None)):
        wanted = (all_times >= start - 5e-4) & (all_times < (end or 99) - 5e-4)
        frames, times, images = read_all(path, start=start, end=end)
        assert frames.tolist() == all_frames[wanted].tolist()
        assert picture_numbers(images) == (frames + hidden).tolist()
        np.testing.assert_allclose(times, all_times[wanted], atol=1e-9)
        thinned = read_all(path, start=start, end=end, frame_rate=7)[0]
        assert thinned.tolist() == [frame for frame in coarse if wanted[frame]]


def test_seeking_does_not_decode_what_comes_before(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    render_video(path, count=480, width=32, height=32)
    points = []
    find = decoding.find_seek_point
    monkeypatch.setattr(decoding, "find_seek_point", lambda *args: points.append(find(*args)) or points[-1])
    read_all(path, start=14.0, end=14.1)
    assert 400 <= points[0].number <= 420


# Damage.


def test_range_without_frames(tmp_path):
    render_video(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"no frame between 0:05\.000 and the end; the last frame is at 0:00\.967"):
        next(read_frames(tmp_path / "a.mp4", start=5))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"size": (0, 10)}, "size"),
        ({"size": (10,)}, "size"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"frame_rate": float("nan")}, "frame_rate"),
        ({"start": -1}, "start"),
        ({"start": 2, "end": 2}, "end"),
        ({"end": float("nan")}, "end"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_parameters_are_checked_before_reading(options, name):
    with pytest.raises(ParameterError, match=name):
        read_frames("none.mp4", **options)


def test_memory_does_not_grow_with_length(tmp_path):
    """Frames held at a time, counted through the batches' lifetime: a reader that kept them would hold them all."""
    import weakref

    render_video(tmp_path / "a.mp4", count=200, width=32, height=32)
    alive: list[weakref.ref] = []
    for batch in read_frames(tmp_path / "a.mp4", batch_size=10):
        alive = [ref for ref in alive if ref() is not None]
        alive.append(weakref.ref(batch.images))
        assert len(alive) <= 3


def test_pixel_aspect_ratio_gives_the_displayed_size(tmp_path):
    render_video(tmp_path / "a.mp4", count=3, codec_options={"aspect": "2"}, width=96, height=64)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (192, 64)
    assert_reads_as(tmp_path / "a.mp4", np.arange(3) / 30)
    assert read_all(tmp_path / "a.mp4")[2].shape == (3, 64, 192, 3)
