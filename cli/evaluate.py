"""`lac evaluate`: what an encoder's embeddings are worth on labelled videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .evaluation_tables import describe_evaluation
from .options import network_options, report_options, wants_progress


@click.command(short_help="Measure an encoder on labelled videos.")
@click.argument("encoder")
@click.argument("manifest", type=click.Path(path_type=Path))
@report_options("lac evaluate")
@click.option(
    "--beside", multiple=True, metavar="ENCODER", help="Measure another encoder too; may be given several times."
)
@click.option(
    "--split", default="val", show_default=True, metavar="NAME", help="Videos to measure on; train is to learn from."
)
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="N",
    help="Pairs of videos to align of each class, and of same and different views; drawn if there are more.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of that draw and the intervals."
)
@network_options
def evaluate(
    encoder: str,
    manifest: Path,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    beside: tuple[str, ...],
    split: str,
    pairs: int,
    seed: int,
    **network: Any,
) -> None:
    """Measure an encoder on labelled videos, beside baselines that know nothing about their content.

    ENCODER is a name from `lac encoders` or a checkpoint of `lac train`. MANIFEST is a CSV file with the columns path,
    labels, class, split, episode, view and distractor (all but path may be missing; `lac manifest` writes it).
    Prints phase classification and progression, Kendall's tau, retrieval, and how good alignments of pairs of videos
    are, with 95 % bootstrap intervals, and marks what differs reliably. With -o, FOLDER receives all figures of all
    classes (evaluation.csv, evaluation.json) and a picture (evaluation.png).

    \b
    Examples:
      lac evaluate lite0 takes.csv
      lac evaluate run/best.pt takes.csv -o figures --split test --beside other/best.pt
    """
    if out is not None:
        from lactoolkit.report.evaluation_files import check_evaluation_folder

        check_evaluation_folder(out, overwrite=overwrite)
    from lactoolkit.evaluation import evaluate as measure

    result = measure(
        encoder,
        manifest,
        beside=beside,
        split=split,
        pairs=pairs,
        seed=seed,
        progress=wants_progress(quiet),
        **network,
    )
    if out is not None:
        from lactoolkit.report.evaluation_files import write_evaluation

        write_evaluation(result.to_document(), result.to_dataframe(), out, overwrite=overwrite)
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    if as_json:
        import json

        click.echo(json.dumps(result.to_document(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    paragraphs = describe_evaluation(result)
    if out is not None:
        from lactoolkit.report.evaluation_files import EVALUATION_FILES

        paragraphs.append(f"Written to {click.format_filename(out)}: {', '.join(EVALUATION_FILES)}")
    elif not quiet:
        paragraphs.append("Add -o FOLDER for the figures of every class and method, and a picture.")
    click.echo("\n\n".join(paragraphs))
