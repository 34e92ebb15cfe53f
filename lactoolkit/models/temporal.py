"""Temporal encoder: features of the frames of a video in, one embedding per frame out.

The shape is that of Oei, Gomaa, Feit and Belo (arXiv 2409.04607), section 3: frame features, a short context of
neighbouring frames, a transformer over time, a linear layer, unit length. Everything is a choice of the configuration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lactoolkit.errors import ParameterError

STEMS = ("linear", "convolution")
POSITION_CODES = ("none", "random_offset", "sinusoidal")
_LARGEST_OFFSET = 1000  # frames, of the random offset
_LONGEST_WAVE = 10_000.0


@dataclass(frozen=True)
class TemporalEncoderConfig:
    """Shape of a :class:`TemporalEncoder`.

    Parameters
    ----------
    stem : {"linear", "convolution"}
        What turns the features of a frame and of its neighbours into one vector: a linear layer over feature vectors,
        or two 3-D convolutions over feature maps with a global maximum (the paper's).
    context : int
        Neighbours on either side of a frame that the stem sees.
    context_stride : int
        Frames from one neighbour to the next.
    stem_width : int
        Channels of the convolutions and of the two layers after them; unused by the linear stem.
    width, layers, heads, feed_forward : int
        Of the transformer; ``layers = 0`` leaves it out.
    norm_first : bool
        Normalise before each sublayer of the transformer instead of after it.
    dropout : float
        Share of activations that training drops.
    position_code : {"none", "random_offset", "sinusoidal"}
        What tells the transformer the time of a frame. ``none``: nothing, it sees a set of frames. ``random_offset``:
        sines of the true frame number, from a random start at every training step, so that differences of time are
        known and absolute time is not. ``sinusoidal``: sines of the place in the sequence, as in the paper; counting
        frames can then satisfy a loss whose targets are times.
    output_size : int
        Length of the embeddings.
    window : int
        Frames that are embedded at once at most; longer videos go through in windows that overlap by half and are
        faded into each other.
    """

    stem: str = "linear"
    context: int = 1
    context_stride: int = 4
    stem_width: int = 512
    width: int = 256
    layers: int = 2
    heads: int = 8
    feed_forward: int = 512
    norm_first: bool = True
    dropout: float = 0.1
    position_code: str = "none"
    output_size: int = 128
    window: int = 512

    def __post_init__(self) -> None:
        for name, value, known in (
            ("stem", self.stem, STEMS),
            ("position_code", self.position_code, POSITION_CODES),
        ):
            if value not in known:
                raise ParameterError(f"model.{name} is {value!r}; choose one of {', '.join(known)}")
        for name, lowest in (
            ("context", 0),
            ("context_stride", 1),
            ("stem_width", 1),
            ("width", 2),
            ("layers", 0),
            ("heads", 1),
            ("feed_forward", 1),
            ("output_size", 1),
            ("window", 2),
        ):
            if getattr(self, name) < lowest:
                raise ParameterError(f"model.{name} is {getattr(self, name)}; the least is {lowest}")
        if self.width % (2 * self.heads):
            raise ParameterError(f"model.width is {self.width}; take a multiple of twice model.heads ({self.heads})")
        if not 0 <= self.dropout < 1:
            raise ParameterError(f"model.dropout is {self.dropout}; it must be at least 0 and below 1")


class TemporalEncoder(nn.Module):
    """Embeds the frames of clips.

    Parameters
    ----------
    config : TemporalEncoderConfig
        Its shape.
    input_size : int
        Length of the feature vectors, or channels of the feature maps.

    Examples
    --------
    >>> import torch
    >>> encoder = TemporalEncoder(TemporalEncoderConfig(context=0), input_size=16).eval()
    >>> encoder(torch.randn(2, 30, 1, 16)).shape
    torch.Size([2, 30, 128])
    """

    def __init__(self, config: TemporalEncoderConfig, input_size: int) -> None:
        super().__init__()
        self.config = config
        self.input_size = input_size
        self.stem: nn.Module
        if config.stem == "linear":
            self.stem = nn.Sequential(
                nn.Flatten(2),
                nn.Linear(input_size * (2 * config.context + 1), config.width),
                nn.Dropout(config.dropout),
            )
        else:
            self.stem = ConvolutionStem(input_size, config)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            config.feed_forward,
            config.dropout,
            activation="gelu" if config.norm_first else "relu",
            batch_first=True,
            norm_first=config.norm_first,
        )
        self.transformer = (
            nn.TransformerEncoder(
                layer,
                config.layers,
                norm=nn.LayerNorm(config.width) if config.norm_first else None,
                enable_nested_tensor=False,
            )
            if config.layers
            else None
        )
        self.head = nn.Linear(config.width, config.output_size)

    def forward(
        self,
        features: torch.Tensor,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Embed the frames of clips.

        Parameters
        ----------
        features : Tensor, shape (B, T, C, F) or (B, T, C, F, h, w)
            Features of every frame and of its neighbours, C = 2 context + 1 in time order (see :func:`context_rows`).
        mask : Tensor, shape (B, T), bool, optional
            True for real frames, of which each clip has at least one; the others change nothing.
        positions : Tensor, shape (B, T), optional
            Frame numbers in the video, for the position code ``random_offset``; 0, 1, ... by default.
        generator : torch.Generator, optional
            Draws the random offset in training; on any device.

        Returns
        -------
        Tensor, shape (B, T, output_size), float32
            Rows of norm 1; arbitrary where the mask is False.

        Raises
        ------
        ParameterError
            If the features have another shape.
        """
        neighbours = 2 * self.config.context + 1
        dimensions = 4 if self.config.stem == "linear" else 6
        if features.ndim != dimensions or features.shape[2] != neighbours or features.shape[3] != self.input_size:
            maps = "" if dimensions == 4 else ", h, w"
            raise ParameterError(
                f"features has shape {tuple(features.shape)}; expected (B, T, {neighbours}, {self.input_size}{maps})"
            )
        return self._over_time(self.stem(features), mask, positions, generator)

    def embed_video(self, features: torch.Tensor) -> torch.Tensor:
        """Embed all frames of one video, however long.

        Parameters
        ----------
        features : Tensor, shape (N, F)
            Features of its frames in time order.

        Returns
        -------
        Tensor, shape (N, output_size), float32
            Rows of norm 1.
        """
        count = len(features)
        rows = context_rows(torch.arange(count, device=features.device), count, self.config)
        return self.embed_hidden(self.stem(features[rows][None])[0])

    def embed_hidden(self, hidden: torch.Tensor) -> torch.Tensor:
        """Embed all frames of one video from what the stem made of them, (N, width), in windows where it is long."""
        count = len(hidden)
        total = torch.zeros(count, self.config.output_size, device=hidden.device)
        for start, stop in _windows(count, self.config.window):
            frames = torch.arange(start, stop, device=hidden.device)
            embedded = self._over_time(hidden[None, start:stop], None, frames[None], None)[0]
            # Falls to nearly nothing towards both ends, so that one window fades into the next.
            weight = 0.5 - 0.5 * torch.cos(2 * math.pi * (frames - start + 0.5) / (stop - start))
            total[start:stop] += (weight + 1e-3)[:, None] * embedded
        return functional.normalize(total, dim=-1)

    def _over_time(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        positions: torch.Tensor | None,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        if self.config.position_code != "none":
            hidden = hidden + self._position_code(hidden, positions, generator)
        if self.transformer is not None:
            hidden = self.transformer(hidden, src_key_padding_mask=None if mask is None else ~mask)
        return functional.normalize(self.head(hidden).float(), dim=-1)

    def _position_code(
        self, hidden: torch.Tensor, positions: torch.Tensor | None, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Sines and cosines of the time, shape (B, T, width) (Vaswani et al. 2017, section 3.5)."""
        batch, length, width = hidden.shape
        if positions is None or self.config.position_code == "sinusoidal":
            time = torch.arange(length, device=hidden.device, dtype=torch.float32).expand(batch, length)
        else:
            time = positions.float() - positions[:, :1].float()
        if self.config.position_code == "random_offset":
            if self.training:
                device = generator.device if generator is not None else torch.device("cpu")
                drawn = torch.rand(batch, 1, generator=generator, device=device).to(hidden.device)
                time = time + drawn * _LARGEST_OFFSET
            else:
                time = time + _LARGEST_OFFSET / 2
        rates = _LONGEST_WAVE ** (-torch.arange(0, width, 2, device=hidden.device) / width)
        angles = time[:, :, None] * rates
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(2).to(hidden.dtype)


class ConvolutionStem(nn.Module):
    """Two 3-D convolutions over the maps of a frame and its neighbours, global maximum, three linear layers."""

    def __init__(self, channels: int, config: TemporalEncoderConfig) -> None:
        super().__init__()
        wide = config.stem_width
        self.convolutions = nn.Sequential(
            nn.Conv3d(channels, wide, 3, padding=1, bias=False),
            nn.BatchNorm3d(wide),
            nn.ReLU(inplace=True),
            nn.Conv3d(wide, wide, 3, padding=1, bias=False),
            nn.BatchNorm3d(wide),
            nn.ReLU(inplace=True),
        )
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(wide, wide),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(wide, wide),
            nn.ReLU(inplace=True),
            nn.Linear(wide, config.width),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (B, T, C, F, h, w) to (B, T, width)."""
        batch, length = maps.shape[:2]
        volumes = maps.flatten(0, 1).transpose(1, 2)  # (B T, F, C, h, w)
        pooled = self.convolutions(volumes).amax(dim=(2, 3, 4))
        return self.layers(pooled).unflatten(0, (batch, length))


def context_rows(rows: torch.Tensor, count: torch.Tensor | int, config: TemporalEncoderConfig) -> torch.Tensor:
    """Rows of every frame and of its neighbours; beyond the ends of the video the first and last frame repeat.

    Parameters
    ----------
    rows : Tensor, shape (..., T), int64
        Frames, as rows of the video's features.
    count : int or Tensor, broadcastable to rows
        Frames that the video has.
    config : TemporalEncoderConfig
        Its context.

    Returns
    -------
    Tensor, shape (..., T, 2 context + 1), int64

    Examples
    --------
    >>> context_rows(torch.tensor([0, 5]), 6, TemporalEncoderConfig(context=1, context_stride=4)).tolist()
    [[0, 0, 4], [1, 5, 5]]
    """
    reach = torch.arange(-config.context, config.context + 1, device=rows.device) * config.context_stride
    last = torch.as_tensor(count, device=rows.device) - 1
    return torch.minimum((rows[..., None] + reach).clamp(min=0), last[..., None] if last.ndim else last)


def _windows(count: int, window: int) -> list[tuple[int, int]]:
    """Equally long windows over a video, neighbours overlapping by at least half."""
    if count <= window:
        return [(0, count)]
    steps = math.ceil((count - window) / (window // 2))
    return [(start, start + window) for start in (round(k * (count - window) / steps) for k in range(steps + 1))]
