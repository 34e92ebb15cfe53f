"""The local alignment term against enumeration of all alignments."""

import itertools
import math

import loss_reference
import numpy as np
import pytest
import reference
import torch
from loss_cases import SIZE, make_batch

from lactoolkit.errors import ParameterError
from lactoolkit.losses.frame_loss import Views
from lactoolkit.losses.gap_penalties import make_gaps
from lactoolkit.losses.known_alignment import known_alignment
from lactoolkit.losses.lac import LACConfig, LACLoss
from lactoolkit.losses.video_pairs import other_process_partners, reversed_order, same_process_pairs, shuffled_blocks

OWN = {"contrastive_weight": 0.0, "gap_open": 0.7, "gap_extend": 0.3, "temperature": 0.8, "embedding_size": SIZE}


def similarity(loss, u, v, background):
    return loss.scale.item() * (torch.from_numpy(u) @ torch.from_numpy(v).T - background - loss.offset.item())


def background(arguments, pairs):
    """Mean cosine of all pairs of real frames of the first view of one video and the second of another."""
    tables = [
        loss_reference.real_frames(arguments, 0, i)[0] @ loss_reference.real_frames(arguments, 1, j)[0].T
        for i, j in pairs
    ]
    return np.concatenate([table.ravel() for table in tables]).mean()


def enumerated(table, temperature=0.8):
    return reference.enumerated_score(table, 0.7, 0.3, temperature, allow_empty=True)


def small_batch(batch=3):
    arguments = make_batch(seed=3, batch=batch, frames=5)
    arguments[4][:] = arguments[5][:] = True
    arguments[4][0, 4] = arguments[5][1, 3:] = False
    return arguments


def build(**settings):
    return LACLoss(LACConfig(**OWN, **settings)).double()


def test_score_contrasts_pairs_with_reversed_partners_and_other_processes():
    arguments, loss = small_batch(), build(shuffles=0, score_temperature=0.5)
    classes = [0, 0, 1]
    losses, mean = [], background(arguments, [(0, 1), (1, 0)])
    for i, j, other in ((0, 1, 2), (1, 0, 2)):
        u, v, w = (
            loss_reference.real_frames(arguments, which, video)[0] for which, video in ((0, i), (1, j), (1, other))
        )
        scores = [
            enumerated(similarity(loss, u, partner, mean)).item() / min(len(u), len(partner)) / 0.5
            for partner in (v, v[::-1].copy(), w)
        ]
        losses.append(math.log(sum(map(math.exp, scores))) - scores[0])
    assert loss(*arguments, torch.tensor(classes)).total.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_score_within_videos_pairs_the_two_views():
    arguments, loss = small_batch(), build(shuffles=0, pairs="within", score_temperature=0.5)
    losses, mean = [], background(arguments, [(0, 0), (1, 1), (2, 2)])
    for i in range(3):
        u, v = (loss_reference.real_frames(arguments, which, i)[0] for which in (0, 1))
        right, wrong = (
            enumerated(similarity(loss, u, x, mean)).item() / min(len(u), len(v)) / 0.5 for x in (v, v[::-1].copy())
        )
        losses.append(math.log1p(math.exp(wrong - right)))
    assert loss(*arguments).total.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_fenchel_young_is_the_surprise_at_the_known_alignment():
    arguments, loss = small_batch(), build(objective="fenchel_young", pairs="within", variance=1.0)
    losses, mean = [], background(arguments, [(0, 0), (1, 1), (2, 2)])
    for video in range(3):
        u, times = loss_reference.real_frames(arguments, 0, video)
        v, other_times = loss_reference.real_frames(arguments, 1, video)
        table = similarity(loss, u, v, mean)
        pairs = loss_reference.known_matches(times, other_times, 1.0)
        matched, opened, extended = reference.count_cells(pairs, *table.shape)
        known = (matched * table.detach().numpy() - 0.7 * opened - 0.3 * extended).sum()
        probability = math.exp((known - enumerated(table).item()) / 0.8)
        assert 0 < probability < 1
        losses.append(-0.8 * math.log(probability) / max(len(pairs), 1))
    assert loss(*arguments).total.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_posterior_is_the_cross_entropy_with_the_gaussian_target():
    arguments, loss = small_batch(), build(objective="posterior", pairs="within", variance=2.0)
    terms, mean = [], background(arguments, [(0, 0), (1, 1), (2, 2)])
    for video in range(3):
        u, times = loss_reference.real_frames(arguments, 0, video)
        v, other_times = loss_reference.real_frames(arguments, 1, video)
        table = similarity(loss, u, v, mean).detach().requires_grad_()
        posterior = torch.autograd.grad(enumerated(table), table)[0].numpy()
        weights = np.exp(-((times[:, None] - other_times) ** 2) / 4.0)
        for axis in (1, 0):
            target = weights / weights.sum(axis, keepdims=True)
            values = -(target * np.log(posterior + 1e-4)).sum(axis)
            near = np.abs(times[:, None] - other_times).min(axis) <= 3 * math.sqrt(2.0)
            terms += list(values[near])
    assert loss(*arguments).total.item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_similarity_of_random_frames_is_below_zero_whatever_is_learnt():
    arguments = make_batch(batch=4, frames=12)
    loss = LACLoss(LACConfig(offset=1e-3))
    lengths = torch.stack([mask.sum(1) for mask in arguments[4:]], 1)
    for shift in (0.0, 5.0):  # embeddings that all have much in common
        u, v = (
            torch.nn.functional.normalize(view + shift, dim=-1).masked_fill(~mask.unsqueeze(2), 0.0)
            for view, mask in zip(arguments[:2], arguments[4:], strict=True)
        )
        table, _ = loss._own_similarity(u, v, lengths)
        inside = torch.cat([pair[:n, :m].flatten() for pair, (n, m) in zip(table, lengths.tolist(), strict=True)])
        assert inside.mean().item() == pytest.approx(-loss.scale.item() * 1e-3, rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_known_alignment_counts_the_cells_of_its_path(seed):
    arguments = make_batch(seed=seed, batch=6, frames=9)
    arguments[3] = arguments[3] + 2.0
    if seed % 2:  # ties
        arguments[2], arguments[3] = arguments[2].round(), arguments[3].round()
    lengths = [mask.sum(1) for mask in arguments[4:]]
    found = known_alignment(Views(*arguments[:4], *lengths), 1.5)
    for video in range(6):
        times, other_times = (loss_reference.real_frames(arguments, which, video)[1] for which in (0, 1))
        pairs = loss_reference.known_matches(times, other_times, 1.5)
        assert pairs == sorted(set(pairs))
        assert [j for _, j in pairs] == sorted({j for _, j in pairs})
        for table, expected in zip(found, reference.count_cells(pairs, 9, 9), strict=True):
            assert np.array_equal(table[video].numpy(), expected)


def test_pairs_are_all_of_one_process_and_of_different_videos():
    first, second = same_process_pairs(4, torch.tensor([5, 7, 5, 5]), 64, torch.device("cpu"), None)
    expected = {(0, 2), (0, 3), (2, 0), (2, 3), (3, 0), (3, 2)}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert len(first) == len(expected)
    first, second = same_process_pairs(9, None, 10, torch.device("cpu"), torch.Generator().manual_seed(0))
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 10
    assert not (first == second).any()


def test_partners_of_other_processes_are_of_other_processes():
    classes = torch.tensor([0, 0, 1, 2])
    first = torch.tensor([0, 1] * 100)
    other, exists = other_process_partners(first, classes, torch.Generator().manual_seed(0))
    assert set(other.tolist()) == {2, 3}
    assert exists.all()
    assert not other_process_partners(first, torch.zeros(4, dtype=torch.int64), None)[1].any()


def test_wrong_orders_permute_the_real_frames():
    lengths = torch.tensor([7, 1, 0, 10])
    assert reversed_order(lengths, 10)[0].tolist() == [6, 5, 4, 3, 2, 1, 0, 7, 8, 9]
    order = shuffled_blocks(lengths, 10, 3, torch.Generator().manual_seed(1))
    for length, row in zip(lengths.tolist(), order.tolist(), strict=True):
        assert sorted(row[:length]) == list(range(length))
        assert row[length:] == list(range(length, 10))
        assert sum(b != a + 1 for a, b in itertools.pairwise(row[:length])) <= 2
    assert order[3].tolist() != list(range(10))


@pytest.mark.parametrize("kind", ["scalar", "position", "context"])
def test_gap_penalties_start_where_they_are_told_to(kind):
    u, v = torch.randn(2, 3, 6, SIZE)
    for table, expected in zip(
        make_gaps(kind, 2.5, 0.01, SIZE)(u, v, torch.tensor([[6, 4]] * 3)), (2.5, 0.01), strict=True
    ):
        torch.testing.assert_close(table, torch.full_like(table, expected))


def test_position_penalties_interpolate_over_relative_time():
    gaps = make_gaps("position", 1.0, 1.0, SIZE)
    with torch.no_grad():  # inverse softplus of 1 + row + column, at the 8 x 8 knots
        values = 1.0 + torch.arange(8.0).view(8, 1) + torch.arange(8.0)
        gaps.raw[0] = values + torch.log(-torch.expm1(-values))
    lengths = torch.tensor([[8, 8], [15, 3], [1, 8]])
    table = gaps(torch.zeros(3, 15, SIZE), torch.zeros(3, 8, SIZE), lengths)[0]
    torch.testing.assert_close(table[0, :8], values)
    torch.testing.assert_close(table[1, :15:2, 2], values[:, 7])
    torch.testing.assert_close(table[1, 0, :3:2], values[0, ::7])
    torch.testing.assert_close(table[2, 0], values[0])


def test_context_penalties_follow_the_frames_of_reordered_partners():
    loss = build(gaps="context", shuffles=0)
    arguments = small_batch(2)
    with torch.no_grad():
        for parameter in loss.gaps.parameters():
            parameter.add_(torch.randn_like(parameter))
    u, v = arguments[0][:1], arguments[1][:1]
    order = reversed_order(torch.tensor([4]), 5)
    for table, moved in zip(loss.gaps(u, v, None), loss.gaps(u, v[:, order[0]], None), strict=True):
        torch.testing.assert_close(table[:, :, order[0]], moved)


def test_one_video_has_no_partner():
    with pytest.raises(ParameterError, match="the batch holds one video"):
        LACLoss()(*make_batch(batch=1))
    for objective in ("score", "fenchel_young", "posterior"):
        assert LACLoss(LACConfig(objective, "within"))(*make_batch(batch=1)).total.isfinite()


def test_all_processes_different_leaves_the_alignment_term_out():
    terms = LACLoss()(*make_batch(batch=3), torch.tensor([0, 1, 2]))
    assert terms.parts["alignment"] == 0
    terms.total.backward()


def test_weight_zero_makes_it_scl():
    arguments = make_batch()
    loss = LACLoss(LACConfig(alignment_weight=0.0))
    assert list(loss(*arguments).parts) == ["contrastive"]
    assert not list(loss.parameters())
    assert loss.parameter_groups(1e-4) == []


def test_own_parameters_have_their_own_learning_rate_and_readings():
    loss = LACLoss(LACConfig(gap_open=1.5, gap_extend=0.5, scale=6.0, offset=0.3))
    (group,) = loss.parameter_groups(1e-4)
    assert group["lr"] == 0.1
    readings = {name: value.item() for name, value in loss.readings().items()}
    assert readings == pytest.approx({"scale": 6.0, "offset": 0.3, "gap_open": 1.5, "gap_extend": 0.5})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "dtw"}, "objective is 'dtw'; choose one of score"),
        ({"pairs": "some"}, "pairs is 'some'"),
        ({"objective": "posterior"}, "needs the known times"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"scale": 30.0}, "must start below scale_limit"),
        ({"alignment_weight": -1.0}, "alignment_weight is -1.0"),
        ({"alignment_weight": 0.0, "contrastive_weight": 0.0}, "both 0"),
        ({"shuffle_blocks": 1}, "shuffle_blocks is 1; it must be at least 2"),
        ({"gaps": "none"}, "gaps is 'none'"),
        ({"gap_open": 0.0}, "gap_open is 0.0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ParameterError, match=message):
        LACLoss(LACConfig(**settings))
