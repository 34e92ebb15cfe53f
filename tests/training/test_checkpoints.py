"""Checkpoints: used, damaged, refused, and disks that are full."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from lactoolkit.cli import main
from training_runs import run

from lactoolkit import embed_video, extract_store, load_trained_encoder
from lactoolkit.errors import CheckpointError, EncoderError, LacToolkitWarning, OutputError
from lactoolkit.features.embedding import prepare_features
from lactoolkit.features.extraction import extract_features
from lactoolkit.models.checkpoint_file import read_checkpoint, write_checkpoint
from lactoolkit.training import run_folder
from lactoolkit.training.run_folder import BEST, LAST


def test_checkpoints_of_the_first_version_embed_as_they_did(whole_run, takes, tmp_path):
    content = read_checkpoint(whole_run[0] / BEST)
    del content["encoder"]["untrained_weight"], content["config"]["features"]["untrained_weight"]
    path = tmp_path / "old.pt"
    torch.save({**content, "version": 1}, path)
    now, then = (embed_video(takes / "take0.mp4", one, device="cpu") for one in (whole_run[0] / BEST, path))
    assert then.values.shape == (20, 8)
    learnt = now.values[:, :8]
    np.testing.assert_allclose(then.values, learnt / np.linalg.norm(learnt, axis=1, keepdims=True), atol=1e-6)


def test_the_checkpoint_embeds_videos_like_its_encoder(whole_run, takes):
    folder, _ = whole_run
    path = takes / "take0.mp4"
    encoder = load_trained_encoder(folder / BEST, device="cpu")
    named, loaded = embed_video(path, folder / BEST, device="cpu"), embed_video(path, encoder)
    untrained = embed_video(path, "lite0", device="cpu").values
    assert named.values.shape == (20, 8 + untrained.shape[1])
    np.testing.assert_allclose(np.linalg.norm(named.values, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(named.values, loaded.values)
    np.testing.assert_allclose(embed_video(path, encoder, cache=False).values, named.values, atol=1e-6)
    assert named.encoder == loaded.encoder == encoder.identity
    # Cosines are the mean of what was learnt and of what the frame encoder gives without training.
    features = extract_features(path, "lite0", device="cpu")
    learnt = encoder.embed(prepare_features(features.values, features.tap_sizes, "motion"))
    assert learnt.shape == (20, 8)
    expected = (learnt @ learnt.T + 1.5**2 * untrained @ untrained.T) / (1 + 1.5**2)
    np.testing.assert_allclose(named.values @ named.values.T, expected, atol=1e-5)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / LAST
    write_checkpoint({"step": 1}, path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match=r"last\.pt.*No space left"):
        write_checkpoint({"step": 2}, path)
    assert read_checkpoint(path)["step"] == 1
    assert os.listdir(tmp_path) == [LAST]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of file sizes")
def test_a_checkpoint_that_does_not_fit_says_what_the_system_says(tmp_path):
    program = (
        "import resource, signal, torch\n"
        "from lactoolkit.models.checkpoint_file import write_checkpoint\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"write_checkpoint({{'weights': torch.zeros(100_000)}}, Path({str(tmp_path / LAST)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    # None was written before, so none can be intact.
    assert done.stderr.strip().endswith("cannot be written (File too large); free some space and go on with --resume")
    assert os.listdir(tmp_path) == []


class _Command:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_checkpoint_that_asks_for_more_than_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "lactoolkit checkpoint", "version": 2, "encoder": _Command()}, "best.pt")
    with pytest.raises(CheckpointError, match="nothing in it has been run") as caught:
        load_trained_encoder("best.pt")
    assert "weights_only" not in str(caught.value)
    assert os.listdir() == ["best.pt"]


@pytest.mark.parametrize("lost", ["optimiser", "best_step", "loss"])
def test_a_run_does_not_go_on_from_half_a_state(whole_run, takes, tmp_path, lost):
    folder = tmp_path / "run"
    shutil.copytree(whole_run[0], folder)
    content = read_checkpoint(folder / LAST)
    del content["training"][lost]
    write_checkpoint(content, folder / LAST)
    with pytest.raises(CheckpointError, match=f"not whole.*{lost}.*--overwrite"):
        run(takes, folder, resume=True)
    (folder / LAST).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"last\.pt: damaged.*start anew with --overwrite"):
        run(takes, folder, resume=True)


@pytest.mark.parametrize("damage", [b"\xac\0\xff", b"a,b\n1,2\n"])
def test_a_damaged_log_begins_anew(whole_run, takes, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(whole_run[0], folder)
    (folder / "log.csv").write_bytes(damage)
    with pytest.warns(LacToolkitWarning, match=r"log\.csv: damaged"):
        assert run(takes, folder, resume=True).best_step == whole_run[1].best_step


@pytest.mark.parametrize("frames", [None, "array"])
def test_a_store_holds_a_checkpoint_s_embeddings(whole_run, takes, tmp_path, frames):
    video = takes / "take0.mp4"
    checkpoint = str(whole_run[0] / BEST)
    entry = extract_store([video], tmp_path / "store", frames=frames, encoder=checkpoint).done[0]
    expected = embed_video(video, checkpoint)
    np.testing.assert_allclose(np.load(entry.folder / "embeddings.npy"), expected.values, atol=1e-6)
    assert pd.read_csv(entry.folder / "frames.csv")["frame"].tolist() == expected.frames.tolist()
    assert (entry.folder / "frames.npy").exists() == (frames is not None)
    assert not (entry.folder / "features.npy").exists()
    assert len(extract_store([video], tmp_path / "store", frames=frames, encoder=checkpoint).skipped) == 1


def test_the_revision_of_somebody_else_s_clone_is_not_ours(tmp_path, monkeypatch):
    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    file = tmp_path / "run_folder.py"
    file.touch()
    git("init")
    git("-c", "user.name=x", "-c", "user.email=x", "commit", "--allow-empty", "-m", "theirs")
    monkeypatch.setattr(run_folder, "__file__", str(file))
    provenance = run_folder.provenance.__wrapped__  # the first answer is kept
    assert provenance()["git"] == ""
    git("add", file.name)
    assert provenance()["git"] == git("rev-parse", "HEAD")


def test_the_folder_of_a_run_is_told_from_its_checkpoint(whole_run, takes):
    with pytest.raises(EncoderError, match=r"choose one of: lite0.*run/best\.pt of the training run"):
        embed_video(takes / "take0.mp4", str(whole_run[0]))


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "text", "weights", "newer"])
def test_files_that_are_no_checkpoint_end_with_status_1(whole_run, takes, tmp_path, damage):
    path = tmp_path / "best.pt"
    content = bytearray((whole_run[0] / BEST).read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("hello")
    elif damage == "weights":
        torch.save({"weight": torch.zeros(3)}, path)
    elif damage == "newer":
        write_checkpoint({}, path)
        torch.save({**torch.load(path, weights_only=True), "version": 99}, path)
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        load_trained_encoder(path)
    videos = sorted(map(str, takes.glob("*.mp4")))[:2]
    result = CliRunner().invoke(main, ["align", *videos, "--encoder", str(path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: checkpoint")
