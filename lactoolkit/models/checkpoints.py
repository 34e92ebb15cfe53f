"""Reading weights files and laying them into networks, batch normalisation folded into the convolutions."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from lactoolkit.errors import EncoderError

_NORM_STATISTICS = ("weight", "bias", "running_mean", "running_var")
_SHOWN_KEYS = 4
# What torch.load's unpickler raises when it meets the bytes of some other file.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a file of named tensors; code in it is never run.

    Parameters
    ----------
    path : str or Path
        File written by ``torch.save(model.state_dict(), path)``.

    Returns
    -------
    dict of str to Tensor
        The tensors, on the CPU.

    Raises
    ------
    EncoderError
        The file cannot be read or holds anything else.
    """
    remedy = "give a file written by torch.save(model.state_dict(), FILE)"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise EncoderError(f"weights {path}: cannot be read ({error.strerror}); {remedy}") from error
    except UNREADABLE as error:
        raise EncoderError(f"weights {path}: not a state_dict, or damaged; {remedy}") from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise EncoderError(f"weights {path}: holds no plain state_dict of named tensors; {remedy}")
    return dict(content)


def fold_batch_norm(
    weight: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge a batch normalisation with fixed statistics into the convolution before it.

    Parameters
    ----------
    weight : Tensor, shape (out, in, kh, kw)
        Weights of the convolution, which has no bias.
    gamma, beta, mean, variance : Tensor, shape (out,)
        Scale, shift and running statistics of the normalisation.
    eps : float
        Added to the variance.

    Returns
    -------
    weight : Tensor, shape (out, in, kh, kw)
        Weights of the merged convolution.
    bias : Tensor, shape (out,)
        Its bias.
    """
    scale = gamma.double() / torch.sqrt(variance.double() + eps)
    folded = weight.double() * scale[:, None, None, None]
    return folded.to(weight.dtype), (beta.double() - mean.double() * scale).to(weight.dtype)


def load_folded(
    network: nn.Module,
    state: Mapping[str, torch.Tensor],
    keys_of: Callable[[str], tuple[str, str]],
    *,
    eps: float,
    unused: tuple[str, ...],
    source: str,
) -> None:
    """Fill the convolutions of a network from a checkpoint of the same network with batch normalisation.

    Parameters
    ----------
    network : Module
        All its weights are in ``nn.Conv2d`` modules with a bias.
    state : mapping of str to Tensor
        The checkpoint.
    keys_of : callable
        Gives for a convolution's name in `network` the prefixes of its weight and of its normalisation in `state`.
    eps : float
        The normalisation's eps.
    unused : tuple of str
        Prefixes of keys that may be present or absent: layers after the last tap.
    source : str
        What to call the checkpoint in error messages.

    Raises
    ------
    EncoderError
        Keys are missing or unexpected, or tensors have another shape.
    """
    convolutions = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    names = {name: keys_of(name) for name in convolutions}
    expected = {f"{weight}.weight" for weight, _ in names.values()}
    expected |= {f"{norm}.{part}" for _, norm in names.values() for part in _NORM_STATISTICS}
    present = {key for key in state if not key.startswith(unused) and not key.endswith(".num_batches_tracked")}
    if missing := expected - present:
        raise EncoderError(f"{source}: {_describe_keys(missing)} missing; {_other_network(network)}")
    if unexpected := present - expected:
        raise EncoderError(f"{source}: {_describe_keys(unexpected)} unexpected; {_other_network(network)}")
    with torch.no_grad():
        for name, convolution in convolutions.items():
            weight_key, norm_key = names[name]
            tensors = [state[f"{weight_key}.weight"], *(state[f"{norm_key}.{part}"] for part in _NORM_STATISTICS)]
            weight, bias = _checked_shapes(convolution, weight_key, tensors, source, eps)
            # A kernel that is wider in the network than in the file keeps its leading zeros (see SameConv2d).
            rows, columns = weight.shape[2:]
            convolution.weight.zero_()
            convolution.weight[:, :, -rows:, -columns:] = weight
            if convolution.bias is not None:
                convolution.bias.copy_(bias)


def _checked_shapes(
    convolution: nn.Conv2d, key: str, tensors: list[torch.Tensor], source: str, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    kernel = getattr(convolution, "stored_kernel_size", convolution.kernel_size)
    shape = (convolution.out_channels, convolution.in_channels // convolution.groups, *kernel)
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if shapes != [shape] + [shape[:1]] * len(_NORM_STATISTICS):
        raise EncoderError(
            f"{source}: {key} and its batch normalisation have the shapes {shapes}, expected {shape} and {shape[:1]}; "
            "these are weights of another network"
        )
    weight, gamma, beta, mean, variance = (tensor.float() for tensor in tensors)
    return fold_batch_norm(weight, gamma, beta, mean, variance, eps)


def _describe_keys(keys: set[str]) -> str:
    shown = ", ".join(sorted(keys)[:_SHOWN_KEYS])
    more = len(keys) - _SHOWN_KEYS
    return f"{len(keys)} keys ({shown}{', ...' if more > 0 else ''})" if len(keys) > 1 else f"key {shown}"


def _other_network(network: nn.Module) -> str:
    return f"these are not plain weights of {type(network).__name__}: name a state_dict with its standard key names"
