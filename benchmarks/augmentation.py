"""Frames a second of spatial augmentation, beside the same steps done picture by picture with Pillow.

    python benchmarks/augmentation.py [--device cpu|cuda] [--threads N] > benchmarks/results/augmentation.md

Both take turns on the same clips, and the fastest turn counts: other work on the machine disturbs both alike. CPU time
is the processor time of all threads, which other work hardly touches. Pillow works on one thread.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter

from lactoolkit.video.augmentation import (
    Augmentation,
    AugmentationSettings,
    apply_augmentation,
    augment_clips,
    draw_augmentation,
)

CLIPS, FRAMES = 4, 16
TURNS = 5
EVERYTHING = AugmentationSettings(jitter=1.0, blur=1.0, flip=1.0, grey=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    clips = torch.randint(256, (CLIPS, FRAMES, 3, arguments.size, arguments.size), dtype=torch.uint8)
    moved = clips.to(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{arguments.threads} threads"
    print(
        f"# Augmentation\n\n{datetime.date.today()}, {processor()}, {name}, torch {torch.__version__}; "
        f"`python benchmarks/augmentation.py --device {device} --threads {arguments.threads}`. {CLIPS} clips of "
        f"{FRAMES} frames, {arguments.size} x {arguments.size}, uint8 in memory.\n"
    )
    drawn = draw_augmentation(CLIPS, clips.shape[3:], torch.Generator().manual_seed(0), EVERYTHING)
    pictures = [[Image.fromarray(frame) for frame in clip.permute(0, 2, 3, 1).numpy()] for clip in clips]
    generator = torch.Generator().manual_seed(0)

    def ours(settings: AugmentationSettings) -> Callable[[], object]:
        return lambda: augment_clips(moved, generator, settings)

    runs: dict[str, Callable[[], object]] = {
        "lactoolkit, the usual chances": ours(AugmentationSettings()),
        "lactoolkit, every step": ours(EVERYTHING),
        "lactoolkit, crop and flip only": ours(replace(EVERYTHING, jitter=0, blur=0)),
        "lactoolkit, every step, bfloat16": lambda: apply_augmentation((moved / 255).bfloat16(), drawn),
        "Pillow, every step": lambda: [
            [with_pillow(picture, drawn, k) for picture in clip] for k, clip in enumerate(pictures)
        ],
    }
    wall, used = measure(runs, device)
    frames = CLIPS * FRAMES
    print(
        "| | frames a second | ms a frame | CPU ms a frame | times as fast as Pillow |\n| --- | --- | --- | --- | --- |"
    )
    for label in runs:
        print(
            f"| {label} | {frames / wall[label]:.0f} | {wall[label] / frames * 1e3:.2f} | "
            f"{used[label] / frames * 1e3:.2f} | {wall['Pillow, every step'] / wall[label]:.1f} |"
        )


def with_pillow(picture: Image.Image, drawn: Augmentation, clip: int) -> np.ndarray:
    """The steps that are drawn for a clip, by the tools that per-frame pipelines use; hue in HSV."""
    left, top = int(drawn.left[clip]), int(drawn.top[clip])
    box = (left, top, left + int(drawn.width[clip]), top + int(drawn.height[clip]))
    picture = picture.resize(picture.size, Image.Resampling.BILINEAR, box=box)
    if drawn.flip[clip]:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.filter(ImageFilter.GaussianBlur(float(drawn.sigma[clip])))
    picture = ImageEnhance.Brightness(picture).enhance(float(drawn.brightness[clip]))
    picture = ImageEnhance.Contrast(picture).enhance(float(drawn.contrast[clip]))
    picture = ImageEnhance.Color(picture).enhance(float(drawn.saturation[clip]))
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue, dtype=np.int16) + round(float(drawn.hue[clip]) * 255)).astype(np.uint8)
    picture = Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
    return np.asarray(picture).astype(np.float32) / 255


def measure(runs: dict[str, Callable[[], object]], device: torch.device) -> tuple[dict[str, float], dict[str, float]]:
    wall: dict[str, float] = {}
    used: dict[str, float] = {}
    for turn in range(TURNS + 1):
        for label, run in runs.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if turn > 0:  # the first turn only warms up
                wall[label] = min(wall.get(label, np.inf), seconds)
                used[label] = min(used.get(label, np.inf), cpu)
    return wall, used


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
