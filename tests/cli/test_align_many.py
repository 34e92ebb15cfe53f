"""lac align with more than two videos: folders, table, grid, resuming. The alignments have known paths."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from lactoolkit.cli import main
from report_alignments import make_alignment, make_video
from videos import picture_number, render_video

import lactoolkit.alignment.many
import lactoolkit.report.batch
from lactoolkit.errors import VideoError
from lactoolkit.report import grid_video
from lactoolkit.report.bundle import REPORT_FILES
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.digest import file_sha256


def lac(*arguments):
    return CliRunner().invoke(main, ["align", *map(str, arguments)])


@pytest.fixture
def clips(tmp_path):
    paths = [tmp_path / f"{name}.mp4" for name in ("ref", "one", "two")]
    for number, path in enumerate(paths):
        render_video(path, count=40 + number)
    return paths


@pytest.fixture
def calls(monkeypatch, tmp_path_factory):
    """Alignments that shift by 5 frames; a list of the videos B that were asked for."""
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    asked = []

    def align_videos(a, b, **options):
        asked.append((b.stem, options))
        if b.stem == "broken":
            raise VideoError(f"{b}: broken")
        if b.stem == "interrupted":
            raise KeyboardInterrupt
        videos = [
            dataclasses.replace(make_video(path, 40, 30, 96, 64), sha256=file_sha256(path), preview=None)
            for path in (a, b)
        ]
        alignment = make_alignment(*videos, np.arange(5, 35), np.arange(30))
        names = ("start_a", "end_a", "start_b", "end_b")
        return dataclasses.replace(alignment, settings={name: options.get(name) for name in names})

    monkeypatch.setattr(lactoolkit.alignment.many, "align_videos", align_videos)
    return asked


def statuses(out):
    with open(out / "summary.csv", newline="") as file:
        return {row["name"]: row["status"] for row in csv.DictReader(file)}


def test_star(clips, calls, tmp_path):
    out = tmp_path / "out"
    result = lac(*clips, "-o", out, "--fps", 30)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["batch.json", "grid.mp4", "one", "summary.csv", "two"]
    assert sorted(path.name for path in (out / "one").iterdir()) == sorted(REPORT_FILES)
    assert [name for name, _ in calls] == ["one", "two"]
    assert calls[0][1]["frame_rate"] == 30
    lines = result.stdout.splitlines()
    assert lines[1].split() == [
        "one",
        "aligned",
        "0:00.167",
        "-",
        "0:01.133",
        "0:00.000",
        "-",
        "0:00.967",
        *lines[1].split()[-3:],
    ]
    assert "2 done, 0 there already, 0 failed, 0 left" in lines
    # All on the clock of the reference: its frames 5 to 34 beside frames 0 to 29.
    images = np.concatenate([batch.images for batch in read_frames(out / "grid.mp4")])
    videos = [make_video(path, 40, 30, 96, 64) for path in clips]
    clock = np.arange(5, 35) / 30
    grid = grid_video._Grid([grid_video.GridPanel(one, clock, clock > 0) for one in videos], clock)
    for number, shift in enumerate((5, 0, 0)):
        top, left = grid._place(number)
        shown = images[:, top : top + grid.sizes[number][0], left : left + grid.sizes[number][1]]
        assert [picture_number(image) for image in shown] == list(range(shift, shift + 30))


def test_a_second_run_keeps_what_is_there_and_redoes_what_changed(clips, calls, tmp_path):
    out = tmp_path / "out"
    assert lac(*clips[:2], clips[1], "-o", out).exit_code == 0
    calls.clear()
    render_video(clips[1], count=50)
    assert "2 done, 0 there already" in lac(*clips, "-o", out).stdout
    calls.clear()
    assert "0 done, 2 there already" in lac(*clips, "-o", out).stdout
    assert calls == []
    assert "2 done" in lac(*clips, "-o", out, "--overwrite").stdout


def test_other_options_are_not_mixed_into_a_batch(clips, calls, tmp_path):
    out = tmp_path / "out"
    assert lac(*clips, "-o", out).exit_code == 0
    result = lac(*clips, "-o", out, "--fps", 10)
    assert result.exit_code == 1
    assert "made with other options (frame_rate)" in result.stderr
    assert lac(*clips, "-o", out, "--fps", 10, "--overwrite").exit_code == 0
    assert statuses(out) == {"one": "done", "two": "done"}


def test_other_folders_are_left_alone(clips, calls, tmp_path):
    result = lac(*clips, "-o", tmp_path, "--overwrite")
    assert result.exit_code == 1
    assert "no batch of alignments" in result.stderr
    assert calls == []


def test_failures_are_told_with_reasons(clips, calls, tmp_path):
    out = tmp_path / "out"
    result = lac(*clips, tmp_path / "broken.mp4", "-o", out)
    assert result.exit_code == 1
    assert result.stderr == f"Error: broken: {tmp_path / 'broken.mp4'}: broken\n"
    assert "2 done, 0 there already, 1 failed, 0 left" in result.stdout
    assert statuses(out) == {"one": "done", "two": "done", "broken": "failed"}
    assert (out / "grid.mp4").exists()


def test_an_interrupted_batch_says_how_far_it_came_and_goes_on(clips, calls, tmp_path, monkeypatch):
    out = tmp_path / "out"
    stopping = tmp_path / "interrupted.mp4"
    render_video(stopping, count=40)
    result = lac(clips[0], clips[1], tmp_path / "broken.mp4", stopping, clips[2], "-o", out)
    assert result.exit_code == 130
    assert result.stderr == (
        "\nInterrupted.\n1 done, 0 there already, 1 failed, 2 left; run the same command again to go on.\n"
        f"Error: broken: {tmp_path / 'broken.mp4'}: broken\n"
    )
    assert statuses(out) == {"one": "done", "broken": "failed", "interrupted": "left", "two": "left"}
    calls.clear()
    assert "1 done, 1 there already, 0 failed, 0 left" in lac(*clips, "-o", out).stdout
    assert [name for name, _ in calls] == ["two"]


def test_a_batch_without_a_folder_goes_on_too(clips, calls, tmp_path):
    stopping = tmp_path / "interrupted.mp4"
    render_video(stopping, count=40)
    assert "1 left; run the same command again" in lac(*clips, stopping).stderr
    calls.clear()
    result = lac(*clips, "--json")
    assert [pair["status"] for pair in json.loads(result.stdout)["pairs"]] == ["kept", "kept"]
    assert calls == []
    assert lac(*clips, stopping, "--no-cache").stderr.endswith("2 done, 0 there already, 0 failed, 1 left.\n")


def test_a_batch_interrupted_at_either_end_says_how_far_it_came(clips, calls, tmp_path, monkeypatch):
    stopping = tmp_path / "interrupted.mp4"
    render_video(stopping, count=40)
    assert lac(clips[0], stopping, clips[1], "-o", tmp_path / "early").exit_code == 130
    assert statuses(tmp_path / "early") == {"interrupted": "left", "one": "left"}

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    out = tmp_path / "late"
    monkeypatch.setattr(lactoolkit.report.batch, "write_grid_video", interrupt)
    result = lac(*clips, "-o", out)
    assert result.exit_code == 130
    assert "2 done, 0 there already, 0 failed, 0 left; run the same command again to go on." in result.stderr
    assert not (out / "grid.mp4").exists()
    monkeypatch.undo()
    assert "0 done, 2 there already" in lac(*clips, "-o", out).stdout
    assert (out / "grid.mp4").exists()


def test_pairs_from_a_list(clips, calls, tmp_path):
    (tmp_path / "pairs.csv").write_text("a,b,name,start_a\nref.mp4,one.mp4,x,1.5\none.mp4,two.mp4,y,\n")
    out = tmp_path / "out"
    result = lac("--pairs", tmp_path / "pairs.csv", "-o", out)
    assert result.exit_code == 0
    assert [options["start_a"] for _, options in calls] == [1.5, None]
    assert sorted(path.name for path in out.iterdir()) == ["batch.json", "summary.csv", "x", "y"]
    # The range is part of what a kept report must agree with.
    (tmp_path / "pairs.csv").write_text("a,b,name,start_a\nref.mp4,one.mp4,x,2\none.mp4,two.mp4,y,\n")
    assert "1 done, 1 there already" in lac("--pairs", tmp_path / "pairs.csv", "-o", out).stdout


def test_json_and_exit_status_without_a_folder(clips, calls):
    document = json.loads(lac(*clips, "--json").stdout)
    assert [pair["name"] for pair in document["pairs"]] == ["one", "two"]
    assert document["pairs"][0]["start_a"] == pytest.approx(5 / 30, abs=1e-6)
    assert lac(*clips, "--fail-on-none").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.mp4", "b.mp4", "c.mp4", "--start-b", "3"],
        ["a.mp4", "b.mp4", "--pairs", "pairs.csv"],
        ["--pairs", "pairs.csv", "--end-a", "3"],
        ["a.mp4", "b.mp4", "c.mp4", "--workers", "0"],
    ],
)
def test_usage_errors(arguments):
    result = lac(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_every_pair_has_its_page_and_exports(calls, clips, tmp_path):
    out = tmp_path / "out"
    arguments = (*clips, "-o", out, "--html", "--export", "npz,edl")
    result = lac(*arguments)
    assert result.exit_code == 0, result.stderr
    expected = sorted([*REPORT_FILES, "viewer.html", "alignment.npz", "edit_a.edl", "edit_b.edl"])
    assert all(sorted(path.name for path in (out / name).iterdir()) == expected for name in statuses(out))
    # Asked for other files, a finished batch is not taken for the same one.
    refused = lac(*clips, "-o", out, "--html")
    assert refused.exit_code == 1
    assert "exports" in refused.stderr


def test_a_reference_that_cannot_be_read_is_said_once(clips, calls, tmp_path):
    result = lac(tmp_path / "none.mp4", *clips, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout, calls) == (1, "", [])
    assert result.stderr.count("none.mp4: no such file") == 1
    assert not (tmp_path / "out").exists()
