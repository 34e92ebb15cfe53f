"""Data sets in the layouts in which they are published, made here in small."""

import os
import pickle
import struct
from collections import OrderedDict

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat
from videos import numbered_picture, picture_numbers, render_video

from lactoolkit.errors import ManifestError, OutputError, ParameterError, VideoError
from lactoolkit.video.datasets import VideoRecord, read_video_manifest
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.image_sequence import list_images, write_image_sequence
from lactoolkit.video.labels import read_labels
from lactoolkit.video.layouts import check_videos, detect_layout, read_dataset, write_dataset
from lactoolkit.video.restricted_pickle import read_plain_pickle

# Pickles of plain data


PLAIN = [
    {
        "id": 0,
        "name": "ü",
        "seq_len": 3,
        "ratio": 0.5,
        "ok": True,
        "none": None,
        "z": 1j,
        "s": {1},
        "f": frozenset("a"),
    },
    (OrderedDict(a=1), [b"bytes", bytearray(b"x")], -(2**80)),
    np.arange(6).reshape(2, 3),
    np.array([1.5], dtype=">f4"),
    np.array(["a", "bü"]),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.int64(7),
    np.zeros(0),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(tmp_path, protocol):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    content = read_plain_pickle(tmp_path / "x.pkl")
    assert content[:2] == PLAIN[:2]
    for mine, given in zip(content[2:], PLAIN[2:], strict=True):
        np.testing.assert_array_equal(mine, given)
        assert np.asarray(mine).dtype.newbyteorder("=") == np.asarray(given).dtype.newbyteorder("=")


def test_tensors_and_arrays_of_older_numpy_are_read(tmp_path):
    tensors = [torch.arange(5), torch.arange(12).view(3, 4)[:, 1:3], torch.tensor([0.5, 1])]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(tensors))
    for mine, given in zip(read_plain_pickle(tmp_path / "x.pkl"), tensors, strict=True):
        assert torch.equal(mine, given)
    old = pickle.dumps(np.arange(3), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(old)
    assert read_plain_pickle(tmp_path / "old.pkl").tolist() == [0, 1, 2]


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "content",
    [
        Calls(os.system, "touch executed"),
        [{"name": Calls(eval, "open('executed', 'w')")}],
        {"frame_label": np.array([Calls(os.mkdir, "executed")], dtype=object)},
        np.array(["an array of Python objects", None], dtype=object),
        Calls(getattr, "executed", "__class__"),
        Calls(torch.load, "executed"),
        Calls(np.load, "executed"),
        Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(os.mkdir, "executed"))),
        VideoRecord,
    ],
    ids=[
        "system",
        "eval",
        "in an array",
        "objects",
        "getattr",
        "torch.load",
        "numpy.load",
        "in a tensor",
        "a class",
    ],
)
def test_what_is_not_data_is_refused_and_not_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ManifestError, match=r"x\.pkl: (refused|not a pickle)"):
        read_plain_pickle(tmp_path / "x.pkl")
    assert os.listdir(tmp_path) == ["x.pkl"]


def test_damaged_pickles(tmp_path):
    path = tmp_path / "x.pkl"
    whole = pickle.dumps(PLAIN)
    rng = np.random.default_rng(0)
    for length in (0, 1, 10, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ManifestError, match="not a pickle, or a damaged one"):
            read_plain_pickle(path)
    for _ in range(300):  # whatever byte is changed, nothing but a clear error comes of it
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            read_plain_pickle(path)
        except ManifestError as error:
            assert str(path) in str(error)  # noqa: PT017
    with pytest.raises(ManifestError, match="cannot be read"):
        read_plain_pickle(tmp_path / "absent.pkl")


# Pouring and Penn Action of CARL


def carl(folder, entries, penn=False, split="train"):
    """A split as CARL's scripts write it: tensors of labels, paths relative to the folder."""
    listed = []
    for number, (name, labels) in enumerate(entries):
        video = folder / "videos" / f"{name}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        if not video.exists():
            render_video(video, count=len(labels), rate=25)
        entry = {
            "id": number,
            "video_file": os.path.join("videos", f"{name}.mp4"),
            "frame_label": torch.tensor(labels),
            "seq_len": len(labels),
            "name": name,
        }
        listed.append(entry | ({"action_label": 0} if penn else {}))
    content = (listed, [[*range(len(listed))], []]) if penn else listed
    (folder / f"{split}.pkl").write_bytes(pickle.dumps(content))
    return listed


def test_pouring(tmp_path):
    folder = tmp_path / "pouring"
    carl(folder, [("creme_soda_to_mug_real", [0, 0, 1, 2]), ("milk to cup", [0, 1, 1, 4, 4])])
    carl(folder, [("water_to_cup", [0, 3])], split="val")
    assert detect_layout(folder) == "carl"
    records = write_dataset(read_dataset(folder), folder / "pouring.csv")
    assert records == read_video_manifest(folder / "pouring.csv")
    assert [(one.path.name, one.split, one.class_name) for one in records] == [
        ("creme_soda_to_mug_real.mp4", "train", "pouring"),
        ("milk to cup.mp4", "train", "pouring"),
        ("water_to_cup.mp4", "val", "pouring"),
    ]
    labels = read_labels(records[1].labels, frame_count=5)
    assert labels.phases.tolist() == [0, 1, 1, 4, 4]
    assert labels.in_core.all()
    assert check_videos(records) == []


def test_penn_action_of_carl(tmp_path):
    carl(tmp_path, [("0001_baseball_pitch", [0, 1, 1]), ("1500_pullup", [1, 1])], penn=True)
    items = read_dataset(tmp_path, "carl")
    assert [item.record.class_name for item in items] == ["baseball_pitch", "pullup"]
    assert items[0].labels.phases.tolist() == [0, 1, 1]


def test_labels_as_arrays_and_videos_by_name(tmp_path):
    (entry,) = carl(tmp_path, [("one", [0, 0, 1])])
    for labels in (np.array([0, 0, 1]), [0, 0, 1]):
        (tmp_path / "train.pkl").write_bytes(pickle.dumps([{"name": "one", "seq_len": 3, "frame_label": labels}]))
        (item,) = read_dataset(tmp_path)
        assert item.record.path == tmp_path / "videos" / "one.mp4"
        assert item.labels.phases.tolist() == [0, 0, 1]
    assert entry["seq_len"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds a dict, not a list"),
        ([7], "entry 0 is no dict with a 'name'"),
        ([{"name": "one"}], r"entry 0 \(one\): no valid 'seq_len' and 'frame_label'"),
        ([{"name": "one", "seq_len": 2, "frame_label": [0, 0, 1]}], "for each of 2 frames, not int64 of shape"),
        ([{"name": "one", "seq_len": 2, "frame_label": [0.5, 1]}], "must hold a whole number"),
        ([{"name": "one", "seq_len": 1, "frame_label": [-2]}], "must hold a whole number, -1 or more"),
        ([{"name": "none", "seq_len": 1, "frame_label": [0]}], r"entry 0 \(none\): no such file: .*none\.mp4"),
        ([], "no videos in train.pkl"),
    ],
)
def test_other_pickles_are_told_apart(tmp_path, content, message):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "one.mp4").write_bytes(b"video")
    (tmp_path / "train.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ManifestError, match=message):
        read_dataset(tmp_path)


# Penn Action as published


def penn_action(folder, videos):
    """frames/NNNN/*.jpg and labels/NNNN.mat with the fields of the published files."""
    (folder / "labels").mkdir(parents=True)
    for name, (action, count, train) in videos.items():
        (folder / "frames" / name).mkdir(parents=True)
        for number in range(count):
            image = numbered_picture(number, 48, 64)
            cv2.imwrite(str(folder / "frames" / name / f"{number + 1:06d}.jpg"), image)
        pose = np.zeros((count, 13))
        savemat(
            folder / "labels" / f"{name}.mat",
            {
                "action": action,
                "pose": "back",
                "x": pose,
                "y": pose,
                "visibility": pose,
                "train": train,
                "bbox": np.zeros((count, 4)),
                "dimensions": np.array([[48, 64, count]]),
                "nframes": count,
            },
        )
    return folder


@pytest.fixture
def penn(tmp_path):
    videos = {"0001": ("baseball_pitch", 12, 1), "0002": ("squat", 5, -1)}
    return penn_action(tmp_path / "Penn_Action", videos)


def test_penn_action_as_published(penn, tmp_path):
    assert detect_layout(penn) == "penn-action"
    records = write_dataset(read_dataset(penn), tmp_path / "penn.csv", frame_rate=50)
    assert records == [
        VideoRecord(tmp_path / "penn_videos" / "0001.mp4", "train", "baseball_pitch"),
        VideoRecord(tmp_path / "penn_videos" / "0002.mp4", "val", "squat"),
    ]
    assert read_video_manifest(tmp_path / "penn.csv") == records
    assert check_videos(records) == []
    (batch,) = read_frames(records[0].path)
    assert picture_numbers(batch.images) == list(range(12))
    np.testing.assert_allclose(batch.times, np.arange(12) / 50, atol=1e-4)
    assert sorted(file.name for file in (tmp_path / "penn_videos").iterdir()) == ["0001.mp4", "0002.mp4"]


def test_videos_that_are_there_are_kept(penn, tmp_path):
    write_dataset(read_dataset(penn), tmp_path / "penn.csv")
    before = (tmp_path / "penn_videos" / "0001.mp4").stat().st_mtime_ns
    (tmp_path / "penn.csv").unlink()  # as after an interruption
    (tmp_path / "penn_videos" / "0002.mp4").unlink()
    write_dataset(read_dataset(penn), tmp_path / "penn.csv")
    assert (tmp_path / "penn_videos" / "0001.mp4").stat().st_mtime_ns == before
    with pytest.raises(OutputError, match=r"penn\.csv: exists already"):
        write_dataset(read_dataset(penn), tmp_path / "penn.csv")
    write_dataset(read_dataset(penn), tmp_path / "penn.csv", frame_rate=10, overwrite=True)
    assert probe(tmp_path / "penn_videos" / "0001.mp4").frame_rate == 10


def test_damaged_penn_action(penn):
    (penn / "frames" / "0001" / "000003.jpg").unlink()
    with pytest.raises(ManifestError, match=r"0001: 11 frames, but .*0001\.mat says 12"):
        read_dataset(penn)
    savemat(penn / "labels" / "0001.mat", {"action": "squat"})
    with pytest.raises(ManifestError, match=r"0001\.mat: not a Penn Action label file"):
        read_dataset(penn)
    for content in (b"", b"no MATLAB file at all", struct.pack("<200i", *range(200))):
        (penn / "labels" / "0001.mat").write_bytes(content)
        with pytest.raises(ManifestError, match=r"0001\.mat: not a Penn Action label file"):
            read_dataset(penn)


def test_images_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("img10.jpg", "img9.PNG", "img1.jpg", ".img2.jpg", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in list_images(tmp_path)] == ["img1.jpg", "img9.PNG", "img10.jpg"]


def test_images_that_make_no_video(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    with pytest.raises(VideoError, match="no images in this folder"):
        write_image_sequence(folder, tmp_path / "out.mp4")
    cv2.imwrite(str(folder / "1.png"), numbered_picture(0, 48, 64))
    cv2.imwrite(str(folder / "2.png"), numbered_picture(0, 48, 66))
    with pytest.raises(VideoError, match=r"2\.png: 66 x 48 pixels, but the first image has 64 x 48"):
        write_image_sequence(folder, tmp_path / "out.mp4")
    (folder / "2.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"2\.png: not an image"):
        write_image_sequence(folder, tmp_path / "out.mp4")
    assert os.listdir(tmp_path) == ["frames"]


# All layouts


def test_layouts_are_told_by_their_files(tmp_path):
    assert detect_layout(tmp_path) == "folder"
    assert detect_layout(tmp_path / "list.csv") == "csv"
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "index.json").write_text('{"videos": []}')
    assert detect_layout(tmp_path) == detect_layout(tmp_path / "task") == "indexed"
    with pytest.raises(ParameterError, match="layout must be"):
        read_dataset(tmp_path, "unknown")


def test_two_videos_of_one_name(tmp_path):
    carl(tmp_path, [("one", [0])])
    carl(tmp_path, [("one", [0])], split="val")
    with pytest.raises(ManifestError, match="two videos are named 'one'"):
        write_dataset(read_dataset(tmp_path), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_check_tells_every_problem(tmp_path):
    render_video(tmp_path / "good.mp4", count=4)
    (tmp_path / "bad.mp4").write_text("text")
    (tmp_path / "short.csv").write_text("frame,phase\n0,0\n1,0\n")
    problems = check_videos(
        [
            VideoRecord(tmp_path / "good.mp4"),
            VideoRecord(tmp_path / "bad.mp4"),
            VideoRecord(tmp_path / "good.mp4", labels=tmp_path / "short.csv"),
        ]
    )
    assert len(problems) == 2
    assert "bad.mp4" in problems[0]
    assert "labels for 2 frames, but the video has 4" in problems[1]
