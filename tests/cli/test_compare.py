"""lac compare on rendered clips: what is altered is named, and what is correct is not."""

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from interruptions import interrupt_at
from lactoolkit.cli import main
from videos import render_video

from lactoolkit.report.comparison import COMPARISON_FILES


def lac(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def process(places):
    """Pictures of a process: a disc moves along a loop and changes its colour; None shows something else."""

    def picture(number, height, width):
        place = places[number]
        rows, columns = np.mgrid[:height, :width]
        image = np.full((height, width, 3), 60, np.uint8)
        if place is None:
            image[(rows // 6 + columns // 6 + number) % 2 == 0] = (200, 30, 160)
            return image
        angle = 2 * np.pi * place
        centre = height * (0.5 + 0.3 * np.sin(angle)), width * (0.5 + 0.35 * np.cos(angle / 2))
        inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (8 + 5 * place) ** 2
        image[inside] = (int(255 * place), 200, int(255 * (1 - place)))
        return image

    return picture


def correct(rng, count=70):
    pace = np.exp(0.15 * np.sin(np.linspace(0, 4, count) + rng.uniform(0, 6)))
    return list(np.cumsum(pace) / pace.sum())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    rng = np.random.default_rng(0)
    # So many that the verdict is clear whether the encoder computes in float32 or in bfloat16: p is at most .003.
    videos = {f"normal/{k}": correct(rng, int(rng.integers(62, 80))) for k in range(10)}
    videos |= {"reference": correct(rng), "fine": correct(rng)}
    altered = correct(rng)
    videos["inserted"] = altered[:35] + [None] * 30 + altered[35:]
    (folder / "normal").mkdir()
    for name, places in videos.items():
        # One of the correct ones has fewer frames per second.
        rate = 20 if name == "normal/3" else 30
        shown = [places[k * 30 // rate] for k in range(len(places) * rate // 30)]
        render_video(folder / f"{name}.mp4", count=len(shown), rate=rate, picture=process(shown))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder


def test_of_a_video_of_something_else_little_is_said(clips, tmp_path):
    render_video(tmp_path / "other.mp4", count=40)
    result = lac(clips / "reference.mp4", tmp_path / "other.mp4", "--normal", clips / "normal", "--level", 1e-9)
    assert result.exit_code == 0
    assert f"{tmp_path / 'other.mp4'} (match with the reference: " in result.stdout
    assert "): nothing conspicuous in what was matched, perhaps by chance." in result.stdout


def test_what_was_inserted_is_named_and_written(clips, tmp_path):
    out = tmp_path / "out"
    asked = [clips / f"{name}.mp4" for name in ("reference", "fine", "inserted")]
    result = lac(*asked, "--normal", clips / "normal", "-o", out, "--html")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Judged by 10 correct videos.")
    assert f"{asked[1]}: nothing conspicuous." in result.stdout
    assert sorted(path.name for path in out.iterdir()) == sorted([*COMPARISON_FILES, "viewer.html"])
    with open(out / "deviations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} == {str(asked[2])}
    page = (out / "viewer.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    fine, inserted = data["views"]
    assert fine["deviations"] == []
    assert [f"{one['b'][0]:.6f}" for one in inserted["deviations"]] == [f"{float(row['start']):.6f}" for row in rows]
    # The whole reference is played, from its first frame to its last.
    (path,) = inserted["hits"]
    assert (path["a"][0], path["a"][-1]) == (0, pytest.approx(69 / 30, abs=1e-3))
    # Frames 35 to 64 are something else.
    assert any(float(row["start"]) < 50 / 30 < float(row["end"]) for row in rows)
    assert all(35 / 30 - 0.5 < float(row["start"]) <= float(row["end"]) < 65 / 30 + 0.5 for row in rows)


def test_videos_judge_each_other_without_the_reference(clips):
    asked = clips / "inserted.mp4", clips / "reference.mp4"
    document = json.loads(lac(clips / "reference.mp4", clips / "normal", *asked, "--json").stdout)
    assert document["leave_one_out"] is True
    assert len(document["videos"]) == 11
    by_name = {one["path"].rsplit("/", 1)[1]: one["deviations"] for one in document["videos"]}
    assert by_name["inserted.mp4"]
    assert all(one["p_value"] < document["level"] for one in by_name["inserted.mp4"])


def test_a_video_that_cannot_be_read_is_named_and_left_out(clips, tmp_path):
    broken = tmp_path / "broken 'Ж'.mp4"
    broken.write_text("no video")
    normals = [part for k in range(3) for part in ("--normal", clips / "normal" / f"{k}.mp4")]
    result = lac(clips / "reference.mp4", clips / "fine.mp4", broken, *normals, "--normal", broken)
    assert result.exit_code == 1
    assert result.stdout.startswith("Judged by 3 correct videos.")
    assert f"\n{clips / 'fine.mp4'}" in result.stdout
    assert str(broken) not in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {broken}: ")
    # With too few videos left, that is said, too; and a reference that cannot be read is named once.
    result = lac(clips / "reference.mp4", broken, *normals)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no video to compare" in result.stderr
    result = lac(broken, clips / "fine.mp4", *normals)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count(str(broken)) == 1


def test_an_interrupted_run_goes_on_to_the_same_result(clips, tmp_path, tmp_path_factory, monkeypatch):
    command = [clips / "reference.mp4", clips / "inserted.mp4", "--normal", clips / "normal", "--html", "-o"]
    whole = lac(*command, tmp_path / "whole", "--no-cache")
    assert whole.exit_code == 0
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6)
        result = lac(*command, tmp_path / "out")
    assert result.exit_code == 130
    assert "6 done, 0 there already, 0 failed, 5 left; run the same command again to go on." in result.stderr
    assert not (tmp_path / "out").exists()
    begun = interrupt_at(monkeypatch, None)
    result = lac(*command, tmp_path / "out")
    assert len(begun) == 5
    assert result.stdout == whole.stdout.replace(str(tmp_path / "whole"), str(tmp_path / "out"))
    for name in COMPARISON_FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("options", [["--html"], ["--embed", "-o", "out"]])
def test_the_page_needs_a_folder(options):
    result = lac("a.mp4", "b.mp4", *options)
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reference", "fine"], "1 video beside the reference and no correct ones"),
        (["reference", "fine", "normal/1", "normal/2", "reference"], "3 videos beside the reference"),
        (["reference", "fine", "--normal", "normal/1", "--normal", "normal/2"], "at least 3 are needed"),
        (["reference", "reference", *(part for k in range(3) for part in ("--normal", f"normal/{k}"))], "no video to"),
    ],
)
def test_too_few_videos_to_judge_by(arguments, message, clips):
    result = lac(*(name if name.startswith("--") else clips / f"{name}.mp4" for name in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
