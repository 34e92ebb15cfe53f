"""Data sets as they are published, turned into one list of videos."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from lactoolkit.errors import LacToolkitError, LacToolkitWarning, ManifestError, OutputError, ParameterError
from lactoolkit.video.carl_layout import PICKLES, read_carl_folder
from lactoolkit.video.dataset_item import DatasetItem
from lactoolkit.video.datasets import VideoRecord, read_video_manifest, write_video_manifest
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.image_sequence import list_images, write_image_sequence
from lactoolkit.video.indexed_layout import read_indexed_folder
from lactoolkit.video.labels import read_labels, write_labels
from lactoolkit.video.penn_action_layout import read_penn_action_folder
from lactoolkit.video.replacing_file import check_file


def _listed(source: Path) -> list[DatasetItem]:
    return [DatasetItem(record) for record in read_video_manifest(source)]


def _indexed(source: Path) -> list[DatasetItem]:
    return [DatasetItem(record) for record in read_indexed_folder(source)]


_READERS: dict[str, Callable[[Path], list[DatasetItem]]] = {
    "folder": _listed,
    "csv": _listed,
    "indexed": _indexed,
    "carl": read_carl_folder,
    "penn-action": read_penn_action_folder,
}
LAYOUTS = tuple(_READERS)


def detect_layout(source: str | Path) -> str:
    """Tell the layout of a data set by its files.

    Parameters
    ----------
    source : str or Path
        A folder, or a CSV file.

    Returns
    -------
    str
        One of `LAYOUTS`: "csv" for a file; "carl" for ``train.pkl`` or ``val.pkl``; "penn-action" for ``frames/`` and
        ``labels/*.mat``; "indexed" for ``index.json`` in the folder or right below it; else "folder".
    """
    source = Path(source)
    if not source.is_dir():
        return "csv"
    if any((source / name).exists() for name in PICKLES):
        return "carl"
    if (source / "frames").is_dir() and any((source / "labels").glob("*.mat")):
        return "penn-action"
    if (source / "index.json").exists() or any(source.glob("*/index.json")):
        return "indexed"
    return "folder"


def read_dataset(source: str | Path, layout: str = "auto") -> list[DatasetItem]:
    """List the videos of a data set; nothing is written or decoded.

    Parameters
    ----------
    source : str or Path
        A folder, or a CSV file.
    layout : str, default "auto"
        One of `LAYOUTS`, or "auto" to tell it by the files.

    Returns
    -------
    list of DatasetItem
        At least one.

    Raises
    ------
    ManifestError
        The files of the data set are missing, damaged or do not fit each other.
    VideoError
        A folder holds no video.
    ParameterError
        The layout is unknown.

    Examples
    --------
    >>> [item.record.path.name for item in read_dataset("data/samples")]
    ['hammer_fast.mp4', 'hammer_slow.mp4']
    """
    source = Path(source)
    if layout != "auto" and layout not in _READERS:
        raise ParameterError(f"layout must be auto, {', '.join(LAYOUTS)}, not {layout!r}")
    return _READERS[detect_layout(source) if layout == "auto" else layout](source)


def write_dataset(
    items: Sequence[DatasetItem],
    manifest: str | Path,
    *,
    frame_rate: float = 30.0,
    overwrite: bool = False,
    progress: bool = False,
) -> list[VideoRecord]:
    """Write a data set as a list of videos; what is not a file yet is written beside it.

    For ``NAME.csv``, labels go to ``NAME_labels/*.csv`` and videos made of images to ``NAME_videos/*.mp4``. Videos that
    are there already are kept, so that an interrupted run can be repeated. The list is written last.

    Parameters
    ----------
    items : sequence of DatasetItem
        What :func:`read_dataset` gives.
    manifest : str or Path
        The CSV file to write.
    frame_rate : float, default 30
        Frames per second of videos made of images.
    overwrite : bool, default False
        Whether an existing `manifest` may be replaced; videos made of images are then made anew.
    progress : bool, default False
        Whether to show a progress bar on stderr.

    Returns
    -------
    list of VideoRecord
        What was written.

    Raises
    ------
    OutputError
        `manifest` exists already, or something cannot be written.
    VideoError
        Images cannot be read.

    Examples
    --------
    >>> records = write_dataset(read_dataset("pouring"), "pouring.csv")  # doctest: +SKIP
    >>> read_video_manifest("pouring.csv") == records  # doctest: +SKIP
    True
    """
    manifest = Path(manifest)
    check_file(manifest, ".csv", overwrite=overwrite)
    records = []
    names: set[str] = set()
    with _writing(manifest):
        with tqdm(
            total=sum(len(list_images(item.images)) for item in items if item.images is not None),
            desc="videos from images",
            unit="frame",
            disable=not progress or all(item.images is None for item in items),
        ) as bar:
            for item in items:
                record = item.record
                name = record.path.name if item.images is not None else record.path.stem
                if item.labels is not None or item.images is not None:
                    if name in names:
                        raise ManifestError(f"{record.path}: two videos are named {name!r}; rename one of them")
                    names.add(name)
                if item.images is not None:
                    video = _beside(manifest, "videos") / f"{name}.mp4"
                    if overwrite or not video.exists():
                        video.parent.mkdir(parents=True, exist_ok=True)
                        write_image_sequence(item.images, video, frame_rate=frame_rate, on_frame=bar.update)
                    else:
                        bar.update(len(list_images(item.images)))
                    record = replace(record, path=video)
                if item.labels is not None:
                    labels = _beside(manifest, "labels") / f"{name}.csv"
                    write_labels(item.labels, labels)
                    record = replace(record, labels=labels)
                records.append(record)
        write_video_manifest(records, manifest)
    return records


def check_videos(records: Sequence[VideoRecord], *, progress: bool = False) -> list[str]:
    """Decode every video to its end, and read its labels.

    Parameters
    ----------
    records : sequence of VideoRecord
        The videos.
    progress : bool, default False
        Whether to show a progress bar on stderr.

    Returns
    -------
    list of str
        One message for every video that does not decode, is damaged, or whose labels are wrong or of another length.
    """
    problems = []
    for record in tqdm(records, desc="checking", unit="video", disable=not progress):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", LacToolkitWarning)
                count = sum(len(batch) for batch in read_frames(record.path, size=(2, 2)))
            problems += [str(one.message) for one in caught]
            if record.labels is not None:
                read_labels(record.labels, frame_count=count)
        except LacToolkitError as error:
            problems.append(str(error))
    return problems


def _beside(manifest: Path, what: str) -> Path:
    return manifest.with_name(f"{manifest.stem}_{what}")


@contextmanager
def _writing(manifest: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{manifest}: cannot be written ({error.filename}: {error.strerror}); check the folder and free space"
        ) from error
