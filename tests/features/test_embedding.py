import numpy as np
import pytest
import torch

from lactoolkit.errors import ParameterError
from lactoolkit.features import embedding
from lactoolkit.features.embedding import JoinedEmbeddings, LongEmbeddings, coarse_taps, frame_embeddings


def clip(rng, frames=30, size=12):
    return np.cumsum(rng.normal(size=(frames, size)), axis=0)


def test_rows_have_norm_one():
    embeddings = frame_embeddings(clip(np.random.default_rng(0)), (8, 4))
    assert embeddings.shape == (30, 24)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_scene_and_gain_of_a_dimension_drop_out_and_motion_stays():
    """Standardising removes any shift per dimension and, with a common gain, any scale."""
    values = clip(np.random.default_rng(1))
    shift = np.random.default_rng(2).normal(size=12) * 5
    np.testing.assert_allclose(
        frame_embeddings(3 * values + shift, (8, 4)), frame_embeddings(values, (8, 4)), atol=1e-4
    )


def test_running_backwards_turns_the_motion_and_keeps_the_looks():
    values = clip(np.random.default_rng(3))
    forwards, backwards = frame_embeddings(values, (12,)), frame_embeddings(values[::-1], (12,))[::-1]
    np.testing.assert_allclose(backwards[:, :12], forwards[:, :12], atol=1e-5)
    np.testing.assert_allclose(backwards[:, 12:], -forwards[:, 12:], atol=1e-5)


@pytest.mark.parametrize("frames", [1, 5])
def test_equal_frames_give_zeros(frames):
    values = np.tile(np.random.default_rng(4).normal(size=12), (frames, 1)).astype(np.float16)
    assert not frame_embeddings(values, (12,)).any()


def test_wrong_tap_sizes_are_refused():
    with pytest.raises(ParameterError, match=r"\(3, 5\)"):
        frame_embeddings(np.zeros((3, 5)), (4, 2))


@pytest.mark.parametrize("chunk", [1, 5, 16])
@pytest.mark.parametrize("frames", [2, 9, 50])
def test_embeddings_on_demand_are_those_of_the_whole_video(chunk, frames, monkeypatch):
    values = clip(np.random.default_rng(5), frames).astype(np.float16)
    whole = frame_embeddings(values, (8, 4))
    monkeypatch.setattr(embedding, "_CHUNK", chunk)
    rows = LongEmbeddings(values, (8, 4))
    assert (len(rows), rows.shape) == (frames, whole.shape)
    np.testing.assert_allclose(rows[:], whole, atol=1e-6)
    np.testing.assert_allclose(rows[1 : frames - 1], whole[1:-1], atol=1e-6)
    for chosen in (np.array([frames - 1, 0, 1]), np.arange(0, frames, 3), np.array([frames - 1, 0, 0])):
        np.testing.assert_allclose(rows[chosen], whole[chosen], atol=1e-6)
    assert rows[1:1].shape == (0, 24)


def test_motion_of_a_straight_line_points_along_it():
    """Every frame moves by the same step, so each motion is that direction; at the ends it is shorter, not turned."""
    direction = np.array([3.0, 4.0, 0.0, 0.0])
    values = np.arange(40)[:, None] * direction
    motion = frame_embeddings(values, (4,))[:, 4:]
    expected = np.array([1.0, 1.0, 0.0, 0.0]) / np.sqrt(2)
    cosine = motion @ expected / np.linalg.norm(motion, axis=1)
    np.testing.assert_allclose(cosine, 1, atol=0.1)


@pytest.mark.parametrize("cells", [4, 7, 14])
def test_fine_cells_are_averaged_to_coarse_ones_as_torch_does_it(cells):
    rng = np.random.default_rng(5)
    fine, coarse = rng.normal(size=(6, 4, cells, cells)), rng.normal(size=(6, 2, 3, 3))
    values = np.concatenate([fine.reshape(6, -1), coarse.reshape(6, -1)], axis=1)
    found, sizes = coarse_taps(values, (4, 2), (cells, 3))
    assert sizes == (36, 18)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(fine), 3).numpy()
    np.testing.assert_allclose(found[:, :36], expected.reshape(6, -1), atol=1e-6)
    np.testing.assert_array_equal(found[:, 36:], coarse.reshape(6, -1))


def test_joined_cosines_are_averaged_by_squared_weights():
    rng = np.random.default_rng(6)
    learnt = rng.normal(size=(30, 5)).astype(np.float32)
    learnt /= np.linalg.norm(learnt, axis=1, keepdims=True)
    values = clip(rng)
    joined = JoinedEmbeddings(learnt, LongEmbeddings(values, (8, 4)), 0.5)
    untrained = frame_embeddings(values, (8, 4))
    assert (len(joined), joined.shape, joined[:].dtype) == (30, (30, 29), np.float32)
    expected = (learnt @ learnt.T + 0.25 * untrained @ untrained.T) / 1.25
    np.testing.assert_allclose(joined[:] @ joined[:].T, expected, atol=1e-6)
    chosen = np.array([20, 3, 3])
    np.testing.assert_allclose(joined[chosen] @ joined[5:9].T, expected[chosen, 5:9], atol=1e-6)


def test_a_frame_without_untrained_embedding_keeps_the_learnt_one():
    learnt = np.eye(3, dtype=np.float32)
    joined = JoinedEmbeddings(learnt, LongEmbeddings(np.ones((3, 4)), (4,)), 1.0)
    np.testing.assert_array_equal(joined[:], np.pad(learnt, ((0, 0), (0, 8))))
