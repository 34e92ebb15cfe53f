"""align_videos on clips whose alignment is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lactoolkit import align_videos
from lactoolkit.alignment.align import _common_rate, _most_frames
from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.video.decoding import probe, read_frames
from lactoolkit.video.encoding import VideoWriter

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SLOW, FAST = SAMPLES / "hammer_slow.mp4", SAMPLES / "hammer_fast.mp4"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def sample():
    return align_videos(SLOW, FAST)


def truth(path):
    table = pd.read_csv(path.with_suffix(".csv"))
    return table["phase"].to_numpy(), np.flatnonzero(table["in_core"])


def overlap(first, last, core):
    common = min(last, core[-1]) - max(first, core[0]) + 1
    return common / (max(last, core[-1]) - min(first, core[0]) + 1)


def test_sample_pair_is_found_where_it_lies(sample):
    hit = sample.hits[0]
    for frames, path in ((hit.frames_a, SLOW), (hit.frames_b, FAST)):
        assert overlap(frames[0], frames[-1], truth(path)[1]) > 0.95
    assert sample.significant


def test_matched_frames_of_the_sample_pair_are_in_the_same_phase(sample):
    hit = sample.hits[0]
    same = truth(SLOW)[0][hit.frames_a] == truth(FAST)[0][hit.frames_b]
    assert same.mean() > 0.85


def test_pairs_increase_in_both_videos_and_gaps_fill_the_rest(sample):
    hit = sample.hits[0]
    for letter, frames in (("a", hit.frames_a), ("b", hit.frames_b)):
        assert (np.diff(frames) > 0).all()
        skipped = sum(gap.last_frame - gap.first_frame + 1 for gap in hit.gaps if gap.video == letter)
        assert len(frames) + skipped == frames[-1] - frames[0] + 1
    assert (hit.confidence >= 0).all()
    assert (hit.confidence <= 1).all()


def test_swapping_the_videos_swaps_the_alignment(sample):
    swapped = align_videos(FAST, SLOW)
    np.testing.assert_allclose(swapped.similarity, sample.similarity.T, atol=1e-4)
    assert swapped.hits[0].score == pytest.approx(sample.hits[0].score, rel=1e-4)


def test_identical_files_align_perfectly(tmp_path):
    copy = tmp_path / "copy of the same.mp4"
    copy.write_bytes(FAST.read_bytes())
    alignment = align_videos(FAST, copy)
    hit = alignment.hits[0]
    assert alignment.significant
    assert hit.gaps == ()
    np.testing.assert_array_equal(hit.frames_a, np.arange(113))
    np.testing.assert_array_equal(hit.frames_b, np.arange(113))
    assert hit.pacing == pytest.approx(1)


def test_second_run_decodes_nothing(sample, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("decoded although cached")

    monkeypatch.setattr("lactoolkit.features.extraction.paint_frames", refuse)
    again = align_videos(SLOW, FAST)
    np.testing.assert_array_equal(again.similarity, sample.similarity)


def test_range_is_respected_and_frame_numbers_stay_native():
    hit = align_videos(SLOW, FAST, start_a=2.0).hits[0]
    assert hit.times_a[0] >= 2.0
    np.testing.assert_array_equal(hit.frames_a, np.round(hit.times_a * 30))


def test_different_rates_align_by_time(tmp_path):
    """A clip against itself played at 60 frames per second with every frame doubled: equal times, twice the numbers."""
    from lactoolkit import read_frames

    doubled = tmp_path / "doubled.mp4"
    with VideoWriter(doubled, 60, 224, 224) as writer:
        for batch in read_frames(FAST):
            for image in batch.images:
                writer.write(image)
                writer.write(image)
    hit = align_videos(FAST, doubled).hits[0]
    assert len(hit) > 100
    assert np.abs(hit.times_a - hit.times_b).max() <= 2 / 30


def write_clip(path, frames, size=64):
    with VideoWriter(path, 30, size, size) as writer:
        for image in frames:
            writer.write(image)


def test_one_frame_is_an_error_that_says_why(tmp_path):
    write_clip(tmp_path / "one.mp4", [np.full((64, 64, 3), 90, np.uint8)])
    with pytest.raises(VideoError, match=r"one\.mp4.*1 frame"):
        align_videos(tmp_path / "one.mp4", FAST)


def test_equal_frames_are_an_error_that_says_why(tmp_path):
    # Compression refines a still picture from frame to frame, so that no two of them are quite equal.
    still = next(read_frames(SLOW, batch_size=1)).images[0]
    write_clip(tmp_path / "still.mp4", [still] * 20, size=224)
    with pytest.raises(VideoError, match=r"still\.mp4.*look the same"):
        align_videos(FAST, tmp_path / "still.mp4")


def test_noise_is_not_better_than_chance(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        blocks = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
        write_clip(tmp_path / f"{name}.mp4", [np.kron(block, np.ones((8, 8, 1), np.uint8)) for block in blocks])
    assert not align_videos(tmp_path / "a.mp4", tmp_path / "b.mp4").significant


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_frame_rate_must_be_positive(rate):
    with pytest.raises(ParameterError, match="frame_rate"):
        align_videos(SLOW, FAST, frame_rate=rate)


@pytest.mark.parametrize(("seconds_a", "seconds_b"), [(10, 10), (3600, 10), (10, 3600), (3600, 3600), (36_000, 1)])
@pytest.mark.parametrize(("encoder", "frames"), [("lite0", 43_859), ("best.pt", 10_000)])
def test_videos_of_any_length_are_analysed_in_bounded_memory(seconds_a, seconds_b, encoder, frames):
    info = probe(SLOW)
    rate, note = _common_rate(None, info, info, seconds_a, seconds_b, _most_frames(encoder))
    assert max(seconds_a, seconds_b) * rate <= frames
    assert seconds_a * rate * seconds_b * rate <= 1.9e9
    assert (note == "") == (rate == 30)


def test_an_hour_against_an_hour_is_analysed_at_ten_frames_a_second():
    info = probe(SLOW)
    assert _common_rate(None, info, info, 3600, 3600, _most_frames("lite0"))[0] >= 10
