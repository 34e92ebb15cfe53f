"""Hard cuts in features made by hand, and in a sample whose cuts its rendering put there."""

from pathlib import Path

import numpy as np
import pytest

from lactoolkit import embed_video
from lactoolkit.features import hard_cuts as module
from lactoolkit.features.hard_cuts import find_hard_cuts

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def turning(*angles):
    """Features on a circle: the distance of two of them is about the difference of their angles."""
    angles = np.concatenate(angles)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def cuts(*angles, rate=30.0):
    return find_hard_cuts(turning(*angles), [2], rate).tolist()


SHOT = np.arange(40) * 0.02


@pytest.mark.parametrize("chunk", [7, 40, 2048])
def test_jumps_between_shots(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert cuts(SHOT, 2 + SHOT, 4 + SHOT) == [40, 80]
    assert cuts(SHOT, 2 + SHOT[:1]) == [40]
    assert cuts(SHOT[:1], 2 + SHOT) == [1]


def test_what_is_no_cut():
    assert cuts(SHOT) == []
    # A key pressed before a still screen: the only change for a second, but a small one.
    assert cuts(np.zeros(30), np.full(30, 0.05), 2 + SHOT) == [60]
    # The onset of a movement: as fast afterwards as at first.
    assert cuts(np.zeros(30), np.arange(1, 20) * 0.3) == []
    # A flash comes back within half a second.
    assert cuts(SHOT, np.full(1, 2.5), 0.8 + SHOT) == []
    assert find_hard_cuts(np.ones((1, 2)), [2], 30.0).tolist() == []
    assert find_hard_cuts(np.ones((50, 2)), [2], 30.0).tolist() == []


def test_the_surroundings_are_half_a_second():
    # Two cuts a third of a second apart hide each other at 30 frames a second, not at 10 with as many frames between.
    assert cuts(SHOT, 2 + SHOT[:10], 4 + SHOT) == []
    assert cuts(SHOT, 2 + SHOT[:10], 4 + SHOT, rate=10.0) == [40, 50]


def test_each_tap_counts_as_one_direction():
    """A tap with features a hundred times as large says no more than the other."""
    jumping, still = turning(SHOT, 2 + SHOT), turning(np.arange(80) * 0.02)
    assert find_hard_cuts(np.concatenate([jumping, 100 * still], axis=1), [2, 2], 30.0).tolist() == [40]
    assert find_hard_cuts(np.concatenate([100 * jumping, still], axis=1), [2, 2], 30.0).tolist() == [40]


@pytest.mark.parametrize(("speed", "cut"), [("slow", 23), ("fast", 82)])
def test_cuts_of_the_samples(speed, cut):
    """Where data/README.md says that the other task ends, or begins."""
    assert embed_video(SAMPLES / f"hammer_{speed}.mp4").cuts.tolist() == [cut]
