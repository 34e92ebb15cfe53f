"""ResNet-50 up to its last tap, with torchvision's key names.

Architecture: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, with the
stride of a stage in the 3 x 3 convolution of its first block, as torchvision has it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from lactoolkit.models.checkpoints import load_folded

_BATCH_NORM_EPS = 1e-5
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1 x 1 down, 3 x 3, 1 x 1 up, plus the input (projected where the shape changes)."""

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        out_channels = width * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1)
        self.conv3 = nn.Conv2d(width, out_channels, 1)
        changes_shape = stride > 1 or in_channels != out_channels
        self.downsample = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride)) if changes_shape else None

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (n, in_channels, h, w) to (n, 4 width, h / stride, w / stride)."""
        hidden = functional.relu(self.conv1(maps), inplace=True)
        hidden = functional.relu(self.conv2(hidden), inplace=True)
        skip = maps if self.downsample is None else self.downsample(maps)
        return functional.relu(self.conv3(hidden) + skip, inplace=True)


class ResNet50(nn.Module):
    """ResNet-50 with folded batch normalisation, without its classifier.

    Input: (n, 3, h, w), normalised. Output: the ends of layer3 (n, 1024, h / 16, w / 16) and of layer4
    (n, 2048, h / 32, w / 32).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, blocks=3, stride=2)

    def load(self, state: Mapping[str, torch.Tensor], source: str) -> None:
        """Take the weights of a checkpoint with torchvision's key names; a classifier in it is left out.

        Parameters
        ----------
        state : mapping of str to Tensor
            The checkpoint.
        source : str
            What to call the checkpoint in error messages.

        Raises
        ------
        EncoderError
            The checkpoint is of another network.
        """
        load_folded(self, state, _checkpoint_keys, eps=_BATCH_NORM_EPS, unused=("fc.",), source=source)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the taps of normalised images; see the class."""
        maps = functional.relu(self.conv1(images), inplace=True)
        maps = functional.max_pool2d(maps, 3, stride=2, padding=1)
        middle = self.layer3(self.layer2(self.layer1(maps)))
        return middle, self.layer4(middle)

    def stages_to_stride_16(self) -> list[tuple[str, nn.Module]]:
        """Stages whose composition gives maps (n, 1024, h / 16, w / 16), up to the third block of layer3, by name."""
        first = nn.Sequential(self.conv1, nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1))
        return [("conv1", first), ("layer1", self.layer1), ("layer2", self.layer2), ("layer3", self.layer3[:3])]


def _stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride)
    return nn.Sequential(first, *(Bottleneck(width * _EXPANSION, width, 1) for _ in range(blocks - 1)))


def _checkpoint_keys(name: str) -> tuple[str, str]:
    """Prefixes of a convolution and of its batch normalisation: conv2 has bn2, downsample.0 has downsample.1."""
    if name.endswith("downsample.0"):
        return name, name[:-1] + "1"
    return name, name.replace("conv", "bn")
