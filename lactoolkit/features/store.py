"""Preprocessing many videos once: a store of frames and features on disk, resumable, with several workers."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av.error
from tqdm import tqdm

from lactoolkit.errors import OutputError, ParameterError, VideoError, VideoWarning
from lactoolkit.features.extraction import loaded_encoder
from lactoolkit.features.process_pool import FailedVideo, Outcome, run_items
from lactoolkit.features.store_entry import StoreEntry, StoreSettings, read_manifest, remove_leftovers, write_entry
from lactoolkit.features.tally import Tally, noted_when_interrupted
from lactoolkit.features.video_embeddings import embedding_identity
from lactoolkit.models.registry import is_checkpoint
from lactoolkit.video.folders import find_videos

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder
    from lactoolkit.video.decoding import VideoInfo

__all__ = ["FailedVideo", "StoreEntry", "StoreSummary", "extract_store"]

_MANIFEST_COLUMNS = ("entry", "source", "sha256", "frame_count", "duration", "frame_rate", "width", "height", "frames")


@dataclass(frozen=True)
class StoreSummary:
    """What an extraction did.

    Parameters
    ----------
    store : Path
        The store's folder.
    done : tuple of StoreEntry
        Videos that were extracted now.
    skipped : tuple of StoreEntry
        Videos that the store held already, with the same content and settings.
    failed : tuple of FailedVideo
        Videos that could not be extracted.
    """

    store: Path
    done: tuple[StoreEntry, ...]
    skipped: tuple[StoreEntry, ...]
    failed: tuple[FailedVideo, ...]


@dataclass(frozen=True)
class _Job:
    """What every process needs to know; the encoder itself is loaded there."""

    store: Path
    settings: StoreSettings
    encoder: str
    weights: Path | None
    device: str
    progress: bool


def extract_store(
    inputs: Iterable[str | Path],
    store: str | Path,
    *,
    frames: Literal["jpeg", "array"] | None = "jpeg",
    features: bool = True,
    size: int | tuple[int, int] | None = 224,
    encoder: str = "lite0",
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    workers: int = 1,
    progress: bool = False,
) -> StoreSummary:
    """Extract frames and features of videos into a folder, in constant memory (but for a checkpoint's embeddings).

    Every video gets a folder in the store, named after the file and the first digits of its content's SHA-256::

        STORE/manifest.csv                    one row per video
        STORE/NAME-1a2b3c4d/manifest.json     source, SHA-256, settings, what the video says about itself
        STORE/NAME-1a2b3c4d/frames.csv        row, native frame number, time in seconds (and file) of every frame
        STORE/NAME-1a2b3c4d/frames/*.jpg      named by frame number; or frames.npy (n, height, width, 3) uint8
        STORE/NAME-1a2b3c4d/features.npy      (n, d) float32, the encoder's pooled taps, not centred
        STORE/NAME-1a2b3c4d/embeddings.npy    instead of features, for a checkpoint: (n, d) float32, norm 1

    A folder appears when it is complete, so that an interrupted extraction can simply be repeated: videos that
    are in the store with the same content and settings are skipped.

    Parameters
    ----------
    inputs : iterable of str or Path
        Video files, and folders that are searched for videos at any depth.
    store : str or Path
        The folder to write to; it may exist.
    frames : {"jpeg", "array"} or None, default "jpeg"
        Store frames as JPEG files, as one array per video, or not at all.
    features : bool, default True
        Whether to store the features of an encoder.
    size : int, (int, int) or None, default 224
        Size of the stored frames: a square of so many pixels, (height, width), or None for the displayed size. Features
        are always computed at the encoder's own size.
    encoder : str, default "lite0"
        The frame encoder; see :func:`lactoolkit.models.encoders.available_encoders`. Or a checkpoint of a training run.
    weights : str or Path, optional
        Other weights for the encoder.
    device : str, default "auto"
        Where the encoder computes.
    frame_rate : float, optional
        Frames per second to keep; every frame when left out.
    workers : int, default 1
        Processes that work side by side, each on a video of its own.
    progress : bool, default False
        Whether to show progress bars on stderr.

    Returns
    -------
    StoreSummary
        Videos extracted, skipped and failed. One bad video does not stop the others.

    Raises
    ------
    ParameterError
        An argument is out of range, or there is nothing to extract.
    VideoError
        No video was named, or a folder holds none.
    OutputError
        The store's folder cannot be written.
    EncoderError
        The encoder is unknown or its weights are missing.
    CheckpointError
        The checkpoint is damaged or something else.

    Warns
    -----
    VideoWarning
        A video is truncated or damaged and was extracted as far as it goes.

    Examples
    --------
    >>> summary = extract_store(["takes/"], "store", workers=2)  # doctest: +SKIP
    >>> len(summary.done), len(summary.skipped), len(summary.failed)  # doctest: +SKIP
    (24, 0, 0)
    """
    settings = _settings(frames, features, size, encoder, weights, frame_rate)
    if workers < 1:
        raise ParameterError(f"workers must be at least 1, not {workers!r}")
    sources = find_videos(inputs)
    store = _make_store(Path(store))
    # With one worker, the progress of a long video is worth seeing too.
    inner = progress and workers == 1
    job = _Job(store, settings, encoder, Path(weights) if weights is not None else None, device, inner)
    outcomes: dict[Path, Outcome[Path, tuple[StoreEntry, bool]]] = {}
    run = run_items(partial(_extract_one, job=job), sources, workers)
    bar = tqdm(total=len(sources), desc="extracting", unit="video", disable=not progress)
    with closing(run), bar, noted_when_interrupted(lambda: _tally(outcomes.values(), len(sources)), resumable=True):
        for outcome in run:
            outcomes[outcome.item] = outcome
            bar.update()
    ordered = [outcomes[source] for source in sources]
    entries = [outcome.result for outcome in ordered if outcome.result is not None]
    for entry, made in entries:
        for message in entry.warnings if made else ():
            warnings.warn(message, VideoWarning, stacklevel=2)
    _write_store_manifest(store)
    return StoreSummary(
        store=store,
        done=tuple(entry for entry, made in entries if made),
        skipped=tuple(entry for entry, made in entries if not made),
        failed=tuple(FailedVideo.of(outcome.item, outcome.error) for outcome in ordered if outcome.result is None),
    )


def _settings(
    frames: Literal["jpeg", "array"] | None,
    features: bool,
    size: int | tuple[int, int] | None,
    encoder: str,
    weights: str | Path | None,
    frame_rate: float | None,
) -> StoreSettings:
    if frames not in ("jpeg", "array", None):
        raise ParameterError(f"frames must be 'jpeg', 'array' or None, not {frames!r}")
    if frames is None and not features:
        raise ParameterError("nothing to extract: ask for frames, features or both")
    if isinstance(size, int):
        size = (size, size)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ParameterError(f"size must be a number of pixels, (height, width) or None, not {size!r}")
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise ParameterError(f"frame_rate must be a positive number of frames per second, not {frame_rate!r}")
    identity = None
    if features:
        identity = embedding_identity(encoder, weights)
    return StoreSettings(frames, size, frame_rate, identity)


def _make_store(store: Path) -> Path:
    try:
        store.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{store}: a file of this name exists; choose another store") from error
    except OSError as error:
        raise OutputError(f"{store}: cannot be created ({error.strerror}); choose another place") from error
    if not os.access(store, os.W_OK | os.X_OK):
        raise OutputError(f"{store}: not writable; choose another store or change its access rights")
    remove_leftovers(store)
    return store


def _tally(outcomes: Iterable[Outcome[Path, tuple[StoreEntry, bool]]], total: int) -> Tally:
    found = list(outcomes)
    made = [one.result[1] for one in found if one.result is not None]
    reasons = tuple(FailedVideo.of(one.item, one.error).message for one in found if one.result is None)
    return Tally("extracted", sum(made), len(made) - sum(made), len(reasons), total - len(found), reasons)


def _extract_one(source: Path, job: _Job) -> tuple[StoreEntry, bool]:
    """Extract one video; the second value says whether it was not there already."""
    with tqdm(desc=source.name, unit="frame", position=1, leave=False, disable=not job.progress) as bar:

        def on_frames(count: int, info: VideoInfo) -> None:
            bar.total = info.frame_count if job.settings.frame_rate is None else None
            bar.update(count)

        try:
            return write_entry(source, job.store, job.settings, partial(_load_encoder, job), on_frames)
        except av.error.FFmpegError as error:
            raise VideoError(f"{source}: {error}") from error


def _load_encoder(job: _Job) -> FrameEncoder | TrainedEncoder:
    """Load the encoder when it is first asked for: videos that are there already need none, nor torch."""
    if is_checkpoint(job.encoder):
        return _load_trained(job.encoder, job.device, job.settings.encoder_identity)
    return loaded_encoder(job.encoder, job.weights, job.device)


@lru_cache(maxsize=1)
def _load_trained(path: str, device: str, identity: str | None) -> TrainedEncoder:
    """Load a checkpoint, or take the one used last; ``identity`` changes with its content."""
    from lactoolkit.models.trained import load_trained_encoder

    return load_trained_encoder(path, device)


def _write_store_manifest(store: Path) -> None:
    """List all complete entries, those of earlier runs too, in manifest.csv; replaced in one step."""
    rows = []
    for folder in sorted(store.iterdir()):
        manifest = None if folder.name.startswith(".") else read_manifest(folder)
        if manifest is not None and {"source", "sha256", "frame_count", "video", "settings"} <= manifest.keys():
            video = manifest["video"]
            rows.append(
                {
                    "entry": folder.name,
                    "source": manifest["source"],
                    "sha256": manifest["sha256"],
                    "frame_count": manifest["frame_count"],
                    **{name: video[name] for name in ("duration", "frame_rate", "width", "height")},
                    "frames": manifest["settings"]["frames"] or "",
                }
            )
    partial = store / f".manifest.csv.{os.getpid()}"
    try:
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _MANIFEST_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, store / "manifest.csv")
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{store / 'manifest.csv'}: cannot be written ({error.strerror}); free some space") from error
