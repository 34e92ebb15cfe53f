"""Work for other processes, which import it by name: they cannot import test modules."""

import os
import time
import warnings

from tqdm import tqdm

from lactoolkit.errors import EncoderError, VideoError, VideoWarning


def half(number):
    if number % 2:
        raise VideoError(f"{number} is odd")
    if number == 6:
        warnings.warn("six", VideoWarning, stacklevel=1)
    if number == 100:
        raise ZeroDivisionError
    if number == 200:
        raise EncoderError("no weights")
    return number // 2


def slow(number, folder):
    (folder / f"begun_{number}").touch()
    try:
        time.sleep(60 if number else 0)
    finally:
        (folder / f"unwound_{number}").touch()
    return os.getpid()


def slow_with_bar(number, folder):
    with open(os.devnull, "w") as nowhere, tqdm(total=1, file=nowhere):
        (folder / f"begun_{number}").touch()
        while number or not (folder / "begun_1").exists():
            time.sleep(0.02)
