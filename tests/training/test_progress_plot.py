"""What the picture of a run shows."""

import numpy as np
import pytest
from matplotlib.image import imread

from lactoolkit.training import progress_plot
from lactoolkit.training.progress_plot import write_progress_plot
from lactoolkit.training.validation import Validation


@pytest.mark.parametrize(("are_held_out", "video"), [(True, "held-out video"), (False, "training video")])
def test_the_loss_and_a_pair_of_videos(tmp_path, monkeypatch, are_held_out, video):
    figures = []
    draw = progress_plot._draw
    monkeypatch.setattr(progress_plot, "_draw", lambda *of: figures.append(draw(*of)) or figures[-1])
    loss = np.arange(30.0)[::-1]
    scores = {10: 0.5, 30: 0.7}
    rows = [
        {"step": str(step), "loss": str(value), "validation_score": str(scores.get(step, ""))}
        for step, value in enumerate(loss, start=1)
    ]
    similarity = np.random.default_rng(0).normal(size=(40, 25)).astype(np.float32)
    pairs = np.stack([np.arange(5, 20), np.arange(3, 18)], axis=1)
    path = tmp_path / "progress.png"
    write_progress_plot(rows, Validation(0.7, 0.0, similarity, pairs), path, are_held_out=are_held_out)
    assert [one.name for one in tmp_path.iterdir()] == ["progress.png"]
    assert imread(path).shape[:2] == (420, 1100)

    curve, table, right, _ = figures[0].axes
    each, mean = curve.lines
    np.testing.assert_array_equal(each.get_xydata(), np.stack([np.arange(1, 31), loss], axis=1))
    # Means of the last twenty, of all that there are before.
    assert mean.get_ydata()[[0, 2, 29]] == pytest.approx([29, 28, np.mean(np.arange(20))])
    assert right.lines[0].get_xydata().tolist() == [[10, 0.5], [30, 0.7]]
    np.testing.assert_array_equal(table.images[0].get_array(), similarity.T)
    np.testing.assert_array_equal(table.lines[0].get_xydata(), pairs)
    assert table.get_xlabel() == f"frame of one {video}"
    assert all(tick == int(tick) for tick in curve.get_xticks())
