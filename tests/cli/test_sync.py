"""lac sync: rendered recordings of one event with known starts, tables, files."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from interruptions import interrupt_at
from lactoolkit.cli import main
from videos import render_video

from lactoolkit.alignment import synchronise
from lactoolkit.features.cache import clear_cache
from lactoolkit.report import synchronisation
from lactoolkit.report.synchronisation import SYNC_FILES

STARTS = (12, 0, 25)


def lac(*arguments):
    return CliRunner().invoke(main, ["sync", *map(str, arguments)])


def scene(length, seed):
    """Where a bright square stands at every moment: it moves in jerks."""
    rng = np.random.default_rng(seed)
    speed = np.exp(1.5 * rng.normal(size=length // 6 + 1)).repeat(6)[:length]
    return np.cumsum(rng.normal(size=(length, 2)) * speed[:, None], axis=0)


def camera(places, start, mirrored=False):
    """Pictures of the scene from a start on."""
    low, high = places.min(axis=0), places.max(axis=0)

    def picture(number, height, width):
        image = np.full((height, width, 3), 40, np.uint8)
        row, column = (places[start + number] - low) / (high - low) * (height - 20, width - 20)
        image[int(row) : int(row) + 20, int(column) : int(column) + 20] = (230, 200, 60)
        return image[:, ::-1] if mirrored else image

    return picture


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cameras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        places = scene(140, 0)
        for number, start in enumerate(STARTS):
            render_video(folder / f"cam{number}.mp4", count=100, picture=camera(places, start, number == 1))
        render_video(folder / "other.mp4", count=100, picture=camera(scene(140, 5), 0))
        yield folder


@pytest.fixture
def fresh_cache(tmp_path_factory, monkeypatch):
    """Features and alignments of no other test."""
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("fresh_cache")))


@pytest.fixture(scope="module")
def written(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "synced"
    return lac(*(clips / f"cam{k}.mp4" for k in range(3)), "-o", out), out


def test_offsets_are_those_of_the_recordings(written):
    result, out = written
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Cameras at one event")
    assert sorted(path.name for path in out.iterdir()) == sorted(SYNC_FILES)
    with open(out / "sync.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["offset"]) for row in rows] == pytest.approx([start / 30 for start in STARTS], abs=0.05)
    assert all(float(row["confidence"]) > 0.9 and not row["outlier"] for row in rows)


def test_coverage_names_who_shows_what(written):
    document = json.loads((written[1] / "sync.json").read_text())
    stretches = document["coverage"]
    assert [len(one["videos"]) for one in stretches] == [1, 2, 3, 2, 1]
    assert stretches[2]["start"] == pytest.approx(25 / 30, abs=0.05)
    assert stretches[2]["end"] == pytest.approx(99 / 30, abs=0.05)


def test_existing_results_are_kept(written, clips):
    result = lac(clips / "cam0.mp4", clips / "cam1.mp4", "-o", written[1])
    assert result.exit_code == 1
    assert "exists already" in result.stderr


def test_cameras_that_number_their_files_alike_are_told_apart(clips, tmp_path):
    for side, name in (("left", "cam0.mp4"), ("right", "cam1.mp4")):
        (tmp_path / side).mkdir()
        shutil.copy(clips / name, tmp_path / side / "0001.mp4")
    lines = lac(tmp_path / "left", tmp_path / "right").stdout.splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["left/0001.mp4", "right/0001.mp4"]


def test_a_video_of_something_else_is_named(clips):
    result = lac(clips)
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("other.mp4")]
    assert re.fullmatch(r"other\.mp4 +-?[\d:.]+ +[\d:.]+ +outlier: .*", line)  # how sure its place is means nothing
    assert result.stdout.count("outlier") == 1


def test_takes_at_other_speeds_get_the_clock_of_one(clips):
    document = json.loads(lac(clips / "cam0.mp4", clips / "cam2.mp4", "--model", "warp", "--json").stdout)
    assert document["model"] == "warp"
    first, second = (one["curve"] for one in document["videos"])
    # Both are recordings of one event: on the clock of either, the other is 13 frames off.
    for point in second if document["reference"].endswith("cam0.mp4") else first:
        assert abs(abs(point["time"] - point["clock"]) - 13 / 30) < 0.2


@pytest.mark.parametrize("model", ["auto", "offset", "warp"])
def test_a_video_that_cannot_be_read_is_named_and_left_out(model, clips, tmp_path):
    broken = tmp_path / "broken 'Ж'.mp4"
    broken.write_text("no video")
    result = lac(clips / "cam0.mp4", broken, clips / "cam2.mp4", "--model", model, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [one["video"] for one in document["videos"]] == [str(clips / "cam0.mp4"), str(clips / "cam2.mp4")]
    assert [one["path"] for one in document["failed"]] == [str(broken)]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {broken}: ")


@pytest.mark.parametrize("model", ["auto", "warp"])
def test_one_readable_video_is_not_enough(model, clips, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    result = lac(clips / "cam0.mp4", broken, "--model", model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"Error: {broken}: " in result.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_says_how_far_it_came_and_goes_on_to_the_same_result(
    workers, clips, tmp_path, monkeypatch, fresh_cache
):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    videos = [clips / "cam0.mp4", clips / "cam1.mp4", broken, clips / "cam2.mp4"]
    whole = lac(*videos, "--model", "warp", "-o", tmp_path / "whole")
    clear_cache()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        result = lac(*videos, "--model", "warp", "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")
    lines = result.stderr.splitlines()
    assert lines[:3] == [
        "",
        "Interrupted.",
        "2 done, 0 there already, 1 failed, 3 left; run the same command again to go on.",
    ]
    assert lines[3].startswith(f"Error: {broken}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "whole"]
    begun = interrupt_at(monkeypatch, None)
    result = lac(*videos, "--model", "warp", "-o", tmp_path / "out", "--workers", workers)
    left = [(videos[j], videos[k]) for j, k in ((0, 2), (1, 2), (1, 3), (2, 3))]
    assert begun == (left if workers == 1 else [])  # others begin in other processes
    assert result.stderr == whole.stderr
    assert result.stdout == whole.stdout.replace(str(tmp_path / "whole"), str(tmp_path / "out"))
    for name in SYNC_FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_interruption_while_results_are_written_says_that_nothing_is_lost(clips, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(synchronisation, "write_grid_video", interrupt)
    videos = clips / "cam0.mp4", clips / "cam2.mp4"
    result = lac(*videos, "--model", "warp", "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == ("\nInterrupted.\nAll pairs are done; run the same command again to write the results.\n")
    assert list(tmp_path.iterdir()) == []


def test_reading_many_recordings_says_how_far_it_came(clips, monkeypatch, fresh_cache):
    embed_video = synchronise.embed_video

    def interrupted(path, *arguments, **options):
        if path.name == "cam2.mp4":
            raise KeyboardInterrupt
        return embed_video(path, *arguments, **options)

    monkeypatch.setattr(synchronise, "embed_video", interrupted)
    result = lac(*(clips / f"cam{k}.mp4" for k in range(3)))
    assert result.exit_code == 130
    assert "2 read, 0 there already, 0 failed, 1 left; run the same command again to go on." in result.stderr


def test_one_video_is_not_enough(clips):
    result = lac(clips / "cam0.mp4")
    assert result.exit_code == 1
    assert "two or more" in result.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path):
    result = lac(tmp_path / "cameros")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'cameros'}: no such file; check the name and the folder\n"
