"""Lists of pairs."""

from pathlib import Path

import pytest

from lactoolkit.alignment.many import PairJob, read_pairs, star_jobs
from lactoolkit.errors import ManifestError


def test_every_video_against_the_reference():
    jobs = star_jobs("ref.mp4", ["x/take.mp4", "y/Take.mp4", "y/other.mp4"], start=2.0)
    # Names are those of folders, also where file systems do not tell upper from lower case.
    assert [job.name for job in jobs] == ["take", "Take_2", "other"]
    assert jobs[1] == PairJob("Take_2", Path("ref.mp4"), Path("y/Take.mp4"), start_a=2.0)


def test_pairs_from_a_list(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("a,b,name,start_a,end_b\none.mp4,sub/two.mp4,,1:02.5,\none.mp4,/three.mp4,third,,7\n")
    first, second = read_pairs(path)
    assert first == PairJob("one__two", tmp_path / "one.mp4", tmp_path / "sub" / "two.mp4", start_a=62.5)
    assert second == PairJob("third", tmp_path / "one.mp4", Path("/three.mp4"), end_b=7.0)
    assert first.ranges == {"start_a": 62.5, "end_a": None, "start_b": None, "end_b": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "no pairs"),
        ("a,b\none.mp4,\n", "line 2: a pair needs both"),
        ("a,b,name\none.mp4,two.mp4,../up\n", "line 2: the name '../up'"),
        ("a,b,start_a\none.mp4,two.mp4,early\n", "line 2: not a time: 'early'"),
        ("a\none.mp4\n", "no column 'b'"),
    ],
)
def test_wrong_lists_are_named(text, message, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_pairs(path)
