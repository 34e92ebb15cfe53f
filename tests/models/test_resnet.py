"""ResNet-50 against torchvision's published names and shapes and a readable functional forward pass."""

import pytest
import torch
from torch.nn import functional

from lactoolkit.errors import EncoderError
from lactoolkit.models.resnet import ResNet50

BLOCKS_PER_STAGE = (3, 4, 6, 3)
STAGES = (1, 2, 3, 4)


def convolution_shapes():
    """Names and shapes of the 53 convolutions, written down from table 1 of the paper and torchvision's naming."""
    shapes = {"conv1": (64, 3, 7, 7)}
    channels = 64
    for stage, blocks in zip(STAGES, BLOCKS_PER_STAGE, strict=True):
        width = 64 * 2 ** (stage - 1)
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1"] = (width, channels, 1, 1)
            shapes[f"{name}.conv2"] = (width, width, 3, 3)
            shapes[f"{name}.conv3"] = (4 * width, width, 1, 1)
            if block == 0:
                shapes[f"{name}.downsample.0"] = (4 * width, channels, 1, 1)
            channels = 4 * width
    return shapes


def norm_name(convolution):
    if convolution.endswith("downsample.0"):
        return convolution.removesuffix("0") + "1"
    prefix, _, last = convolution.rpartition("conv")
    return f"{prefix}bn{last}"


@pytest.fixture(scope="module")
def state():
    """Random weights that keep the scale of the maps, under torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in convolution_shapes().items():
        norm = norm_name(name)
        fan_in = shape[1] * shape[2] * shape[3]
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        tensors[f"{norm}.weight"] = 0.5 + 0.5 * torch.rand(shape[0], generator=generator)
        tensors[f"{norm}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
        tensors[f"{norm}.running_mean"] = 0.1 * torch.randn(shape[0], generator=generator)
        tensors[f"{norm}.running_var"] = 0.5 + torch.rand(shape[0], generator=generator)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    tensors["fc.weight"] = torch.zeros(1000, 2048)
    tensors["fc.bias"] = torch.zeros(1000)
    return tensors


def reference_forward(state, images):
    def convolve(maps, name, stride=1, padding=0):
        maps = functional.conv2d(maps, state[f"{name}.weight"], stride=stride, padding=padding)
        norm = norm_name(name)
        parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(maps, *parts, training=False, eps=1e-5)

    maps = convolve(images, "conv1", stride=2, padding=3).relu()
    maps = functional.max_pool2d(maps, kernel_size=3, stride=2, padding=1)
    stages = []
    for stage, blocks in zip(STAGES, BLOCKS_PER_STAGE, strict=True):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            hidden = convolve(maps, f"{name}.conv1").relu()
            hidden = convolve(hidden, f"{name}.conv2", stride=stride, padding=1).relu()
            hidden = convolve(hidden, f"{name}.conv3")
            skip = convolve(maps, f"{name}.downsample.0", stride=stride) if block == 0 else maps
            maps = (hidden + skip).relu()
        stages.append(maps)
    return stages[2], stages[3]


def test_reference_has_the_published_number_of_weights(state):
    # 25,557,032 parameters is the number published for ResNet-50 with its classifier.
    learned = [value.numel() for key, value in state.items() if "running" not in key and "tracked" not in key]
    assert sum(learned) == 25_557_032


def test_convolutions_have_torchvision_names_and_shapes():
    network = ResNet50()
    found = {
        name: tuple(module.weight.shape)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    assert found == convolution_shapes()


@torch.no_grad()
def test_taps_equal_the_functional_forward(state):
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    network = ResNet50()
    network.load(state, "test")
    taps = network(images)
    assert [tuple(tap.shape) for tap in taps] == [(2, 1024, 14, 14), (2, 2048, 7, 7)]
    for tap, expected in zip(taps, reference_forward(state, images), strict=True):
        torch.testing.assert_close(tap, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_weights_of_another_network_are_refused(state):
    smaller = {key: value for key, value in state.items() if not key.startswith("layer4.2")}
    with pytest.raises(EncoderError, match=r"resnet34\.pth: 15 keys \(layer4\.2\.bn1\.bias, .*missing.*ResNet50"):
        ResNet50().load(smaller, "resnet34.pth")
    wider = {**state, "layer1.3.conv1.weight": torch.zeros(64, 256, 1, 1)}
    with pytest.raises(EncoderError, match=r"key layer1\.3\.conv1\.weight unexpected"):
        ResNet50().load(wider, "resnet101.pth")
