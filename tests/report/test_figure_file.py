"""What a saved figure shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_alignments import make_alignment, make_video

from lactoolkit.report import similarity_plot
from lactoolkit.report.similarity_plot import write_similarity_plot


@pytest.mark.parametrize("high", [2.0, 2.2, 2.4])
def test_labels_lie_within_the_picture(tmp_path, monkeypatch, high):
    """With some limits the ticks of a colour bar change while the layout is made, and with them its width."""
    figures = []
    draw = similarity_plot._draw
    monkeypatch.setattr(similarity_plot, "_draw", lambda alignment: figures.append(draw(alignment)) or figures[-1])
    videos = make_video(Path("a.mp4"), 160, 30), make_video(Path("b.mp4"), 121, 30)
    alignment = make_alignment(*videos, np.arange(20, 80), np.arange(10, 70))
    similarity = np.linspace(-2.132, high, 160 * 121, dtype=np.float32).reshape(160, 121)
    write_similarity_plot(replace(alignment, similarity=similarity), tmp_path / "figure.png")
    for axes in figures[0].axes:
        assert axes.get_tightbbox().x1 <= figures[0].bbox.x1
