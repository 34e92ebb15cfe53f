"""From a video file to embeddings that can be aligned: where encoders meet everything that compares videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.features.cache import entry_key, load_entry, save_entry
from lactoolkit.features.embedding import (
    JoinedEmbeddings,
    LongEmbeddings,
    all_look_the_same,
    coarse_taps,
    prepare_features,
)
from lactoolkit.features.extraction import VideoFeatures, extract_features, recorded_damage, warn_of_damage
from lactoolkit.features.hard_cuts import find_hard_cuts
from lactoolkit.features.preview import find_preview, preview_key
from lactoolkit.models.registry import (
    INPUT_SIZE,
    checkpoint_sha256,
    encoder_identity,
    encoder_spec,
    is_checkpoint,
    trained_identity,
)
from lactoolkit.video.decoding import VideoInfo, probe, read_frames
from lactoolkit.video.digest import file_sha256

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

_LONG = 10_000  # frames
_BATCH = 16  # frames that go through the network at once


@dataclass(frozen=True)
class VideoEmbeddings:
    """Embeddings of the analysed frames of one video.

    Parameters
    ----------
    path : Path
        The file as the user named it.
    sha256 : str
        Hex digest of the file's bytes.
    frames : ndarray, shape (T,), int64
        Native numbers of the frames, counted from 0.
    times : ndarray, shape (T,), float64
        Their times in seconds from the start of the video.
    values : ndarray, LongEmbeddings or JoinedEmbeddings, shape (T, D), float32
        Embeddings of Euclidean norm 1 (or zero where nothing distinguishes a frame). An array, unless ``embed_video``
        was asked for ``on_demand``.
    encoder : str
        Identity of what computed them.
    info : VideoInfo
        What the file says about itself.
    preview : Path or None
        Small copy of these frames as a video; see :func:`lactoolkit.extract_features`.
    cuts : ndarray, shape (C,), int64
        Native numbers of the first frames behind hard cuts; see :func:`lactoolkit.features.hard_cuts.find_hard_cuts`.
        Encoders that train on pictures or have no untrained features beside what was learnt find none.
    """

    path: Path
    sha256: str
    frames: np.ndarray
    times: np.ndarray
    values: np.ndarray
    encoder: str
    info: VideoInfo
    preview: Path | None = None
    cuts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def rate(self) -> float:
        """Analysed frames per second, by the median distance of two neighbours."""
        return _rate(self.times)


def embed_video(
    path: str | Path,
    encoder: str | Path | FrameEncoder | TrainedEncoder = "lite0",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    cache: bool = True,
    preview: bool = False,
    progress: bool = False,
    on_demand: bool = False,
) -> VideoEmbeddings:
    """Embed the frames of a video, ready to be aligned with another one embedded in the same way.

    Parameters
    ----------
    path : path
        The video.
    encoder : str, Path, FrameEncoder or TrainedEncoder
        Name of a frame encoder, checkpoint of a training run (``run/best.pt``), or either of them loaded already
        (``weights`` and ``device`` then have no effect). Load the checkpoint once for many videos:
        :func:`lactoolkit.load_trained_encoder`.
    weights : path, optional
        File of other weights for a frame encoder.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    frame_rate : float, optional
        Frames per second to embed; every frame by default.
    start, end : float, optional
        Range to embed in seconds.
    cache : bool
        Use and fill the cache of features.
    preview : bool
        Also keep a small copy of the frames of large videos in the cache, for showing them.
    progress : bool
        Show a progress bar on stderr when it takes longer than a second.
    on_demand : bool
        Keep the features of a long video and compute its embeddings where they are asked for, which takes a quarter
        of the memory.

    Returns
    -------
    VideoEmbeddings

    Raises
    ------
    VideoError
        If the file is missing or cannot be decoded, has a single frame in the range, or frames that all look the same.
    EncoderError
        If the encoder is unknown or has no weights.
    CheckpointError
        If the checkpoint is missing, damaged or something else.

    Examples
    --------
    >>> embed_video("data/samples/hammer_fast.mp4").values.shape
    (113, 5472)
    """
    path = Path(path)
    span = {"frame_rate": frame_rate, "start": start, "end": end}
    trained = checkpoint_identity(encoder, weights)
    if trained is None:
        features = extract_features(
            path,
            encoder,  # type: ignore[arg-type]  # not a trained one
            weights=weights,
            device=device,
            cache=cache,
            preview=preview,
            progress=progress,
            compact=True,
            **span,
        )
        _check_count(path, len(features.frames))
        if all_look_the_same(features.values):
            raise _still_video(path)
        embeddings = LongEmbeddings(features.values, features.tap_sizes)
        values = _all_or_on_demand(embeddings, on_demand)
        return VideoEmbeddings(
            path=path,
            sha256=features.sha256,
            frames=features.frames,
            times=features.times,
            values=values,
            encoder=features.encoder,
            info=features.info,
            preview=features.preview,
            cuts=_hard_cuts(features.values, features.tap_sizes, features.frames, features.times),
        )
    if not isinstance(encoder, str | Path):
        device = str(encoder.device)
    info, sha256 = probe(path), file_sha256(path)
    key = entry_key(embeddings="learnt", video=sha256, encoder=trained, **span)
    entry = load_entry(key) if cache else None
    used: VideoFeatures | None = None
    if entry is None:
        with recorded_damage(path) as damage:
            entry, used = _embed_trained(path, encoder, device, span, cache, preview, progress)
        entry["damage"] = np.array(damage, dtype=np.str_)
        if cache:
            save_entry(key, **entry)
    warn_of_damage(path, entry["damage"])
    values, cuts = entry["values"], np.zeros(0, np.int64)
    if (weight := float(entry["untrained_weight"])) > 0:
        backbone = str(entry["backbone"])
        if used is None:
            # The cache keeps what was learnt alone: the rest is forty times as long, and the same for all checkpoints.
            with recorded_damage(path):
                used = extract_features(
                    path,
                    backbone,
                    weights=str(entry["weights"]) or None,
                    device=device,
                    cache=cache,
                    preview=False,
                    progress=progress,
                    compact=True,
                    **span,
                )
        spec = encoder_spec(backbone)
        taps = coarse_taps(used.values, spec.tap_channels, spec.pool_sizes)
        cuts = _hard_cuts(*taps, used.frames, used.times)
        untrained = LongEmbeddings(*taps)
        values = _all_or_on_demand(JoinedEmbeddings(values, untrained, weight), on_demand)
    return VideoEmbeddings(
        path=path,
        sha256=sha256,
        frames=entry["frames"],
        times=entry["times"],
        values=values,
        encoder=trained,
        info=info,
        preview=find_preview(preview_key(sha256, **span)) if cache and preview else None,
        cuts=cuts,
    )


def checkpoint_identity(encoder: object, weights: str | Path | None = None) -> str | None:
    """Identity of a trained encoder, without loading it; None for a frame encoder.

    Raises
    ------
    ParameterError
        A checkpoint is given together with other weights.
    CheckpointError
        The checkpoint cannot be read.
    """
    if isinstance(encoder, str | Path):
        if not is_checkpoint(encoder):
            return None
        if weights is not None:
            raise ParameterError(
                f"weights (--weights {weights}): the checkpoint {encoder} has its own weights; leave them out"
            )
        return trained_identity(checkpoint_sha256(encoder))
    from lactoolkit.models.trained import TrainedEncoder

    return encoder.identity if isinstance(encoder, TrainedEncoder) else None


def embedding_identity(encoder: str | Path | FrameEncoder | TrainedEncoder, weights: str | Path | None = None) -> str:
    """Identity of whatever :func:`embed_video` takes as encoder, without loading one that is given by name.

    Raises
    ------
    EncoderError
        The encoder is unknown.
    ParameterError, CheckpointError
        As for :func:`checkpoint_identity`.
    """
    if not isinstance(encoder, str | Path):
        return encoder.identity
    return checkpoint_identity(encoder, weights) or encoder_identity(str(encoder), weights=weights)


def _embed_trained(
    path: Path, encoder: object, device: str, span: dict[str, float | None], cache: bool, preview: bool, progress: bool
) -> tuple[dict[str, np.ndarray], VideoFeatures | None]:
    """What the cache keeps of a video, and the features it was made of, if any."""
    from lactoolkit.models.trained import TrainedEncoder, load_trained_encoder

    if not isinstance(encoder, TrainedEncoder):
        encoder = load_trained_encoder(encoder, device)  # type: ignore[arg-type]
    beside = {
        "untrained_weight": np.array(encoder.untrained_weight),
        "backbone": np.array(encoder.backbone),
        "weights": np.array(encoder.weights or ""),
    }
    if encoder.maps is not None:
        return {**_embed_pictures(path, encoder, span, progress), **beside}, None
    features = extract_features(
        path,
        encoder.backbone,
        weights=encoder.weights,
        device=str(encoder.device),
        cache=cache,
        preview=preview,
        progress=progress,
        **span,  # type: ignore[arg-type]
    )
    _check_count(path, len(features.frames))
    prepared = prepare_features(features.values, features.tap_sizes, encoder.inputs)
    if all_look_the_same(features.values):
        raise _still_video(path)
    entry = {"frames": features.frames, "times": features.times, "values": encoder.embed(prepared), **beside}
    return entry, features


def _all_or_on_demand(embeddings: LongEmbeddings | JoinedEmbeddings, on_demand: bool) -> np.ndarray:
    if on_demand and len(embeddings) > _LONG:
        return embeddings  # type: ignore[return-value]  # rows are got from both in the same way
    return embeddings[:]


def _embed_pictures(
    path: Path, encoder: TrainedEncoder, span: dict[str, float | None], progress: bool
) -> dict[str, np.ndarray]:
    frames: list[np.ndarray] = []
    times: list[np.ndarray] = []
    first: list[np.ndarray] = []
    varies = False

    def pictures() -> Iterator[np.ndarray]:
        nonlocal varies
        batches = read_frames(path, size=INPUT_SIZE, batch_size=_BATCH, **span)
        for batch in tqdm(batches, path.name, unit="batch", delay=1, leave=False, disable=not progress):
            frames.append(batch.frames)
            times.append(batch.times)
            first.extend(batch.images[:1] if not first else [])
            varies = varies or bool((batch.images != first[0]).any())
            yield batch.images

    values = encoder.embed_pictures(pictures())
    _check_count(path, len(values))
    if not varies:
        raise _still_video(path)
    return {"frames": np.concatenate(frames), "times": np.concatenate(times), "values": values}


def _hard_cuts(features: np.ndarray, tap_sizes: Sequence[int], frames: np.ndarray, times: np.ndarray) -> np.ndarray:
    return frames[find_hard_cuts(features, tap_sizes, _rate(times))]


def _rate(times: np.ndarray) -> float:
    return 1 / float(np.median(np.diff(times)))


def _check_count(path: Path, count: int) -> None:
    if count < 2:
        raise VideoError(
            f"{path}: {count} frame to analyse; an alignment in time needs at least 2 "
            "(a longer video or range, or a higher --fps)"
        )


def _still_video(path: Path) -> VideoError:
    return VideoError(
        f"{path}: all its frames look the same, so nothing can be told apart in time; "
        "choose a range (--start..., --end...) in which something moves, or another video"
    )
