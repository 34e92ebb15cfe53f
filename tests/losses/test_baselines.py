"""The losses of other papers against slow references and closed forms."""

import itertools
import math

import loss_reference
import numpy as np
import pytest
import torch
from loss_cases import make_batch
from torch.nn import functional

from lactoolkit.errors import ParameterError
from lactoolkit.losses.gta import GTAConfig, GTALoss
from lactoolkit.losses.lav import LAVConfig, LAVLoss
from lactoolkit.losses.tcc import TCCConfig, TCCLoss
from lactoolkit.losses.tcn import TCNConfig, TCNLoss

CLASSES = torch.tensor([0, 1, 0, 0])
PAIRS = list(itertools.permutations((0, 2, 3), 2))


def one_hot_views(frames=6, batch=2):
    """Videos that show the same distinct frames."""
    u = torch.eye(frames, dtype=torch.float64).expand(batch, frames, frames)
    positions = torch.arange(frames, dtype=torch.float64).expand(batch, frames)
    real = torch.ones(batch, frames, dtype=torch.bool)
    return [u, u, positions, positions, real, real]


def constant_views(frames=6, batch=2):
    arguments = one_hot_views(frames, batch)
    arguments[0] = arguments[1] = functional.normalize(torch.ones(batch, frames, frames, dtype=torch.float64), dim=-1)
    return arguments


def test_tcn_agrees_with_the_definition():
    arguments = make_batch(batch=4, frames=14)
    expected = loss_reference.triplets(arguments, 0.5, 1.0, 2.5)
    assert TCNLoss(TCNConfig(0.5, 1.0, 2.5))(*arguments).total.item() == pytest.approx(expected, rel=1e-9)


def test_tcn_is_the_margin_for_constant_and_zero_for_distinct_frames():
    config = TCNConfig(margin=0.2, positive_window=0.5, negative_window=1.0)
    assert TCNLoss(config)(*constant_views()).total.item() == pytest.approx(0.2)
    assert TCNLoss(config)(*one_hot_views()).total.item() == 0.0


@pytest.mark.parametrize("form", ["regression", "classification"])
@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_tcc_agrees_with_the_definition(form, temperature):
    arguments = make_batch(batch=4, frames=12)
    config = TCCConfig(form=form, softmax_temperature=temperature, variance_weight=0.3)
    expected = loss_reference.cycle_back(arguments, PAIRS, form, temperature, 0.3)
    assert TCCLoss(config)(*arguments, CLASSES).total.item() == pytest.approx(expected, rel=1e-8)


def test_tcc_of_constant_frames_comes_back_anywhere():
    loss = TCCLoss(TCCConfig(form="classification"))
    assert loss(*constant_views(6)).total.item() == pytest.approx(math.log(6))
    # Uniform over 0..5: mean 2.5, variance 35 / 12; the mean squared error is the variance.
    regression = TCCLoss(TCCConfig(variance_weight=0.5))(*constant_views(6)).total.item()
    assert regression == pytest.approx(1.0 + 0.5 * 0.5 * math.log(35 / 12))


def test_lav_agrees_with_the_definition():
    arguments = make_batch(batch=4, frames=12)
    config = LAVConfig(gamma=0.3, window=2.0, margin=1.5)
    terms = LAVLoss(config)(*arguments, CLASSES)
    warped = []
    for first, second in PAIRS:
        rows, others = (loss_reference.real_frames(arguments, *side)[0] for side in ((0, first), (1, second)))
        cost = loss_reference.squared_distances(rows, others)
        warped.append(loss_reference.soft_dtw(cost, 0.3) / ((len(rows) + len(others)) / 2))
    assert terms.parts["soft_dtw"].item() == pytest.approx(np.mean(warped), rel=1e-9)
    moments = []
    for video in range(4):
        sides = [loss_reference.real_frames(arguments, which, video) for which in (0, 1)]
        length = max(times.max() for _, times in sides) + 1
        moments += [loss_reference.contrastive_idm(rows, times, length, 2.0, 1.5) / len(rows) for rows, times in sides]
    assert terms.parts["contrastive_idm"].item() == pytest.approx(2 * np.mean(moments), rel=1e-9)


def test_lav_closed_forms():
    # Distinct frames, squared distance 2, at margin 2 and window 0: nothing left to push.
    config = LAVConfig(gamma=1e-3, window=0.0, margin=2.0)
    terms = LAVLoss(config)(*one_hot_views())
    assert terms.parts["contrastive_idm"].item() == 0.0
    assert terms.parts["soft_dtw"].item() == pytest.approx(0.0, abs=1e-2)
    # Constant frames: minus gamma times the log of the number of paths, Delannoy's 1683 for 6 x 6 cells.
    terms = LAVLoss(config)(*constant_views(6))
    assert terms.parts["soft_dtw"].item() == pytest.approx(-1e-3 * math.log(1683) / 6, rel=1e-6)
    assert terms.parts["contrastive_idm"].item() == pytest.approx(
        2 * sum(2.0 * (1 + ((i - j) / 6) ** 2) for i in range(6) for j in range(6) if i != j) / 6
    )


def test_gta_agrees_with_the_definition():
    arguments = make_batch(batch=4, frames=9)
    terms = GTALoss(GTAConfig(gamma=0.2, softmax_temperature=0.5))(*arguments, CLASSES)
    costs, cycles = [], []
    for first, second in PAIRS:
        x, y = (loss_reference.real_frames(arguments, *side)[0] for side in ((0, first), (1, second)))
        sums = [
            loss_reference.smooth_accumulation(loss_reference.probabilistic_costs(*sides, 0.5), 0.2)
            for sides in ((x, y), (y, x))
        ]
        costs.append(sum(table[-1, -1] for table in sums))
        to_first, to_second = (np.exp(-table) / np.exp(-table).sum(0) for table in sums)
        cycles += list(-np.log(np.diagonal(to_first @ to_second)))
    assert terms.parts["alignment"].item() == pytest.approx(np.mean(costs), rel=1e-7)
    assert terms.parts["cycle"].item() == pytest.approx(np.mean(cycles), rel=1e-7)


def test_gta_of_distinct_frames_costs_nothing_and_comes_back():
    terms = GTALoss(GTAConfig(softmax_temperature=0.01))(*one_hot_views(5))
    assert terms.parts["alignment"].item() == pytest.approx(0.0, abs=1e-6)
    assert terms.parts["cycle"].item() < 1e-6


@pytest.mark.parametrize("loss", [TCCLoss(), LAVLoss(), GTALoss()])
def test_one_video_has_no_partner(loss):
    with pytest.raises(ParameterError, match="the batch holds one video"):
        loss(*make_batch(batch=1))


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (TCNConfig, {"margin": 0.0}, "margin is 0.0"),
        (TCNConfig, {"negative_window": 1.0}, "at least positive_window, 3.0"),
        (TCCConfig, {"form": "mse"}, "form is 'mse'; choose one of regression"),
        (TCCConfig, {"softmax_temperature": 0.0}, "softmax_temperature is 0.0"),
        (TCCConfig, {"variance_weight": -1.0}, "variance_weight is -1.0"),
        (LAVConfig, {"gamma": 0.0}, "gamma is 0.0"),
        (LAVConfig, {"regularisation": -1.0}, "regularisation is -1.0"),
        (GTAConfig, {"softmax_temperature": -1.0}, "softmax_temperature is -1.0"),
        (GTAConfig, {"alignment_weight": -0.1}, "alignment_weight is -0.1"),
    ],
)
def test_wrong_settings_are_named(config, settings, message):
    with pytest.raises(ParameterError, match=message):
        config(**settings)
