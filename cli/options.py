"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class TimeType(click.ParamType):
    """A time: seconds, m:ss or h:mm:ss, with or without decimals."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """Read the time as seconds."""
        from lactoolkit.errors import ParameterError
        from lactoolkit.video.timecode import parse_timecode

        if isinstance(value, float):
            return value
        try:
            return parse_timecode(value)
        except ParameterError as error:
            self.fail(str(error), param, context)


TIME = TimeType()


def video_path() -> click.Path:
    """A file that the library is to open: whether it can, the library says, in one way for all of its callers."""
    return click.Path(path_type=Path)


def encoder_option(command: Command) -> Command:
    """Add ``--encoder NAME|CHECKPOINT``."""
    return click.option(
        "--encoder",
        default="lite0",
        show_default=True,
        metavar="NAME|FILE",
        help="Frame encoder (see `lac encoders`), or a checkpoint of `lac train`.",
    )(command)


def weights_option(command: Command) -> Command:
    """Add ``--weights FILE``."""
    return click.option(
        "--weights", type=click.Path(path_type=Path), metavar="FILE", help="Other weights for the encoder."
    )(command)


def frame_rate_option(command: Command) -> Command:
    """Add ``--fps N``."""
    return click.option(
        "--fps",
        "frame_rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Analyse N frames per second instead of the default.",
    )(command)


def device_option(command: Command) -> Command:
    """Add ``--device``."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME",
        callback=_read_device,
        help="Where the network runs: auto, cpu, cuda or cuda:1.",
    )(command)


def _read_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    # Whether there is such a device is asked where the network runs; with all features in the cache, it never does.
    if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d+)?", value):
        raise click.BadParameter(f"{value!r} is unknown; give auto, cpu, cuda or cuda:NUMBER.", context, parameter)
    return value


def quiet_option(command: Command) -> Command:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress bars and no hints.")(command)


def network_options(command: Command) -> Command:
    """Add ``--weights``, ``--fps``, ``--device``, ``--no-cache``, as weights, frame_rate, device and cache."""
    no_cache = click.option(
        "--no-cache",
        "cache",
        is_flag=True,
        callback=lambda _, __, value: not value,
        help="Neither use nor keep features and alignments of the videos in the cache.",
    )
    return weights_option(frame_rate_option(device_option(no_cache(command))))


def embedding_options(command: Command) -> Command:
    """Add all options that say how videos are embedded, named as the library's arguments: pass them on as they are."""
    return encoder_option(network_options(command))


def check_viewer_options(html: bool, embed: bool, out: Path | None) -> None:
    """Check that ``--html`` and ``--embed`` have what they need.

    Raises
    ------
    click.UsageError
        They have not.
    """
    if html and out is None:
        raise click.UsageError("--html needs -o FOLDER, the folder to write viewer.html into.")
    if embed and not html:
        raise click.UsageError("--embed goes with --html: it puts the videos into viewer.html.")


def workers_option(what: str) -> Callable[[Command], Command]:
    """Add ``--workers N``; ``what`` says what is worked on at once."""
    return click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help=what)


def overwrite_option(what: str) -> Callable[[Command], Command]:
    """Add ``--overwrite``; ``what`` says what it replaces."""
    return click.option("--overwrite", is_flag=True, help=f"Replace {what}.")


def export_option(command: Command) -> Command:
    """Add ``--export NAME[,NAME...]``, as a tuple of names."""
    return click.option(
        "--export",
        "exports",
        multiple=True,
        callback=_read_exports,
        metavar="NAME[,NAME...]",
        help="Write further files into FOLDER (needs -o); the names are below.",
    )(command)


def _read_exports(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    from lactoolkit.report.exports import EXPORT_FORMATS

    names = tuple(dict.fromkeys(name.strip() for part in value for name in part.split(",")))
    for name in names:
        if name not in EXPORT_FORMATS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(EXPORT_FORMATS)}.", context, parameter)
    return names


def export_epilog() -> str:
    """All names of ``--export``, for the end of a command's help."""
    from lactoolkit.report.exports import EXPORT_FORMATS

    width = max(map(len, EXPORT_FORMATS))
    lines = [f"  {entry.name.ljust(width)}  {entry.description}" for entry in EXPORT_FORMATS.values()]
    return "\b\nNames for --export:\n" + "\n".join(lines)


def report_options(command_name: str) -> Callable[[Command], Command]:
    """Add ``--out FOLDER``, ``--json`` (as_json), ``--quiet`` and ``--overwrite`` to a command of that name."""

    def add(command: Command) -> Command:
        out = click.option(
            "-o",
            "--out",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="New or empty folder for the results.",
        )
        as_json = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
        overwrite = overwrite_option(f"results that {command_name} wrote to FOLDER before")
        return out(as_json(quiet_option(overwrite(command))))

    return add


def wants_progress(quiet: bool) -> bool:
    """Whether progress bars are to be shown: only to somebody who watches."""
    return not quiet and sys.stderr.isatty()
