import numpy as np
import pytest
from training_runs import run
from videos import render_video


def _moving_square(shift):
    def picture(number, height, width):
        image = np.full((height, width, 3), 60 + shift, np.uint8)
        place = 4 + 2 * number
        image[20:36, place : place + 12] = (200, 40, 40 + 4 * number)
        return image

    return picture


@pytest.fixture(scope="session")
def takes(tmp_path_factory):
    """Six clips of a square that crosses the picture, of different lengths, their features in a cache of their own."""
    folder = tmp_path_factory.mktemp("takes")
    for number in range(6):
        render_video(folder / f"take{number}.mp4", count=20 + 2 * number, picture=_moving_square(10 * number))
    return folder


@pytest.fixture(scope="session")
def feature_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _shared_cache(feature_cache, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(feature_cache))


@pytest.fixture(scope="session")
def whole_run(takes, feature_cache, tmp_path_factory):
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(feature_cache))
        result = run(takes, folder)
    return folder, result
