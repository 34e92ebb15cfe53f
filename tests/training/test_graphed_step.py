"""Steps recorded as CUDA graphs, and what makes a step repeatable."""

import logging

import numpy as np
import pytest
import torch

from lactoolkit.losses.scl import SCLLoss
from lactoolkit.training.config import make_config
from lactoolkit.training.data import LoadedVideo
from lactoolkit.training.distributed import Team
from lactoolkit.training.feeder import Clips
from lactoolkit.training.graphed_step import GraphedStep, held_copy, refill, why_not_graphed
from lactoolkit.training.run import TrainingRun
from lactoolkit.training.step import Seeds

NEEDS_CUDA = (pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]
CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
SETTINGS = (
    "features.components=16",
    "features.untrained_weight=0",
    "clips.frames=24",
    "model.width=32",
    "model.heads=2",
    "model.feed_forward=32",
    "training.steps=8",
    "training.warm_up=1",
    "training.precision=float32",
    "data.held_out=0",
)


def make_run(device, *settings, classes=1, content=None):
    """A run on features of chance, that have nothing to do with any video."""
    rng = np.random.default_rng(0)
    videos = [
        LoadedVideo(f"{k}.mp4", str(k), str(k % classes), (rng.normal(size=(30 + k, 40)).astype(np.float16),))
        for k in range(8)
    ]
    return TrainingRun(
        Team(0, 1, torch.device(device)), videos, make_config(assignments=[*SETTINGS, *settings]), content
    )


def on_cuda(test):
    for mark in NEEDS_CUDA:
        test = mark(test)
    return test


def gradients(run):
    return {name: parameter.grad.clone() for name, parameter in run.module.named_parameters()}


def assert_near(found, expected):
    """Gradients to within a thousandth of the largest."""
    size = max(gradient.abs().max().item() for gradient in expected.values())
    assert size > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name].cpu(), gradient.cpu(), rtol=0.0, atol=1e-3 * size, msg=name)


@pytest.mark.parametrize(
    ("config", "team", "shown", "reason"),
    [
        (make_config(), Team(0, 1, CPU), 1, "cpu"),
        (make_config(), Team(1, 2, CARD), 1, "exchange gradients"),
        (make_config(), Team(0, 1, CARD), 2, "pairs"),
        (make_config("paper"), Team(0, 1, CARD), 1, "pictures"),
        (make_config(assignments=["training.cuda_graph=false"]), Team(0, 1, CARD), 1, "training.cuda_graph"),
        (make_config(), Team(0, 1, CARD), 1, ""),
    ],
)
def test_says_why_a_step_is_not_recorded(config, team, shown, reason):
    found = why_not_graphed(config, team, shown)
    assert reason in found
    assert bool(found) == bool(reason)


def test_clips_are_held_in_memory_of_their_own():
    first, second = (
        Clips(torch.randn(2, 3, 4, 1, 5), torch.randn(2, 3, 4), torch.rand(2, 3, 4) > 0.5, None, None, slice(0, 3))
        for _ in range(2)
    )
    held = held_copy(first)
    places = [tensor.data_ptr() for tensor in (held.features, held.positions, held.mask)]
    assert places != [tensor.data_ptr() for tensor in (first.features, first.positions, first.mask)]
    assert torch.equal(held.features, first.features)
    refill(held, second)
    assert [tensor.data_ptr() for tensor in (held.features, held.positions, held.mask)] == places
    for name in ("features", "positions", "mask"):
        assert torch.equal(getattr(held, name), getattr(second, name)), name


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_depends_on_its_clips_and_seeds_alone(device):
    run = make_run(device)
    clips = run.feeder.clips(0)
    found = []
    for seeds in (Seeds(1, 2), Seeds(3, 2), Seeds(1, 4), Seeds(1, 2)):
        values = run.gradients(clips, seeds)
        found.append((float(values.loss), gradients(run)))
    losses = [loss for loss, _ in found]
    assert len(set(losses[:3])) == 3  # dropout and the choice of pairs both matter
    assert losses[3] == pytest.approx(losses[0], rel=1e-6)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[3][1][name], gradient)


@pytest.mark.parametrize("device", DEVICES)
def test_clips_prepared_ahead_are_those_gathered_when_asked_for(device):
    one, other = make_run(device).feeder, make_run(device).feeder
    one.prepare(1)
    one.prepare(2)
    for step in (2, 3, 0):
        ahead, asked = one.clips(step), other.clips(step)
        assert torch.equal(ahead.features, asked.features)
        assert torch.equal(ahead.positions, asked.positions)
        one.prepare(step + 1)


LOSSES = {
    "lac": (),
    "lac in bfloat16": ("training.precision=bfloat16",),
    "paper's": ("loss.pairs=within", "loss.gaps=position"),
    "posterior": ("loss.pairs=within", "loss.objective=posterior", "loss.gaps=context"),
    "fenchel-young": ("loss.pairs=within", "loss.objective=fenchel_young"),
    **{name: (f"loss.name={name}",) for name in ("scl", "tcn", "tcc", "lav", "gta")},
}


@on_cuda
@pytest.mark.parametrize("loss", LOSSES)
def test_replayed_steps_are_those_launched_one_by_one_cuda(loss):
    graphed, plain = (make_run("cuda", *LOSSES[loss], f"training.cuda_graph={on}") for on in ("true", "false"))
    assert isinstance(graphed.gradients, GraphedStep)
    assert not isinstance(plain.gradients, GraphedStep)
    for number in range(4):
        # The same weights before every step: Adam makes much of rounding where a gradient is nearly zero.
        plain.module.load_state_dict(graphed.module.state_dict())
        found, expected = graphed.take_step(), plain.take_step()
        for name in ("loss", "gradient_norm"):
            assert found[name] == pytest.approx(expected[name], rel=1e-4), (name, number)
        assert_near(gradients(graphed), gradients(plain))
    assert graphed.gradients.is_recorded


@on_cuda
@pytest.mark.parametrize("when", ["always", "while recording"])
def test_a_step_that_waits_for_the_card_is_launched_one_by_one_cuda(when, caplog, monkeypatch):
    terms = SCLLoss.terms

    def waiting(self, *arguments):
        parts = terms(self, *arguments)
        if when == "always" or torch.cuda.is_current_stream_capturing():
            parts["contrastive"].item()
        return parts

    plain = make_run("cuda", "loss.name=scl", "training.cuda_graph=false")
    expected = [plain.take_step()["loss"] for _ in range(3)]
    monkeypatch.setattr(SCLLoss, "terms", waiting)
    graphed = make_run("cuda", "loss.name=scl")
    with caplog.at_level(logging.WARNING, "lactoolkit"):
        found = [graphed.take_step()["loss"] for _ in range(3)]
    assert found == pytest.approx(expected, rel=1e-4)
    assert not graphed.gradients.is_recorded
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "the training step is not recorded as a CUDA graph"
    ]
    # What is left of the recording that broke off hinders no other.
    monkeypatch.undo()
    later = make_run("cuda", "loss.name=scl")
    assert [later.take_step()["loss"] for _ in range(3)] == pytest.approx(expected, rel=1e-4)
    assert later.gradients.is_recorded


@on_cuda
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_on_a_card_is_that_on_a_cpu_cuda(loss):
    # Nothing is drawn by chance: generators of different devices give different numbers.
    lac = () if any("loss.name" in setting for setting in LOSSES[loss]) else ("loss.shuffles=0",)
    most = () if loss in ("scl", "tcn") else ("loss.most_pairs=64",)
    settings = [*LOSSES[loss], *lac, *most, "features.components=0", "model.dropout=0", "training.precision=float32"]
    card, cpu = (make_run(device, *settings) for device in ("cuda", "cpu"))
    found, expected = card.take_step(), cpu.take_step()
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert_near(gradients(card), gradients(cpu))


@on_cuda
def test_a_resumed_run_replays_to_the_weights_of_the_uninterrupted_one_cuda(tmp_path):
    from lactoolkit.models.checkpoint_file import read_checkpoint
    from lactoolkit.training.run_folder import LAST

    whole = make_run("cuda")
    losses = []
    for number in range(6):
        if number == 3:
            whole.write_last(tmp_path)
        losses.append(whole.take_step()["loss"])
    resumed = make_run("cuda", content=read_checkpoint(tmp_path / LAST))
    assert [resumed.take_step()["loss"] for _ in range(3)] == losses[3:]
    state = resumed.module.state_dict()
    for name, value in whole.module.state_dict().items():
        assert torch.equal(state[name], value), name


@on_cuda
def test_validation_between_replays_changes_nothing_cuda():
    one, other = make_run("cuda"), make_run("cuda")
    for _ in range(3):
        found, expected = one.take_step(), other.take_step()
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        one.validate()


@pytest.mark.parametrize("device", DEVICES)
def test_videos_of_several_processes_train_too(device):
    run = make_run(device, classes=2)
    assert not isinstance(run.gradients, GraphedStep)
    assert run.feeder.clips(0).classes.tolist() == [int(path[0]) % 2 for path in run.feeder.names(0).split(", ")]
    assert all(np.isfinite(run.take_step()["loss"]) for _ in range(2))
