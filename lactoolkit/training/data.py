"""Training videos as features in the memory of the device, ready to be gathered."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lactoolkit.errors import ParameterError, TrainingError, VideoError, VideoWarning
from lactoolkit.features.embedding import INPUT_KINDS, all_look_the_same, prepare_features
from lactoolkit.features.extraction import extract_features
from lactoolkit.features.views import extract_feature_views
from lactoolkit.models.registry import INPUT_SIZE
from lactoolkit.models.temporal import TemporalEncoderConfig, context_rows
from lactoolkit.models.trained import FeatureReduction
from lactoolkit.video.augmentation import AugmentationSettings
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.digest import file_sha256

MAPS = "maps"
_FEWEST = 2  # videos: a process is learned from what several takes of it share
_REDUCTION_FRAMES = 4096  # of all views, that principal components are computed from


@dataclass(frozen=True)
class FeatureConfig:
    """What the temporal encoder is given.

    Parameters
    ----------
    encoder : str
        Frame encoder.
    weights : str, optional
        File of other weights for it.
    inputs : {"plain", "centred", "standardised", "motion", "maps"}
        How features are prepared; see :func:`lactoolkit.features.embedding.prepare_features`. ``maps``: feature maps at
        stride 16, computed anew at every step from augmented pictures; needs ``model.stem = "convolution"``, and a GPU
        for anything but trying out.
    unfreeze : str
        With the inputs ``maps``: the first stage of the frame encoder that is trained on (``layer3`` of resnet50,
        ``stage5`` of lite0); none by default.
    components : int
        Principal components that are kept; 0 keeps the features as they are.
    views : int
        Copies of every video, each augmented by one draw, that are learned from beside the video as it is.
    frame_rate : float, optional
        Frames per second to learn from; every frame by default.
    untrained_weight : float
        Embeddings of videos are what was learnt with the frame encoder's own embedding beside it, at this weight: what
        several videos have in common, and the detail that learning it costs. 0 leaves it out, as ``maps`` must.
    """

    encoder: str = "lite0-fine"
    weights: str | None = None
    inputs: str = "motion"
    unfreeze: str = ""
    components: int = 256
    views: int = 4
    frame_rate: float | None = None
    untrained_weight: float = 1.5

    def __post_init__(self) -> None:
        kinds = (*INPUT_KINDS, MAPS)
        if self.inputs not in kinds:
            raise ParameterError(f"features.inputs is {self.inputs!r}; choose one of {', '.join(kinds)}")
        if self.unfreeze and self.inputs != MAPS:
            raise ParameterError(
                f"features.unfreeze (--unfreeze {self.unfreeze}): features.inputs = {self.inputs!r} are computed once, "
                "from a fixed encoder; give --preset paper, or features.inputs=maps and model.stem=convolution"
            )
        if self.components < 0:
            raise ParameterError(f"features.components is {self.components}; it must be 0 or more")
        if self.views < 0:
            raise ParameterError(f"features.views is {self.views}; it must be 0 or more")
        if self.frame_rate is not None and not 0 < self.frame_rate < math.inf:
            raise ParameterError(f"features.frame_rate is {self.frame_rate}; it must be positive and finite")
        if not 0 <= self.untrained_weight < math.inf:
            raise ParameterError(
                f"features.untrained_weight is {self.untrained_weight}; it must be finite and 0 or more"
            )
        if self.inputs == MAPS and self.untrained_weight > 0:
            raise ParameterError(
                'features.untrained_weight: with features.inputs = "maps" there are no features to set beside what is '
                "learnt; set it to 0, as --preset paper does"
            )


@dataclass(frozen=True)
class DataConfig:
    """Which videos are learned from.

    Parameters
    ----------
    held_out : float
        Share of the videos that is kept for validation: they decide which checkpoint is the best and are not learned
        from. 0: the training videos validate themselves.
    workers : int
        Videos that are decoded at once, where training needs pictures.
    memory : float
        GiB that the features of all videos may take in memory, or their pictures where training needs those.
    """

    held_out: float = 0.125
    workers: int = 4
    memory: float = 16.0

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ParameterError(f"data.held_out is {self.held_out}; it must be at least 0 and below 1")
        if self.workers < 1:
            raise ParameterError(f"data.workers is {self.workers}; the least is 1")
        if not self.memory > 0:
            raise ParameterError(f"data.memory is {self.memory}; it must be positive")


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
    views : tuple of ndarray, shapes (T, F), float16, or (T, H, W, 3), uint8
        Features of the video as it is, then of augmented copies; or its pictures.
    """

    path: Path
    sha256: str
    class_name: str
    views: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.views[0])


def load_videos(
    sources: Iterable[tuple[Path, str]],
    data: DataConfig,
    config: FeatureConfig,
    augmentation: AugmentationSettings,
    *,
    device: str,
    strict: bool,
    progress: bool,
) -> tuple[list[LoadedVideo], int]:
    """Features of videos, from the cache where they are in it.

    Parameters
    ----------
    sources : iterable of (Path, str)
        Files and their classes.
    data : DataConfig
        How many at once, and how much memory they may take.
    config : FeatureConfig
        What to compute.
    augmentation : AugmentationSettings
        What may happen to the copies.
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
        With ``strict``, for the first video that cannot be decoded, has a single frame, or shows nothing that moves.
    TrainingError
        If fewer than two videos of any process are left, or they take too much memory.
    """

    def load(source: tuple[Path, str]) -> LoadedVideo | VideoError:
        path, class_name = source
        try:
            sha256, views, is_still = (
                _pictures(path, config) if config.inputs == MAPS else _features(path, config, augmentation, device)
            )
            if len(views[0]) < 2:
                raise VideoError(f"{path}: a single frame; there is nothing to learn about time from it")
            if is_still:
                raise VideoError(f"{path}: all its frames look the same; there is nothing to learn about time from it")
        except VideoError as error:
            if strict:
                raise
            return error
        return LoadedVideo(path, sha256, class_name, views)

    sources = list(sources)
    videos: list[LoadedVideo] = []
    seen: dict[str, Path] = {}
    skipped, size = 0, 0
    with ExitStack() as stack:
        if config.inputs == MAPS:
            pool = stack.enter_context(ThreadPoolExecutor(data.workers))
            stack.callback(pool.shutdown, cancel_futures=True)
            loaded: Iterable[LoadedVideo | VideoError] = pool.map(load, sources)
        else:  # one by one: the frame encoder keeps all processors busy by itself
            loaded = map(load, sources)
        for video in tqdm(loaded, "videos", len(sources), unit="video", delay=1, leave=False, disable=not progress):
            if isinstance(video, VideoError):
                warnings.warn(f"{video}; the video is left out", VideoWarning, stacklevel=2)
                skipped += 1
                continue
            if video.sha256 in seen:
                message = f"{video.path}: same content as {seen[video.sha256]}; left out"
                warnings.warn(message, VideoWarning, stacklevel=2)
                skipped += 1
                continue
            seen[video.sha256] = video.path
            size += sum(view.nbytes for view in video.views)
            if size > data.memory * 2**30:
                raise TrainingError(
                    f"the videos take more than data.memory = {data.memory:g} GiB ({video.path} is number "
                    f"{len(videos) + 1} of {len(sources)}); allow more, or learn from fewer frames per second "
                    "(features.frame_rate) or copies (features.views)"
                )
            videos.append(video)
    if len(videos) < _FEWEST:
        left_out = f" ({skipped} left out, see above)" if skipped else ""
        count = "1 video" if videos else "no video"
        raise TrainingError(
            f"{count} to learn from{left_out}; a process is learned from at least {_FEWEST} videos of it"
        )
    if max(Counter(video.class_name for video in videos).values()) < _FEWEST:
        raise TrainingError(
            f"each of {len(videos)} videos has a class of its own; a process is learned from at least {_FEWEST} videos "
            "of it: give videos of one process one class, or leave the column out"
        )
    return videos, skipped


def _features(
    path: Path, config: FeatureConfig, augmentation: AugmentationSettings, device: str
) -> tuple[str, tuple[np.ndarray, ...], bool]:
    """Digest of a video, its prepared features, those of augmented copies after them, and whether nothing moves."""
    features = extract_features(
        path, config.encoder, weights=config.weights, device=device, frame_rate=config.frame_rate
    )
    views = [features.values]
    if config.views:
        copies = extract_feature_views(
            path,
            config.encoder,
            views=config.views,
            augmentation=augmentation,
            weights=config.weights,
            device=device,
            frame_rate=config.frame_rate,
        )
        views.extend(copies.values)
    # Half precision is what the cache keeps of the taps, too, and two bytes a number are many enough.
    prepared = [prepare_features(view, features.tap_sizes, config.inputs).astype(np.float16) for view in views]
    return features.sha256, tuple(prepared), all_look_the_same(features.values)


def _pictures(path: Path, config: FeatureConfig) -> tuple[str, tuple[np.ndarray, ...], bool]:
    """Digest of a video, its frames, (T, 224, 224, 3) uint8, and whether nothing moves."""
    batches = read_frames(path, size=INPUT_SIZE, frame_rate=config.frame_rate)
    pictures = np.concatenate([batch.images for batch in batches])
    return file_sha256(path), (pictures,), all(np.array_equal(one, pictures[0]) for one in pictures)


def content_digest(videos: Iterable[LoadedVideo]) -> str:
    """SHA-256 over the content of videos and their order."""
    return hashlib.sha256(" ".join(video.sha256 for video in videos).encode()).hexdigest()


class FeatureBank:
    """All features, or pictures, of all training videos as one tensor.

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
        self.device = device
        self._lengths = torch.tensor([len(video) for video in videos], device=device)
        parts = []
        starts = []
        total = 0
        for video in videos:
            row = []
            for view in video.views:
                values = torch.from_numpy(view).to(device)
                if values.is_floating_point():
                    values = values.float() if reduction is None else reduction(values.float())
                parts.append(values)
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
        Tensor, shape (B, T, C, F), or (B, T, C, H, W, 3) for pictures
        """
        neighbours = context_rows(rows, self._lengths[videos][:, None], self._context)
        return self._values[self._starts[videos, views][:, None, None] + neighbours]


def fit_reduction(
    videos: Sequence[LoadedVideo], components: int, seed: int, device: torch.device
) -> FeatureReduction | None:
    """Principal components of up to 4096 frames spread over all views; None for ``components = 0``."""
    if components == 0:
        return None
    views = [one for video in videos for one in video.views]
    places = [(view, row) for view, one in enumerate(views) for row in range(len(one))]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), _REDUCTION_FRAMES)).round().astype(int))
    rows = np.stack([views[view][row] for view, row in (places[k] for k in chosen)])
    return FeatureReduction.fit(torch.from_numpy(rows).to(device).float(), components, seed)
