"""`lac train`: a folder of videos in, an encoder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import device_option, quiet_option, video_path, wants_progress

if TYPE_CHECKING:
    from lactoolkit.training.trainer import TrainingResult


@click.command(short_help="Learn an encoder from unlabelled videos.")
@click.argument("source", type=video_path(), metavar="FOLDER|MANIFEST")
@click.option(
    "-o", "--out", "folder", required=True, type=click.Path(path_type=Path), metavar="RUN", help="Folder of the run."
)
@click.option(
    "--preset",
    metavar="NAME",
    help="Where options start from: small (the default, for a CPU) or paper (the published settings, for a GPU).",
)
@click.option("--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="Options from a TOML file.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="One option, such as training.batch=8; docs/training.md lists all of them, RUN/config.toml those of a run.",
)
@click.option("--loss", metavar="NAME", help="lac, scl, tcn, tcc, lav or gta (loss.name).")
@click.option("--encoder", metavar="NAME", help="Frame encoder to start from; see `lac encoders` (features.encoder).")
@click.option(
    "--unfreeze",
    metavar="STAGE",
    help="Train the frame encoder too from this stage on, such as layer3 (features.unfreeze).",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Steps to take (training.steps).")
@click.option("--batch", type=click.IntRange(min=2), metavar="N", help="Videos per step (training.batch).")
@click.option("--lr", "learning_rate", type=float, metavar="X", help="Learning rate (training.learning_rate).")
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Decides all that is drawn by chance (training.seed)."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in RUN, with the options it began with; start it if there is none.",
)
@click.option("--overwrite", is_flag=True, help="Replace the run in RUN.")
@click.option("--strict", is_flag=True, help="Stop at a video that cannot be decoded instead of leaving it out.")
@quiet_option
@device_option
def train(
    source: Path,
    folder: Path,
    preset: str | None,
    file: Path | None,
    assignments: tuple[str, ...],
    loss: str | None,
    encoder: str | None,
    unfreeze: str | None,
    steps: int | None,
    batch: int | None,
    learning_rate: float | None,
    seed: int | None,
    resume: bool,
    overwrite: bool,
    strict: bool,
    quiet: bool,
    device: str,
) -> None:
    """Learn frame embeddings from videos of the same process, without labels.

    FOLDER is searched for videos at any depth; a MANIFEST is a CSV file with the column path, and optionally class and
    split (rows with train or nothing are learned from). Of a data set with splits that `lac manifest` knows, the
    training videos are. RUN receives best.pt, which `lac align --encoder RUN/best.pt` and the other commands take,
    last.pt, config.toml, log.csv and progress.png.

    Under torchrun several processes or machines train one model.

    \b
    Examples:
      lac train takes/ -o run
      lac train takes/ -o run --steps 500 --set model.width=384
      torchrun --nproc-per-node 2 -m lactoolkit.cli train takes/ -o run
    """
    shortcuts = {
        ("loss", "name"): loss,
        ("features", "encoder"): encoder,
        ("features", "unfreeze"): unfreeze,
        ("training", "steps"): steps,
        ("training", "batch"): batch,
        ("training", "learning_rate"): learning_rate,
        ("training", "seed"): seed,
    }
    from lactoolkit.training.config import make_config
    from lactoolkit.training.run_folder import CONFIG_FILE

    begun = folder / CONFIG_FILE
    if resume and preset is None and file is None and begun.exists():
        file = begun
    config = make_config(preset or "small", file, assignments, shortcuts)
    from lactoolkit.training.distributed import leads_its_team
    from lactoolkit.training.sources import training_sources
    from lactoolkit.training.trainer import train as run_training

    result = run_training(
        training_sources(source),
        folder,
        config,
        device=device,
        resume=resume,
        overwrite=overwrite,
        strict=strict,
        progress=wants_progress(quiet),
    )
    if leads_its_team():  # of several processes, one speaks
        click.echo("\n".join(_describe(result, config.training.select, quiet)))


def _describe(result: TrainingResult, select: str, quiet: bool) -> list[str]:
    """Lines for the reader."""
    steps = "1 step" if result.steps == 1 else f"{result.steps} steps"
    videos = f"Learned from {result.videos} videos in {steps}"
    videos += f", validated on {result.held_out} others" if result.held_out else ", validated on the same"
    if result.skipped:
        videos += f"; {result.skipped} left out (see the warnings)"
    best = click.format_filename(result.best)
    if select == "loss":
        found = f"validation loss {-result.best_score:.3f}"
    else:
        found = f"validation score {result.best_score:.3f}"
        if result.best_score <= 0:
            found += ": videos align no better than played backwards; do they show one process, in one order?"
    lines = [f"{videos}.", f"{best}: from step {result.best_step}, {found}"]
    if not quiet:
        lines.append(f"Use it: lac align A B --encoder {best}")
    return lines
