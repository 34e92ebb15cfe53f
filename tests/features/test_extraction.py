"""Features of rendered clips: right frames, right times, the same numbers fresh and cached, no work on a hit."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from videos import render_video

from lactoolkit.errors import EncoderError, LacToolkitWarning, ParameterError, VideoError, VideoWarning
from lactoolkit.features import extraction
from lactoolkit.features.cache import cache_dir
from lactoolkit.features.extraction import extract_features
from lactoolkit.models.encoders import load_encoder
from lactoolkit.video.decoding import read_frames

COUNT = 21


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("lite0", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def clip(folder):
    path = folder / "clip.mp4"
    render_video(path, count=COUNT, rate=10)
    return path


@pytest.fixture
def no_computing(monkeypatch):
    """From now on, decoding fails the test."""

    def refuse(*arguments, **options):
        pytest.fail("decoded although the features are in the cache")

    return lambda: monkeypatch.setattr(extraction, "paint_frames", refuse)


def cosines(u, v):
    return (u * v).sum(axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)


def test_features_are_the_encoder_applied_to_the_frames(clip, encoder):
    features = extract_features(clip, encoder)
    (batch,) = read_frames(clip, size=(224, 224))
    with torch.no_grad():
        expected = encoder(torch.from_numpy(batch.images)).numpy()
    np.testing.assert_array_equal(features.frames, np.arange(COUNT))
    np.testing.assert_allclose(features.times, np.arange(COUNT) / 10, atol=1e-4)
    assert features.values.dtype == np.float32
    assert features.values.shape == (COUNT, sum(features.tap_sizes))
    assert features.tap_sizes == encoder.tap_sizes
    assert features.encoder == encoder.identity
    assert (features.info.width, features.info.height) == (96, 64)
    # Rounding to float16 for the cache costs less than a thousandth of cosine; in fact less than a millionth.
    assert cosines(features.values, expected).min() > 1 - 1e-6


def test_frame_rate_and_range_choose_frames(clip, encoder):
    features = extract_features(clip, encoder, frame_rate=5, start=0.4, end=1.2)
    np.testing.assert_array_equal(features.frames, [4, 6, 8, 10])
    whole = extract_features(clip, encoder)
    assert cosines(features.values, whole.values[[4, 6, 8, 10]]).min() > 1 - 1e-6


@pytest.mark.parametrize("count", [1, 8, 9])
def test_any_number_of_frames(folder, encoder, count):
    render_video(folder / f"{count}.mp4", count=count)
    features = extract_features(folder / f"{count}.mp4", encoder)
    np.testing.assert_array_equal(features.frames, np.arange(count))
    assert features.values.shape[0] == count


def test_second_run_takes_the_same_numbers_from_the_cache(clip, encoder, no_computing):
    fresh = extract_features(clip, encoder)
    no_computing()
    cached = extract_features(clip, encoder)
    for name in ("frames", "times", "values"):
        np.testing.assert_array_equal(getattr(cached, name), getattr(fresh, name))
    assert (cached.tap_sizes, cached.encoder, cached.sha256) == (fresh.tap_sizes, fresh.encoder, fresh.sha256)


def test_the_cache_knows_content_not_names(clip, encoder, folder, no_computing):
    fresh = extract_features(clip, encoder)
    copy = folder / "Kopie mit Ümlaut.mov"
    shutil.copy(clip, copy)
    no_computing()
    cached = extract_features(copy, encoder)
    np.testing.assert_array_equal(cached.values, fresh.values)
    assert cached.info.path == copy


def test_other_content_under_the_same_name_is_computed(folder, encoder):
    path = folder / "same_name.mp4"
    render_video(path, count=5)
    extract_features(path, encoder)
    render_video(path, count=7)
    assert len(extract_features(path, encoder).frames) == 7


def test_rate_range_and_encoder_have_entries_of_their_own(clip, encoder, cache_folder):
    extract_features(clip, encoder)
    extract_features(clip, encoder, frame_rate=5)
    extract_features(clip, encoder, start=1)
    extract_features(clip, encoder, end=1)
    extract_features(clip, load_encoder("lite0", device="cpu", precision="bfloat16"))
    assert len(list(cache_folder.rglob("*.npz"))) == 5


def test_damaged_entry_is_computed_again(clip, encoder, cache_folder):
    fresh = extract_features(clip, encoder)
    (entry,) = cache_folder.rglob("*.npz")
    entry.write_bytes(entry.read_bytes()[:-50])
    again = extract_features(clip, encoder)
    np.testing.assert_array_equal(again.values, fresh.values)
    assert entry.stat().st_size > 1000


def test_unwritable_cache_does_not_stop_the_run(clip, encoder, cache_folder):
    cache_folder.write_text("not a folder")
    with pytest.warns(LacToolkitWarning, match="cannot be kept"):
        features = extract_features(clip, encoder)
    assert len(features.frames) == COUNT


def test_cache_can_be_switched_off(clip, encoder, cache_folder):
    extract_features(clip, encoder, cache=False)
    assert not cache_folder.exists()


def test_values_beyond_float16_are_kept(clip, encoder):
    class Large(torch.nn.Module):
        def forward(self, images):
            return tuple(1e6 * tap for tap in encoder.network(images))

    large = load_encoder("lite0", device="cpu", precision="float32")
    large.network = Large()
    large.identity = "large"
    for _ in range(2):
        features = extract_features(clip, large)
        assert np.isfinite(features.values).all()
        assert features.values.max() > 1e6


def test_truncated_video_warns_fresh_and_cached(encoder, folder):
    cut = folder / "cut.mkv"
    render_video(cut, count=60)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    with pytest.warns(VideoWarning, match=r"cut\.mkv: truncated or damaged") as first:
        fresh = extract_features(cut, encoder)
    assert 1 < len(fresh.frames) < 60
    renamed = folder / "renamed.mkv"
    cut.rename(renamed)
    with pytest.warns(VideoWarning, match=r"renamed\.mkv: truncated or damaged") as second:
        cached = extract_features(renamed, encoder)
    np.testing.assert_array_equal(cached.values, fresh.values)
    assert len(first) == len(second) == 1


def test_progress_goes_to_stderr_only_when_asked(clip, encoder, capsys, monkeypatch):
    extract_features(clip, encoder, cache=False)
    assert capsys.readouterr() == ("", "")
    bar = extraction.tqdm
    monkeypatch.setattr(extraction, "tqdm", lambda **options: bar(**{**options, "delay": 0, "mininterval": 0}))
    extract_features(clip, encoder, cache=False, progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "clip.mp4" in output.err
    assert f"/{COUNT} " in output.err


def test_errors_reach_the_caller(tmp_path, clip):
    with pytest.raises(VideoError, match="no such file"):
        extract_features(tmp_path / "none.mp4")
    with pytest.raises(EncoderError, match="'vgg' is unknown"):
        extract_features(clip, "vgg")
    with pytest.raises(ParameterError, match="frame_rate"):
        extract_features(clip, frame_rate=-1)
    with pytest.raises(VideoError, match="no frame between"):
        extract_features(clip, start=100)
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match=r"weights\.pth: not a state_dict"):
        extract_features(clip, weights=tmp_path / "weights.pth")
    assert not list(cache_dir().rglob("*.npz"))


def test_an_encoder_that_fails_stops_the_run_at_once(clip):
    class Broken(torch.nn.Module):
        identity, tap_sizes, mean = "broken", (1,), torch.zeros(3)

        def forward(self, images):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        extract_features(clip, Broken())


def test_other_warnings_pass_through(clip):
    class Warns(torch.nn.Module):
        identity, tap_sizes, mean = "warns", (4,), torch.zeros(3)

        def forward(self, images):
            warnings.warn("from the network", UserWarning, stacklevel=1)
            return torch.ones(len(images), 4)

    with pytest.warns(UserWarning, match="from the network"):
        extract_features(clip, Warns())


def test_a_hit_imports_no_torch(clip):
    code = (
        "import sys\n"
        "from lactoolkit.features.extraction import extract_features\n"
        f"features = extract_features({str(clip)!r})\n"
        "print('torch' in sys.modules, features.values.shape)\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()).stdout
        for _ in range(2)
    ]
    assert outputs == ["True (21, 2736)\n", "False (21, 2736)\n"]
