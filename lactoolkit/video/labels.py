"""Labels of the frames of a video: the phase of the process that each frame shows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.video.container import open_video
from lactoolkit.video.csv_table import read_table, replacing_text

LABEL_COLUMNS = ("frame", "phase", "phase_name", "in_core")
BACKGROUND = -1
_MOST_PHASES = 10_000  # more is a column taken for another


@dataclass(frozen=True)
class FrameLabels:
    """Phase of every frame of one video, at its native frame rate.

    Parameters
    ----------
    phases : ndarray, shape (T,), int64
        Index of the phase that frame k shows, -1 for background.
    phase_names : tuple of str
        Name of each phase, in order of their indices.
    in_core : ndarray, shape (T,), bool
        Whether frame k belongs to the process (a background frame may: a pause within it).

    Raises
    ------
    ParameterError
        Shapes or types do not fit each other, or a phase has no name.
    """

    phases: np.ndarray
    phase_names: tuple[str, ...]
    in_core: np.ndarray

    def __post_init__(self) -> None:
        if self.phases.ndim != 1 or self.phases.dtype != np.int64:
            raise ParameterError(
                f"phases must be int64 of shape (T,), not {self.phases.dtype} of shape {self.phases.shape}"
            )
        if self.in_core.shape != self.phases.shape or self.in_core.dtype != np.bool_:
            raise ParameterError(
                f"in_core must be bool of shape {self.phases.shape}, not {self.in_core.dtype} of shape "
                f"{self.in_core.shape}"
            )
        lowest, highest = int(self.phases.min(initial=0)), int(self.phases.max(initial=BACKGROUND))
        if lowest < BACKGROUND or highest >= len(self.phase_names):
            raise ParameterError(
                f"phases must lie between -1 and {len(self.phase_names) - 1} (there are {len(self.phase_names)} "
                f"phase names), not between {lowest} and {highest}"
            )

    def __len__(self) -> int:
        return len(self.phases)


def phase_labels(phases: Iterable[int], phase_names: Iterable[str] = ()) -> FrameLabels:
    """Labels from the phases alone: the core is what is not background; unnamed phases are called "phase 0", ...

    Parameters
    ----------
    phases : iterable of int, shape (T,)
        Index of each frame's phase, -1 for background.
    phase_names : iterable of str
        Names of the first phases.

    Returns
    -------
    FrameLabels

    Examples
    --------
    >>> phase_labels([-1, 0, 0, 1], ["reach"]).phase_names
    ('reach', 'phase 1')
    """
    values = np.array(list(phases), dtype=np.int64)
    names = list(phase_names)
    names += [f"phase {k}" for k in range(len(names), int(values.max(initial=BACKGROUND)) + 1)]
    return FrameLabels(values, tuple(names), values != BACKGROUND)


def read_labels(path: str | Path, *, frame_count: int | None = None) -> FrameLabels:
    """Read the labels of a video's frames from a CSV file.

    Columns: ``frame`` (0, 1, 2, ... without a gap, at the video's native frame rate), ``phase`` (0, 1, ... or -1 for
    background), and, where known, ``phase_name`` and ``in_core`` (1 or 0; without this column the core is what is not
    background). UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : str or Path
        The file.
    frame_count : int, optional
        Number of frames of the video; checked when given.

    Returns
    -------
    FrameLabels
        Phases below the highest one that have no name here are called "phase k".

    Raises
    ------
    ManifestError
        The file is missing or unreadable, a line is wrong (the message gives its number), or there are more or fewer
        labels than `frame_count`.

    Examples
    --------
    >>> labels = read_labels("takes/first.csv")  # doctest: +SKIP
    >>> labels.phase_names, len(labels)  # doctest: +SKIP
    (('reach', 'lift'), 130)
    """
    path = Path(path)
    table = read_table(path, required=("frame", "phase"), known=LABEL_COLUMNS)
    phases: list[int] = []
    names: dict[int, tuple[str, int]] = {}
    core: list[bool] = []
    for line, row in table.rows:
        frame = _whole_number(path, line, "frame", row["frame"])
        if frame != len(phases):
            raise ManifestError(
                f"{path}, line {line}: frame {frame} where frame {len(phases)} is due; "
                "list every frame once, in order, counted from 0"
            )
        phase = _whole_number(path, line, "phase", row["phase"])
        if not BACKGROUND <= phase < _MOST_PHASES:
            raise ManifestError(
                f"{path}, line {line}: phase {phase}; phases count from 0 up to at most {_MOST_PHASES - 1}, and -1 is "
                "background"
            )
        phases.append(phase)
        core.append(_flag(path, line, row["in_core"]) if "in_core" in table.columns else phase != BACKGROUND)
        name = row.get("phase_name", "").strip()
        if name and phase != BACKGROUND:
            known, first = names.setdefault(phase, (name, line))
            if known != name:
                raise ManifestError(
                    f"{path}, line {line}: phase {phase} is called {name!r} here and {known!r} in line {first}; "
                    "give each phase one name"
                )
    if not phases:
        raise ManifestError(f"{path}: no labels in this file; it needs one line per frame below the header")
    if frame_count is not None and frame_count != len(phases):
        raise ManifestError(
            f"{path}: labels for {len(phases)} frames, but the video has {frame_count}; "
            "label every frame at the video's native frame rate"
        )
    count = max(phases) + 1
    return FrameLabels(
        phases=np.array(phases, dtype=np.int64),
        phase_names=tuple(names[k][0] if k in names else f"phase {k}" for k in range(count)),
        in_core=np.array(core, dtype=np.bool_),
    )


def check_own_labels(path: str | Path, labels: FrameLabels, video: str | Path) -> None:
    """Refuse labels for more frames than a video has: they are of another one.

    Parameters
    ----------
    path : str or Path
        The file of the labels, for the message.
    labels : FrameLabels
        What it holds.
    video : str or Path
        The video; of a kind of file that does not count its frames, nothing is known.

    Raises
    ------
    ManifestError
        There are more labels than frames.
    VideoError
        The video cannot be read.
    """
    with open_video(Path(video)) as (_, stream):
        count = stream.frames  # 0: not counted
    if count and len(labels) > count:
        raise ManifestError(
            f"{path}: has labels for {len(labels)} frames, but {video} has {count}; give the labels of this video"
        )


def write_labels(labels: FrameLabels, path: str | Path) -> None:
    """Write labels as a CSV file that :func:`read_labels` reads; the file appears when it is complete.

    Parameters
    ----------
    labels : FrameLabels
        The labels.
    path : str or Path
        The file to write.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing_text(Path(path)) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        writer.writerows(label_rows(labels))


def label_rows(labels: FrameLabels) -> Iterator[tuple[int, int, str, int]]:
    """Give the cells of each frame in the order of :data:`LABEL_COLUMNS`."""
    for frame, (phase, core) in enumerate(zip(labels.phases.tolist(), labels.in_core.tolist(), strict=True)):
        yield frame, phase, "background" if phase == BACKGROUND else labels.phase_names[phase], int(core)


def _whole_number(path: Path, line: int, column: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ManifestError(f"{path}, line {line}: {column} must be a whole number, not {text!r}") from None


def _flag(path: Path, line: int, text: str) -> bool:
    value = text.strip().lower()
    if value not in ("0", "1", "true", "false"):
        raise ManifestError(f"{path}, line {line}: in_core must be 1 or 0, not {text!r}")
    return value in ("1", "true")
