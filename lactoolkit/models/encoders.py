"""Frame encoders: pictures in, pooled feature maps of a pretrained network out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from lactoolkit.errors import BackendError, ParameterError
from lactoolkit.models import pretrained
from lactoolkit.models.checkpoints import read_state_dict
from lactoolkit.models.efficientnet_lite import EfficientNetLite0
from lactoolkit.models.exactness import full_float32_convolutions
from lactoolkit.models.registry import (
    INPUT_SIZE,
    EncoderInfo,
    EncoderSpec,
    available_encoders,
    encoder_identity,
    encoder_spec,
    resolve_precision,
)
from lactoolkit.models.resnet import ResNet50

__all__ = ["EncoderInfo", "FrameEncoder", "available_encoders", "encoder_identity", "load_encoder"]

_NETWORKS: dict[str, Callable[[], EfficientNetLite0 | ResNet50]] = {
    "lite0": EfficientNetLite0,
    "lite0-fine": EfficientNetLite0,
    "resnet50": ResNet50,
}


class FrameEncoder(nn.Module):
    """A pretrained network that turns frames into pooled feature maps ("taps").

    Each tap is average-pooled to the cells its spec names, most often 3 x 3 (neighbouring cells may share a row or
    column, as in ``torch.nn.functional.adaptive_avg_pool2d``) and flattened, channel by channel.

    Parameters
    ----------
    spec : EncoderSpec
        Name, preprocessing and taps.
    network : Module
        Maps normalised images (n, 3, h, w) to the feature maps to pool.
    identity : str
        See :func:`encoder_identity`.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        Precision of weights and feature maps; pooling is done in float32.

    Attributes
    ----------
    name : str
        Name of the encoder.
    identity : str
        Changes whenever the numbers that the encoder gives change.
    input_size : (int, int)
        Height and width of the pictures it takes.
    tap_sizes : tuple of int
        Lengths of the pooled taps.
    batch_size : int
        The number of pictures at a time that keeps the device busy without leaving its caches.
    """

    def __init__(
        self, spec: EncoderSpec, network: nn.Module, *, identity: str, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.name = spec.name
        self.identity = identity
        self.input_size = INPUT_SIZE
        self.tap_sizes = spec.tap_sizes
        self._pool_sizes = spec.pool_sizes
        self.batch_size = 8 if device.type == "cpu" else 64
        self._dtype = dtype
        self.network = network.to(device=device, dtype=dtype)
        # torch's type stubs do not know this argument.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", torch.tensor(spec.mean, device=device), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std, device=device), persistent=False)
        self.mean: torch.Tensor
        self.std: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode pictures.

        Parameters
        ----------
        images : Tensor, shape (n, H, W, 3), uint8
            RGB pictures of :attr:`input_size`.

        Returns
        -------
        Tensor, shape (n, sum(tap_sizes)), float32
            The pooled taps one after the other, neither centred nor normalised, on the encoder's device.

        Raises
        ------
        ParameterError
            The images have another type or shape.
        """
        height, width = self.input_size
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
            raise ParameterError(
                f"images must be uint8 of shape (n, {height}, {width}, 3), not {images.dtype} of shape "
                f"{tuple(images.shape)}; resize the frames first, as read_frames(..., size={self.input_size}) does"
            )
        normalised = (images.to(self.mean.device).float() - self.mean) / self.std
        # The picture's own layout is torch's channels_last: permuting its axes moves no data.
        with full_float32_convolutions():
            taps = self.network(normalised.to(self._dtype).permute(0, 3, 1, 2))
        pooled = [
            functional.adaptive_avg_pool2d(tap.float(), cells).flatten(1)
            for tap, cells in zip(taps, self._pool_sizes, strict=True)
        ]
        return torch.cat(pooled, dim=1)


def load_encoder(
    name: str = "lite0", *, weights: str | Path | None = None, device: str = "auto", precision: str = "auto"
) -> FrameEncoder:
    """Load a frame encoder, ready to use: in evaluation mode, without gradients.

    Parameters
    ----------
    name : {"lite0", "lite0-fine", "resnet50"}
        Which encoder; :func:`available_encoders` lists them.
    weights : str or Path, optional
        A state_dict file to use instead of the published ImageNet weights, with the network's standard key names.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1", ...; "auto" takes CUDA where it works.
    precision : {"auto", "float32", "bfloat16"}
        "auto" takes bfloat16 where the CPU multiplies in it natively (AVX512-BF16, AMX), else float32.

    Returns
    -------
    FrameEncoder
        The encoder.

    Raises
    ------
    EncoderError
        The encoder is unknown, or its weights are missing, damaged or of another network.
    BackendError
        The device cannot be used.
    ParameterError
        The precision is unknown.

    Examples
    --------
    >>> import torch
    >>> encoder = load_encoder("lite0", device="cpu")
    >>> encoder(torch.zeros(2, 224, 224, 3, dtype=torch.uint8)).shape
    torch.Size([2, 2736])
    """
    spec = encoder_spec(name)
    dtype = getattr(torch, resolve_precision(precision))
    chosen_device = choose_device(device)
    identity = encoder_identity(name, weights=weights, precision=precision)
    network = _NETWORKS[name]()
    if weights is None:
        state, source = pretrained.published_weights(spec)
    else:
        state, source = read_state_dict(weights), f"weights {weights}"
    network.load(state, source)
    encoder = FrameEncoder(spec, network, identity=identity, device=chosen_device, dtype=dtype)
    return encoder.eval().requires_grad_(False)


def choose_device(device: str) -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1", ... into a device that can be used here.

    Raises
    ------
    ParameterError
        The device is unknown.
    BackendError
        It cannot be used.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(f"device {device!r} is unknown; give auto, cpu, cuda or cuda:NUMBER") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device {device!r}: torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices here; "
            "use device='cpu', or install a torch built for this machine's GPU driver"
        )
    return chosen
