"""Labels carried over along known paths, and along a real alignment with known truth."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report_alignments import make_alignment, make_video
from videos import render_video

from lactoolkit import transfer_labels
from lactoolkit.alignment.transfer import carry_frame_labels, carry_intervals, carry_times
from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.video.decoding import read_frames
from lactoolkit.video.intervals import NamedInterval, read_annotation, read_intervals
from lactoolkit.video.labels import FrameLabels, phase_labels, read_labels

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def known(rows, columns, length_a=60, length_b=60, rates=(30, 30)):
    videos = make_video(Path("a.mp4"), length_a, rates[0]), make_video(Path("b.mp4"), length_b, rates[1])
    alignment = make_alignment(*videos, rows, columns)
    (hit,) = alignment.hits
    even = dataclasses.replace(hit, confidence=np.full(len(hit), 0.7, np.float32))
    return dataclasses.replace(alignment, hits=(even,))


@pytest.fixture
def labels():
    return phase_labels([-1] * 5 + [0] * 20 + [1] * 20 + [-1] * 15, ["reach", "lift"])


def test_labels_move_with_the_path_and_stop_where_it_stops(labels):
    moved, confidence = carry_frame_labels([known(np.arange(10, 40), np.arange(20, 50))], [labels], 60)
    assert moved.phases.tolist() == [-1] * 20 + [0] * 15 + [1] * 15 + [-1] * 10
    assert moved.phase_names == ("reach", "lift")
    assert (confidence > 0).tolist() == (moved.phases >= 0).tolist()


def test_background_inside_the_hit_stays_background(labels):
    moved, confidence = carry_frame_labels([known(np.arange(50), np.arange(50))], [labels], 60)
    assert moved.phases.tolist() == labels.phases[:50].tolist() + [-1] * 10
    assert (moved.in_core == (moved.phases >= 0)).all()
    assert (confidence[:5] == 0).all()


def test_every_native_frame_is_labelled_when_fewer_were_analysed(labels):
    # B runs at half the pace, and only every second frame of it was analysed.
    alignment = known(np.arange(60), np.arange(60))
    hit = dataclasses.replace(alignment.hits[0], frames_b=2 * alignment.hits[0].frames_b)
    alignment = dataclasses.replace(alignment, hits=(hit,))
    moved, _ = carry_frame_labels([alignment], [labels], 119)
    expected = labels.phases[np.floor(np.arange(119) / 2 + 0.5).astype(int)]
    assert moved.phases.tolist() == expected.tolist()


def test_a_pause_within_a_phase_is_of_that_phase_and_as_sure_as_the_match(labels):
    # B stops for 20 frames at A's frame 15 (reach), or at the change to lift.
    within = known(np.arange(10, 40), np.r_[0:6, 26:50])
    at_change = known(np.arange(10, 40), np.r_[0:15, 35:50])
    (moved, sure), (split, unsure) = (carry_frame_labels([one], [labels], 50) for one in (within, at_change))
    assert (moved.phases[6:26] == 0).all()
    np.testing.assert_allclose(sure[6:26], sure[5], rtol=1e-6)
    # Halfway between the last frame of reach and the first of lift, and less sure than either.
    assert split.phases[14:36].tolist() == [0] * 11 + [1] * 11 or split.phases[14:36].tolist() == [0] * 10 + [1] * 12
    assert (unsure[15:35] < min(unsure[14], unsure[35])).all()


def test_two_outvote_one_and_agreement_is_surer_than_a_single_vote(labels):
    right, wrong = known(np.arange(60), np.arange(60)), known(np.arange(0, 50), np.arange(10, 60))
    moved, together = carry_frame_labels([right, wrong, right], [labels] * 3, 60)
    assert moved.phases.tolist() == labels.phases.tolist()
    single = carry_frame_labels([right], [labels], 60)[1]
    unanimous = carry_frame_labels([right] * 3, [labels] * 3, 60)[1]
    assert unanimous[30] >= single[30]
    assert together[27] < unanimous[27]  # the third says "reach" there


def test_moments_are_interpolated_and_lost_outside():
    alignment = known(np.arange(10, 40), np.arange(0, 60, 2))
    times, confidence = carry_times(alignment, np.array([10, 25, 24.5, 40, 9.9, 50, np.nan]) / 30)
    # B takes twice as long; a little beyond the ends the pace is taken to be equal.
    np.testing.assert_allclose(times[:4] * 30, [0, 30, 29, 59])
    assert times[4] == 0
    assert np.isnan(times[5:]).all()
    assert np.isnan(confidence[5:]).all()
    assert confidence[1] == alignment.hits[0].confidence[15]


def test_moments_in_a_gap_are_less_sure_the_longer_it_is():
    short, long = known(np.r_[0:10, 16:40], np.arange(34)), known(np.r_[0:10, 40:60], np.arange(30))
    (a, sure), (b, unsure) = (carry_times(short, np.array([13 / 30]))), (carry_times(long, np.array([25 / 30])))
    for time in (a, b):
        assert 9 / 30 < time[0] < 10 / 30
    # 0.2 s out of the 7 (31) frames passed.
    assert sure[0] == pytest.approx(0.7 * 0.2 / (7 / 30), rel=1e-5)
    assert unsure[0] == pytest.approx(0.7 * 0.2 / (31 / 30), rel=1e-5)


def test_a_hit_of_one_pair_carries_its_moment():
    times, _ = carry_times(known([10], [20]), np.array([10 / 30, 2.0]))
    assert times[0] == pytest.approx(20 / 30)
    assert np.isnan(times[1])


def test_intervals_of_several_references_meet_at_the_median():
    right, late = known(np.arange(60), np.arange(60)), known(np.arange(0, 50), np.arange(10, 60))
    named = [NamedInterval("a", 0.5, 1.0), NamedInterval("tick", 1.2), NamedInterval("a", 1.3, 1.5)]
    moved = carry_intervals([right, late, right], [named] * 3)
    assert [one.name for one in moved] == ["a", "tick", "a"]
    assert [one.start for one in moved] == pytest.approx([0.5, 1.2, 1.3])
    assert moved[0].end == pytest.approx(1.0)
    assert moved[1].end is None
    alone = carry_intervals([right], [named])
    assert moved[0].start_confidence < alone[0].start_confidence  # one of three disagrees


def test_sample_pair_receives_its_true_phases(tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path))
    moved = transfer_labels(SAMPLES / "hammer_slow.mp4", SAMPLES / "hammer_fast.mp4", SAMPLES / "hammer_slow.csv")
    truth = read_labels(SAMPLES / "hammer_fast.csv")
    given = moved.labels.phases >= 0
    assert len(moved.labels) == len(truth)
    assert (moved.labels.phases == truth.phases)[given].mean() > 0.8
    assert given[truth.in_core].mean() > 0.9
    assert given[~truth.in_core].mean() < 0.1
    assert moved.significant


@pytest.mark.parametrize("frame_rate", [None, 7])
def test_frames_that_an_edit_list_hides_receive_no_labels(frame_rate, tmp_path, monkeypatch):
    monkeypatch.setenv("LACTOOLKIT_CACHE", str(tmp_path))
    pictures = np.concatenate([batch.images for batch in read_frames(SAMPLES / "hammer_fast.mp4")])
    for name, hidden in (("whole.mp4", 0), ("trimmed.mp4", 20)):
        render_video(
            tmp_path / name,
            count=len(pictures),
            first_tick=-hidden * 400,
            picture=lambda number, *_: pictures[number],
            width=224,
            height=224,
        )
        moved = transfer_labels(
            SAMPLES / "hammer_slow.mp4", tmp_path / name, SAMPLES / "hammer_slow.csv", frame_rate=frame_rate
        )
        assert len(moved.labels) == len(pictures) - hidden


def test_one_file_of_labels_for_each_reference():
    with pytest.raises(ParameterError, match="one for each"):
        transfer_labels(["a.mp4", "b.mp4"], "c.mp4", ["a.csv"])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_kinds_and_names_must_agree(tmp_path):
    frames = write(tmp_path / "f.csv", "frame,phase,phase_name\n0,0,reach\n")
    other = write(tmp_path / "g.csv", "frame,phase,phase_name\n0,0,lift\n")
    stretches = write(tmp_path / "i.csv", "start,end,name\n1,2,reach\n")
    with pytest.raises(ParameterError, match="cannot be mixed"):
        transfer_labels(["a.mp4", "b.mp4"], "c.mp4", [frames, stretches])
    with pytest.raises(ManifestError, match=r"phase 0 is called 'reach' here and 'lift'|'lift' here and 'reach'"):
        transfer_labels(["a.mp4", "b.mp4"], "c.mp4", [frames, other])


def test_intervals_are_read_with_times_of_every_form(tmp_path):
    path = write(tmp_path / "i.csv", 'name,start,end\n"lift, slowly",1:02.5,1:10\ntick,3,\n')
    assert read_intervals(path) == [NamedInterval("lift, slowly", 62.5, 70.0), NamedInterval("tick", 3.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end,name\n2,1,x\n", "line 2: 'x' ends at 1 s, before it starts at 2 s"),
        ("start,end,name\nsoon,1,x\n", "line 2: not a time: 'soon'"),
        ("start,end,name\n", "no intervals"),
        ("when,what\n1,x\n", "neither frame labels"),
        ("start;end;name\n0;1;x\n", "neither frame labels.*separated by commas"),
    ],
)
def test_wrong_intervals_are_named(text, message, tmp_path):
    with pytest.raises(ManifestError, match=message):
        read_annotation(write(tmp_path / "i.csv", text))


def test_frame_labels_are_recognised(tmp_path):
    assert isinstance(read_annotation(write(tmp_path / "f.csv", "frame,phase\n0,0\n")), FrameLabels)
