"""Frame labels from CSV files: as people and spreadsheets write them."""

import numpy as np
import pytest

from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.video.labels import FrameLabels, phase_labels, read_labels, write_labels


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_mean_what_they_say(tmp_path):
    labels = read_labels(write(tmp_path, "frame,phase,phase_name,in_core\n0,-1,background,0\n1,1,lift,1\n2,-1,,1\n"))
    assert labels.phases.tolist() == [-1, 1, -1]
    assert labels.in_core.tolist() == [False, True, True]
    assert labels.phase_names == ("phase 0", "lift")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("frame,phase\n0,0\n1,1\n2,-1\n", "utf-8-sig"),
        ("frame,phase\r\n0,0\r\n1,1\r\n2,-1\r\n", "utf-8"),
        ("frame,phase\n0,0\n\n1,1\n2,-1", "utf-8"),
        ("phase,note,frame\n0,,0\n1,x,1\n-1,,2\n", "utf-8"),
    ],
    ids=["byte order mark", "CRLF", "blank line, no last line end", "other order and columns"],
)
def test_spreadsheets_may_have_written_it(tmp_path, text, encoding):
    labels = read_labels(write(tmp_path, text, encoding))
    assert labels.phases.tolist() == [0, 1, -1]
    assert labels.in_core.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("frame,phase\n", "no labels"),
        ("frame;phase\n0;0\n", "line 1: no column 'frame' (columns must be separated by commas)"),
        ("frame,phases\n0,0\n", "line 1: unknown column 'phases'; did you mean 'phase'"),
        ("frame,phase\n0,0\n2,0\n", "line 3: frame 2 where frame 1 is due"),
        ("frame,phase\n0,0\n0,1\n", "line 3: frame 0 where frame 1 is due"),
        ("frame,phase\n0,zero\n", "line 2: phase must be a whole number, not 'zero'"),
        ("frame,phase\n0,-2\n", "line 2: phase -2"),
        ("frame,phase\n0\n", "line 2: phase must be a whole number, not ''"),
        ("frame,phase\n0,0,0\n", "line 2: 3 fields where the header names 2"),
        ("frame,phase,in_core\n0,0,yes\n", "line 2: in_core must be 1 or 0, not 'yes'"),
        ("frame,phase,phase_name\n0,0,up\n1,0,down\n", "line 3: phase 0 is called 'down' here and 'up' in line 2"),
        ('frame,phase\n0,"0\n', "not CSV"),
    ],
)
def test_errors_name_the_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        read_labels(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_wrong_files(tmp_path):
    with pytest.raises(ManifestError, match="no such file"):
        read_labels(tmp_path / "absent.csv")
    with pytest.raises(ManifestError, match="this is a folder"):
        read_labels(tmp_path)
    with pytest.raises(ManifestError, match="line 2: not UTF-8"):
        read_labels(write(tmp_path, "frame,phase,phase_name\n0,0,für\n", "latin-1"))


def test_length_is_checked_where_asked(tmp_path):
    path = write(tmp_path, "frame,phase\n0,0\n1,0\n")
    assert len(read_labels(path, frame_count=2)) == 2
    with pytest.raises(ManifestError, match="labels for 2 frames, but the video has 3"):
        read_labels(path, frame_count=3)


def test_what_is_written_is_read_back(tmp_path):
    labels = FrameLabels(
        np.array([-1, 0, 1, 1, -1]), ("höher, weiter", 'the "end"'), np.array([False, True, True, True, True])
    )
    write_labels(labels, tmp_path / "new" / "labels.csv")
    again = read_labels(tmp_path / "new" / "labels.csv")
    assert again.phase_names == labels.phase_names
    assert np.array_equal(again.phases, labels.phases)
    assert np.array_equal(again.in_core, labels.in_core)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["labels.csv"]


def test_labels_must_fit_each_other():
    assert phase_labels([-1, 2]).phase_names == ("phase 0", "phase 1", "phase 2")
    with pytest.raises(ParameterError, match="between -1 and 0"):
        FrameLabels(np.array([0, 1]), ("only",), np.array([True, True]))
    with pytest.raises(ParameterError, match="in_core"):
        FrameLabels(np.array([0, 1]), ("a", "b"), np.array([True]))
