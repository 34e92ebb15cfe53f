"""What a run leaves for the reader while it goes on: a CSV file, TensorBoard events, a picture."""

from __future__ import annotations

import csv
import io
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lactoolkit.errors import LacToolkitWarning, OutputError
from lactoolkit.training.progress_plot import write_progress_plot
from lactoolkit.training.validation import Validation

LOG_FILE = "log.csv"
PLOT_FILE = "progress.png"
_EVENTS_FOLDER = "tensorboard"


class RunLog:
    """Log of a run, one row per step.

    Parameters
    ----------
    folder : Path
        The run's folder.
    first_step : int
        Steps that are done; rows of an earlier run after them are dropped.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._path = folder / LOG_FILE
        self._plot = folder / PLOT_FILE
        self._rows = _read_rows(self._path)[:first_step] if first_step else []
        self._columns: list[str] = list(self._rows[0]) if self._rows else []
        if self._path.exists():
            self._write_all()
        self._events = _event_writer(folder / _EVENTS_FOLDER, first_step)

    def add(self, step: int, values: dict[str, float], validation: Validation | None) -> None:
        """Append the row of a step, counted from 1; with what a validation found, where there was one."""
        row = {"step": str(step), **{name: f"{value:.7g}" for name, value in values.items()}}
        found = {} if validation is None else {"validation_loss": validation.loss, "validation_score": validation.score}
        row |= {name: f"{found[name]:.7g}" if found else "" for name in ("validation_loss", "validation_score")}
        self._rows.append(row)
        if not self._columns:
            self._columns = list(row)
            self._write_all()
        else:
            with _translated(self._path), open(self._path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        if self._events is not None:
            for name, value in (values | found).items():
                self._events.add_scalar(name, value, step)

    def plot(self, validation: Validation, *, are_held_out: bool) -> None:
        """Draw how far the run is; ``are_held_out``: whether it was validated on videos that it does not learn from."""
        with _translated(self._plot):
            write_progress_plot(self._rows, validation, self._plot, are_held_out=are_held_out)

    def close(self) -> None:
        """Flush what TensorBoard is to see."""
        if self._events is not None:
            self._events.close()

    def _write_all(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if self._columns:
            writer.writeheader()
        writer.writerows(self._rows)
        with _translated(self._path):
            partial = self._path.with_name(f".{LOG_FILE}.{os.getpid()}")
            partial.write_text(text.getvalue(), encoding="utf-8", newline="")
            os.replace(partial, self._path)


class _translated:
    """Turn what the system says about a file that cannot be written into an OutputError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, OSError):
            raise OutputError(
                f"{self._path}: cannot be written ({error.strerror or error}); free some space and go on with --resume"
            ) from error


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            # A run that was killed may have left half a row at the end.
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
        if any(not row.keys() >= {"step", "loss", "validation_score"} for row in rows):
            raise ValueError("columns are missing")
    except (ValueError, csv.Error) as error:
        warnings.warn(f"{path}: damaged ({error}); the log begins anew", LacToolkitWarning, stacklevel=2)
        return []
    return rows


def _event_writer(folder: Path, first_step: int) -> Any:
    """TensorBoard's writer, None where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_step + 1)
