"""Write the options of `lac train` into docs/training.md, from what the code says of them.

python docs/training_options.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from lactoolkit.losses.registry import LOSSES
from lactoolkit.training.config import RunConfig

PAGE = Path(__file__).with_name("training.md")
BEGIN, END = "<!-- options: python docs/training_options.py -->\n", "<!-- end of options -->\n"
_ENTRY = re.compile(r"^(\w[\w, ]*) : (.*)\n((?:    .*\n|\n)+)", re.MULTILINE)


def main() -> None:
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + BEGIN + tables() + END + after, encoding="utf-8")


def split(page: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks."""
    before, rest = page.split(BEGIN)
    return before, *rest.split(END)


def tables() -> str:
    """One table for each section, and one for each loss."""
    sections = {field.name: field.default_factory for field in fields(RunConfig) if not field.name.startswith("loss")}
    shown = {f"[{name}]": kind for name, kind in sections.items()}
    shown |= {f'[loss] with name = "{name}"': config for name, (config, _) in LOSSES.items()}
    return "".join(f"\n### {title}\n\n{table(kind)}" for title, kind in shown.items()) + "\n"


def table(kind: Any) -> str:
    """Options of a dataclass, what they are without being set, and what its docstring says of them."""
    defaults = {field.name: field.default for field in fields(kind)}
    rows = []
    for names, text in _documented(kind):
        shown = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| {shown} | {', '.join(_toml(defaults.pop(name)) for name in names)} | {text} |")
    assert not defaults, f"{kind.__name__} does not document {list(defaults)}"
    return "\n".join(["| option | default | |", "| --- | --- | --- |", *rows]) + "\n"


def _documented(kind: Any) -> Iterator[tuple[list[str], str]]:
    for names, types, text in _ENTRY.findall(inspect.getdoc(kind) + "\n"):
        said = " ".join(text.split())
        if choices := re.match(r"\{(.*)\}", types):
            said += f" One of {choices[1]}."
        yield names.split(", "), _markdown(said)


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", r"\|")


def _toml(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return f"`{[round(one, 3) for one in value]}`"
    return f"`{tomli_w.dumps({'x': value}).removeprefix('x = ').strip()}`"


if __name__ == "__main__":
    main()
