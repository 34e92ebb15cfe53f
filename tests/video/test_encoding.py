import errno
from types import SimpleNamespace

import av
import numpy as np
import pytest
from videos import numbered_picture, picture_numbers

from lactoolkit.errors import OutputError, ParameterError
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.encoding import VideoWriter


def read_all(path):
    batches = list(read_frames(path))
    return np.concatenate([b.times for b in batches]), np.concatenate([b.images for b in batches])


@pytest.mark.parametrize("rate", [1, 7.5, 24, 25, 29.97, 30000 / 1001, 60, 120])
def test_frames_come_back_at_their_times(tmp_path, rate):
    with VideoWriter(tmp_path / "a.mp4", rate, 96, 64) as writer:
        for number in range(40):
            writer.write(numbered_picture(number))
    times, images = read_all(tmp_path / "a.mp4")
    np.testing.assert_allclose(times, np.arange(40) / rate, atol=1e-5)
    assert picture_numbers(images) == list(range(40))
    assert probe(tmp_path / "a.mp4").frame_rate == pytest.approx(rate, rel=1e-3)


def test_variable_times(tmp_path):
    times = [0.0, 0.1, 0.15, 1.0, 1.001]
    with VideoWriter(tmp_path / "a.mp4", 30, 96, 64) as writer:
        for number, time in enumerate(times):
            writer.write(numbered_picture(number), time)
    np.testing.assert_allclose(read_all(tmp_path / "a.mp4")[0], times, atol=1e-5)


def test_browsers_can_play_it(tmp_path):
    """H.264 in 4:2:0, even size, index before the data, colours declared."""
    path = tmp_path / "partial.tmp"
    with VideoWriter(path, 25, 97, 65) as writer:
        for number in range(5):
            writer.write(numbered_picture(number, 65, 97))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", 96, 64)
        assert (stream.colorspace, stream.color_range) == (1, 1)  # BT.709, limited


def test_colours_survive(tmp_path):
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 100, 50)], np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48, quality=10) as writer:
        for colour in colours:
            writer.write(np.broadcast_to(colour, (48, 64, 3)))
    images = read_all(tmp_path / "a.mp4")[1]
    assert np.abs(images.astype(int) - colours[:, None, None]).max() <= 4


@pytest.mark.parametrize(
    ("image", "time", "name"),
    [
        (np.zeros((64, 95, 3), np.uint8), None, "image"),
        (np.zeros((64, 96, 3), np.float32), None, "image"),
        (np.zeros((64, 96, 3), np.uint8), 0.0, "time"),
    ],
)
def test_unfit_pictures_are_refused(tmp_path, image, time, name):
    with VideoWriter(tmp_path / "a.mp4", 25, 96, 64) as writer:
        writer.write(numbered_picture(0))
        with pytest.raises(ParameterError, match=name):
            writer.write(image, time)


@pytest.mark.parametrize(("rate", "width", "name"), [(0, 96, "frame_rate"), (5000, 96, "frame_rate"), (25, 1, "width")])
def test_parameters_are_checked(tmp_path, rate, width, name):
    with pytest.raises(ParameterError, match=name):
        VideoWriter(tmp_path / "a.mp4", rate, width, 64)
    assert not (tmp_path / "a.mp4").exists()


def test_unwritable_place(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write the video .* check the folder"):
        VideoWriter(tmp_path / "none" / "a.mp4", 25, 96, 64)


def test_full_disk(tmp_path, monkeypatch):
    writer = VideoWriter(tmp_path / "a.mp4", 25, 96, 64)

    def full(frame):
        raise av.error.OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "_container", SimpleNamespace(mux=full, close=lambda: None))
    writer.write(numbered_picture(0))
    with pytest.raises(OutputError, match="the disk is full"):
        writer.close()


def test_the_first_error_is_the_one_reported(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 25, 96, 64)
    writer.write(numbered_picture(0))
    error = ZeroDivisionError()
    assert writer.__exit__(ZeroDivisionError, error, None) is None
