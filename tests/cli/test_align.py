"""lac align: what it prints, what it writes, what it refuses. The alignment itself is tested elsewhere."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from lactoolkit.cli import main
from report_alignments import make_alignment, make_hit, make_video
from videos import render_audio, render_video

import lactoolkit.alignment.align
from lactoolkit.alignment.result import GapRun
from lactoolkit.report.bundle import REPORT_FILES
from lactoolkit.report.exports import EXPORT_FORMATS


def lac(*arguments):
    return CliRunner().invoke(main, ["align", *map(str, arguments)])


@pytest.fixture
def clips(tmp_path):
    """Two clips in folders of their own, of one name with a space and letters beyond ASCII."""
    paths = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "Übung 1 Ж.mp4")
        render_video(paths[-1], count=60)
    return paths


@pytest.fixture
def known(clips, monkeypatch):
    """Puts an alignment with a known path in the place of the computation, and notes what it was asked."""
    videos = [make_video(path, 60, 30, 96, 64) for path in clips]
    # 21 pairs, B passing in half the time.
    alignment = make_alignment(*videos, range(10, 51, 2), range(15, 36))
    asked = {"alignment": alignment}

    def align_videos(a, b, **arguments):
        asked.update(a=a, b=b, **arguments)
        return asked["alignment"]

    monkeypatch.setattr(lactoolkit.alignment.align, "align_videos", align_videos)
    return asked


def test_table_of_the_hit(known, clips):
    result = lac(*clips)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "Aligned: A and B match, better than chance (p = 0.01)."
    assert lines[2].split() == ["start", "frame", "end", "frame", "length", "video"]
    assert lines[3].split() == ["A", "0:00.333", "10", "0:01.667", "50", "1.333", "s", *f"one/{clips[0].name}".split()]
    assert lines[4].split() == ["B", "0:00.500", "15", "0:01.167", "35", "0.667", "s", *f"two/{clips[1].name}".split()]
    mean = known["alignment"].hits[0].mean_confidence
    assert lines[6] == f"21 matched pairs, mean confidence {mean:.2f}"
    assert lines[7] == "Pacing 0.50: B takes 0.50 s for each second of A"


def test_long_gaps_are_told_in_the_order_of_time(known, clips):
    hit = known["alignment"].hits[0]
    spans = [("a", 0.5, 0.5), ("b", 0.7, 1.4), ("a", 1.0, 3.0), ("a", 3.1, 3.4)]
    gaps = tuple(GapRun(video, 0, 0, first, last) for video, first, last in spans)
    known["alignment"] = dataclasses.replace(known["alignment"], hits=(dataclasses.replace(hit, gaps=gaps),))
    lines = lac(*clips).stdout.splitlines()
    assert lines[8:10] == ["Only in B: 0:00.700 - 0:01.400", "Only in A: 0:01.000 - 0:03.000"]
    assert lines[10] == ""


def test_ten_sample_pairs_and_a_hint_without_out(known, clips):
    lines = lac(*clips).stdout.splitlines()
    start = lines.index("  A time  frame    B time  frame  confidence")
    rows = [line.split() for line in lines[start + 1 : start + 11]]
    assert rows[0][:4] == ["0:00.333", "10", "0:00.500", "15"]
    assert rows[-1][:4] == ["0:01.667", "50", "0:01.167", "35"]
    assert all(int(row[1]) - 10 == 2 * (int(row[3]) - 15) for row in rows)
    assert "-o FOLDER" in lines[-1]
    assert "-o FOLDER" not in lac(*clips, "--quiet").stdout


def test_out_receives_the_four_files(known, clips, tmp_path):
    out = tmp_path / "res ült"
    result = lac(*clips, "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == sorted(REPORT_FILES)
    assert str(out) in result.stdout.splitlines()[-1]
    assert "A time" not in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "res ült", "two"]


def test_exports_are_written_and_named(known, clips, tmp_path):
    result = lac(*clips, "-o", tmp_path / "out", "--export", "npz, ffmpeg", "--export", "csv,npz")
    assert (result.exit_code, result.stderr) == (0, "")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted([*REPORT_FILES, "alignment.npz", "ffmpeg.sh"])
    assert result.stdout.rstrip().endswith("side_by_side.mp4, alignment.npz, ffmpeg.sh")


@pytest.mark.parametrize(
    "arguments", [["-o", "out", "--export", "avi"], ["-o", "out", "--export", "npz,"], ["--export", "npz"]]
)
def test_unknown_exports_and_no_folder_are_usage_errors(arguments, known, clips):
    result = lac(*clips, *arguments)
    assert result.exit_code == 2
    assert "--export" in result.stderr
    assert "a" not in known


def test_a_missing_package_is_said_before_the_computation(known, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = lac(*clips, "-o", tmp_path / "out", "--export", "parquet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install pyarrow" in result.stderr
    assert "a" not in known


def test_help_lists_all_exports():
    text = lac("--help").stdout
    assert all(re.search(rf"^ +{name} +\S", text, re.MULTILINE) for name in EXPORT_FORMATS)


def test_html_adds_the_page(known, clips, tmp_path):
    result = lac(*clips, "-o", tmp_path / "out", "--html", "--embed")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*REPORT_FILES, "viewer.html"])
    assert result.stdout.rstrip().endswith(", viewer.html")


def test_labels_are_shown_in_the_page_and_read_before_the_computation(known, clips, tmp_path):
    (tmp_path / "a.csv").write_text("start,end,name\n0.5,1:01,reach & lift\n")
    arguments = (*clips, "-o", tmp_path / "out", "--html", "--labels-a", tmp_path / "a.csv")
    assert lac(*arguments).exit_code == 0
    assert '"labels":[[0.5,61.0,"reach \\u0026 lift"]]' in (tmp_path / "out" / "viewer.html").read_text(
        encoding="utf-8"
    )
    known.pop("a")
    result = lac(*arguments, "--labels-b", tmp_path / "none.csv", "--overwrite")
    assert result.exit_code == 1
    assert "none.csv" in result.stderr
    (tmp_path / "long.csv").write_text("frame,phase\n" + "".join(f"{k},0\n" for k in range(1000)))
    result = lac(*arguments, "--labels-b", tmp_path / "long.csv", "--overwrite")
    assert result.exit_code == 1
    assert "long.csv: has labels for 1000 frames" in result.stderr
    assert "a" not in known
    assert lac(*clips, "-o", tmp_path / "out", "--labels-a", tmp_path / "a.csv").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--html"], "-o FOLDER"),
        (["--embed"], "--html"),
        (["-o", "out", "--embed"], "--html"),
        (["-o", "out", "--audio"], "--export warped"),
    ],
)
def test_options_that_need_another_one_say_so(arguments, needed, known, clips):
    result = lac(*clips, *arguments)
    assert result.exit_code == 2
    assert needed in result.stderr
    assert "a" not in known


def test_json_is_all_that_is_printed(known, clips, tmp_path):
    result = lac(*clips, "--json", "-o", tmp_path / "out")
    document = json.loads(result.stdout)
    written = json.loads((tmp_path / "out" / "alignment.json").read_text(encoding="utf-8"))
    assert {name: value for name, value in document.items() if name != "pairs"} == written
    assert [pair["frame_a"] for pair in document["pairs"]] == list(range(10, 51, 2))
    assert document["inputs"]["a"]["path"] == str(clips[0])


def test_no_better_than_chance_is_said(known, clips):
    unsure = dataclasses.replace(known["alignment"].hits[0], p_value=0.3)
    known["alignment"] = dataclasses.replace(known["alignment"], hits=(unsure,), note="Mostly noise.")
    result = lac(*clips)
    assert result.exit_code == 0
    assert result.stdout.startswith("Not alignable: no match better than chance (p = 0.3)")
    assert "Note: Mostly noise." in result.stdout


def test_no_hit_at_all(known, clips, tmp_path):
    known["alignment"] = dataclasses.replace(known["alignment"], hits=())
    result = lac(*clips, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout.startswith("Not alignable: no match found.")
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_single_pair_has_no_pacing(known, clips):
    videos = known["alignment"].a, known["alignment"].b
    known["alignment"] = make_alignment(*videos, [4], [6])
    result = lac(*clips)
    assert "1 matched pair," in result.stdout
    assert "nan" not in result.stdout


def test_options_reach_the_library(known, clips, tmp_path):
    lac(
        *clips,
        *("--encoder", "resnet50", "--weights", tmp_path / "w.pth", "--fps", "12.5", "--start-a", "1:02.5"),
        *("--end-a", "70", "--start-b", "0:00:01", "--end-b", "2.5", "--no-cache", "--device", "cpu"),
    )
    assert (known["a"], known["b"]) == tuple(clips)
    assert known["encoder"] == "resnet50"
    assert known["weights"] == tmp_path / "w.pth"
    assert known["frame_rate"] == 12.5
    assert (known["start_a"], known["end_a"], known["start_b"], known["end_b"]) == (62.5, 70, 1, 2.5)
    assert (known["cache"], known["device"], known["progress"]) == (False, "cpu", False)


@pytest.mark.parametrize("kind", ["folder", "file", "below a file"])
def test_an_existing_out_is_refused_before_the_computation(kind, known, clips, tmp_path):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    else:
        out.write_text("mine")
    result = lac(*clips, "-o", out / "deeper" if kind == "below a file" else out)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {out}")
    assert result.stderr.count("\n") == 1
    assert "a" not in known


def test_overwrite(known, clips, tmp_path):
    out = tmp_path / "out"
    assert lac(*clips, "-o", out).exit_code == 0
    assert lac(*clips, "-o", out).exit_code == 1
    assert lac(*clips, "-o", out, "--overwrite").exit_code == 0
    (out / "mine.txt").write_text("precious")
    refused = lac(*clips, "-o", out, "--overwrite")
    assert refused.exit_code == 1
    assert "mine.txt" in refused.stderr
    assert (out / "mine.txt").read_text() == "precious"


# From here on, the real computation.


def moving_disc(number, height, width):
    """A disc that crosses a textured picture along a curve."""
    y, x = np.mgrid[0:height, 0:width]
    background = 90 + 40 * np.sin(x / 9) * np.cos(y / 7)
    phase = number / 60
    centre_y, centre_x = height * (0.5 + 0.35 * np.sin(2 * np.pi * phase)), width * (0.1 + 0.8 * phase)
    disc = (y - centre_y) ** 2 + (x - centre_x) ** 2 < (height / 5) ** 2
    picture = np.repeat(background[:, :, None], 3, axis=2)
    picture[disc] = (230, 60, 40)
    return picture.astype(np.uint8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))


def make_folder(path):
    path.mkdir()


def make_text(path):
    path.write_text("This is no video.\n" * 50)


def make_one_frame(path):
    render_video(path, count=1)


def make_still(path):
    render_video(path, count=20, picture=lambda number, height, width: np.full((height, width, 3), 90, dtype=np.uint8))


def make_headless(path):
    render_video(path)
    data = path.read_bytes()
    # The index lies at the end of the file; without it nothing can be found.
    path.write_bytes(data[: data.rindex(b"moov") - 4])


BAD_INPUTS = {
    "missing": lambda path: None,
    "folder": make_folder,
    "empty": lambda path: path.touch(),
    "text": make_text,
    "audio only": render_audio,
    "one frame": make_one_frame,
    "no index": make_headless,
    "still": make_still,
}


@pytest.mark.parametrize("kind", sorted(BAD_INPUTS))
@pytest.mark.parametrize("place", ["a", "b"])
def test_bad_inputs_are_named_in_one_line(kind, place, clips, tmp_path):
    bad = tmp_path / "schlecht 1.mp4"
    BAD_INPUTS[kind](bad)
    arguments = (bad, clips[0]) if place == "a" else (clips[0], bad)
    result = lac(*arguments, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert bad.name in result.stderr
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_identical_files_align_perfectly(tmp_path):
    clip = tmp_path / "a.mp4"
    render_video(clip, count=60, picture=moving_disc)
    (tmp_path / "b").mkdir()
    copy = tmp_path / "b" / "a.mp4"
    copy.write_bytes(clip.read_bytes())
    result = lac(clip, copy, "--json")
    assert result.exit_code == 0, result.stderr
    pairs = json.loads(result.stdout)["pairs"]
    assert len(pairs) >= 50
    assert all(pair["frame_a"] == pair["frame_b"] for pair in pairs)


def test_a_truncated_file_is_warned_about_and_aligned(tmp_path):
    clip = tmp_path / "a.mp4"
    render_video(clip, count=60, picture=moving_disc, container_options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    data = clip.read_bytes()
    cut.write_bytes(data[: int(len(data) * 0.7)])
    result = lac(clip, cut, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"Warning: {cut}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("when", ["early", "while writing"])
def test_ctrl_c_leaves_nothing_behind(when, tmp_path):
    clip = tmp_path / "a.mp4"
    render_video(clip, count=60, picture=moving_disc)
    program = (
        "import os, signal\n"
        "import lactoolkit.alignment.align as align\n"
        "import lactoolkit.report.side_by_side as side_by_side\n"
        "from lactoolkit.cli import main\n"
        "def interrupt(*_, **__):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    raise AssertionError('not interrupted')\n"
        + ("align.embed_video = interrupt\n" if when == "early" else "side_by_side.plan_playback = interrupt\n")
        + f"main(['align', {str(clip)!r}, {str(clip)!r}, '-o', {str(tmp_path / 'new' / 'out')!r}], prog_name='lac')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_several_hits_are_one_line_each(known, clips, tmp_path):
    alignment = known["alignment"]
    again = make_hit(alignment.a, alignment.b, range(10, 30), range(40, 60), alignment.similarity, p_value=0.3)
    earlier = make_hit(alignment.a, alignment.b, range(0, 9), range(0, 9), alignment.similarity, p_value=0.04)
    known["alignment"] = dataclasses.replace(
        alignment, hits=(alignment.hits[0], again, dataclasses.replace(earlier, score=5.0, e_value=91.3))
    )
    result = lac(*clips, "--hits", "3", "-o", tmp_path / "out")
    assert known["hits"] == 3
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["hit", "A", "B", "pairs", "confidence", "pacing", "p", "by", "chance"]
    assert lines[3].split()[:8] == ["1", "0:00.333", "-", "0:01.667", "0:00.500", "-", "0:01.167", "21"]
    assert lines[4].split()[-1] == "repetition"
    assert lines[5].split()[7:] == ["9", *lines[5].split()[8:9], "1.00", "0.04", "90"]
    assert lines[7].startswith("In one order in both videos: hits 3, 1.")
    pairs = (tmp_path / "out" / "pairs.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in pairs] == ["1"] * 21 + ["2"] * 20 + ["3"] * 9
    document = json.loads((tmp_path / "out" / "alignment.json").read_text(encoding="utf-8"))
    assert [hit["role"] for hit in document["hits"]] == ["chain", "repetition", "chain"]
    assert document["chain"] == [3, 1]


@pytest.mark.parametrize(("p_value", "status"), [(0.01, 0), (0.1, 3), (0.5, 3), (None, 3)])
def test_fail_on_none_exits_with_three_unless_aligned(known, clips, p_value, status):
    hits = () if p_value is None else (dataclasses.replace(known["alignment"].hits[0], p_value=p_value),)
    known["alignment"] = dataclasses.replace(known["alignment"], hits=hits)
    assert lac(*clips, "--fail-on-none").exit_code == status
    assert lac(*clips, "--fail-on-none", "--json").exit_code == status
    assert lac(*clips).exit_code == 0
