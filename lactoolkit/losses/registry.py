"""Losses by name."""

from __future__ import annotations

from typing import Any

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import FrameLoss
from lactoolkit.losses.gta import GTAConfig, GTALoss
from lactoolkit.losses.lac import LACConfig, LACLoss
from lactoolkit.losses.lav import LAVConfig, LAVLoss
from lactoolkit.losses.scl import SCLConfig, SCLLoss
from lactoolkit.losses.tcc import TCCConfig, TCCLoss
from lactoolkit.losses.tcn import TCNConfig, TCNLoss

LOSSES: dict[str, tuple[type[Any], type[Any]]] = {
    "lac": (LACConfig, LACLoss),
    "scl": (SCLConfig, SCLLoss),
    "tcn": (TCNConfig, TCNLoss),
    "tcc": (TCCConfig, TCCLoss),
    "lav": (LAVConfig, LAVLoss),
    "gta": (GTAConfig, GTALoss),
}


def make_loss(name: str, config: Any = None) -> FrameLoss:
    """Build a loss by its name.

    Parameters
    ----------
    name : str
        One of :data:`LOSSES`.
    config : dataclass, optional
        The loss's own config; its defaults otherwise.

    Returns
    -------
    FrameLoss

    Raises
    ------
    ParameterError
        There is no such loss, or the config is another's.

    Examples
    --------
    >>> from lactoolkit.losses.registry import make_loss
    >>> make_loss("scl").weights
    {'contrastive': 1.0}
    """
    if name not in LOSSES:
        raise ParameterError(f"loss is {name!r}; choose one of {', '.join(sorted(LOSSES))}")
    config_class, loss_class = LOSSES[name]
    if config is not None and not isinstance(config, config_class):
        raise ParameterError(f"config is a {type(config).__name__}; the loss {name!r} takes a {config_class.__name__}")
    loss: FrameLoss = loss_class(config)
    return loss
