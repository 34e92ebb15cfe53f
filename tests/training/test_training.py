"""Training runs: what they leave, interrupted, spread over processes, refused."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from lactoolkit.cli import main
from training_runs import command, losses, options, run, weights
from videos import render_video

from lactoolkit import embed_video, load_trained_encoder
from lactoolkit.errors import (
    EncoderError,
    LacToolkitWarning,
    OutputError,
    ParameterError,
    TrainingError,
)
from lactoolkit.models.checkpoint_file import read_checkpoint, write_checkpoint
from lactoolkit.models.map_backbone import MapBackbone
from lactoolkit.models.temporal import context_rows
from lactoolkit.training import trainer
from lactoolkit.training.config import make_config
from lactoolkit.training.run import TrainingRun
from lactoolkit.training.run_folder import BEST, LAST
from lactoolkit.training.trainer import TrainingResult
from lactoolkit.video.decoding import read_frames


def test_a_run_leaves_what_it_promises(whole_run):
    folder, result = whole_run
    assert {"best.pt", "last.pt", "config.toml", "log.csv", "progress.png"} <= {one.name for one in folder.iterdir()}
    assert not [one for one in folder.iterdir() if one.name.startswith(".")]
    assert (result.videos, result.held_out, result.skipped, result.steps) == (4, 2, 0, 6)
    assert len(losses(folder)) == 6
    assert read_checkpoint(folder / BEST)["step"] == result.best_step
    assert make_config(file=folder / "config.toml") == make_config(assignments=options())


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
    assert done.stdout.count("Learned from 4 videos in 4 steps") == done.stdout.count("from step 4") == 1
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=1e-4)
    # Not the weights themselves: a transformer's key biases change nothing, and Adam moves them by rounding noise.
    one, two = (embed_video(takes / "take5.mp4", folder / LAST).values for folder in (alone, shared))
    np.testing.assert_allclose(two, one, atol=2e-3)


def test_ctrl_c_finishes_the_step_and_writes_the_checkpoint(takes, tmp_path, monkeypatch):
    take_step = TrainingRun.take_step

    def interrupted(run):
        if run.step == 2:
            signal.raise_signal(signal.SIGINT)
        return take_step(run)

    monkeypatch.setattr(TrainingRun, "take_step", interrupted)
    result = CliRunner().invoke(main, command(takes, tmp_path / "run", training__validate_every=100))
    assert result.exit_code == 130
    assert "Interrupted.\n3 of 6 steps are kept; the same command goes on with --resume." in result.stderr
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


# Every picture passes the network in float32: few of them.
ON_PICTURES = {
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


def render_short(folder):
    folder.mkdir()
    for number in range(4):
        render_video(folder / f"{number}.mp4", count=5 + number)
    return folder


def test_a_run_on_pictures_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    folder = render_short(tmp_path / "short")
    run(folder, tmp_path / "whole", **ON_PICTURES)
    take_step = TrainingRun.take_step

    def stopped(run):
        if run.step == 1:
            raise KeyboardInterrupt
        return take_step(run)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "take_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(folder, tmp_path / "run", **ON_PICTURES)
    run(folder, tmp_path / "run", resume=True, **ON_PICTURES)
    whole, resumed = (read_checkpoint(tmp_path / name / LAST) for name in ("whole", "run"))
    assert whole["step"] == resumed["step"] == 2
    for part in ("temporal", "maps"):  # running means of batch normalisation among them
        for name, value in whole["encoder"][part].items():
            assert torch.equal(resumed["encoder"][part][name], value), name


def test_an_unfrozen_stage_is_trained_and_kept(tmp_path):
    folder = render_short(tmp_path / "short")
    result = run(folder, tmp_path / "run", **ON_PICTURES)
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


@pytest.mark.parametrize(
    ("select", "score", "said"),
    [
        ("alignment", 0.7, "validation score 0.700"),
        ("alignment", -0.1, "validation score -0.100: videos align no better than played backwards"),
        ("loss", -0.4, "validation loss 0.400"),
    ],
)
def test_the_command_says_how_good_the_best_checkpoint_is(takes, tmp_path, monkeypatch, select, score, said):
    best = TrainingResult(
        Path("run/best.pt"), Path("run/last.pt"), 25, score, steps=50, videos=4, held_out=0, skipped=1
    )
    monkeypatch.setattr(trainer, "train", lambda *_, **__: best)
    result = CliRunner().invoke(main, command(takes, tmp_path, training__select=select))
    lines = result.stdout.splitlines()
    assert lines[0] == "Learned from 4 videos in 50 steps, validated on the same; 1 left out (see the warnings)."
    assert lines[1].startswith(f"run/best.pt: from step 25, {said}")
    assert lines[2] == "Use it: lac align A B --encoder run/best.pt"


def test_positions_that_count_frames_are_warned_of(takes, tmp_path):
    with pytest.warns(LacToolkitWarning, match="number of a frame"):
        run(takes, tmp_path / "run", training__steps=1, model__position_code="sinusoidal")


def test_the_folder_of_a_run_is_not_written_over(whole_run, takes, tmp_path):
    folder, _ = whole_run
    with pytest.raises(OutputError, match=r"--resume.*--overwrite"):
        run(takes, folder)
    with pytest.raises(TrainingError, match=r"began with training\.batch = 4, not 6"):
        run(takes, folder, resume=True, training__batch=6)
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(OutputError, match=r"thesis\.doc"):
        run(takes, tmp_path, resume=True)


def test_a_run_goes_on_with_the_options_it_began_with(takes, tmp_path):
    folder = tmp_path / "run"
    run(takes, folder, training__steps=4)
    (folder / ".last.pt.123").write_text("half of a checkpoint that was being written")
    result = CliRunner().invoke(main, ["train", str(takes), "-o", str(folder), "--resume", "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Learned from 4 videos in 4 steps")
    assert not (folder / ".last.pt.123").exists()
    result = CliRunner().invoke(
        main, ["train", str(takes), "-o", str(folder), "--resume", "--steps", "5", "--device", "cpu"]
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "began with training.steps = 4, not 5" in result.stderr


def test_a_run_is_replaced_only_when_the_new_one_begins(takes, tmp_path):
    folder = tmp_path / "run"
    run(takes, folder, training__steps=2)
    (folder / ".notes").write_text("mine")
    before = (folder / BEST).read_bytes()
    (tmp_path / "one").mkdir()
    shutil.copy(takes / "take0.mp4", tmp_path / "one")
    with pytest.raises(TrainingError, match="1 video"):
        run(tmp_path / "one", folder, overwrite=True)
    assert (folder / BEST).read_bytes() == before
    run(takes, folder, overwrite=True, training__steps=1, training__seed=1)
    assert read_checkpoint(folder / BEST)["step"] == len(losses(folder)) == 1
    assert (folder / ".notes").read_text() == "mine"


def test_a_run_that_could_not_begin_leaves_the_folder_free(takes, tmp_path):
    changes = {"features__inputs": "maps", "features__untrained_weight": 0, "model__stem": "convolution"}
    with pytest.raises(EncoderError, match=r"none\.pth"):
        run(takes, tmp_path / "run", features__weights=tmp_path / "none.pth", **changes)
    assert run(takes, tmp_path / "run", training__steps=1, training__validate_every=1).best_step == 1
