"""Training videos as features in the memory of the device, ready to be gathered."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lactoolkit.errors import ParameterError, TrainingError, VideoError, VideoWarning
from lactoolkit.features.embedding import INPUT_KINDS, prepare_features
from lactoolkit.features.extraction import extract_features
from lactoolkit.models.temporal import TemporalEncoderConfig, context_rows
from lactoolkit.models.trained import FeatureReduction

_FEWEST = 2  # videos: a process is learned from what several takes of it share


@dataclass(frozen=True)
class FeatureConfig:
    """What the temporal encoder is given.

    Parameters
    ----------
    encoder : str
        Frame encoder.
    weights : str, optional
        File of other weights for it.
    inputs : {"plain", "centred", "standardised", "motion"}
        How features are prepared; see :func:`lactoolkit.features.embedding.prepare_features`.
    components : int
        Principal components that are kept; 0 keeps the features as they are.
    frame_rate : float, optional
        Frames per second to learn from; every frame by default.
    """

    encoder: str = "lite0"
    weights: str | None = None
    inputs: str = "motion"
    components: int = 256
    frame_rate: float | None = None

    def __post_init__(self) -> None:
        if self.inputs not in INPUT_KINDS:
            raise ParameterError(f"features.inputs is {self.inputs!r}; choose one of {', '.join(INPUT_KINDS)}")
        if self.components < 0:
            raise ParameterError(f"features.components is {self.components}; it must be 0 or more")


@dataclass(frozen=True)
class DataConfig:
    """Which videos are learned from.

    Parameters
    ----------
    held_out : float
        Share of the videos that is kept for validation: they decide which checkpoint is the best and are not learned
        from. 0: the training videos validate themselves.
    """

    held_out: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ParameterError(f"data.held_out is {self.held_out}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class LoadedVideo:
    """Prepared features of one video.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Digest of its content.
    class_name : str
        Process it shows, "" where nobody said.
    views : tuple of ndarray, shapes (T, F), float32
        Features of the video as it is, then of augmented copies.
    """

    path: Path
    sha256: str
    class_name: str
    views: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.views[0])


def load_videos(
    sources: Iterable[tuple[Path, str]], config: FeatureConfig, *, device: str, strict: bool, progress: bool
) -> tuple[list[LoadedVideo], int]:
    """Features of videos, from the cache where they are in it.

    Parameters
    ----------
    sources : iterable of (Path, str)
        Files and their classes.
    config : FeatureConfig
        What to compute.
    device : str
        Where the frame encoder runs.
    strict : bool
        Whether a video that cannot be decoded is an error; else it is left out with a warning.
    progress : bool
        Whether to show a bar on stderr.

    Returns
    -------
    videos : list of LoadedVideo
        Those that could be read, of different content.
    skipped : int
        How many were left out.

    Raises
    ------
    VideoError
        With ``strict``, for the first video that cannot be decoded.
    TrainingError
        If fewer than two videos are left.
    """
    sources = list(sources)
    videos: list[LoadedVideo] = []
    seen: dict[str, Path] = {}
    skipped = 0
    for path, class_name in tqdm(sources, "features", unit="video", delay=1, leave=False, disable=not progress):
        try:
            features = extract_features(
                path, config.encoder, weights=config.weights, device=device, frame_rate=config.frame_rate
            )
            if len(features.frames) < 2:
                raise VideoError(f"{path}: a single frame; there is nothing to learn about time from it")
        except VideoError as error:
            if strict:
                raise
            warnings.warn(f"{error}; the video is left out", VideoWarning, stacklevel=2)
            skipped += 1
            continue
        if features.sha256 in seen:
            warnings.warn(f"{path}: same content as {seen[features.sha256]}; left out", VideoWarning, stacklevel=2)
            skipped += 1
            continue
        seen[features.sha256] = path
        prepared = prepare_features(features.values, features.tap_sizes, config.inputs)
        videos.append(LoadedVideo(path, features.sha256, class_name, (prepared,)))
    if len(videos) < _FEWEST:
        left_out = f" ({skipped} left out, see above)" if skipped else ""
        raise TrainingError(
            f"{len(videos)} video to learn from{left_out}; a process is learned from at least {_FEWEST} videos of it"
        )
    return videos, skipped


def hold_out(videos: Sequence[LoadedVideo], share: float, seed: int) -> tuple[list[LoadedVideo], list[LoadedVideo]]:
    """Split into videos to learn from and videos to validate on, by chance; both keep at least two.

    With too few videos for that, or with share 0, all are learned from and all validate.
    """
    count = max(2, round(share * len(videos)))
    if share == 0 or len(videos) - count < _FEWEST:
        return list(videos), list(videos)
    held = set(np.random.default_rng(seed).permutation(len(videos))[:count].tolist())
    chosen = [[video for k, video in enumerate(videos) if (k in held) is wanted] for wanted in (False, True)]
    return chosen[0], chosen[1]


def content_digest(videos: Iterable[LoadedVideo]) -> str:
    """SHA-256 over the content of videos and their order."""
    return hashlib.sha256(" ".join(video.sha256 for video in videos).encode()).hexdigest()


class FeatureBank:
    """All features of all training videos as one tensor.

    Parameters
    ----------
    videos : sequence of LoadedVideo
        The videos, each with the same number of views.
    reduction : FeatureReduction or None
        Applied once, here.
    context : TemporalEncoderConfig
        Neighbours to gather with each frame.
    device : torch.device
        Where the tensor lies.
    """

    def __init__(
        self,
        videos: Sequence[LoadedVideo],
        reduction: FeatureReduction | None,
        context: TemporalEncoderConfig,
        device: torch.device,
    ) -> None:
        self._context = context
        self._device = device
        self._lengths = torch.tensor([len(video) for video in videos], device=device)
        parts = []
        starts = []
        total = 0
        for video in videos:
            row = []
            for view in video.views:
                values = torch.from_numpy(view).to(device)
                parts.append(values if reduction is None else reduction(values))
                row.append(total)
                total += len(view)
            starts.append(row)
        self._values = torch.cat(parts)
        self._starts = torch.tensor(starts, device=device)

    def gather(self, videos: torch.Tensor, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Features of clips.

        Parameters
        ----------
        videos, views : Tensor, shape (B,), int64
            Video and view of each clip.
        rows : Tensor, shape (B, T), int64
            Its frames.

        Returns
        -------
        Tensor, shape (B, T, C, F, ...)
        """
        neighbours = context_rows(rows, self._lengths[videos][:, None], self._context)
        return self._values[self._starts[videos, views][:, None, None] + neighbours]


def fit_reduction(videos: Sequence[LoadedVideo], components: int, seed: int) -> FeatureReduction | None:
    """Principal components of the features of all views; None for ``components = 0``."""
    if components == 0:
        return None
    return FeatureReduction.fit(
        torch.from_numpy(np.concatenate([one for v in videos for one in v.views])), components, seed
    )
