"""The calibrated similarity of two videos: as a table in memory, or as embeddings where the table would not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.confidence import posterior_near
from lactoolkit.alignment.ends import without_poor_ends
from lactoolkit.alignment.moving_frames import MovingFrames, moving_frames, over_all_frames
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.similarity import Embeddings, calibrated_embeddings, calibrated_similarity
from lactoolkit.kernels.long_pairs import Area, best_local_path_embeddings
from lactoolkit.kernels.path_decoding import LocalPath
from lactoolkit.kernels.several_paths import best_local_paths

_LARGEST_TABLE = 25_000_000  # cells, 0.6 GB of working memory
_SHOWN = 1000  # cells of the reduced matrix on either side, at most
_CHUNK = 400  # pairs of a path whose posterior is computed at once
_SPAN = 1200  # frames of either video between the first and the last of them, at most
_CONTEXT = 200  # frames around them


class SimilarityTable(Protocol):
    """Similarity of N frames of A with M frames of B."""

    shape: tuple[int, int]
    settings: AlignmentSettings

    def block(self, i: int, i_stop: int, j: int, j_stop: int) -> np.ndarray:
        """Similarities of rows i:i_stop and columns j:j_stop at the margin they are judged by, float32."""

    def at(self, path: LocalPath) -> np.ndarray:
        """Similarity of each pair of a path, shape (L,), float32."""

    def best_paths(self, count: int) -> list[LocalPath]:
        """Up to ``count`` best local paths, none with rows and columns both of another.

        They are sought through the frames in which something moves, and end where
        :func:`lactoolkit.alignment.ends.without_poor_ends` says.
        """

    def posterior_near(self, path: LocalPath, others: Sequence[LocalPath], reach: int) -> np.ndarray:
        """See :func:`lactoolkit.alignment.confidence.posterior_near`; areas of other paths are forbidden."""

    def picture(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The table, reduced to means of so many rows and columns where it is large."""


def similarity_table(
    u: Embeddings,
    v: Embeddings,
    settings: AlignmentSettings,
    *,
    judged: AlignmentSettings | None = None,
    progress: bool = False,
) -> SimilarityTable:
    """Compare every frame of A with every frame of B.

    Parameters
    ----------
    u, v : Embeddings, shape (N, D) and (M, D), float32
        Unit frame embeddings.
    settings : AlignmentSettings
        What the paths are sought with.
    judged : AlignmentSettings, optional
        Margin, penalties and temperature of what is compared with chance, where they are others.
    progress : bool
        Show progress bars on stderr for what takes longer than a second.

    Returns
    -------
    SimilarityTable
        In memory up to 25 million cells, beyond that computed tile by tile where it is needed.
    """
    if len(u) * len(v) <= _LARGEST_TABLE:
        return StoredTable(u, v, settings, judged or settings)
    return TiledTable(u, v, settings, judged or settings, progress)


class StoredTable:
    """All similarities in memory."""

    def __init__(self, u: Embeddings, v: Embeddings, settings: AlignmentSettings, judged: AlignmentSettings) -> None:
        self._values = calibrated_similarity(u, v, settings.margin, settings.background)
        self._u, self._v = u, v
        self.settings, self._judged = settings, judged
        self.shape = (len(u), len(v))

    def block(self, i: int, i_stop: int, j: int, j_stop: int) -> np.ndarray:
        """Similarities of rows i:i_stop and columns j:j_stop at the margin they are judged by, float32."""
        values, less = self._values[i:i_stop, j:j_stop], self.settings.margin - self._judged.margin
        return values + np.float32(less) if less else values

    def at(self, path: LocalPath) -> np.ndarray:
        """Similarity of each pair of a path, shape (L,), float32."""
        return self._values[path.pairs[:, 0], path.pairs[:, 1]]

    def best_paths(self, count: int) -> list[LocalPath]:
        """Up to ``count`` best local paths through moving frames; see :class:`SimilarityTable`."""
        u, v = (moving_frames(side, self.settings.least_motion) for side in (self._u, self._v))
        values = self._values
        if not (u.all and v.all):
            values = calibrated_similarity(u, v, self.settings.margin, self.settings.background)
        gaps = self.settings.gap_open, self.settings.gap_extend
        paths = best_local_paths(values, *gaps, count, exclude="area")
        return [_completed(path, u, v, self.settings) for path in paths]

    def posterior_near(self, path: LocalPath, others: Sequence[LocalPath], reach: int) -> np.ndarray:
        """Posterior probability near each pair; areas of other paths are forbidden."""
        free = self.block(0, self.shape[0], 0, self.shape[1])
        if others:
            free = free.copy()
        for other in others:
            i, i_stop, j, j_stop = path_area(other)
            free[i:i_stop, j:j_stop] = -np.inf
        return posterior_near(free, path, self._judged, reach)

    def picture(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The table itself."""
        return self._values, (1, 1)


class TiledTable:
    """Similarities computed from embeddings where they are needed; memory grows with N + M.

    The best paths are exact. The posterior near a path is computed over the surroundings of each part of it instead of
    the whole table.
    """

    def __init__(
        self,
        u: Embeddings,
        v: Embeddings,
        settings: AlignmentSettings,
        judged: AlignmentSettings,
        progress: bool = False,
    ) -> None:
        self._x, self._y = calibrated_embeddings(u, v, settings.margin, settings.background, progress=progress)
        self._u, self._v = u, v
        self.settings, self._judged, self._progress = settings, judged, progress
        self.shape = (len(u), len(v))

    def block(self, i: int, i_stop: int, j: int, j_stop: int) -> np.ndarray:
        """Similarities of rows i:i_stop and columns j:j_stop at the margin they are judged by, float32."""
        return self._x[i:i_stop] @ self._y[j:j_stop].T + np.float32(self.settings.margin - self._judged.margin)

    def at(self, path: LocalPath) -> np.ndarray:
        """Similarity of each pair of a path, shape (L,), float32."""
        rows, columns = path.pairs.T
        return np.einsum("lk,lk->l", self._x[rows], self._y[columns])

    def best_paths(self, count: int) -> list[LocalPath]:
        """Up to ``count`` best local paths through moving frames; see :class:`SimilarityTable`."""
        u, v = (moving_frames(side, self.settings.least_motion) for side in (self._u, self._v))
        x, y = self._x, self._y
        if not (u.all and v.all):
            settings = self.settings
            x, y = calibrated_embeddings(u, v, settings.margin, settings.background, progress=self._progress)
        paths: list[LocalPath] = []
        while len(paths) < count:
            with tqdm(
                desc=f"hit {len(paths) + 1}",
                total=len(x) * len(y),
                unit="pair",
                unit_scale=True,
                delay=1,
                leave=False,
                disable=not self._progress,
            ) as bar:
                path = best_local_path_embeddings(
                    x,
                    y,
                    self.settings.gap_open,
                    self.settings.gap_extend,
                    forbidden=[path_area(other) for other in paths],
                    on_cells=bar.update,
                )
            if not len(path) or (paths and not path.score > 0):
                break
            paths.append(path)
        return [_completed(path, u, v, self.settings) for path in paths]

    def posterior_near(self, path: LocalPath, others: Sequence[LocalPath], reach: int) -> np.ndarray:
        """Posterior probability near each pair; areas of other paths are forbidden."""
        parts = []
        start = 0
        while start < len(path):
            pairs = path.pairs[start : start + _CHUNK]
            # A gap may be long: only what fits into a block belongs to it.
            pairs = pairs[: np.searchsorted((pairs - pairs[0]).max(axis=1), _SPAN)]
            start += len(pairs)
            (i, j), (i_stop, j_stop) = np.maximum(pairs[0] - _CONTEXT, 0), pairs[-1] + 1 + _CONTEXT
            block = self.block(i, i_stop, j, j_stop)
            for other in others:
                first, last, left, right = path_area(other)
                block[max(first - i, 0) : max(last - i, 0), max(left - j, 0) : max(right - j, 0)] = -np.inf
            parts.append(posterior_near(block, LocalPath(0.0, pairs - (i, j)), self._judged, reach))
        return np.concatenate(parts)

    def picture(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Means over areas of the table, at most 1000 on either side."""
        means, steps = [], []
        for rows in (self._x, self._y):
            step = -(-len(rows) // _SHOWN)
            edges = np.arange(0, len(rows), step)
            sums = np.add.reduceat(rows.astype(np.float64), edges, axis=0)
            means.append(sums / np.diff(np.append(edges, len(rows)))[:, None])
            steps.append(step)
        # The mean of products over an area is the product of the means.
        return (means[0] @ means[1].T).astype(np.float32), (steps[0], steps[1])


def area_means(values: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Means over areas of a table as :meth:`TiledTable.picture` gives them, and the rows and columns of an area."""
    steps = []
    for axis in (0, 1):
        step = -(-values.shape[axis] // _SHOWN)
        if step > 1:
            edges = np.arange(0, values.shape[axis], step)
            counts = np.diff(np.append(edges, values.shape[axis]))
            shape = (-1, 1) if axis == 0 else (1, -1)
            values = (np.add.reduceat(values, edges, axis=axis) / counts.reshape(shape)).astype(np.float32)
        steps.append(step)
    return values, (steps[0], steps[1])


def _completed(path: LocalPath, u: MovingFrames, v: MovingFrames, settings: AlignmentSettings) -> LocalPath:
    """A path through the frames that were kept, without its poor ends, as one through all frames."""
    if settings.end_level:
        parts = np.split(path.pairs, range(_CHUNK, len(path), _CHUNK))
        cosines = np.concatenate([np.einsum("ld,ld->l", u[part[:, 0]], v[part[:, 1]]) for part in parts])
        path = without_poor_ends(path, cosines, settings.end_level)
    return over_all_frames(path, u, v)


def path_area(path: LocalPath) -> Area:
    """First row, last row, first column and last column of a path, both ends half open."""
    (first_row, first_column), (last_row, last_column) = path.pairs[0].tolist(), path.pairs[-1].tolist()
    return first_row, last_row + 1, first_column, last_column + 1
