"""Penn Action as it is published: a folder of JPEG frames and a MATLAB file per video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lactoolkit.errors import ManifestError
from lactoolkit.video.dataset_item import DatasetItem
from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.image_sequence import list_images


def read_penn_action_folder(folder: str | Path) -> list[DatasetItem]:
    """List the videos of a folder with ``frames/NNNN/*.jpg`` and ``labels/NNNN.mat``.

    Of each MATLAB file ``action``, ``nframes`` and ``train`` (1 or -1) are read; poses and boxes are not. There are no
    phases of frames in this data set.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    list of DatasetItem
        With the folder of frames as images; videos that are not for training get the split "val", as is usual for
        frame-wise evaluation.

    Raises
    ------
    ManifestError
        A MATLAB file is damaged or frames are missing.

    Notes
    -----
    Zhang, Zhu and Derpanis, From Actemes to Action: A Strongly-supervised Representation for Detailed Action
    Understanding (ICCV 2013).
    """
    folder = Path(folder)
    annotations = sorted((folder / "labels").glob("*.mat"))
    if not annotations:
        raise ManifestError(f"{folder}: no labels/*.mat in this folder")
    return [_item(folder / "frames" / path.stem, path) for path in annotations]


def _item(images: Path, annotation: Path) -> DatasetItem:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(annotation, variable_names=["action", "nframes", "train"])
        action = str(np.ravel(content["action"])[0])
        count = int(np.ravel(content["nframes"])[0])
        training = int(np.ravel(content["train"])[0]) > 0
    except OSError as error:
        raise ManifestError(f"{annotation}: cannot be read ({error}); check the access rights") from error
    except (MatReadError, KeyError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise ManifestError(
            f"{annotation}: not a Penn Action label file ({error!r}); expected 'action', 'nframes' and 'train'"
        ) from error
    found = len(list_images(images)) if images.is_dir() else 0
    if found != count:
        raise ManifestError(f"{images}: {found} frames, but {annotation} says {count}; unpack the archive again")
    return DatasetItem(VideoRecord(images, "train" if training else "val", action), images=images)
