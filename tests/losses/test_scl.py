"""The contrastive term against its definition."""

import loss_reference
import pytest
import torch
from loss_cases import make_batch

from lactoolkit.errors import ParameterError
from lactoolkit.losses.scl import SCLConfig, SCLLoss


@pytest.mark.parametrize(("variance", "temperature", "reach"), [(10.0, 0.1, 3.0), (1.0, 0.7, 1.0)])
def test_agrees_with_the_definition(variance, temperature, reach):
    arguments = make_batch(batch=5, frames=12)
    arguments[4][3] = False
    expected = loss_reference.gaussian_contrast(arguments, variance, temperature, reach)
    found = SCLLoss(SCLConfig(variance, temperature, reach))(*arguments).total
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_a_perfect_prediction_has_loss_zero():
    # On the circle, 1 - cos(angle) is half the squared distance for small angles: cosines over a temperature are then
    # Gaussian in the angle.
    positions = torch.arange(30.0, dtype=torch.float64).unsqueeze(0)
    angle = positions * 1e-3
    u = torch.stack([angle.cos(), angle.sin()], -1)
    real = torch.ones(1, 30, dtype=torch.bool)
    config = SCLConfig(variance=10.0, contrastive_temperature=1e-6 * 10.0)
    assert SCLLoss(config)(u, u, positions, positions, real, real).total.item() == pytest.approx(0.0, abs=1e-4)


def test_frames_beyond_reach_do_not_count():
    arguments = make_batch(batch=2)
    arguments[4][:] = arguments[5][:] = True
    arguments[3] = arguments[2] + 1000.0
    assert SCLLoss()(*arguments).total == 0


@pytest.mark.parametrize("name", ["variance", "contrastive_temperature", "reach"])
def test_settings_must_be_positive(name):
    with pytest.raises(ParameterError, match=f"{name} is 0"):
        SCLConfig(**{name: 0})
