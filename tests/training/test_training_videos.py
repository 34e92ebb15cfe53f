"""Which videos a run learns from and validates on."""

import os
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from training_runs import losses, run
from videos import render_video

from lactoolkit.errors import ManifestError, TrainingError, VideoError, VideoWarning
from lactoolkit.training.data import LoadedVideo
from lactoolkit.training.held_out import hold_out
from lactoolkit.training.sources import training_sources


def test_videos_that_cannot_be_read_are_left_out_and_counted(takes, tmp_path):
    for path in sorted(takes.glob("*.mp4"))[:3]:
        shutil.copy(path, tmp_path)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    shutil.copy(tmp_path / "take0.mp4", tmp_path / "twice.mp4")
    with pytest.warns(VideoWarning) as caught:
        result = run(tmp_path, tmp_path / "run", training__steps=1)
    assert (result.videos, result.skipped) == (3, 2)
    assert sorted(str(one.message).split(":")[0].rsplit(os.sep)[-1] for one in caught) == ["broken.mp4", "twice.mp4"]
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        run(tmp_path, tmp_path / "strict", strict=True)


@pytest.mark.parametrize(
    "changes", [{}, {"features__inputs": "maps", "features__untrained_weight": 0, "model__stem": "convolution"}]
)
def test_videos_in_which_nothing_moves_are_left_out(takes, tmp_path, changes):
    shutil.copy(takes / "take0.mp4", tmp_path)
    render_video(
        tmp_path / "still.mp4", count=5, picture=lambda number, height, width: np.full((height, width, 3), 90, np.uint8)
    )
    with (
        pytest.warns(VideoWarning, match=r"still\.mp4: all its frames look the same"),
        pytest.raises(TrainingError, match="1 video"),
    ):
        run(tmp_path, tmp_path / "run", **changes)
    with pytest.raises(VideoError, match=r"still\.mp4"):
        run(tmp_path, tmp_path / "strict", strict=True, **changes)


def test_a_data_set_s_own_split_is_heeded(takes, tmp_path):
    (tmp_path / "videos").mkdir()
    paths = sorted(takes.glob("*.mp4"))[:3]
    entries = [
        {"name": path.stem, "seq_len": 20 + 2 * k, "frame_label": [0] * (20 + 2 * k)} for k, path in enumerate(paths)
    ]
    for path in paths:
        shutil.copy(path, tmp_path / "videos")
    for split, some in (("train", entries[:2]), ("val", entries[2:])):
        (tmp_path / f"{split}.pkl").write_bytes(pickle.dumps(some))
    assert [path.stem for path, _ in training_sources(tmp_path)] == ["take0", "take1"]


def test_a_folder_that_only_looks_like_a_data_set(takes, tmp_path):
    shutil.copy(takes / "take0.mp4", tmp_path)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"index\.json: not an index.*--layout folder -o LIST\.csv"):
        training_sources(tmp_path)
    with pytest.raises(ManifestError, match=r"no such file"):
        training_sources(tmp_path / "none.csv")


def test_a_data_set_of_images_is_to_be_listed_first(tmp_path):
    (tmp_path / "frames" / "0001").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "frames" / "0001" / "000001.jpg")
    savemat(tmp_path / "labels" / "0001.mat", {"action": "squat", "nframes": 1, "train": 1})
    with pytest.raises(TrainingError, match="lac manifest"):
        training_sources(tmp_path)


def _videos(*classes):
    return [LoadedVideo(Path(f"{k}.mp4"), str(k), name, ()) for k, name in enumerate(classes)]


def test_some_videos_of_each_process_are_held_out():
    videos = _videos(*"aaaaaaaaaabbbbbccc")
    learned, held = hold_out(videos, 0.2, seed=3)
    assert sorted(learned + held, key=lambda video: int(video.sha256)) == videos
    # Two of ten, at least two of five, none of three.
    assert Counter(video.class_name for video in held) == {"a": 2, "b": 2}
    assert hold_out(videos, 0.2, seed=3) == (learned, held)
    assert hold_out(videos, 0.2, seed=4) != (learned, held)
    # Two are always left to learn from.
    assert Counter(video.class_name for video in hold_out(videos, 0.99, seed=0)[0]) == {"a": 2, "b": 2, "c": 3}
    for share, some in ((0, videos), (0.2, videos[-3:])):
        assert hold_out(some, share, seed=0) == (some, some)


def test_too_few_videos_are_an_error(takes, tmp_path):
    shutil.copy(takes / "take0.mp4", tmp_path)
    with pytest.raises(TrainingError, match="at least 2 videos"):
        run(tmp_path, tmp_path / "run")
    shutil.copy(takes / "take1.mp4", tmp_path)
    (tmp_path / "takes.csv").write_text("path,class\ntake0.mp4,one\ntake1.mp4,two\n")
    with pytest.raises(TrainingError, match="a class of its own"):
        run(tmp_path / "takes.csv", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="no videos"):
        run(tmp_path / "empty", tmp_path / "run")


def test_videos_shorter_than_a_clip_are_padded(tmp_path):
    for number, count in enumerate((3, 4, 12)):
        render_video(tmp_path / f"{number}.mp4", count=count)
    result = run(tmp_path, tmp_path / "run", clips__frames=8, training__steps=2)
    assert np.isfinite(losses(tmp_path / "run")).all()
    # Too few to hold any out: they validate, too.
    assert (result.videos, result.held_out) == (3, 0)


def test_learns_from_augmented_copies_too(tmp_path):
    for number in range(3):
        render_video(tmp_path / f"{number}.mp4", count=6 + number)
    result = run(tmp_path, tmp_path / "run", features__views=1, clips__frames=4, training__steps=2)
    assert result.videos == 3
    assert np.isfinite(losses(tmp_path / "run")).all()
