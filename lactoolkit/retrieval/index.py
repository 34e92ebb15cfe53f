"""Embeddings of a collection of videos in one file, for repeated queries; entries are recognised by content."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lactoolkit.errors import IndexFileError
from lactoolkit.video.replacing_file import replacing_path

_BLOCK = 4096  # rows that are widened from half precision at a time
_FORMAT = "lactoolkit-frame-index 2"


@dataclass(frozen=True)
class IndexedVideo:
    """Embeddings of one video.

    Parameters
    ----------
    path : Path
        The file; absolute in a saved index.
    sha256 : str
        Hex digest of its bytes when it was embedded.
    frames : ndarray, shape (T,), int64
        Native frame numbers.
    times : ndarray, shape (T,), float64
        Their times in seconds.
    values : ndarray, shape (T, D) or (T, K)
        Unit embeddings, or what they are along the directions of ``basis``.
    basis : ndarray, shape (K, D), or None
        Orthonormal rows; None for embeddings as they are.
    """

    path: Path
    sha256: str
    frames: np.ndarray
    times: np.ndarray
    values: np.ndarray
    basis: np.ndarray | None = None

    def cosines(self, query: np.ndarray) -> np.ndarray:
        """Cosines (T,) of all frames with a unit embedding (D,)."""
        if self.basis is not None:
            query = self.basis.astype(np.float32) @ query
        blocks = [self.values[k : k + _BLOCK].astype(np.float32) @ query for k in range(0, len(self.values), _BLOCK)]
        return np.concatenate(blocks)


@dataclass(frozen=True)
class FrameIndex:
    """A searchable collection.

    Parameters
    ----------
    encoder : str
        Identity of the encoder of all embeddings.
    frame_rate : float or None
        Frames per second that were embedded; None for every frame.
    videos : tuple of IndexedVideo
        The videos, along few directions each.
    """

    encoder: str
    frame_rate: float | None
    videos: tuple[IndexedVideo, ...]

    def save(self, path: str | Path) -> None:
        """Write the index as one ``.npz`` file, in half precision; it appears when it is complete.

        Parameters
        ----------
        path : str or Path
            The file, replaced if it exists.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = Path(path)
        with replacing_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                format=np.array(_FORMAT),
                encoder=np.array(self.encoder),
                frame_rate=np.array(np.nan if self.frame_rate is None else self.frame_rate),
                paths=np.array([os.path.abspath(video.path) for video in self.videos], dtype=np.str_),
                sha256=np.array([video.sha256 for video in self.videos], dtype=np.str_),
                counts=np.array([len(video.frames) for video in self.videos], dtype=np.int64),
                frames=_joined([video.frames for video in self.videos], np.int64),
                times=_joined([video.times for video in self.videos], np.float64),
                widths=np.array([video.values.shape[1] for video in self.videos], dtype=np.int64),
                values=_joined([video.values.ravel() for video in self.videos], np.float16),
                bases=_joined([np.asarray(video.basis) for video in self.videos], np.float16),
            )

    @classmethod
    def load(cls, path: str | Path) -> FrameIndex:
        """Read an index.

        Parameters
        ----------
        path : str or Path
            A file that :meth:`save` wrote.

        Returns
        -------
        FrameIndex

        Raises
        ------
        IndexFileError
            If the file is missing, damaged or something else.
        """
        path = Path(path)
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                content = {name: arrays[name] for name in arrays.files}
            if str(content["format"]) != _FORMAT:
                raise IndexFileError(f"{path}: is no index of this version of lac retrieve; make a new one")
            counts, widths = content["counts"], content["widths"]
            values = zip(_split(content["values"], counts * widths), widths, strict=True)
            columns = (
                content["paths"].tolist(),
                content["sha256"].tolist(),
                _split(content["frames"], counts),
                _split(content["times"], counts),
                [flat.reshape(-1, width) for flat, width in values],
                _split(content["bases"], widths),
            )
            videos = tuple(IndexedVideo(Path(name), *rest) for name, *rest in zip(*columns, strict=True))
        except FileNotFoundError as error:
            raise IndexFileError(f"{path}: no such index; name the videos to search, and it is made") from error
        except OSError as error:
            raise IndexFileError(f"{path}: cannot be read ({error.strerror or error}); name another file") from error
        except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise IndexFileError(f"{path}: is no index of lac retrieve, or damaged; make a new one") from error
        rate = float(content["frame_rate"])
        return cls(str(content["encoder"]), None if np.isnan(rate) else rate, videos)


def _split(column: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    if len(column) != int(counts.sum()):
        raise ValueError("lengths differ")
    return np.split(column, np.cumsum(counts)[:-1])


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype)
