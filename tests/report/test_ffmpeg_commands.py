"""ffmpeg.sh: what it says, and what it does."""

import dataclasses
import os
import shlex
import shutil
import subprocess

import pytest
from report_alignments import make_alignment, make_hit, make_video
from videos import picture_number, render_video


def commands(script):
    lines = [
        line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith(("#", "set"))
    ]
    return [shlex.split(line) for line in lines]


def test_ffmpeg_commands_name_start_and_length(pair, write):
    script = write(make_alignment(*pair, range(15, 45), range(30, 60)), "ffmpeg") / "ffmpeg.sh"
    assert os.access(script, os.X_OK)
    a, b = commands(script)
    assert a == [
        "ffmpeg",
        "-n",
        "-ss",
        "0.500000",
        "-i",
        str(pair[0].path),
        "-t",
        "1.000000",
        "-c",
        "copy",
        "matched_a.mp4",
    ]
    assert b == [
        "ffmpeg",
        "-n",
        "-ss",
        "1.000000",
        "-i",
        str(pair[1].path),
        "-t",
        "1.000000",
        "-c",
        "copy",
        "matched_b.mp4",
    ]
    text = script.read_text()
    assert "keyframe" in text
    assert "-itsoffset -0.500000" in text


def test_ffmpeg_cuts_what_matches(tmp_path, write, play):
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    name = 'it\'s $(touch hacked) `x` "q"\ntouch hacked #.mp4'
    # Every frame is a keyframe, so the cut is exact; sound begins half a second before the picture.
    render_video(tmp_path / name, count=60, rate=30, gop=1, b_frames=0, first_tick=6000, audio=True)
    video = make_video(tmp_path / name, 60, 30, 96, 64)
    script = write(make_alignment(video, video, range(12, 40), range(20, 48)), "ffmpeg") / "ffmpeg.sh"
    cut = tmp_path / "cut"
    cut.mkdir()
    done = subprocess.run(["sh", script], cwd=cut, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in cut.iterdir()) == ["matched_a.mp4", "matched_b.mp4"]
    for letter, first in (("a", 12), ("b", 20)):
        numbers = [picture_number(image) for image in play(cut / f"matched_{letter}.mp4")]
        assert numbers == list(range(first, first + 28))


def test_several_hits_are_cut_one_by_one(pair, write):
    alignment = make_alignment(*pair, range(0, 20), range(0, 20))
    again = make_hit(*pair, range(0, 20), range(50, 70), alignment.similarity)
    script = write(dataclasses.replace(alignment, hits=(alignment.hits[0], again)), "ffmpeg") / "ffmpeg.sh"
    assert [command[-1] for command in commands(script)] == [
        "matched_a_1.mp4",
        "matched_b_1.mp4",
        "matched_a_2.mp4",
        "matched_b_2.mp4",
    ]
