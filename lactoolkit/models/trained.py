"""Trained encoders: a frame encoder, a reduction of its features, and a temporal encoder, from one checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lactoolkit.errors import CheckpointError
from lactoolkit.models.checkpoint_file import read_checkpoint
from lactoolkit.models.encoders import choose_device
from lactoolkit.models.map_backbone import MapBackbone, embed_frames
from lactoolkit.models.registry import checkpoint_sha256, encoder_identity, trained_identity
from lactoolkit.models.temporal import TemporalEncoder, TemporalEncoderConfig


class FeatureReduction(nn.Module):
    """Projection of features onto their principal components, fitted once, never trained.

    Parameters
    ----------
    mean : Tensor, shape (F,)
        Mean of the features.
    components : Tensor, shape (F, K)
        Principal directions, scaled so that the components have a variance of 1 on average.
    """

    def __init__(self, mean: torch.Tensor, components: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)
        self.mean: torch.Tensor
        self.components: torch.Tensor

    @property
    def size(self) -> int:
        """Number of components."""
        return self.components.shape[1]

    @classmethod
    def fit(cls, features: torch.Tensor, size: int, seed: int) -> FeatureReduction:
        """Fit to features of shape (N, F); at most min(N, F) components are kept."""
        size = min(size, *features.shape)
        mean = features.mean(dim=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, singular, directions = torch.pca_lowrank(features - mean, q=size, center=False)
        variance = float(singular.square().mean()) / len(features)
        return cls(mean, directions / max(variance, 1e-12) ** 0.5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (..., F) to (..., K)."""
        return (features - self.mean) @ self.components


class TrainedEncoder:
    """What a training run learned, ready to embed videos.

    Parameters
    ----------
    identity : str
        Changes whenever the embeddings change: holds the digest of the checkpoint.
    backbone : str
        Name of the frame encoder.
    weights : str or None
        File of other weights for it.
    inputs : str
        How the features of a video are prepared; see :func:`lactoolkit.features.embedding.prepare_features`.
    reduction : FeatureReduction or None
        Applied to prepared features.
    temporal : TemporalEncoder
        Applied to reduced features.
    maps : MapBackbone or None
        For the inputs "maps": what makes maps of pictures; :meth:`embed_pictures` then replaces :meth:`embed`.
    untrained_weight : float
        Weight at which :func:`lactoolkit.embed_video` sets the frame encoder's own embeddings beside the learnt ones.
    device : torch.device
        Where everything runs.
    """

    def __init__(
        self,
        identity: str,
        backbone: str,
        weights: str | None,
        inputs: str,
        reduction: FeatureReduction | None,
        temporal: TemporalEncoder,
        maps: MapBackbone | None,
        untrained_weight: float,
        device: torch.device,
    ) -> None:
        self.identity = identity
        self.backbone = backbone
        self.weights = weights
        self.inputs = inputs
        self.untrained_weight = untrained_weight
        self.device = device
        self.reduction = None if reduction is None else reduction.to(device)
        self.temporal = temporal.to(device).eval().requires_grad_(False)
        self.maps = None if maps is None else maps.to(device).eval().requires_grad_(False)

    def embed(self, features: np.ndarray) -> np.ndarray:
        """Embed the frames of one video: the learnt part, without untrained embeddings beside it.

        Parameters
        ----------
        features : ndarray, shape (T, F), float32
            Its prepared features.

        Returns
        -------
        ndarray, shape (T, D), float32
            Rows of norm 1.
        """
        with torch.inference_mode():
            values = torch.from_numpy(np.ascontiguousarray(features)).to(self.device)
            if self.reduction is not None:
                values = self.reduction(values)
            return self.temporal.embed_video(values).cpu().numpy()

    def embed_pictures(self, batches: Iterable[np.ndarray]) -> np.ndarray:
        """Embed the frames of one video from its pictures, in constant memory but for what the transformer needs.

        Parameters
        ----------
        batches : iterable of ndarray, shapes (n, 224, 224, 3), uint8
            Its frames in time order.

        Returns
        -------
        ndarray, shape (T, D), float32
            Rows of norm 1.
        """
        assert self.maps is not None
        with torch.inference_mode():
            return embed_frames(self.maps, self.temporal, map(torch.from_numpy, batches)).cpu().numpy()


def encoder_content(
    temporal: TemporalEncoder,
    reduction: FeatureReduction | None,
    maps: MapBackbone | None,
    *,
    backbone: str,
    weights: str | None,
    inputs: str,
    unfreeze: str,
    untrained_weight: float,
) -> dict[str, Any]:
    """The part of a checkpoint from which :func:`load_trained_encoder` rebuilds the encoder."""
    return {
        "backbone": backbone,
        "weights": weights,
        "backbone_identity": encoder_identity(backbone, weights=weights),
        "inputs": inputs,
        "unfreeze": unfreeze,
        "untrained_weight": untrained_weight,
        "maps": None if maps is None else maps.trained_state(),
        "input_size": temporal.input_size,
        "temporal_config": asdict(temporal.config),
        "temporal": temporal.state_dict(),
        "reduction": None if reduction is None else reduction.state_dict(),
    }


def restore_modules(
    content: Mapping[str, Any], source: str
) -> tuple[TemporalEncoder, FeatureReduction | None, MapBackbone | None]:
    """Rebuild the networks from the encoder's part of a checkpoint.

    Raises
    ------
    CheckpointError
        If parts are missing or do not fit together, or the backbone's weights are others than in training.
    EncoderError
        If the backbone has no weights here.
    """
    try:
        backbone, weights = content["backbone"], content["weights"]
        found = encoder_identity(backbone, weights=weights)
        if _without_precision(found) != _without_precision(content["backbone_identity"]):
            raise CheckpointError(
                f"checkpoint {source}: the encoder {backbone} it was trained on has other weights here "
                f"({weights or 'of another version'}); use those it was trained with, or train again"
            )
        maps = None
        if content["inputs"] == "maps":
            maps = MapBackbone(backbone, weights, content["unfreeze"])
            maps.trained.load_state_dict(content["maps"])
        temporal = TemporalEncoder(TemporalEncoderConfig(**content["temporal_config"]), content["input_size"])
        temporal.load_state_dict(content["temporal"])
        reduced = content["reduction"]
        reduction = None if reduced is None else FeatureReduction(reduced["mean"], reduced["components"])
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"checkpoint {source}: its parts do not fit together ({reason}); train again") from error
    return temporal, reduction, maps


def _without_precision(identity: str) -> list[str]:
    """What must be the same on every machine: precision differs between processors, and hardly matters."""
    return [part for part in identity.split() if not part.startswith("precision=")]


def load_trained_encoder(path: str | Path, device: str = "auto") -> TrainedEncoder:
    """Load the encoder of a training run.

    Parameters
    ----------
    path : str or Path
        A checkpoint that ``lac train`` wrote, such as ``run/best.pt``.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1", ...; "auto" takes CUDA where it works.

    Returns
    -------
    TrainedEncoder
        To be given to :func:`lactoolkit.embed_video` or :func:`lactoolkit.align_videos` in place of an encoder's name.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or something else.
    """
    chosen = choose_device(device)
    content = read_checkpoint(path)
    if "encoder" not in content:
        raise CheckpointError(f"checkpoint {path}: holds no encoder; name RUN/best.pt of a training run")
    part = content["encoder"]
    temporal, reduction, maps = restore_modules(part, str(path))
    return TrainedEncoder(
        trained_identity(checkpoint_sha256(path)),
        part["backbone"],
        part["weights"],
        part["inputs"],
        reduction,
        temporal,
        maps,
        part.get("untrained_weight", 0.0),  # checkpoints of version 1 have none
        chosen,
    )
