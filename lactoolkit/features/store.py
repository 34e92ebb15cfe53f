"""Preprocessing many videos once: a store of frames and features on disk, resumable, with several workers."""

from __future__ import annotations

import csv
import multiprocessing
import os
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av.error
from tqdm import tqdm

from lactoolkit.errors import OutputError, ParameterError, VideoError, VideoWarning
from lactoolkit.features.store_entry import StoreEntry, StoreSettings, read_manifest, remove_leftovers, write_entry
from lactoolkit.features.video_embeddings import checkpoint_identity
from lactoolkit.models.registry import encoder_identity, is_checkpoint
from lactoolkit.video.folders import find_videos

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder
    from lactoolkit.video.decoding import VideoInfo

__all__ = ["StoreEntry", "StoreFailure", "StoreSummary", "extract_store"]

_MANIFEST_COLUMNS = ("entry", "source", "sha256", "frame_count", "duration", "frame_rate", "width", "height", "frames")


@dataclass(frozen=True)
class StoreFailure:
    """A video that could not be extracted, and why."""

    source: Path
    message: str


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
    failed : tuple of StoreFailure
        Videos that could not be extracted.
    """

    store: Path
    done: tuple[StoreEntry, ...]
    skipped: tuple[StoreEntry, ...]
    failed: tuple[StoreFailure, ...]


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know; the encoder itself is loaded there."""

    store: Path
    settings: StoreSettings
    encoder: str
    weights: Path | None
    device: str


@dataclass(frozen=True)
class _Outcome:
    source: Path
    entry: StoreEntry | None
    made: bool
    error: str


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
    job = _Job(store, settings, encoder, Path(weights) if weights is not None else None, device)
    run = _run_here(sources, job, progress) if workers == 1 else _run_in_processes(sources, job, workers)
    outcomes = {}
    with closing(run), tqdm(total=len(sources), desc="extracting", unit="video", disable=not progress) as bar:
        for outcome in run:
            outcomes[outcome.source] = outcome
            bar.update()
    ordered = [outcomes[source] for source in sources]
    for outcome in ordered:
        for message in outcome.entry.warnings if outcome.entry and outcome.made else ():
            warnings.warn(message, VideoWarning, stacklevel=2)
    _write_store_manifest(store)
    return StoreSummary(
        store=store,
        done=tuple(outcome.entry for outcome in ordered if outcome.entry and outcome.made),
        skipped=tuple(outcome.entry for outcome in ordered if outcome.entry and not outcome.made),
        failed=tuple(StoreFailure(outcome.source, outcome.error) for outcome in ordered if not outcome.entry),
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
        identity = checkpoint_identity(encoder, weights) or encoder_identity(encoder, weights=weights)
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


class _StoppedError(Exception):
    """The main process asks its workers to stop."""


def _extract_one(
    source: Path,
    job: _Job,
    load_encoder: Callable[[], FrameEncoder | TrainedEncoder],
    bar: tqdm | None,
    stop: Event | None,
) -> _Outcome:
    def on_frames(count: int, info: VideoInfo) -> None:
        if stop is not None and stop.is_set():
            raise _StoppedError
        if bar is not None:
            bar.total = info.frame_count if job.settings.frame_rate is None else None
            bar.update(count)

    try:
        entry, made = write_entry(source, job.store, job.settings, load_encoder, on_frames)
    except _StoppedError:
        return _Outcome(source, None, False, "interrupted")
    except (VideoError, OutputError, OSError, av.error.FFmpegError) as error:
        message = str(error)
        return _Outcome(source, None, False, message if str(source) in message else f"{source}: {message}")
    return _Outcome(source, entry, made, "")


def _encoder_loader(job: _Job, workers: int = 1) -> Callable[[], FrameEncoder | TrainedEncoder]:
    """Load the encoder when it is first asked for: videos that are there already need none, nor torch."""

    @cache
    def load() -> FrameEncoder | TrainedEncoder:
        import torch

        from lactoolkit.models.encoders import load_encoder
        from lactoolkit.models.trained import load_trained_encoder

        if workers > 1:
            torch.set_num_threads(max(1, torch.get_num_threads() // workers))
        if is_checkpoint(job.encoder):
            return load_trained_encoder(job.encoder, job.device)
        return load_encoder(job.encoder, weights=job.weights, device=job.device)

    return load


def _run_here(sources: list[Path], job: _Job, progress: bool) -> Generator[_Outcome, None, None]:
    load_encoder = _encoder_loader(job)
    for source in sources:
        with tqdm(desc=source.name, unit="frame", position=1, leave=False, disable=not progress) as bar:
            outcome = _extract_one(source, job, load_encoder, bar, None)
        yield outcome


# Set once in each worker process, by _start_worker.
_worker: tuple[_Job, Callable[[], FrameEncoder | TrainedEncoder], Event]


def _start_worker(job: _Job, workers: int, stop: Event) -> None:
    import signal

    # Ctrl-C reaches every process of the terminal; the main process alone decides what follows, through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _worker
    _worker = (job, _encoder_loader(job, workers), stop)


def _work(source: Path) -> _Outcome:
    job, load_encoder, stop = _worker
    return _extract_one(source, job, load_encoder, None, stop)


def _run_in_processes(sources: list[Path], job: _Job, workers: int) -> Generator[_Outcome, None, None]:
    context = multiprocessing.get_context("spawn")  # torch's thread pools do not survive a fork
    stop = context.Event()
    workers = min(workers, len(sources))
    with ProcessPoolExecutor(workers, context, _start_worker, (job, workers, stop)) as pool:
        futures = {pool.submit(_work, source): source for source in sources}
        try:
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield _Outcome(
                        futures[future], None, False, f"{futures[future]}: a worker process died; use fewer workers"
                    )
        except BaseException:  # Ctrl-C above all: let no worker go on with videos nobody waits for
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
