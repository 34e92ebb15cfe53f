import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from videos import picture_numbers, render_audio, render_video, truncate

from lactoolkit.errors import EncoderError, OutputError, ParameterError, VideoWarning
from lactoolkit.features import store_entry
from lactoolkit.features.npy_file import NpyAppender
from lactoolkit.features.store import extract_store
from lactoolkit.models.encoders import load_encoder
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.digest import file_sha256


@pytest.fixture
def clip(tmp_path):
    ticks = [0, 400, 900, 1000, 3000, 3400, 9000]
    times = render_video(tmp_path / "take one.mp4", ticks)
    return tmp_path / "take one.mp4", times


def contents(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def test_jpeg_frames_and_features(tmp_path, clip):
    path, times = clip
    summary = extract_store([path], tmp_path / "store")
    assert (len(summary.done), summary.skipped, summary.failed) == (1, (), ())
    entry = summary.done[0]
    assert entry.folder.name == f"take one-{file_sha256(path)[:8]}"
    assert entry.frames == 7

    index = pd.read_csv(entry.folder / "frames.csv")
    assert index["frame"].tolist() == index["row"].tolist() == list(range(7))
    np.testing.assert_allclose(index["time"], times, atol=1e-9)
    images = np.stack([np.asarray(Image.open(entry.folder / file)) for file in index["file"]])
    assert images.shape == (7, 224, 224, 3)
    assert picture_numbers(images) == list(range(7))

    encoder = load_encoder("lite0")
    decoded = np.concatenate([batch.images for batch in read_frames(path, size=encoder.input_size)])
    features = np.load(entry.folder / "features.npy", mmap_mode="r")
    assert (features.dtype, features.shape) == (np.float32, (7, sum(encoder.tap_sizes)))
    np.testing.assert_allclose(features, encoder(torch.from_numpy(decoded)).numpy(), rtol=1e-2, atol=1e-2)

    manifest = json.loads((entry.folder / "manifest.json").read_text())
    assert manifest["sha256"] == file_sha256(path)
    assert manifest["settings"]["encoder"] == encoder.identity
    assert manifest["source"] == str(path)


def test_array_at_displayed_size_without_features(tmp_path, clip):
    entry = extract_store([clip[0]], tmp_path / "store", frames="array", features=False, size=None).done[0]
    images = np.load(entry.folder / "frames.npy")
    assert (images.dtype, images.shape) == (np.uint8, (7, 64, 96, 3))
    assert picture_numbers(images) == list(range(7))
    assert contents(entry.folder) == ["frames.csv", "frames.npy", "manifest.json"]


def test_frame_rate_and_a_size_of_its_own(tmp_path):
    render_video(tmp_path / "a.mp4", count=60, rate=60)
    entry = extract_store([tmp_path / "a.mp4"], tmp_path / "store", frames="array", size=(32, 48), frame_rate=10).done[
        0
    ]
    assert pd.read_csv(entry.folder / "frames.csv")["frame"].tolist() == list(range(0, 60, 6))
    assert np.load(entry.folder / "frames.npy").shape == (10, 32, 48, 3)
    assert picture_numbers(np.load(entry.folder / "frames.npy")) == list(range(0, 60, 6))
    assert len(np.load(entry.folder / "features.npy")) == 10


def test_features_alone(tmp_path, clip):
    entry = extract_store([clip[0]], tmp_path / "store", frames=None).done[0]
    assert contents(entry.folder) == ["features.npy", "frames.csv", "manifest.json"]


def test_second_run_skips_what_is_complete(tmp_path, clip):
    options = {"frames": "jpeg", "features": False, "size": 32}
    first = extract_store([clip[0]], tmp_path / "store", **options)
    stamp = (first.done[0].folder / "manifest.json").stat().st_mtime_ns
    second = extract_store([clip[0]], tmp_path / "store", **options)
    assert (second.done, second.skipped) == ((), first.done)
    assert (first.done[0].folder / "manifest.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "frames" / "00000003.jpg").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "frames.csv").write_text("row"),
    ],
)
def test_damaged_entries_are_made_anew(tmp_path, clip, damage):
    options = {"frames": "jpeg", "features": False, "size": 32}
    folder = extract_store([clip[0]], tmp_path / "store", **options).done[0].folder
    before = contents(folder)
    damage(folder)
    assert len(extract_store([clip[0]], tmp_path / "store", **options).done) == 1
    assert contents(folder) == before


def test_other_settings_and_other_content_are_made_anew(tmp_path, clip):
    path = clip[0]
    store = tmp_path / "store"
    extract_store([path], store, features=False, size=32)
    assert len(extract_store([path], store, features=False, size=48).done) == 1
    render_video(path, count=3)
    entry = extract_store([path], store, features=False, size=48).done[0]
    assert entry.frames == 3
    assert pd.read_csv(store / "manifest.csv")["frame_count"].tolist().count(3) == 1
    assert len(pd.read_csv(store / "manifest.csv")) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_video_does_not_stop_the_others(tmp_path, workers):
    videos = tmp_path / "videos"
    for camera in ("left", "right"):  # the same base name twice
        (videos / camera).mkdir(parents=True)
        render_video(videos / camera / "take.mp4", count=5 if camera == "left" else 6)
    render_audio(videos / "song.mp4")
    (videos / "notes.txt").write_text("not a video")
    (videos / "._take.mp4").write_bytes(b"not a video either")
    render_video(videos / "zcut.mp4", count=60, container_options={"movflags": "+faststart"})
    truncate(videos / "zcut.mp4", 0.6)
    with pytest.warns(VideoWarning, match=r"zcut\.mp4: truncated"):
        summary = extract_store([videos, videos / "none.mp4"], tmp_path / "store", features=False, workers=workers)
    assert [entry.source.name for entry in summary.done] == ["take.mp4", "take.mp4", "zcut.mp4"]
    assert [entry.frames for entry in summary.done[:2]] == [5, 6]
    assert summary.done[0].folder != summary.done[1].folder
    assert [failure.path.name for failure in summary.failed] == ["song.mp4", "none.mp4"]
    assert all(str(failure.path) in failure.message for failure in summary.failed)
    assert contents(tmp_path / "store")[0] == "manifest.csv"  # and nothing hidden beside it
    assert len(pd.read_csv(tmp_path / "store" / "manifest.csv")) == 3


def test_workers_compute_the_same_features(tmp_path, clip):
    render_video(tmp_path / "b.mp4", count=4)
    sources = [clip[0], tmp_path / "b.mp4"]
    one = extract_store(sources, tmp_path / "one", frames=None)
    two = extract_store(sources, tmp_path / "two", frames=None, workers=2)
    for ours, theirs in zip(one.done, two.done, strict=True):
        a, b = np.load(ours.folder / "features.npy"), np.load(theirs.folder / "features.npy")
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)


def test_failure_half_way_leaves_nothing(tmp_path, clip, monkeypatch):
    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_entry, "_write_manifest", full_disk)
    summary = extract_store([clip[0]], tmp_path / "store", features=False, size=32)
    assert len(summary.failed) == 1
    assert "No space left on device" in summary.failed[0].message
    assert contents(tmp_path / "store") == ["manifest.csv"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process group")
def test_ctrl_c_leaves_no_debris(tmp_path, workers):
    for name in ("a.mp4", "b.mp4"):
        render_video(tmp_path / name, count=4000, width=32, height=32)
    code = (
        "import sys\nfrom lactoolkit.features.store import extract_store\n"
        "if __name__ == '__main__':\n    extract_store(sys.argv[1:3], sys.argv[3], features=False, size=600, "
        f"frames='array', workers={workers})\n"
    )
    (tmp_path / "run.py").write_text(code)
    store = tmp_path / "store"
    command = [sys.executable, "run.py", "a.mp4", "b.mp4", str(store)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    # Until all workers are at work: one that is still starting would print a traceback of its own.
    while len(list(store.glob(".*.partial-*/frames.npy"))) < workers and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert errors.count("KeyboardInterrupt") == 1
    assert contents(store) == []


def test_what_a_killed_run_left_is_removed_after_a_day(tmp_path, clip):
    store = tmp_path / "store"
    for name, age in ((".a.partial-x", 100_000), (".b.partial-x", 10)):
        (store / name).mkdir(parents=True)
        os.utime(store / name, (time.time() - age, time.time() - age))
    extract_store([clip[0]], store, features=False, size=32)
    assert not (store / ".a.partial-x").exists()
    assert (store / ".b.partial-x").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_encoder_without_weights_stops_everything(tmp_path, clip, workers):
    weights = tmp_path / "weights.pt"
    torch.save({"not": torch.zeros(1)}, weights)
    render_video(tmp_path / "b.mp4", count=3)
    with pytest.raises(EncoderError):
        extract_store([clip[0], tmp_path / "b.mp4"], tmp_path / "store", weights=weights, workers=workers)
    assert contents(tmp_path / "store") == []


def test_skipping_needs_no_torch(tmp_path, clip):
    extract_store([clip[0]], tmp_path / "store", frames=None)
    code = (
        "import sys\nfrom lactoolkit.features.store import extract_store\n"
        "print(len(extract_store([sys.argv[1]], sys.argv[2], frames=None).skipped), 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(clip[0]), str(tmp_path / "store")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1 False\n"


def test_a_file_in_the_store_s_place(tmp_path, clip):
    (tmp_path / "store").write_text("")
    with pytest.raises(OutputError, match="a file of this name exists"):
        extract_store([clip[0]], tmp_path / "store")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"frames": "png"}, "frames"),
        ({"frames": None, "features": False}, "nothing to extract"),
        ({"size": 0}, "size"),
        ({"frame_rate": -1}, "frame_rate"),
        ({"workers": 0}, "workers"),
    ],
)
def test_parameters_are_checked_first(tmp_path, options, name):
    with pytest.raises(ParameterError, match=name):
        extract_store(["none.mp4"], tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("rows", [0, 1, 12345])
def test_npy_files_grow(tmp_path, rows):
    values = np.random.default_rng(rows).normal(size=(rows, 3, 2)).astype(np.float32)
    with NpyAppender(tmp_path / "a.npy", (3, 2), values.dtype) as file:
        for part in np.array_split(values, 7):
            file.append(part)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)
