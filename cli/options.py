"""Options that several commands share."""

from __future__ import annotations

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
        help="Where the network runs: auto, cpu, cuda or cuda:1.",
    )(command)


def quiet_option(command: Command) -> Command:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress bars and no hints.")(command)


def wants_progress(quiet: bool) -> bool:
    """Whether progress bars are to be shown: only to somebody who watches."""
    return not quiet and sys.stderr.isatty()
