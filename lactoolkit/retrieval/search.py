"""The nearest frames of other videos."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lactoolkit.errors import IndexFileError, LacToolkitWarning, ParameterError, VideoError
from lactoolkit.features.process_pool import FailedVideo, joined_reasons, read_and_failed, run_items
from lactoolkit.features.video_embeddings import VideoEmbeddings, embed_video
from lactoolkit.models.registry import is_checkpoint
from lactoolkit.retrieval.index import FrameIndex, IndexedVideo
from lactoolkit.retrieval.low_rank import few_directions
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.folders import find_videos

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder


@dataclass(frozen=True)
class FoundFrame:
    """A frame of a video.

    Parameters
    ----------
    path : Path
        The video.
    frame : int
        Native frame number.
    time : float
        In seconds.
    similarity : float
        Cosine between its embedding and that of the query.
    """

    path: Path
    frame: int
    time: float
    similarity: float


@dataclass(frozen=True)
class Retrieval:
    """Answer to a query.

    Parameters
    ----------
    query : FoundFrame
        The frame that was asked for.
    found : tuple of FoundFrame
        The nearest frames of other videos, nearest first.
    searched : int
        Number of videos.
    embedded : int
        Videos that the index did not know yet, or whose content had changed.
    failed : tuple of FailedVideo
        Videos that cannot be read; they were left out.
    """

    query: FoundFrame
    found: tuple[FoundFrame, ...]
    searched: int
    embedded: int
    failed: tuple[FailedVideo, ...] = ()


def retrieve_frames(
    query: str | Path,
    videos: Iterable[str | Path] = (),
    *,
    frame: int | None = None,
    time: float | None = None,
    count: int = 9,
    apart: float = 0.5,
    index: str | Path | None = None,
    encoder: str | Path | FrameEncoder | TrainedEncoder = "lite0",
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    cache: bool = True,
    progress: bool = False,
) -> Retrieval:
    """Find the frames of other videos that show the same moment as one frame of a video.

    Embeddings describe a frame against the rest of its own video, so the whole query is embedded, not the frame alone.

    Parameters
    ----------
    query : path
        The video with the frame.
    videos : iterable of path
        Videos to search, and folders of them. The query itself is left out, whatever its name. Without any, everything
        in the index is searched.
    frame : int, optional
        Native number of the frame, from 0.
    time : float, optional
        Instead of ``frame``: its time in seconds; the nearest analysed frame is taken.
    count : int
        Frames to find, at most.
    apart : float
        Seconds by which two found frames of one video must lie apart: neighbours show the same.
    index : path, optional
        File that keeps the embeddings, of each video along as few directions as hold them; cosines differ by about .003
        from those without it. Videos are added to it; those whose content has changed are embedded anew, those that are
        gone are left out of the search with a warning.
    encoder : str, path, FrameEncoder or TrainedEncoder
        Name of an encoder, a checkpoint, or either of them loaded already.
    weights, device, cache, progress
        As in :func:`lactoolkit.embed_video`.
    frame_rate : float, optional
        Frames per second to search; every frame by default.

    Returns
    -------
    Retrieval

    Raises
    ------
    ParameterError
        If the frame lies outside the query, or there is nothing to search.
    IndexFileError
        If the index is damaged, was made by another encoder or at another frame rate, or is not there although no
        videos are named.
    VideoError
        If the query, or every other video, cannot be read; other videos that cannot be read are left out.

    Examples
    --------
    >>> from lactoolkit import retrieve_frames
    >>> answer = retrieve_frames("data/samples/hammer_slow.mp4", ["data/samples"], frame=80, count=1)
    >>> answer.found[0].path.name
    'hammer_fast.mp4'
    """
    if (frame is None) == (time is None):
        raise ParameterError("give either frame (--frame) or time (--time) of the query, to say which moment to find")
    if count < 1 or not apart >= 0:
        raise ParameterError(f"count must be at least 1 and apart at least 0, not {count} and {apart}")
    if isinstance(encoder, str | Path) and is_checkpoint(encoder):
        from lactoolkit.models.trained import load_trained_encoder

        encoder = load_trained_encoder(encoder, device)

    def embed(path: Path) -> VideoEmbeddings:
        return embed_video(
            path, encoder, weights=weights, device=device, frame_rate=frame_rate, cache=cache, progress=progress
        )

    named = list(videos)
    known = FrameIndex.load(index) if index is not None and (Path(index).exists() or not named) else None
    asked = embed(Path(query))
    position = _position(asked, frame, time)
    if known is not None:
        _check_same(known, asked, frame_rate, index)
    paths = find_videos(named) if named else None
    searched, embedded, failed = _collect(paths, known, embed, progress, for_index=index is not None)
    if failed and not searched:
        raise VideoError(joined_reasons(failed))
    if index is not None and (embedded or known is None):
        # What is not searched this time stays in the file, unless its content came in again.
        fresh = {video.sha256 for video in searched} | {os.path.abspath(video.path) for video in searched}
        kept = [one for one in (known.videos if known else ()) if not {one.sha256, str(one.path)} & fresh]
        FrameIndex(asked.encoder, frame_rate, (*kept, *searched)).save(index)
    others = [video for video in searched if video.sha256 != asked.sha256]
    if not others:
        raise ParameterError(
            "nothing to search: name other videos than the query, or folders that hold some"
            + ("" if index is None else f"; {index} holds none either")
        )
    found = _nearest(others, asked.values[position], count, apart)
    here = FoundFrame(asked.path, int(asked.frames[position]), float(asked.times[position]), 1.0)
    return Retrieval(here, found, len(others), embedded, tuple(failed))


def _position(query: VideoEmbeddings, frame: int | None, time: float | None) -> int:
    """Which analysed frame is meant."""
    step = float(np.median(np.diff(query.times)))
    if frame is not None:
        if not 0 <= frame <= query.frames[-1] + (query.frames[-1] - query.frames[-2]) // 2:
            raise ParameterError(f"frame {frame} is outside {query.path}, which has frames 0 to {query.frames[-1]}")
        return int(np.abs(query.frames - frame).argmin())
    assert time is not None
    if not -step <= time <= query.times[-1] + step:
        raise ParameterError(f"time {time:g} s is outside {query.path}, which ends at {query.times[-1]:.3f} s")
    return int(np.abs(query.times - time).argmin())


def _check_same(index: FrameIndex, query: VideoEmbeddings, frame_rate: float | None, path: str | Path | None) -> None:
    if index.encoder != query.encoder:
        raise IndexFileError(
            f"{path}: was made with another encoder ({index.encoder}); name that one (--encoder), or another index file"
        )
    if index.frame_rate != frame_rate:
        made = "every frame" if index.frame_rate is None else f"--fps {index.frame_rate:g}"
        raise IndexFileError(f"{path}: was made with {made}; search it with the same, or name another index file")


def _collect(
    paths: Sequence[Path] | None,
    known: FrameIndex | None,
    embed: Callable[[Path], VideoEmbeddings],
    progress: bool,
    *,
    for_index: bool,
) -> tuple[list[IndexedVideo], int, list[FailedVideo]]:
    """Embeddings of all videos to search, from the index where their content is the same.

    Beside them, how many were not in the index, and the videos that cannot be read.
    """
    by_content = {video.sha256: video for video in known.videos} if known else {}
    if paths is None:
        gone = [video.path for video in by_content.values() if not video.path.exists()]
        if gone:
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            warnings.warn(
                f"{gone[0]}{more}: in the index, but not there any more; left out", LacToolkitWarning, stacklevel=3
            )
        paths = [video.path for video in by_content.values() if video.path.exists()]
    videos: dict[str, IndexedVideo] = {}

    def add(path: Path) -> Path:
        digest = file_sha256(path)
        if digest not in videos:
            if digest in by_content:
                videos[digest] = replace(by_content[digest], path=path)
            else:
                new = embed(path)
                values, basis = few_directions(new.values) if for_index else (new.values, None)
                videos[digest] = IndexedVideo(path, new.sha256, new.frames, new.times, values, basis)
        return path

    outcomes = run_items(add, paths)
    bar = tqdm(outcomes, "searching", len(paths), unit="video", delay=1, leave=False, disable=not progress)
    _, failed = read_and_failed(bar)
    return list(videos.values()), sum(digest not in by_content for digest in videos), failed


def _nearest(videos: Sequence[IndexedVideo], query: np.ndarray, count: int, apart: float) -> tuple[FoundFrame, ...]:
    """Frames in order of falling cosine, each at least ``apart`` seconds from those of its video before it."""
    similarity = np.concatenate([video.cosines(query) for video in videos])
    owner = np.repeat(np.arange(len(videos)), [len(video.frames) for video in videos])
    first = np.cumsum([0, *(len(video.frames) for video in videos)])
    chosen: list[FoundFrame] = []
    taken: dict[int, list[float]] = {}
    for k in np.argsort(-similarity, kind="stable"):
        video = videos[owner[k]]
        place = k - first[owner[k]]
        moment = float(video.times[place])
        if any(abs(moment - other) < apart for other in taken.get(int(owner[k]), ())):
            continue
        taken.setdefault(int(owner[k]), []).append(moment)
        chosen.append(FoundFrame(video.path, int(video.frames[place]), moment, float(similarity[k])))
        if len(chosen) == count:
            break
    return tuple(chosen)
