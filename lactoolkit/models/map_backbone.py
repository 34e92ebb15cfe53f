"""Feature maps of a pretrained network, the last stages of which may be trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from lactoolkit.errors import ParameterError
from lactoolkit.models.encoders import load_encoder
from lactoolkit.models.registry import encoder_spec
from lactoolkit.models.temporal import TemporalEncoder, context_rows


class MapBackbone(nn.Module):
    """The part of a frame encoder's network that ends at stride 16.

    Parameters
    ----------
    name : str
        Name of the frame encoder.
    weights : str or Path, optional
        File of other weights for it.
    unfreeze : str
        The first stage that is trained; "" for none.

    Attributes
    ----------
    channels : int
        Of the maps.

    Raises
    ------
    ParameterError
        If there is no such stage.
    EncoderError
        If the encoder is unknown or has no weights.

    Examples
    --------
    >>> import torch
    >>> MapBackbone("lite0")(torch.zeros(1, 3, 224, 224)).shape
    torch.Size([1, 112, 14, 14])
    """

    def __init__(self, name: str, weights: str | Path | None = None, unfreeze: str = "") -> None:
        super().__init__()
        spec = encoder_spec(name)
        encoder = load_encoder(name, weights=weights, device="cpu", precision="float32")
        names, stages = zip(*encoder.network.stages_to_stride_16(), strict=True)  # type: ignore[operator]
        if unfreeze and unfreeze not in names:
            raise ParameterError(f"features.unfreeze is {unfreeze!r}; choose one of {', '.join(names)}")
        first = names.index(unfreeze) if unfreeze else len(names)
        self.frozen = nn.Sequential(*stages[:first])
        self.trained = nn.Sequential(*stages[first:]).requires_grad_(True)
        self.channels = spec.tap_channels[0]
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None] / 255, persistent=False)
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None] / 255, persistent=False)
        self.mean: torch.Tensor
        self.std: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (n, 3, H, W), from 0 to 1, to (n, channels, H / 16, W / 16)."""
        with torch.no_grad():
            maps = self.frozen(((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last))
        return self.trained(maps)

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Weights of the trained stages."""
        return self.trained.state_dict()


def embed_frames(backbone: MapBackbone, temporal: TemporalEncoder, batches: Iterable[torch.Tensor]) -> torch.Tensor:
    """Embed the frames of one video from its pictures; the maps of a few frames at a time are kept.

    Parameters
    ----------
    backbone : MapBackbone
        Its backbone.
    temporal : TemporalEncoder
        With the stem ``convolution``.
    batches : iterable of Tensor, shapes (n, H, W, 3), uint8
        Frames in time order.

    Returns
    -------
    Tensor, shape (N, output_size), float32
    """
    config = temporal.config
    reach = config.context * config.context_stride
    device = backbone.mean.device
    maps: torch.Tensor | None = None
    first, done = 0, 0  # frame number of maps[0], and frames that went through the stem
    hidden: list[torch.Tensor] = []

    def advance(ready: int, count: int) -> None:
        """Put frames up to `ready` through the stem, and forget the maps that no later frame needs."""
        nonlocal maps, first, done
        if maps is None or ready <= done:
            return
        rows = context_rows(torch.arange(done, ready, device=device), count, config) - first
        hidden.append(temporal.stem(maps[rows][None])[0])
        done = ready
        kept = max(done - reach, first)
        maps, first = maps[kept - first :], kept

    for batch in batches:
        new = backbone(batch.to(device).permute(0, 3, 1, 2).float() / 255)
        maps = new if maps is None else torch.cat([maps, new])
        known = first + len(maps)
        advance(known - reach, known)
    if maps is not None:
        known = first + len(maps)
        advance(known, known)
    return temporal.embed_hidden(torch.cat(hidden))
