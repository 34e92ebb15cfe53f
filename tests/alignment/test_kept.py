"""Finished alignments are found again as they were, and only by a run that would compute the same."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from interruptions import interrupt_at
from report_alignments import make_alignment, make_video

import lactoolkit.alignment.kept
import lactoolkit.alignment.many
from lactoolkit.alignment.deviations import course_of
from lactoolkit.alignment.kept import PairKeys, keep_result, load_kept
from lactoolkit.alignment.many import PairJob, align_all, align_pairs, without_matrix
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.errors import EncoderError, VideoError, VideoWarning
from lactoolkit.features.cache import cache_dir
from lactoolkit.video.digest import file_sha256

OPTIONS = {"encoder": "lite0", "frame_rate": None, "settings": None}
VIDEOS = Path("a.mp4"), "1" * 64, Path("b.mp4"), "2" * 64
RANGES = {"start_a": None, "end_a": None, "start_b": None, "end_b": None}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def fields_of(value):
    """Names and values of everything in a result, arrays with their type."""
    if dataclasses.is_dataclass(value):
        return {one.name: fields_of(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return tuple(map(fields_of, value))
    return (value.dtype.str, value) if isinstance(value, np.ndarray) else value


def assert_same(one, other):
    assert type(one) is type(other)
    np.testing.assert_equal(fields_of(one), fields_of(other))


def known_alignment(a=Path("a.mp4"), b=Path("b.mp4"), digest=lambda path: "0" * 64):
    videos = [make_video(path, count, 30, sha256=digest(path)) for path, count in ((a, 40), (b, 50))]
    # Gaps on both sides, and a number that is none.
    rows, columns = [3, 4, 8, 9, 10, 20, 21], [5, 6, 7, 8, 20, 21, 22]
    alignment = make_alignment(*videos, rows, columns, note="größer", p_value=float("nan"))
    return dataclasses.replace(alignment, reduction=(2, 3))


def test_what_is_kept_is_found_as_it_was(tmp_path):
    preview = tmp_path / "preview.mp4"
    preview.touch()
    alignment = known_alignment(Path("Ж\udcff.mp4"))
    alignment = dataclasses.replace(alignment, b=dataclasses.replace(alignment.b, preview=preview))
    assert len(alignment.hits[0].gaps) > 1
    result = alignment, course_of(alignment)
    assert np.isnan(result[1].times).any()
    keep_result("0" * 64, result, [])
    assert_same(load_kept("0" * 64), result)
    assert load_kept("1" * 64) is None
    # What the cache has removed in the meantime is not promised.
    preview.unlink()
    assert load_kept("0" * 64)[0].b.preview is None


def test_nothing_found_is_a_result():
    a, b = (make_video(Path(name), 10, 30) for name in ("a.mp4", "b.mp4"))
    alignment = without_matrix(make_alignment(a, b, [], []))
    keep_result("0" * 64, alignment, [])
    assert_same(load_kept("0" * 64), alignment)


def test_damage_is_told_again():
    keep_result("0" * 64, known_alignment(), ["a.mp4: ends early", "b.mp4: ends early"])
    with pytest.warns(VideoWarning) as caught:
        load_kept("0" * 64)
    assert [str(one.message) for one in caught] == ["a.mp4: ends early", "b.mp4: ends early"]


def test_whatever_changes_a_result_changes_its_key(tmp_path, monkeypatch):
    def key(videos=VIDEOS, ranges=RANGES, made=without_matrix, **options):
        return PairKeys(made, {**OPTIONS, **options}).of(*videos, ranges)

    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"one")
    a, sha256_a, b, sha256_b = VIDEOS
    keys = [
        key(),
        key((Path("c.mp4"), sha256_a, b, sha256_b)),
        key((a, "3" * 64, b, sha256_b)),
        key((a, sha256_a, b, "3" * 64)),
        key((b, sha256_b, a, sha256_a)),
        key(ranges={**RANGES, "end_b": 2.0}),
        key(made=course_of),
        key(encoder="lite0-fine"),
        key(weights=weights),
        key(frame_rate=10.0),
        key(hits=2),
        key(device="cuda"),
        key(settings=AlignmentSettings()),
        key(settings=AlignmentSettings(margin=0.8)),
    ]
    weights.write_bytes(b"two")
    keys.append(key(weights=weights))
    monkeypatch.setattr(lactoolkit.alignment.kept, "package_versions", lambda: {"lactoolkit": "99"})
    keys.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(lactoolkit.alignment.kept, "_source_digest", lambda: "another")
    keys.append(key())
    monkeypatch.undo()
    assert len(set(keys)) == len(keys)
    assert key(progress=True, cache=True) == keys[0]


@pytest.fixture
def jobs(tmp_path):
    """Pairs of files that only look like videos."""
    paths = [tmp_path / f"{name}.mp4" for name in ("ref", "one", "two", "three")]
    for path in paths:
        path.write_text(path.stem)
    return [PairJob(path.stem, paths[0], path) for path in paths[1:]]


@pytest.fixture
def known(monkeypatch):
    """Alignments with known paths; a list of the videos B that were asked for."""
    asked = []

    def align_videos(a, b, **_):
        asked.append(b.stem)
        if b.read_text() == "broken":
            raise VideoError(f"{b}: broken\nindeed")
        return known_alignment(a, b, file_sha256)

    monkeypatch.setattr(lactoolkit.alignment.many, "align_videos", align_videos)
    return asked


def test_an_interrupted_run_goes_on(jobs, known, monkeypatch):
    jobs[0].b.write_text("broken")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        with pytest.raises(KeyboardInterrupt) as interruption:
            align_all(jobs)
    assert interruption.value.__notes__ == [
        "1 done, 0 there already, 1 failed, 1 left; run the same command again to go on.\n"
        f"Error: {jobs[0].b}: broken indeed"
    ]
    known.clear()
    outcomes = align_all(jobs)
    assert known == ["one", "three"]  # what failed may be whole by now
    assert [(one.item, one.kept, one.result is None) for one in outcomes] == [
        (jobs[0], False, True),
        (jobs[1], True, False),
        (jobs[2], False, False),
    ]
    assert_same(outcomes[1].result, align_all(jobs[1:2], cache=False)[0].result)


def test_what_changed_is_computed_anew(jobs, known, cache):
    list(align_pairs(jobs))
    jobs[1].b.write_text("something else")
    known.clear()
    list(align_pairs(jobs))
    assert known == ["two"]
    for options in ({"frame_rate": 5.0}, {"settings": AlignmentSettings(margin=1.0)}, {"cache": False}):
        known.clear()
        list(align_pairs(jobs, **options))
        assert known == ["one", "two", "three"]
    known.clear()
    list(align_pairs([dataclasses.replace(jobs[0], start_a=1.0)]))
    assert known == ["one"]
    jobs[0].a.write_text("another reference")
    known.clear()
    list(align_pairs(jobs))
    assert known == ["one", "two", "three"]


def test_a_damaged_entry_is_computed_anew(jobs, known, cache):
    (before,) = align_pairs(jobs[:1])
    (entry,) = entries(cache)
    content = entry.read_bytes()
    for damaged in (content[:-100], b"", content[:100] + bytes([content[100] ^ 1]) + content[101:]):
        entry.write_bytes(damaged)
        known.clear()
        (after,) = align_pairs(jobs[:1])
        assert known == ["one"]
        assert not after.kept
        assert_same(after.result, before.result)


def test_without_the_cache_nothing_is_kept_and_nothing_promised(jobs, known, cache, monkeypatch):
    interrupt_at(monkeypatch, 1, SystemExit(143))
    with pytest.raises(SystemExit) as interruption:
        align_all(jobs, cache=False)
    assert interruption.value.__notes__ == ["1 done, 0 there already, 0 failed, 2 left."]
    assert not cache.exists()


def test_what_is_written_elsewhere_is_not_kept(jobs, known, cache):
    finished = []
    for _ in range(2):
        list(align_pairs(jobs, finish=lambda _, job: finished.append(job.name)))
    assert finished == ["one", "two", "three"] * 2
    assert not cache.exists()


def test_a_video_that_changes_while_it_is_aligned_is_kept_as_what_was_aligned(jobs, monkeypatch):
    old = file_sha256(jobs[0].b)

    def align_videos(a, b, **_):
        b.write_text("changed")
        return known_alignment(a, b, file_sha256)

    monkeypatch.setattr(lactoolkit.alignment.many, "align_videos", align_videos)
    list(align_pairs(jobs[:1]))
    jobs[0].b.write_text("one")
    assert file_sha256(jobs[0].b) == old
    (outcome,) = align_pairs(jobs[:1])
    assert not outcome.kept


def test_an_encoder_that_cannot_be_used_stops_everything(jobs, known):
    with pytest.raises(EncoderError):
        align_all(jobs, encoder="unknown")
    assert known == []


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_run_that_was_killed_goes_on(jobs, known, cache):
    program = (
        "import os, signal, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from pathlib import Path\n"
        "import lactoolkit.alignment.many as many\n"
        "from lactoolkit.video.digest import file_sha256\n"
        "from test_kept import known_alignment\n"
        "def align_videos(a, b, **_):\n"
        "    if b.stem == 'three':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return known_alignment(a, b, file_sha256)\n"
        "many.align_videos = align_videos\n"
        "many.align_all([many.PairJob(Path(b).stem, Path(sys.argv[1]), Path(b)) for b in sys.argv[2:]])\n"
    )
    command = [sys.executable, "-c", program, str(jobs[0].a), *(str(job.b) for job in jobs)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [one.kept for one in align_all(jobs)] == [True, True, False]
    assert known == ["three"]


def test_a_cache_that_was_cleared_costs_time_only(jobs, known):
    list(align_pairs(jobs))
    shutil.rmtree(cache_dir())
    known.clear()
    assert [one.kept for one in align_pairs(jobs)] == [False] * 3
