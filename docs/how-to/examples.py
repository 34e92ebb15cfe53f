"""The example videos of these pages, rendered: `python docs/how-to/examples.py FOLDER`.

`export_first.mp4`, `export_second.mp4`: mock screen recordings of one procedure (write, open the menu, choose a format,
wait, read the result) at different pace, the first after three seconds of web browsing. `export_shortcut.mp4`: the same
without the menu. `export_correct1.mp4` to `export_correct4.mp4`: all steps; `export_detour.mp4`: three seconds of
something else before the progress bar. `shift.mp4`: the robot of
`data/samples/` at its task four times, at four speeds, after 23 frames of another task.
`workday.mp4`: twelve minutes of reading web pages and writing, with the procedure in them once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lactoolkit import read_frames
from lactoolkit.video.encoding import VideoWriter

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
WIDTH, HEIGHT, RATE = 960, 540, 15
SPEEDS = (1.0, 1.25, 0.9, 1.1)


def text_lines(
    draw: ImageDraw.ImageDraw, left: int, top: int, count: int, shade: int, random: np.random.Generator
) -> None:
    for k in range(count):
        draw.rectangle(
            (left, top + 24 * k, left + int(random.integers(200, 520)), top + 10 + 24 * k), fill=(shade,) * 3
        )


def write(draw: ImageDraw.ImageDraw, part: float, random: np.random.Generator) -> None:
    text_lines(draw, 40, 60, int(18 * part), 90, random)


def open_menu(draw: ImageDraw.ImageDraw, part: float, random: np.random.Generator) -> None:
    text_lines(draw, 40, 60, 18, 90, random)
    draw.rectangle((0, 24, 160, 184), fill=(230, 230, 230))
    for k, entry in enumerate(("New", "Open", "Save", "Export ...", "Quit")):
        draw.text((12, 34 + 26 * k), entry, fill="black")
    chosen = 24 + int(26 * min(4, 5 * part))
    draw.rectangle((0, chosen, 160, chosen + 26), outline="blue", width=3)


def choose_format(draw: ImageDraw.ImageDraw, part: float, random: np.random.Generator) -> None:
    text_lines(draw, 40, 60, 18, 90, random)
    draw.rectangle((260, 140, 760, 400), fill=(240, 240, 240), outline="black")
    for k, entry in enumerate(("PDF", "HTML", "Plain text")):
        draw.text((300, 190 + 30 * k), ("(x) " if k == int(2.99 * part) else "( ) ") + entry, fill="black")
    draw.rectangle((640, 350, 740, 385), fill=(70, 120, 220))


def wait(draw: ImageDraw.ImageDraw, part: float, random: np.random.Generator) -> None:
    text_lines(draw, 40, 60, 18, 90, random)
    draw.rectangle((260, 220, 760, 320), fill=(240, 240, 240), outline="black")
    draw.rectangle((280, 270, 280 + int(460 * part), 295), fill=(70, 180, 90))


def read(draw: ImageDraw.ImageDraw, part: float, random: np.random.Generator) -> None:
    text_lines(draw, 40, 60, 18, 90, random)
    draw.rectangle((300, 100, 900, 520), fill=(250, 250, 245), outline="black")
    text_lines(draw, 330, 130, int(14 * min(1.0, 3 * part)), 20, random)


Scene = Callable[[ImageDraw.ImageDraw, float, np.random.Generator], None]
# Scenes and their seconds. Before the first recording begins, somebody reads a web page for BROWSING seconds.
RECORDINGS: dict[str, tuple[tuple[Scene, float], ...]] = {
    "export_first": ((write, 4), (open_menu, 2), (choose_format, 3), (wait, 2), (read, 3)),
    "export_second": ((write, 3), (open_menu, 4), (choose_format, 2), (wait, 5), (read, 3)),
    "export_shortcut": ((write, 3), (choose_format, 3), (wait, 4), (read, 3)),
    "export_correct1": ((write, 4), (open_menu, 2.2), (choose_format, 3), (wait, 2), (read, 3)),
    "export_correct2": ((write, 3.6), (open_menu, 2), (choose_format, 2.6), (wait, 2.2), (read, 3.2)),
    "export_correct3": ((write, 4.4), (open_menu, 1.8), (choose_format, 3.2), (wait, 1.9), (read, 2.8)),
    "export_correct4": ((write, 3.8), (open_menu, 2.4), (choose_format, 2.8), (wait, 2.1), (read, 3)),
    "export_detour": ((write, 4), (open_menu, 2), (choose_format, 3), (write, 3), (wait, 2), (read, 3)),
}
BROWSING = 3.0
WORKDAY_RATE, WORKDAY_SECONDS, WORKDAY_EXPORT = 5, 720, 500


def desktop(scene: Scene, part: float, person: int) -> np.ndarray:
    """One picture: the window, what happens in it, and a pointer on a way of its own."""
    image = Image.new("RGB", (WIDTH, HEIGHT), ((40, 44, 60), (50, 60, 56), (60, 50, 44))[person % 3])
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 24), fill=(20, 20, 24))
    draw.text((8, 6), "Editor - report.txt", fill="white")
    draw.rectangle((20, 40, 620, 520), fill="white")
    scene(draw, part, np.random.default_rng(person))
    x, y = 300 + 200 * np.sin(2 * part + 2 * person), 250 + 150 * np.cos(part + person)
    draw.polygon([(x, y), (x + 14, y + 10), (x + 5, y + 16)], fill="red")
    return np.asarray(image)


def web_page(part: float, page: int = 0) -> np.ndarray:
    """One picture of a page of coloured blocks that scrolls."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (245, 245, 245))
    draw = ImageDraw.Draw(image)
    for k in range(30):
        top = int(80 * k - 600 * part)
        draw.rectangle(
            (100, top, 800, top + 50), fill=tuple(np.random.default_rng(k + 100 * page).integers(80, 240, 3).tolist())
        )
    return np.asarray(image)


def render_recording(folder: Path, name: str, person: int) -> None:
    """Write one recording and print where its steps begin."""
    starts = [BROWSING if person == 0 else 0.0]
    with VideoWriter(folder / f"{name}.mp4", RATE, WIDTH, HEIGHT) as writer:
        for k in range(int(starts[0] * RATE)):
            writer.write(web_page(k / (BROWSING * RATE)))
        for scene, seconds in RECORDINGS[name]:
            frames = int(seconds * RATE)
            for k in range(frames):
                writer.write(desktop(scene, k / frames, person))
            starts.append(starts[-1] + seconds)
    print(f"{name}.mp4: steps begin at", *(f"{start:g}" for start in starts[:-1]), f"s, the end is at {starts[-1]:g} s")


def work(seconds: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures of somebody who reads pages and now and then writes."""
    left = seconds * WORKDAY_RATE
    while left:
        frames = min(int(random.integers(10, 40)) * WORKDAY_RATE, left)
        page, writes = int(random.integers(1, 1000)), random.random() < 0.3
        for k in range(frames):
            yield desktop(write, k / frames, 2) if writes else web_page(k / frames, page)
        left -= frames


def export_slowly() -> Iterator[np.ndarray]:
    for scene, seconds in RECORDINGS["export_second"]:
        frames = int(1.3 * seconds * WORKDAY_RATE)
        for k in range(frames):
            yield desktop(scene, k / frames, 2)


def render_workday(folder: Path) -> None:
    random = np.random.default_rng(5)
    procedure = list(export_slowly())
    rest = WORKDAY_SECONDS - WORKDAY_EXPORT - len(procedure) // WORKDAY_RATE
    with VideoWriter(folder / "workday.mp4", WORKDAY_RATE, WIDTH, HEIGHT) as writer:
        for image in chain(work(WORKDAY_EXPORT, random), procedure, work(rest, random)):
            writer.write(image)
    end = WORKDAY_EXPORT + len(procedure) / WORKDAY_RATE
    print("workday.mp4: the procedure begins at", WORKDAY_EXPORT, "s, the end is at", end, "s")


def render_shift(folder: Path) -> None:
    slow, fast = (
        np.concatenate([batch.images for batch in read_frames(SAMPLES / f"hammer_{speed}.mp4")])
        for speed in ("slow", "fast")
    )
    with VideoWriter(folder / "shift.mp4", 30, slow.shape[2], slow.shape[1]) as writer:
        for image in slow[:23]:
            writer.write(image)
        for speed in SPEEDS:
            for position in np.arange(0, 81, speed):
                writer.write(fast[int(position)])


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for person, name in enumerate(RECORDINGS):
        render_recording(folder, name, person)
    render_workday(folder)
    render_shift(folder)


if __name__ == "__main__":
    main()
