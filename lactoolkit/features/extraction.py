"""From a video file to the pooled taps of its frames."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame
from tqdm import tqdm

from lactoolkit.errors import VideoWarning
from lactoolkit.features.cache import entry_key, load_entry, save_entry
from lactoolkit.features.network_pool import NetworkPool
from lactoolkit.features.preview import PreviewWriter, find_preview, preview_key, preview_size
from lactoolkit.models.registry import INPUT_SIZE, encoder_identity, encoder_spec
from lactoolkit.video.decoding import FrameBatch, VideoInfo, batch_frames, paint_frames, probe
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.orientation import Orientation
from lactoolkit.video.pictures import RgbPainter, YuvPainter

if TYPE_CHECKING:
    from torch import Tensor

    from lactoolkit.models.encoders import FrameEncoder

_BATCH_SIZE = 4  # stays in a core's cache
# Decoded and waiting for the network, at most: as many as are decoded while torch is imported; 40 MB.
_PENDING_BATCHES = 64
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class VideoFeatures:
    """Pooled encoder taps of the frames of one video.

    Parameters
    ----------
    frames : ndarray, shape (T,), int64
        Native numbers of the frames, counted from 0.
    times : ndarray, shape (T,), float64
        Their times in seconds from the start of the video.
    values : ndarray, shape (T, sum(tap_sizes)), float32
        Pooled taps one after the other, neither centred nor normalised, rounded to float16 precision; float16 itself
        if asked for.
    tap_sizes : tuple of int
        Lengths of the taps.
    encoder : str
        Identity of the encoder.
    sha256 : str
        Hex digest of the video file's bytes.
    info : VideoInfo
        What the file says about itself.
    preview : Path or None
        Small copy of these frames as a video, in which they follow each other one by one.
    """

    frames: np.ndarray
    times: np.ndarray
    values: np.ndarray
    tap_sizes: tuple[int, ...]
    encoder: str
    sha256: str
    info: VideoInfo
    preview: Path | None = None


def extract_features(
    path: str | Path,
    encoder: str | FrameEncoder = "lite0",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    cache: bool = True,
    preview: bool = False,
    progress: bool = False,
    compact: bool = False,
) -> VideoFeatures:
    """Encode the frames of a video, or find them in the cache.

    Entries of the cache are keyed by the bytes of the video, the encoder's identity and the range and rate of the
    frames. A hit neither decodes the video nor imports torch. Damage that decoding met is told again on every hit.

    Parameters
    ----------
    path : path
        The video.
    encoder : str or FrameEncoder
        Name of an encoder, or one that is loaded already (``weights`` and ``device`` then have no effect).
    weights : path, optional
        File of other weights.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    frame_rate : float, optional
        Frames per second to encode; every frame by default.
    start, end : float, optional
        Range to encode in seconds.
    cache : bool
        Use and fill the cache.
    preview : bool
        Also keep a small copy of the frames in the cache, for showing them without decoding the video again; only of
        large videos, and only while features are computed.
    progress : bool
        Show a progress bar on stderr when it takes longer than a second.
    compact : bool
        Leave the features in float16, in which they are kept.

    Returns
    -------
    VideoFeatures

    Raises
    ------
    VideoError
        If the file is missing or cannot be decoded.
    EncoderError
        If the encoder is unknown or has no weights.

    Examples
    --------
    >>> features = extract_features("data/samples/hammer_fast.mp4")
    >>> features.values.shape
    (113, 2736)
    """
    path = Path(path)
    info = probe(path)
    sha256 = file_sha256(path)
    tap_sizes, identity = taps_and_identity(encoder, weights)
    key = entry_key(video=sha256, encoder=identity, frame_rate=frame_rate, start=start, end=end)
    picture_key = preview_key(sha256, frame_rate, start, end)
    preview_path = find_preview(picture_key) if cache and preview else None
    entry = load_entry(key) if cache else None
    if entry is None:
        size = preview_size(info.width, info.height) if cache and preview and preview_path is None else None
        with recorded_damage(path) as damage, ExitStack() as stack:
            writer = stack.enter_context(PreviewWriter(picture_key, size)) if size is not None else None
            frames, times, (values,) = encode_frames(
                path,
                info,
                lambda: loaded_encoder(encoder, weights, device),
                frame_rate,
                start,
                end,
                progress,
                preview=writer,
            )
        if writer is not None:
            preview_path = writer.path
        entry = {"frames": frames, "times": times, "values": values, "damage": np.array(damage, dtype=np.str_)}
        if cache:
            save_entry(key, **entry)
    warn_of_damage(path, entry["damage"])
    return VideoFeatures(
        frames=entry["frames"],
        times=entry["times"],
        values=entry["values"] if compact else entry["values"].astype(np.float32),
        tap_sizes=tap_sizes,
        encoder=identity,
        sha256=sha256,
        info=info,
        preview=preview_path,
    )


def taps_and_identity(encoder: str | FrameEncoder, weights: str | Path | None) -> tuple[tuple[int, ...], str]:
    """Lengths of an encoder's taps and its identity, without loading one that is given by name."""
    if isinstance(encoder, str):
        return encoder_spec(encoder).tap_sizes, encoder_identity(encoder, weights=weights)
    return encoder.tap_sizes, encoder.identity


@contextmanager
def recorded_damage(path: Path | None = None) -> Iterator[list[str]]:
    """Collect what is said about damage, so that a cache can keep it; without the name of ``path``."""
    damage: list[str] = []
    named = f"{path}: " if path else ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VideoWarning)
        try:
            yield damage
        finally:
            # The same content may be read under another name next time.
            damage += [str(one.message).removeprefix(named) for one in caught if issubclass(one.category, VideoWarning)]
    for one in caught:
        if not issubclass(one.category, VideoWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def warn_of_damage(path: Path, damage: Iterable[str]) -> None:
    """Say what was recorded, on every use of the cached entry."""
    for message in damage:
        warnings.warn(f"{path}: {message}", VideoWarning, stacklevel=3)


def loaded_encoder(encoder: str | FrameEncoder, weights: str | Path | None, device: str) -> FrameEncoder:
    """Load an encoder that is given by name; hand back one that is loaded already."""
    if not isinstance(encoder, str):
        return encoder
    return _load_encoder(encoder, weights, device, encoder_identity(encoder, weights=weights))


@lru_cache(maxsize=1)
def _load_encoder(name: str, weights: str | Path | None, device: str, identity: str) -> FrameEncoder:
    """Load an encoder, or take the one used last; ``identity`` changes with the content of the weights file."""
    from lactoolkit.models.encoders import load_encoder

    return load_encoder(name, weights=weights, device=device)


def encode_frames(
    path: Path,
    info: VideoInfo,
    load: Callable[[], FrameEncoder],
    frame_rate: float | None,
    start: float | None,
    end: float | None,
    progress: bool,
    variants: Callable[[Tensor, FrameEncoder], Sequence[Tensor]] = lambda images, _: [images],
    preview: PreviewWriter | None = None,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Frame numbers, times and, of each variant of the frames, rounded taps (T, sum(tap_sizes)).

    The network loads and runs in other threads while frames are decoded, once for all variants; ``variants`` is
    called there with frames (n, H, W, 3) uint8 in the memory of the CPU. ``preview`` receives the same frames.
    """

    def painter(_: VideoInfo, orientation: Orientation) -> Callable[[VideoFrame], np.ndarray]:
        paint = RgbPainter(orientation, *INPUT_SIZE).paint
        if preview is None:
            return paint
        paint_preview = YuvPainter(orientation, *preview.size).paint

        def paint_both(frame: VideoFrame) -> np.ndarray:
            preview.add(paint_preview(frame))
            return paint(frame)

        return paint_both

    def job(batch: FrameBatch) -> Callable[[FrameEncoder], list[np.ndarray]]:
        def run(encoder: FrameEncoder) -> list[np.ndarray]:
            import torch

            images = variants(torch.from_numpy(batch.images), encoder)
            return [_rounded(encoder(variant).cpu().numpy()) for variant in images]

        return run

    frames, times = [], []
    values: list[list[np.ndarray]] = []
    pending: deque[Future[list[np.ndarray]]] = deque()
    painted = paint_frames(path, painter, frame_rate=frame_rate, start=start, end=end)
    with (
        NetworkPool(load) as network,
        tqdm(
            desc=path.name,
            total=_expected_frames(info, frame_rate, start, end),
            unit="frame",
            delay=1,
            leave=False,
            disable=not progress,
        ) as bar,
    ):
        for batch in batch_frames(painted, _BATCH_SIZE):
            frames.append(batch.frames)
            times.append(batch.times)
            pending.append(network.submit(job(batch)))
            while pending and (pending[0].done() or len(pending) > _PENDING_BATCHES):
                values.append(pending.popleft().result())
                bar.update(len(values[-1][0]))
        for one in pending:
            values.append(one.result())
            bar.update(len(values[-1][0]))
    return np.concatenate(frames), np.concatenate(times), [np.concatenate(parts) for parts in zip(*values, strict=True)]


def _rounded(taps: np.ndarray) -> np.ndarray:
    """Half the space, and the networks are no more exact; what is too large for float16 stays as it is."""
    return taps.astype(np.float16) if np.abs(taps).max() <= _LARGEST_HALF else taps


def _expected_frames(info: VideoInfo, frame_rate: float | None, start: float | None, end: float | None) -> int | None:
    """Number of frames for the progress bar, where the container gives its length."""
    if info.duration is None:
        return None
    span = min(end if end is not None else info.duration, info.duration) - (start or 0.0)
    return max(round(span * min(frame_rate or info.frame_rate, info.frame_rate)), 1)
