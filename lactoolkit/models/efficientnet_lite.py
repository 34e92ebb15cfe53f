"""EfficientNet-Lite0 up to its last tap: no squeeze-and-excitation, ReLU6, TensorFlow's "SAME" padding.

Architecture: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
table 1, in the Lite variant published by the same authors for mobile devices. The weights were trained in TensorFlow,
hence the padding and the batch normalisation's eps of 1e-3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from lactoolkit.models.checkpoints import load_folded

_BATCH_NORM_EPS = 1e-3
_STEM_CHANNELS = 32
# (blocks, kernel, stride of the first block, expansion, channels). The seventh stage and the head follow the last tap.
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
_TAPPED_STAGES = (4, 5)
_CHECKPOINT_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding, for inputs whose height and width the stride divides.

    At stride 2 the padding of a kernel k is (k - 3) / 2 before and (k - 1) / 2 after, which ``nn.Conv2d`` cannot
    express. Two more rows and columns of zeros before the kernel make it symmetric; that is cheaper than padding the
    input, which copies the largest feature maps of the network.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1):
        self.stored_kernel_size = (kernel_size, kernel_size)
        symmetric = kernel_size if stride == 1 else kernel_size + 2
        super().__init__(in_channels, out_channels, symmetric, stride, padding=(symmetric - 1) // 2, groups=groups)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; plus the input where the shape allows it."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int):
        super().__init__()
        channels = in_channels * expansion
        self.expand = SameConv2d(in_channels, channels, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(channels, channels, kernel_size, stride, groups=channels)
        self.project = SameConv2d(channels, out_channels, 1)
        self._has_skip = stride == 1 and in_channels == out_channels

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (n, in_channels, h, w) to (n, out_channels, h / stride, w / stride)."""
        hidden = maps if self.expand is None else functional.relu6(self.expand(maps), inplace=True)
        hidden = functional.relu6(self.depthwise(hidden), inplace=True)
        projected = self.project(hidden)
        return projected + maps if self._has_skip else projected


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with folded batch normalisation, cut off after the tap at stride 32.

    Input: (n, 3, h, w), normalised, h and w multiples of 32. Output: the ends of stage 5 (n, 112, h / 16, w / 16)
    and of stage 6 (n, 192, h / 32, w / 32).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        channels = _STEM_CHANNELS
        for count, kernel, stride, expansion, width in _STAGES:
            stage = nn.Sequential()
            for number in range(count):
                stage.append(InvertedResidual(channels, width, kernel, stride if number == 0 else 1, expansion))
                channels = width
            self.stages.append(stage)

    def load(self, state: Mapping[str, torch.Tensor], source: str) -> None:
        """Take the weights of a checkpoint with the names used by the PyTorch port of the network.

        Parameters
        ----------
        state : mapping of str to Tensor
            The checkpoint: convolutions and batch normalisations of the stem and of at least the first 15 blocks.
        source : str
            What to call the checkpoint in error messages.

        Raises
        ------
        EncoderError
            The checkpoint is of another network.
        """
        last = sum(count for count, *_ in _STAGES)
        load_folded(
            self,
            state,
            _checkpoint_keys,
            eps=_BATCH_NORM_EPS,
            unused=(f"_blocks.{last}.", "_conv_head.", "_bn1.", "_fc."),
            source=source,
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the taps of normalised images; see the class."""
        maps = functional.relu6(self.stem(images), inplace=True)
        taps = []
        for number, stage in enumerate(self.stages):
            maps = stage(maps)
            if number in _TAPPED_STAGES:
                taps.append(maps)
        return tuple(taps)

    def stages_to_stride_16(self) -> list[tuple[str, nn.Module]]:
        """Stages whose composition gives maps (n, 112, h / 16, w / 16), by name."""
        stages = list(self.stages[: _TAPPED_STAGES[0] + 1])
        first = nn.Sequential(self.stem, nn.ReLU6(inplace=True))
        return [("stem", first), *((f"stage{number}", stage) for number, stage in enumerate(stages, 1))]


def _checkpoint_keys(name: str) -> tuple[str, str]:
    """Prefixes of a convolution and of its batch normalisation in the checkpoint, whose blocks are counted through."""
    *path, kind = name.split(".")
    prefix = ""
    if path:
        _, stage, block = path
        prefix = f"_blocks.{sum(count for count, *_ in _STAGES[: int(stage)]) + int(block)}."
    convolution, norm = _CHECKPOINT_NAMES[kind]
    return prefix + convolution, prefix + norm
