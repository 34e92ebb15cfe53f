"""Decoding speed against OpenCV, and memory on a one-hour video.

Usage: ``python benchmarks/decoding.py [--results FILE]``. Renders its own clips into a temporary folder.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from lactoolkit.features.store import extract_store
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.encoding import VideoWriter

SIZE = (224, 224)
# Decoding costs as much as the noise, which decides the bit rate.
CLIPS = (
    ("1080p30, clean", 1920, 1080, 2.5),
    ("1080p30, noisy", 1920, 1080, 5.0),
    ("720p30, noisy", 1280, 720, 5.0),
    ("360p30, noisy", 640, 360, 5.0),
)


def render_scene(path: Path, width: int, height: int, frames: int, noise: float) -> None:
    """Render a textured background that pans slowly under sensor noise, and a disc that crosses it."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 216, (height // 24 + 2, width // 24 + 2, 3), dtype=np.uint8)
    background = cv2.resize(coarse, (width + 200, height), interpolation=cv2.INTER_CUBIC)
    background = np.clip(background + random.normal(0, 12, background.shape), 0, 255).astype(np.uint8)
    grain = random.normal(0, noise, (8, height, width, 1)).astype(np.int16)
    with VideoWriter(path, 30, width, height, quality=20) as writer:
        for k in range(frames):
            image = background[:, k % 200 : k % 200 + width].astype(np.int16) + grain[k % 8]
            image = np.clip(image, 0, 255).astype(np.uint8)
            centre = (int(width * (0.1 + 0.8 * k / frames)), int(height * (0.5 + 0.3 * np.sin(k / 12))))
            cv2.circle(image, centre, height // 8, (220, 60, 40), -1)
            writer.write(image)


def repeat_packets(source: Path, target: Path, times: int) -> None:
    """Lengthen a video by repeating its packets, without encoding them again."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in container.demux(stream) if p.size]
        length = round(stream.frames / stream.average_rate / stream.time_base)
        with av.open(str(target), "w") as output:
            copy = output.add_stream_from_template(stream)
            for turn in range(times):
                for data, pts, dts, is_keyframe in packets:
                    packet = av.Packet(data)
                    packet.stream, packet.time_base = copy, stream.time_base
                    packet.pts, packet.dts = pts + turn * length, dts + turn * length
                    packet.is_keyframe = is_keyframe
                    output.mux(packet)


def decode_with_lactoolkit(path: Path) -> int:
    return sum(len(batch) for batch in read_frames(path, size=SIZE))


def decode_with_opencv(path: Path) -> int:
    """As well as cv2 can: sequential reading, area averaging, RGB."""
    capture = cv2.VideoCapture(str(path))
    batch, count = [], 0
    while True:
        found, image = capture.read()
        if not found:
            break
        batch.append(cv2.cvtColor(cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB))
        count += 1
        if len(batch) == 32:
            np.stack(batch)
            batch.clear()
    return count


def frames_per_second(decode, path: Path, repeats: int) -> tuple[float, float, float]:
    """Best and median frames per second of several runs, and least milliseconds of processor time per frame."""
    rates, costs = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        count = decode(path)
        rates.append(count / (time.perf_counter() - start))
        costs.append(1000 * (time.process_time() - start_cpu) / count)
    return max(rates), float(np.median(rates)), min(costs)


def store_frames(path: Path) -> int:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        return extract_store([path], folder, frames="array", features=False).done[0].frames


def store_features(path: Path) -> int:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        return extract_store([path], folder, frames="array").done[0].frames


TASKS = {"decode": decode_with_lactoolkit, "store": store_frames, "features": store_features}


def peak_memory(task: str, path: Path) -> tuple[int, float, float]:
    """Frames, seconds and peak resident MiB of one of the tasks in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", task, str(path)], capture_output=True, text=True, check=True
    )
    count, seconds, mebibytes = done.stdout.split()
    return int(count), float(seconds), float(mebibytes)


def measure_memory_here(task: str, path: Path) -> None:
    start = time.perf_counter()
    count = TASKS[task](path)
    seconds = time.perf_counter() - start
    print(count, seconds, peak_resident_mebibytes())


def peak_resident_mebibytes() -> float:
    """Peak of this process alone: Linux's ru_maxrss would begin with the peak of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def seek_seconds(path: Path, start: float) -> tuple[float, int]:
    """Seconds until the first batch after a start far into a video, and its first frame number."""
    begin = time.perf_counter()
    batch = next(read_frames(path, size=SIZE, start=start, batch_size=1))
    return time.perf_counter() - begin, int(batch.frames[0])


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def add(rows: list[str], row: str) -> None:
    """Keep a row of a table, and show it at once: the whole takes a while."""
    print(row, file=sys.stderr)
    rows.append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measure_memory_here(options.task[0], Path(options.task[1]))
        return
    load = os.getloadavg()[0]
    rows: list[str] = []
    memory: list[str] = []
    seeks: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, width, height, noise in CLIPS:
            clip = Path(folder) / f"{name}.mp4"
            render_scene(clip, width, height, 300, noise)
            runs = [(decode_with_lactoolkit, "lactoolkit"), (decode_with_opencv, "cv2")]
            for decode, label in runs:
                best, median, cost = frames_per_second(decode, clip, options.repeats)
                megabits = clip.stat().st_size * 8 / 10 / 1e6
                add(rows, f"| {name}, {megabits:.1f} Mbit/s | {label} | {best:.0f} | {median:.0f} | {cost:.2f} |")
        for task, minutes in (
            ("decode", 1),
            ("decode", 60),
            ("store", 1),
            ("store", 10),
            ("features", 1),
            ("features", 60),
        ):
            long = Path(folder) / f"{minutes}.mp4"
            if not long.exists():
                repeat_packets(Path(folder) / "360p30, noisy.mp4", long, minutes * 6)
            count, seconds, mebibytes = peak_memory(task, long)
            speed = f"{seconds:.0f} | {count / seconds:.0f} | {mebibytes:.0f}"
            add(memory, f"| {task} | {minutes} min | {count} | {speed} |")
        for start in (30 * 60 + Fraction(7, 30), 59 * 60 + Fraction(11, 30)):
            seconds, frame = seek_seconds(Path(folder) / "60.mp4", float(start))
            add(seeks, f"| {float(start):.3f} s | {frame} | {int(start * 30)} | {seconds:.2f} |")
    text = f"""# Decoding

`python benchmarks/decoding.py`, {datetime.date.today()}, {processor()}, {os.cpu_count()} logical processors,
PyAV {av.__version__}, OpenCV {cv2.__version__}, best and median of {options.repeats} runs. Load average at the start:
{load:.1f}; where it is above the number of processors, other work slowed these runs, and the processor time tells more.

## To 224 x 224 RGB, H.264, frames per second

| clip (10 s) | reader | best | median | processor time per frame, ms (least) |
| --- | --- | --- | --- | --- |
{chr(10).join(rows)}

cv2: `VideoCapture.read`, `resize` with INTER_AREA, `cvtColor`.

## Memory, 360p30

`read_frames` to 224 x 224; `extract_store` with frames as one array, and with the features of lite0 beside them.

| what | length | frames | seconds | frames/s | peak memory of the process, MiB |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(memory)}

## First frame after a start inside the one-hour video

| start | frame given | frame expected | seconds |
| --- | --- | --- | --- |
{chr(10).join(seeks)}
"""
    print(text)
    if options.results:
        options.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
