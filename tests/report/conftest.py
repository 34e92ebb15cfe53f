"""Fixtures of the exports: two clips, and one export alone in a folder."""

import numpy as np
import pytest
from report_alignments import make_video
from videos import render_video

from lactoolkit.report.exports import EXPORT_FORMATS, Export, write_exports
from lactoolkit.video.decoding import read_frames


@pytest.fixture
def pair(tmp_path):
    """Two clips of 90 numbered frames."""
    render_video(tmp_path / "a.mp4", count=90, rate=30)
    render_video(tmp_path / "b.mp4", count=90, rate=30)
    return make_video(tmp_path / "a.mp4", 90, 30, 96, 64), make_video(tmp_path / "b.mp4", 90, 30, 96, 64)


@pytest.fixture
def write(tmp_path):
    """Writes one export and gives the folder."""

    def write_one(alignment, name, *, sound=False):
        folder = tmp_path / "out"
        folder.mkdir()
        write_exports(Export(alignment, folder, sound=sound), [name])
        assert sorted(path.name for path in folder.iterdir()) == sorted(EXPORT_FORMATS[name].files)
        return folder

    return write_one


@pytest.fixture
def play():
    """Decodes all pictures of a video."""

    def decode(path):
        return np.concatenate([batch.images for batch in read_frames(path)])

    return decode
