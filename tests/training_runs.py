"""Small training runs."""

import csv

from lactoolkit.models.checkpoint_file import read_checkpoint
from lactoolkit.training.config import make_config
from lactoolkit.training.run_folder import LAST
from lactoolkit.training.sources import training_sources
from lactoolkit.training.trainer import train

SMALL = {
    "features.encoder": "lite0",
    "features.views": 0,
    "features.components": 16,
    "clips.frames": 12,
    "model.width": 16,
    "model.heads": 2,
    "model.feed_forward": 16,
    "model.output_size": 8,
    "training.steps": 6,
    "training.batch": 4,
    "training.warm_up": 1,
    "training.validate_every": 2,
    "data.held_out": 0.34,
    "loss.name": "lac",
}


def options(**changes):
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    return [f"{name}={value}" for name, value in {**SMALL, **changed}.items()]


def run(source, folder, *, resume=False, overwrite=False, strict=False, **changes):
    config = make_config(assignments=options(**changes))
    sources = training_sources(source)
    return train(sources, folder, config, device="cpu", resume=resume, overwrite=overwrite, strict=strict)


def command(source, folder, *more, **changes):
    settings = [word for option in options(**changes) for word in ("--set", option)]
    return [str(word) for word in ("train", source, "-o", folder, "--device", "cpu", *settings, *more)]


def weights(folder, name=LAST):
    content = read_checkpoint(folder / name)
    return {**content["encoder"]["temporal"], **{f"loss.{k}": v for k, v in content["training"]["loss"].items()}}


def losses(folder):
    with open(folder / "log.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]
