"""`evaluate`: the field's figures for an encoder and what they are worth beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lactoolkit import __version__
from lactoolkit.alignment.align import AlignmentSettings
from lactoolkit.errors import ManifestError
from lactoolkit.evaluation.protocol import evaluate_embeddings
from lactoolkit.evaluation.result import EvaluationResult
from lactoolkit.evaluation.videos import LabelledVideo
from lactoolkit.features.video_embeddings import embed_video
from lactoolkit.models.registry import is_checkpoint
from lactoolkit.video.datasets import VideoRecord, read_video_manifest
from lactoolkit.video.labels import FrameLabels, read_labels

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

UNTRAINED = "lite0"


def evaluate(
    encoder: str | Path | FrameEncoder | TrainedEncoder,
    manifest: str | Path | Sequence[VideoRecord],
    *,
    beside: Sequence[str | Path] = (),
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    split: str = "val",
    pairs: int = 60,
    seed: int = 0,
    cache: bool = True,
    progress: bool = False,
    settings: AlignmentSettings | None = None,
    baselines: bool = True,
) -> EvaluationResult:
    """Measure how well an encoder's embeddings tell phases apart and align videos, beside baselines.

    Phase classification and progression learn from the labelled videos of the split ``train``; everything is measured
    on the videos of ``split``. Without any split in the manifest, all videos are measured and these two are left out.
    Videos of one class are compared with each other; recordings of one episode from several views never are.

    Parameters
    ----------
    encoder : str, path, FrameEncoder or TrainedEncoder
        Name of an encoder, a checkpoint, or either of them loaded already.
    manifest : path, or sequence of VideoRecord
        The videos and their labels; see :func:`lactoolkit.video.datasets.read_video_manifest`.
    beside : sequence of str or path
        Further encoders to measure on the same videos and pairs.
    weights : path, optional
        Other weights for the encoder.
    device : str
        Where the encoder runs.
    frame_rate : float, optional
        Frames per second to analyse; every frame by default. Errors are in native frames anyway.
    split : str
        Split to measure on.
    pairs : int
        Pairs of videos to align, at most, of each class and view; drawn at random.
    seed : int
        Of that draw and of the bootstrap.
    cache : bool
        Use and fill the cache of features.
    progress : bool
        Show progress bars on stderr.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature of the alignments; by default those that suit each encoder.
    baselines : bool
        Measure untrained features and what knows no content too; without them, figures take a quarter of the time.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    ManifestError
        If there are no labels, no class with two independent videos in the split, or labels that do not fit.
    VideoError, EncoderError
        If a video or the encoder cannot be read.

    Examples
    --------
    >>> from lactoolkit.evaluation import evaluate
    >>> result = evaluate("lite0", "sim/hammer.csv")  # doctest: +SKIP
    >>> result.value("ap_5", view="cross")  # doctest: +SKIP
    0.55
    """
    records = read_video_manifest(manifest) if isinstance(manifest, str | Path) else list(manifest)
    source = str(manifest) if isinstance(manifest, str | Path) else f"{len(records)} records"
    train, measured = _choose(records, split, source)
    labels = {record.path: _labels(record) for record in (*train, *measured)}
    method = str(encoder) if isinstance(encoder, str | Path) else encoder.identity
    options = {"device": device, "frame_rate": frame_rate, "cache": cache}
    methods = {method: _embed(train + measured, labels, encoder, {"weights": weights, **options}, progress)}
    for other in beside:
        methods[str(other)] = _embed(train + measured, labels, other, options, progress)
    if baselines and (UNTRAINED not in methods or weights is not None):
        methods[f"untrained {UNTRAINED}"] = _embed(train + measured, labels, UNTRAINED, options, progress)
    identity = methods[method][0].embeddings.encoder
    result = evaluate_embeddings(
        {name: (videos[: len(train)], videos[len(train) :]) for name, videos in methods.items()},
        pairs=pairs,
        seed=seed,
        progress=progress,
        settings=settings,
        baselines=baselines,
    )
    about = {
        "encoder": method,
        "encoder_identity": identity,
        "manifest": source,
        "split": split,
        "frame_rate": frame_rate,
        "lactoolkit": __version__,
    }
    return replace(result, settings={**about, **result.settings})


def _choose(records: Sequence[VideoRecord], split: str, source: str) -> tuple[list[VideoRecord], list[VideoRecord]]:
    """Labelled videos to learn from and to measure on."""
    labelled = [record for record in records if record.labels is not None]
    if not labelled:
        raise ManifestError(
            f"{source}: none of its {len(records)} videos has labels; give a CSV manifest (lac manifest writes it) "
            "whose column labels names a file with the phase of every frame"
        )
    if not any(record.split for record in labelled):
        return [], labelled
    measured = [record for record in labelled if record.split == split]
    if not measured:
        found = ", ".join(sorted({record.split or "(none)" for record in labelled}))
        raise ManifestError(f"{source}: no labelled video in the split {split!r}; there is {found} (--split)")
    return [record for record in labelled if record.split == "train" and split != "train"], measured


def _labels(record: VideoRecord) -> FrameLabels:
    assert record.labels is not None
    labels = read_labels(record.labels)
    if not (labels.phases >= 0).any():
        raise ManifestError(f"{record.labels}: every frame is background (-1); label the phases of the process")
    return labels


def _embed(
    records: Sequence[VideoRecord],
    labels: Mapping[Path, FrameLabels],
    encoder: str | Path | FrameEncoder | TrainedEncoder,
    options: Mapping[str, Any],
    progress: bool,
) -> list[LabelledVideo]:
    if isinstance(encoder, str | Path) and is_checkpoint(encoder):
        from lactoolkit.models.trained import load_trained_encoder

        encoder = load_trained_encoder(encoder, options["device"])
    videos = []
    for record in tqdm(records, desc="embedding", unit="video", delay=1, leave=False, disable=not progress):
        embeddings = embed_video(record.path, encoder, **options)
        frames, known = int(embeddings.frames[-1]) + 1, len(labels[record.path])
        if options["frame_rate"] is None and known != frames:
            raise ManifestError(
                f"{record.labels}: has labels for {known} frames, but {record.path} has {frames}; label every frame of "
                "the file, from 0 on"
            )
        videos.append(LabelledVideo(embeddings, labels[record.path], record))
    return videos
