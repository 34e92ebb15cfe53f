"""Names and figures as they are written into pictures: fonts, shortening, wording."""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lactoolkit.errors import LacToolkitWarning

# Blue and vermilion of Okabe and Ito's palette: told apart by readers with any kind of colour vision.
COLOUR_A = (0, 114, 178)
COLOUR_B = (213, 94, 0)

_MISSING = "\u25af"


def shorten(name: str, length: int) -> str:
    """Cut the middle out of a name that is longer than ``length`` characters: both ends tell takes apart."""
    if len(name) <= length:
        return name
    kept = max(length - 1, 2)
    return name[: kept - kept // 2] + "…" + name[len(name) - kept // 2 :]


def distinct_names(paths: Iterable[Path]) -> list[str]:
    """Names of files, with as many of their folders as tell different ones apart: cameras number their files alike.

    Examples
    --------
    >>> distinct_names([Path("left/1.mp4"), Path("right/1.mp4"), Path("right/2.mp4")])
    ['left/1.mp4', 'right/1.mp4', '2.mp4']
    """
    asked = list(paths)
    lengths = dict.fromkeys(asked, 1)
    while True:
        names = {path: "/".join(path.parts[-length:]) for path, length in lengths.items()}
        counts = Counter(names.values())
        alike = [path for path, name in names.items() if counts[name] > 1 and lengths[path] < len(path.parts)]
        if not alike:
            return [names[path] for path in asked]
        for path in alike:
            lengths[path] += 1


def printable(text: str) -> tuple[str, Path]:
    """Find a font that can draw a text.

    Parameters
    ----------
    text : str
        Any text, a file name for instance.

    Returns
    -------
    text : str
        The text in composed form (NFC); characters that no installed font has, as boxes.
    font : Path
        A font file that has all of its characters: DejaVu Sans, which matplotlib brings along, or an installed font.

    Warns
    -----
    LacToolkitWarning
        When characters had to be replaced.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(character if character.isprintable() else _MISSING for character in text)
    default = _default_font()
    needed = frozenset(map(ord, text))
    if needed <= _characters(default):
        return text, default
    font = _font_with(needed)
    if font is not None:
        return text, font
    missing = "".join(sorted({character for character in text if ord(character) not in _characters(default)}))
    warnings.warn(
        f"no installed font has the characters {missing!r}; they are drawn as boxes. "
        "Install a font for their script (for example the package fonts-noto-cjk) to see them",
        LacToolkitWarning,
        stacklevel=2,
    )
    return "".join(character if ord(character) in _characters(default) else _MISSING for character in text), default


@cache
def _default_font() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def _characters(font: Path) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(str(font)).get_charmap())


@cache
def _font_with(needed: frozenset[int]) -> Path | None:
    from matplotlib.font_manager import fontManager

    for entry in fontManager.ttflist:
        # A font of last resort "has" everything, as one sign for each script; colour fonts are no outlines.
        name = entry.name.replace(" ", "")
        if "LastResort" in name or "Emoji" in name or entry.style != "normal" or entry.weight != 400:
            continue
        path = Path(entry.fname)
        try:
            characters = _characters(path)
        except (OSError, RuntimeError):
            continue
        if needed <= characters:
            return path
    return None
