"""The folder of a run: what may be written where, the resolved configuration, the checkpoints, their contents."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from lactoolkit import __version__
from lactoolkit.errors import CheckpointError, OutputError, TrainingError
from lactoolkit.models.checkpoint_file import read_checkpoint
from lactoolkit.training.config import RunConfig
from lactoolkit.training.logs import LOG_FILE, PLOT_FILE
from lactoolkit.video.replacing_file import replacing_path

CONFIG_FILE, LAST, BEST = "config.toml", "last.pt", "best.pt"
_OWN = {CONFIG_FILE, LAST, BEST, LOG_FILE, PLOT_FILE, "tensorboard"}


def open_run(folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Make the folder of a run ready.

    Parameters
    ----------
    folder : Path
        The folder.
    resume : bool
        Whether to go on with the run that is in it; there may be none yet.
    overwrite : bool
        Whether :func:`begin_run` may delete the run that is in it.

    Returns
    -------
    dict or None
        The last checkpoint, to be resumed; None to start from the beginning.

    Raises
    ------
    OutputError
        If the folder holds a run and neither is asked for, or holds anything else, or cannot be made.
    CheckpointError
        If the checkpoint to resume is damaged.
    """
    if resume and overwrite:
        raise OutputError(f"{folder}: --resume keeps the run that is there, --overwrite deletes it; give one of them")
    found = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    found = [name for name in found if not name.startswith(".")]
    if foreign := [name for name in found if name not in _OWN]:
        raise OutputError(f"{folder}: holds {foreign[0]}, which is not of a training run; choose another folder")
    if found and not (resume or overwrite):
        raise OutputError(f"{folder}: holds a run already; go on with it (--resume) or replace it (--overwrite)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in folder.iterdir():
            if _is_partial(one):  # of a run that was killed while it wrote
                one.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be used ({error.strerror}); choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: is not writable; choose another folder")
    if resume and (folder / LAST).exists():
        remedy = "start anew with --overwrite"
        content = read_checkpoint(folder / LAST, remedy)
        if not {"config", "encoder", "training"} <= content.keys():
            raise CheckpointError(f"checkpoint {folder / LAST}: holds no training state; {remedy}")
        return content
    return None


def _is_partial(path: Path) -> bool:
    return any(path.name.startswith(f".{name}.") for name in _OWN)


def begin_run(config: RunConfig, folder: Path) -> None:
    """Delete what an earlier run left in the folder, and write the resolved configuration of the one to come."""
    try:
        for one in [folder / name for name in sorted(_OWN)]:
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be emptied ({error.strerror}); choose another folder") from error
    with replacing_path(folder / CONFIG_FILE) as path:
        path.write_text(config.to_toml(), encoding="utf-8")


def check_same_run(content: dict[str, Any], config: RunConfig, data_digest: str, folder: Path) -> None:
    """Refuse to go on with other settings or other videos than the run began with.

    Raises
    ------
    TrainingError
        Naming what differs.
    """
    for section, table in config.tables().items():
        for name, value in table.items():
            if name not in content["config"].get(section, {}):
                raise TrainingError(
                    f"{folder}: began in a version without the option {section}.{name}; give a new folder, or go on "
                    "in that version"
                )
            before = content["config"][section][name]
            if before != value:
                raise TrainingError(
                    f"{folder}: began with {section}.{name} = {before}, not {value}; a run goes on as it began "
                    "(give the same options, or a new folder)"
                )
    if content["training"]["data"] != data_digest:
        raise TrainingError(
            f"{folder}: began with other videos; a run goes on with the same files (or give a new folder)"
        )


@cache  # what runs is what was there when it was imported
def provenance() -> dict[str, str]:
    """Version and, in a clone, the git revision of this code."""
    here = Path(__file__)
    # Installed below a clone of something else, this file is none of its own.
    is_ours = _git(here.parent, "ls-files", here.name) == here.name
    return {"lactoolkit": __version__, "git": _git(here.parent, "rev-parse", "HEAD") if is_ours else ""}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return done.stdout.strip()
