"""Training runs: interrupted, spread over processes, refused, and used."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from lactoolkit.cli import main
from videos import render_video

from lactoolkit import embed_video, extract_store, load_trained_encoder
from lactoolkit.errors import (
    CheckpointError,
    EncoderError,
    OutputError,
    ParameterError,
    TrainingError,
    VideoError,
    VideoWarning,
)
from lactoolkit.features.embedding import prepare_features
from lactoolkit.features.extraction import extract_features
from lactoolkit.models.checkpoint_file import read_checkpoint, write_checkpoint
from lactoolkit.models.map_backbone import MapBackbone
from lactoolkit.models.temporal import context_rows
from lactoolkit.training.config import make_config
from lactoolkit.training.run_folder import BEST, LAST
from lactoolkit.training.sources import training_sources
from lactoolkit.training.trainer import train
from lactoolkit.video.decoding import read_frames

SMALL = {
    "features.encoder": "lite0",
    "features.views": 0,
    "features.components": 16,
    "clips.frames": 12,
    "model.width": 16,
    "model.heads": 2,
    "model.feed_forward": 16,
    "model.output_size": 8,
    "training.steps": 6,
    "training.batch": 4,
    "training.warm_up": 1,
    "training.validate_every": 2,
    "data.held_out": 0.34,
    "loss.name": "lac",
}


def options(**changes):
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    return [f"{name}={value}" for name, value in {**SMALL, **changed}.items()]


def run(source, folder, *, resume=False, strict=False, **changes):
    config = make_config(assignments=options(**changes))
    return train(training_sources(source), folder, config, device="cpu", resume=resume, strict=strict)


def command(source, folder, *more, **changes):
    settings = [word for option in options(**changes) for word in ("--set", option)]
    return [str(word) for word in ("train", source, "-o", folder, "--device", "cpu", *settings, *more)]


def weights(folder, name=LAST):
    content = read_checkpoint(folder / name)
    return {**content["encoder"]["temporal"], **{f"loss.{k}": v for k, v in content["training"]["loss"].items()}}


def losses(folder):
    with open(folder / "log.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole_run(takes, feature_cache, tmp_path_factory):
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(feature_cache))
        result = run(takes, folder)
    return folder, result


def test_a_run_leaves_what_it_promises(whole_run):
    folder, result = whole_run
    assert {"best.pt", "last.pt", "config.toml", "log.csv", "progress.png"} <= {one.name for one in folder.iterdir()}
    assert not [one for one in folder.iterdir() if one.name.startswith(".")]
    assert (result.videos, result.held_out, result.skipped, result.steps) == (4, 2, 0, 6)
    assert len(losses(folder)) == 6
    assert read_checkpoint(folder / BEST)["step"] == result.best_step
    assert make_config(file=folder / "config.toml") == make_config(assignments=options())


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


def test_checkpoints_of_the_first_version_embed_as_they_did(whole_run, takes, tmp_path):
    content = read_checkpoint(whole_run[0] / BEST)
    del content["encoder"]["untrained_weight"], content["config"]["features"]["untrained_weight"]
    path = tmp_path / "old.pt"
    torch.save({**content, "version": 1}, path)
    now, then = (embed_video(takes / "take0.mp4", one, device="cpu") for one in (whole_run[0] / BEST, path))
    assert then.values.shape == (20, 8)
    learnt = now.values[:, :8]
    np.testing.assert_allclose(then.values, learnt / np.linalg.norm(learnt, axis=1, keepdims=True), atol=1e-6)


def test_a_run_of_a_version_with_fewer_options_is_not_gone_on_with(whole_run, takes, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    content = read_checkpoint(whole_run[0] / LAST)
    del content["config"]["features"]["untrained_weight"]
    write_checkpoint(content, folder / LAST)
    with pytest.raises(TrainingError, match=r"without the option features\.untrained_weight"):
        run(takes, folder, resume=True)


def test_maps_cannot_have_untrained_features_beside_them():
    with pytest.raises(ParameterError, match=r"features\.untrained_weight.*maps"):
        make_config("paper", assignments=["features.untrained_weight=1"])
    with pytest.raises(ParameterError, match=r"untrained_weight is -1"):
        make_config(assignments=["features.untrained_weight=-1"])
    assert make_config("paper").features.untrained_weight == 0


def test_a_run_killed_at_any_moment_goes_on_to_the_same_weights(whole_run, takes, tmp_path):
    folder = tmp_path / "run"
    # Steps that take their time, so that the signal falls in the middle of the run.
    program = (
        "import time\n"
        "from lactoolkit.training.run import TrainingRun\n"
        "take = TrainingRun.take_step\n"
        "TrainingRun.take_step = lambda run: (time.sleep(0.3), take(run))[1]\n"
        "from lactoolkit.cli import main\n"
        f"main({command(takes, folder)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(losses(folder) if (folder / "log.csv").exists() else []) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert read_checkpoint(folder / LAST)["step"] < 6
    result = run(takes, folder, resume=True)
    expected_folder, expected = whole_run
    assert result.best_step == expected.best_step
    assert losses(folder) == losses(expected_folder)
    for name, value in weights(expected_folder).items():
        assert torch.equal(weights(folder)[name], value), name


def test_two_processes_give_the_result_of_one_with_the_whole_batch(whole_run, takes, tmp_path):
    changes = {"model__dropout": 0, "training__validate_every": 100, "training__steps": 4}
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    run(takes, alone, **changes)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "lactoolkit.cli"]
    done = subprocess.run(
        [sys.executable, *launch, *command(takes, shared, **changes)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=1e-4)
    # Not the weights themselves: a transformer's key biases change nothing, and Adam moves them by rounding noise.
    one, two = (embed_video(takes / "take5.mp4", folder / LAST).values for folder in (alone, shared))
    np.testing.assert_allclose(two, one, atol=2e-3)


def test_ctrl_c_finishes_the_step_and_writes_the_checkpoint(takes, tmp_path, monkeypatch):
    from lactoolkit.training.run import TrainingRun

    take_step = TrainingRun.take_step

    def interrupted(run):
        if run.step == 2:
            signal.raise_signal(signal.SIGINT)
        return take_step(run)

    monkeypatch.setattr(TrainingRun, "take_step", interrupted)
    result = CliRunner().invoke(main, command(takes, tmp_path / "run", training__validate_every=100))
    assert result.exit_code == 130
    assert read_checkpoint(tmp_path / "run" / LAST)["step"] == 3


def test_a_loss_that_is_no_number_stops_the_run(takes, tmp_path, monkeypatch):
    from lactoolkit.losses.lac import LACLoss

    terms = LACLoss.terms
    calls = []

    def failing(self, *arguments):
        calls.extend([1] if self.training else [])
        parts = terms(self, *arguments)
        return {name: part * (float("nan") if len(calls) == 5 else 1) for name, part in parts.items()}

    monkeypatch.setattr(LACLoss, "terms", failing)
    result = CliRunner().invoke(main, command(takes, tmp_path / "run"))
    assert result.exit_code == 1
    assert "loss of step 5 is nan for the batch" in result.stderr
    assert result.stderr.count("take") >= 4
    kept = read_checkpoint(tmp_path / "run" / LAST)
    assert kept["step"] == 4
    assert all(value.isfinite().all() for value in kept["encoder"]["temporal"].values())


@pytest.mark.parametrize("validate_every", [1, 3])
def test_weights_that_grow_beyond_all_numbers_stop_the_run(takes, tmp_path, validate_every):
    changes = {"training__learning_rate": 1e36, "training__warm_up": 0, "training__validate_every": validate_every}
    result = CliRunner().invoke(main, command(takes, tmp_path / "run", **changes))
    assert result.exit_code == 1
    assert re.search(r"Error: the (loss|gradient|weights|validation loss).* for the batch .*take", result.stderr)
    assert not (tmp_path / "run" / LAST).exists()


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


def test_too_few_videos_are_an_error(takes, tmp_path):
    shutil.copy(next(takes.glob("*.mp4")), tmp_path)
    with pytest.raises(TrainingError, match="at least 2 videos"):
        run(tmp_path, tmp_path / "run")
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


def test_an_unfrozen_stage_is_trained_and_kept(tmp_path):
    # Every picture passes the network in float32: few of them.
    folder = tmp_path / "short"
    folder.mkdir()
    for number in range(4):
        render_video(folder / f"{number}.mp4", count=5 + number)
    changes = {
        "features__inputs": "maps",
        "features__untrained_weight": 0,
        "features__unfreeze": "stage5",
        "model__stem": "convolution",
        "model__stem_width": 8,
        "model__context_stride": 2,
        "clips__frames": 2,
        "training__steps": 2,
        "training__batch": 2,
        "training__validate_every": 1,
        "training__select": "loss",
    }
    result = run(folder, tmp_path / "run", **changes)
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [float(row["validation_loss"]) for row in rows]
    assert result.best_score == pytest.approx(-min(found))
    assert result.best_step == 1 + found.index(min(found))
    encoder = load_trained_encoder(tmp_path / "run" / BEST, device="cpu")
    original = MapBackbone("lite0", unfreeze="stage5")
    pairs = list(zip(original.trained.parameters(), encoder.maps.trained.parameters(), strict=True))
    assert all(not torch.equal(before, after) for before, after in pairs)
    embedded = embed_video(folder / "3.mp4", encoder)
    # All frames at once, where embed_video keeps the maps of a few.
    (batch,) = read_frames(folder / "3.mp4", size=(224, 224))
    with torch.inference_mode():
        maps = encoder.maps(torch.from_numpy(batch.images).permute(0, 3, 1, 2).float() / 255)
        whole = encoder.temporal(maps[context_rows(torch.arange(8), 8, encoder.temporal.config)][None])[0]
    np.testing.assert_allclose(embedded.values, whole.numpy(), atol=1e-4)


def test_the_paper_preset_is_what_the_paper_lists():
    config = make_config("paper")
    model = config.model
    assert (config.features.encoder, model.stem, model.stem_width, model.width) == ("resnet50", "convolution", 512, 256)
    assert (model.layers, model.heads, model.feed_forward, model.output_size) == (2, 8, 1024, 128)
    assert (model.dropout, model.position_code, model.norm_first) == (0.1, "sinusoidal", False)
    assert (config.clips.frames, config.clips.window) == (64, 1.5)
    training = config.training
    assert (training.batch, training.epochs, training.learning_rate, training.weight_decay) == (2, 300, 1e-4, 1e-5)
    assert (config.loss.pairs, config.loss.gaps, config.loss.temperature, config.loss.own_learning_rate) == (
        "within",
        "position",
        0.8,
        0.1,
    )
    assert config.loss.variance == 10


def test_the_folder_of_a_run_is_not_written_over(whole_run, takes, tmp_path):
    folder, _ = whole_run
    with pytest.raises(OutputError, match=r"--resume.*--overwrite"):
        run(takes, folder)
    with pytest.raises(TrainingError, match=r"began with training\.batch = 4, not 6"):
        run(takes, folder, resume=True, training__batch=6)
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(OutputError, match=r"thesis\.doc"):
        run(takes, tmp_path, resume=True)


def test_a_run_that_could_not_begin_leaves_the_folder_free(takes, tmp_path):
    changes = {"features__inputs": "maps", "features__untrained_weight": 0, "model__stem": "convolution"}
    with pytest.raises(EncoderError, match=r"none\.pth"):
        run(takes, tmp_path / "run", features__weights=tmp_path / "none.pth", **changes)
    assert run(takes, tmp_path / "run", training__steps=1, training__validate_every=1).best_step == 1


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
