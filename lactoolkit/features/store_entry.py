"""One video of a store: its frames and features in a folder that is complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lactoolkit.errors import OutputError, VideoWarning
from lactoolkit.features.npy_file import NpyAppender
from lactoolkit.features.video_embeddings import embed_video
from lactoolkit.video.decoding import FrameBatch, VideoInfo, probe, read_frames
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.opencv import import_cv2
from lactoolkit.video.replacing_file import umask

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

# Raised when the layout of an entry or the meaning of its numbers changes: older entries are then made anew.
_FORMAT = 1
_JPEG_QUALITY = 95
_LEFTOVER_SECONDS = 86_400


@dataclass(frozen=True)
class StoreSettings:
    """What every entry of a store holds.

    Parameters
    ----------
    frames : {"jpeg", "array"} or None
        How frames are stored, if at all.
    size : (int, int) or None
        Height and width of the stored frames; None for the displayed size.
    frame_rate : float or None
        Frames per second to keep; None for all.
    encoder_identity : str or None
        Identity of the encoder of the features or embeddings; None for neither.
    """

    frames: Literal["jpeg", "array"] | None
    size: tuple[int, int] | None
    frame_rate: float | None
    encoder_identity: str | None

    def to_json(self) -> dict[str, Any]:
        """Everything that determines the content of an entry, beside the video."""
        return {
            "format": _FORMAT,
            "frames": self.frames,
            "size": list(self.size) if self.frames and self.size else None,
            "jpeg_quality": _JPEG_QUALITY if self.frames == "jpeg" else None,
            "frame_rate": self.frame_rate,
            "encoder": self.encoder_identity,
        }


@dataclass(frozen=True)
class StoreEntry:
    """One video in a store.

    Parameters
    ----------
    source : Path
        The video as the user named it.
    folder : Path
        The folder that holds ``manifest.json``, ``frames.csv`` and the frames and features.
    frames : int
        Number of frames kept.
    warnings : tuple of str
        What was odd about the video (truncated, damaged).
    """

    source: Path
    folder: Path
    frames: int
    warnings: tuple[str, ...] = ()


def entry_folder(store: Path, source: Path, sha256: str) -> Path:
    """Folder of a video: named after the file and its content, so that equal names in two folders do not collide."""
    return store / f"{source.stem}-{sha256[:8]}"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Manifest of an entry, or None when there is none that can be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def remove_leftovers(store: Path) -> None:
    """Remove what runs that were killed more than a day ago left unfinished; younger ones may still be at work."""
    for leftover in store.glob(".*.partial-*"):
        if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def write_entry(
    source: Path,
    store: Path,
    settings: StoreSettings,
    load_encoder: Callable[[], FrameEncoder | TrainedEncoder],
    on_frames: Callable[[int, VideoInfo], None],
) -> tuple[StoreEntry, bool]:
    """Extract one video, unless the store holds it already with the same content and settings.

    Parameters
    ----------
    source : Path
        The video.
    store : Path
        The store's folder, which exists.
    settings : StoreSettings
        What to extract.
    load_encoder : callable
        Gives the encoder whose identity `settings` names; called when features have to be computed.
    on_frames : callable
        Called after every batch with the number of its frames and what the video says about itself;
        what it raises ends the extraction and leaves nothing behind.

    Returns
    -------
    entry : StoreEntry
        The entry.
    made : bool
        False when it was there already.

    Raises
    ------
    VideoError
        The video cannot be read.
    OutputError
        The entry cannot be written.
    """
    info = probe(source)
    sha256 = file_sha256(source)
    folder = entry_folder(store, source, sha256)
    manifest = read_manifest(folder)
    wanted = {"sha256": sha256, "settings": settings.to_json()}
    if manifest and wanted.items() <= manifest.items() and _intact(folder):
        return StoreEntry(source, folder, manifest["frame_count"], tuple(manifest["warnings"])), False
    encoder = load_encoder() if settings.encoder_identity is not None else None
    try:
        with _replacing(folder) as partial, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", VideoWarning)
            frames, times = _extract(source, partial, settings, encoder, lambda count: on_frames(count, info))
            messages = [str(one.message) for one in caught if issubclass(one.category, VideoWarning)]
            messages = list(dict.fromkeys(messages))  # every decoding of the video says it again
            _write_index(partial, settings, frames, times)
            _write_manifest(partial, source, sha256, settings, info, len(frames), messages)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space or choose another store"
        ) from error
    return StoreEntry(source, folder, len(frames), tuple(messages)), True


def _extract(
    source: Path,
    folder: Path,
    settings: StoreSettings,
    encoder: FrameEncoder | TrainedEncoder | None,
    on_frames: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Write frames and features or embeddings; return the frames' numbers and times."""
    if encoder is None:
        return _stream(source, folder, settings, None, on_frames)
    from lactoolkit.models.trained import TrainedEncoder

    if not isinstance(encoder, TrainedEncoder):
        return _stream(source, folder, settings, encoder, on_frames)
    # A trained encoder standardises its features over the whole video before it looks at any frame.
    embedded = embed_video(source, encoder, frame_rate=settings.frame_rate, cache=False)
    np.save(folder / "embeddings.npy", embedded.values)
    if settings.frames is not None:
        return _stream(source, folder, settings, None, on_frames)
    on_frames(len(embedded))
    return embedded.frames, embedded.times


def _stream(
    source: Path,
    folder: Path,
    settings: StoreSettings,
    encoder: FrameEncoder | None,
    on_frames: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Write frames and features while decoding. Equal sizes share one decoding."""
    frames: list[np.ndarray] = []
    times: list[np.ndarray] = []
    with ExitStack() as stack:
        sinks: dict[tuple[int, int] | None, list[Callable[[FrameBatch], None]]] = {}
        if encoder is not None:
            sinks.setdefault(encoder.input_size, []).append(_feature_sink(folder, encoder, stack))
        if settings.frames is not None:
            frame_sink = _jpeg_sink(folder) if settings.frames == "jpeg" else _array_sink(folder, stack)
            sinks.setdefault(settings.size, []).append(frame_sink)
        for turn, (size, writers) in enumerate(sinks.items()):
            batch_size = 32 if size is not None else 8  # full-size frames are large
            batches = read_frames(source, size=size, frame_rate=settings.frame_rate, batch_size=batch_size)
            # Network and JPEG encoder work in a second thread while the next batch is being decoded.
            with ThreadPoolExecutor(1) as thread:
                written: list[Future[None]] = []
                for batch in batches:
                    for future in written:
                        future.result()
                    written = [thread.submit(write, batch) for write in writers]
                    if turn == 0:
                        frames.append(batch.frames)
                        times.append(batch.times)
                    on_frames(len(batch) if turn == 0 else 0)
                for future in written:
                    future.result()
    return np.concatenate(frames), np.concatenate(times)


def _feature_sink(folder: Path, encoder: FrameEncoder, stack: ExitStack) -> Callable[[FrameBatch], None]:
    import torch

    width = sum(encoder.tap_sizes)
    file = stack.enter_context(NpyAppender(folder / "features.npy", (width,), np.dtype(np.float32)))

    def write(batch: FrameBatch) -> None:
        with torch.inference_mode():
            for part in torch.from_numpy(batch.images).split(encoder.batch_size):
                file.append(encoder(part).cpu().numpy())

    return write


def _array_sink(folder: Path, stack: ExitStack) -> Callable[[FrameBatch], None]:
    file: NpyAppender | None = None

    def write(batch: FrameBatch) -> None:
        nonlocal file
        if file is None:
            file = stack.enter_context(NpyAppender(folder / "frames.npy", batch.images.shape[1:], batch.images.dtype))
        file.append(batch.images)

    return write


def _jpeg_sink(folder: Path) -> Callable[[FrameBatch], None]:
    cv2 = import_cv2()
    (folder / "frames").mkdir()

    def write(batch: FrameBatch) -> None:
        for number, image in zip(batch.frames, batch.images, strict=True):
            encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
            (folder / "frames" / _jpeg_name(number)).write_bytes(encoded.tobytes())

    return write


def _jpeg_name(number: int) -> str:
    return f"{number:08d}.jpg"


def _write_index(folder: Path, settings: StoreSettings, frames: np.ndarray, times: np.ndarray) -> None:
    index = pd.DataFrame({"row": np.arange(len(frames)), "frame": frames, "time": times})
    if settings.frames == "jpeg":
        index["file"] = [f"frames/{_jpeg_name(number)}" for number in frames]
    index.to_csv(folder / "frames.csv", index=False)


def _write_manifest(
    folder: Path,
    source: Path,
    sha256: str,
    settings: StoreSettings,
    info: VideoInfo,
    frame_count: int,
    messages: list[str],
) -> None:
    content = [file for file in folder.iterdir() if file.suffix in (".npy", ".csv")]
    manifest = {
        "source": str(source.resolve()),
        "sha256": sha256,
        "settings": settings.to_json(),
        "frame_count": frame_count,
        "video": {
            "frame_rate": info.frame_rate,
            "width": info.width,
            "height": info.height,
            "duration": info.duration,
            "rotation": info.rotation,
            "codec": info.codec,
            "pixel_format": info.pixel_format,
        },
        "warnings": messages,
        "files": {file.name: file.stat().st_size for file in sorted(content)},
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _intact(folder: Path) -> bool:
    """Whether the files that the manifest lists are there in full."""
    manifest = read_manifest(folder) or {}
    try:
        sizes_agree = all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
        images = len(os.listdir(folder / "frames")) if manifest["settings"]["frames"] == "jpeg" else None
    except OSError:
        return False
    return sizes_agree and images in (None, manifest["frame_count"])


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that takes the name of `folder`, and the place of what is there, when all went well."""
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o777 & ~umask())
        if folder.exists():
            outdated = partial.with_name(partial.name + ".old")
            os.rename(folder, outdated)
            os.rename(partial, folder)
            shutil.rmtree(outdated)
        else:
            os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
