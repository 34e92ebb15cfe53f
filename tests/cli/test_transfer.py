"""lac transfer: what it prints, writes and refuses."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from interruptions import interrupt_at
from lactoolkit.cli import main

from lactoolkit.video.labels import read_labels

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
PAIR = SAMPLES / "hammer_slow.mp4", SAMPLES / "hammer_fast.mp4"


def lac(*arguments):
    return CliRunner().invoke(main, ["transfer", *map(str, arguments)])


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_frame_labels_are_printed_and_written_as_labels(tmp_path):
    out = tmp_path / "new" / "fast.csv"
    result = lac(*PAIR, "--labels", SAMPLES / "hammer_slow.csv", "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["labelled", "video", "match", "with", "B", "p"]
    assert lines[1].split()[:2] == ["hammer_slow.mp4", "aligned"]
    names = [line.split()[1] for line in lines[4:] if line[:5].strip().isdigit()]
    written = read_labels(out)
    assert set(names) == {written.phase_names[k] for k in written.phases if k >= 0}
    assert out.read_text().splitlines()[0] == "frame,phase,phase_name,in_core,confidence"
    assert lac(*PAIR, "--labels", SAMPLES / "hammer_slow.csv", "-o", out).exit_code == 1
    assert lac(*PAIR, "--labels", SAMPLES / "hammer_slow.csv", "-o", out, "--overwrite").exit_code == 0
    # No slip replaces a video, or the labels that are read.
    video, labels = tmp_path / "a.mp4", tmp_path / "labels.csv"
    video.write_bytes(b"video")
    labels.write_bytes((SAMPLES / "hammer_slow.csv").read_bytes())
    for kept in (video, labels):
        before = kept.read_bytes()
        result = lac(*PAIR, "--labels", labels, "-o", kept, "--overwrite")
        assert result.exit_code == 1
        assert "is not replaced" in result.stderr
        assert kept.read_bytes() == before


def test_intervals_as_json(tmp_path):
    labels = tmp_path / "i.csv"
    labels.write_text("start,end,name\n2,3,strike\n4.9,,after\n")
    document = json.loads(lac(*PAIR, "--labels", labels, "--json").stdout)
    strike, after = document["intervals"]
    assert 0 < strike["start"] < strike["end"] < 2.7
    assert 0 < strike["start_confidence"] <= 1
    assert (after["name"], after["start"], after["end"]) == ("after", None, None)
    assert document["references"][0]["verdict"] == "aligned"
    assert "begin outside the match" in lac(*PAIR, "--labels", labels).stdout


def test_a_labelled_video_that_cannot_be_read_is_named_and_left_out(tmp_path):
    broken, labels = tmp_path / "broken.mp4", SAMPLES / "hammer_slow.csv"
    broken.write_text("no video")
    alone = lac(*PAIR, "--labels", labels, "--json")
    result = lac(broken, *PAIR, "--labels", labels, "--labels", labels, "--json")
    assert (alone.exit_code, result.exit_code) == (0, 1)
    assert json.loads(result.stdout)["segments"] == json.loads(alone.stdout)["segments"]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {broken}: ")
    for unreadable in ((broken, PAIR[1]), (PAIR[0], broken)):
        result = lac(*unreadable, "--labels", labels)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"Error: {broken}: ")


def test_labels_of_another_video_are_refused():
    result = lac(PAIR[1], PAIR[0], "--labels", SAMPLES / "hammer_slow.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r"hammer_slow.csv: has labels for 138 frames, but .*hammer_fast.mp4 has 113; give", result.stderr)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_goes_on_to_the_same_result(workers, tmp_path, tmp_path_factory, monkeypatch):
    labels = SAMPLES / "hammer_slow.csv"
    # The same labelled video may be named twice.
    command = [PAIR[0], PAIR[0], PAIR[1], "--labels", labels, "--labels", labels, "--json", "-o"]
    whole = lac(*command, tmp_path / "whole.csv", "--no-cache")
    assert whole.exit_code == 0
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        result = lac(*command, tmp_path / "out.csv")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "1 done, 0 there already, 0 failed, 1 left; run the same command again to go on." in result.stderr
    begun = interrupt_at(monkeypatch, None)
    assert lac(*command, tmp_path / "out.csv", "--workers", workers).stdout == whole.stdout
    assert begun == []
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_each_labelled_video_needs_its_labels():
    result = lac(*PAIR, PAIR[1], "--labels", "a.csv")
    assert result.exit_code == 2
    assert "1 --labels for 2 labelled videos" in result.stderr


def test_missing_labels_are_named():
    result = lac(*PAIR, "--labels", "nowhere.csv")
    assert result.exit_code == 1
    assert result.stderr == "Error: nowhere.csv: no such file; check the name and the folder\n"
