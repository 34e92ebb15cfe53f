"""What holds for every loss: derivatives, masks, batches, precision, errors."""

import dataclasses

import pytest
import torch
from loss_cases import SIZE, make_batch

from lactoolkit.errors import ParameterError
from lactoolkit.losses.lac import LACConfig, LACLoss
from lactoolkit.losses.registry import LOSSES, make_loss

LAC_VARIANTS = {
    f"lac-{pairs}-{objective}-{gaps}": ("lac", LACConfig(objective, pairs, gaps, embedding_size=SIZE))
    for pairs, objective, gaps in (
        ("cross", "score", "scalar"),
        ("cross", "score", "position"),
        ("cross", "score", "context"),
        ("within", "score", "context"),
        ("within", "posterior", "position"),
        ("within", "posterior", "context"),
        ("within", "fenchel_young", "position"),
        ("within", "fenchel_young", "context"),
    )
}
VARIANTS = {**{name: (name, None) for name in LOSSES}, **LAC_VARIANTS}

every_loss = pytest.mark.parametrize("variant", VARIANTS)


def build(variant):
    torch.manual_seed(0)
    loss = make_loss(*VARIANTS[variant]).double()
    with torch.no_grad():  # off the special place where all start
        for parameter in loss.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return loss


def run(loss, arguments, classes=None, seed=0):
    return loss(*arguments, classes, generator=torch.Generator().manual_seed(seed))


def gradients(loss, arguments, classes=None, autocast=False):
    leaves = [arguments[0].detach().requires_grad_(), arguments[1].detach().requires_grad_(), *loss.parameters()]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        total = run(loss, [*leaves[:2], *arguments[2:]], classes).total
    return total.detach(), torch.autograd.grad(total, leaves, allow_unused=True)


@every_loss
@pytest.mark.parametrize("classes", [None, [0, 1, 0]])
def test_gradient_agrees_with_finite_differences(variant, classes, monkeypatch):
    loss = build(variant)
    if isinstance(loss, LACLoss):  # its background is a constant to the gradient: hold it for the finite differences
        held, compute = {}, loss._background
        monkeypatch.setattr(loss, "_background", lambda *tables: held.setdefault("value", compute(*tables)))
    arguments = make_batch(batch=3, frames=6)
    classes = None if classes is None else torch.tensor(classes)
    names = [name for name, _ in loss.named_parameters()]

    def total(u, v, *parameters):
        call = dict(zip(names, parameters, strict=True))
        extra = {"generator": torch.Generator().manual_seed(0)}
        return torch.func.functional_call(loss, call, (u, v, *arguments[2:], classes), extra).total

    leaves = [*arguments[:2], *(parameter.detach() for parameter in loss.parameters())]
    assert torch.autograd.gradcheck(total, [leaf.requires_grad_() for leaf in leaves], fast_mode=True)


@every_loss
def test_padding_of_any_value_and_place_changes_nothing(variant):
    loss, arguments = build(variant), make_batch()
    total, plain = gradients(loss, arguments)

    def padded(tensor, value):  # two frames in front, three in the middle
        front, middle = (tensor.new_full((len(tensor), count, *tensor.shape[2:]), value) for count in (2, 3))
        return torch.cat([front, tensor[:, :4], middle, tensor[:, 4:]], 1)

    values = [float("nan")] * 4 + [False] * 2
    total_padded, with_padding = gradients(loss, [padded(a, x) for a, x in zip(arguments, values, strict=True)])
    torch.testing.assert_close(total_padded, total)
    for position, (found, expected) in enumerate(zip(with_padding, plain, strict=True)):
        if position < 2:
            assert torch.equal(found, padded(found[:, [2, 3, 4, 5, *range(9, found.shape[1])]], 0.0))
            found = found[:, [2, 3, 4, 5, *range(9, found.shape[1])]]
        torch.testing.assert_close(found, expected)


@every_loss
def test_videos_without_real_frames_give_finite_losses_and_no_gradient(variant):
    loss, arguments = build(variant), make_batch()
    arguments[4][1] = arguments[5][1] = False
    arguments[5][2] = False
    total, (by_u, by_v, *others) = gradients(loss, arguments, torch.tensor([0, 0, 1, 0]))
    assert total.isfinite()
    assert all(gradient.isfinite().all() for gradient in (by_u, by_v, *others))
    assert not by_u[1].any()
    assert not by_v[1].any()
    assert not by_v[2].any()
    assert by_u[0].any()


@every_loss
def test_nothing_real_at_all_is_a_loss_of_zero(variant):
    loss, arguments = build(variant), make_batch()
    arguments[4][:] = False
    arguments[5][:] = False
    total, found = gradients(loss, arguments)
    assert total == 0
    assert not any(gradient.any() for gradient in found if gradient is not None)


@every_loss
def test_autocast_to_bfloat16_computes_in_float32(variant):
    loss = build(variant).float()
    halves = [a.bfloat16() if a.dtype == torch.float64 else a for a in make_batch()]
    wide = [a.float() if a.dtype == torch.bfloat16 else a for a in halves]
    total, found = gradients(loss, halves, autocast=True)
    expected_total, expected = gradients(loss, wide)
    torch.testing.assert_close(total, expected_total)
    assert total.dtype == torch.float32
    # Contributions of the parts are added up in bfloat16, of 8 bits.
    torch.testing.assert_close(found[0].float(), expected[0], rtol=0.0, atol=2**-7 * expected[0].abs().max().item())
    for one, other in zip(found[2:], expected[2:], strict=True):
        torch.testing.assert_close(one, other)


@every_loss
def test_same_generator_same_loss(variant):
    loss, arguments = build(variant), make_batch()
    assert run(loss, arguments, seed=3).total == run(loss, arguments, seed=3).total


@every_loss
def test_total_is_the_weighted_sum_of_the_parts(variant):
    loss, arguments = build(variant), make_batch()
    terms = run(loss, arguments)
    assert set(terms.parts) == set(loss.weights)
    torch.testing.assert_close(terms.total, sum(loss.weights[name] * part for name, part in terms.parts.items()))
    assert not any(part.requires_grad for part in terms.parts.values())


@every_loss
def test_parameter_groups_hold_every_parameter_once(variant):
    loss = build(variant)
    groups = loss.parameter_groups(1e-4)
    listed = [parameter for group in groups for parameter in group["params"]]
    assert len(listed) == len(set(map(id, listed))) == len(list(loss.parameters()))
    assert all(torch.optim.Adam(groups).param_groups) if groups else not listed


@pytest.mark.parametrize("name", LOSSES)
def test_configs_are_frozen_and_made_of_plain_values(name):
    config = LOSSES[name][0]()
    assert all(isinstance(value, str | float | int | bool) for value in dataclasses.asdict(config).values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(4, 10)}, r"u is torch.float32 of shape \(4, 10\)"),
        ({1: torch.zeros(4, 10, 3)}, "views of the same videos"),
        ({2: torch.zeros(4, 9)}, r"positions_u has shape \(4, 9\)"),
        ({5: torch.ones(4, 10)}, "mask_v has dtype torch.float32; give bool"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = make_batch()
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(ParameterError, match=message):
        make_loss("scl")(*arguments)


def test_wrong_classes_are_named():
    with pytest.raises(ParameterError, match="give one integer for each of the 4 videos"):
        make_loss("scl")(*make_batch(), torch.zeros(3, dtype=torch.int64))


def test_unknown_losses_and_configs_of_others_are_errors():
    with pytest.raises(ParameterError, match=r"choose one of .*lac.*scl"):
        make_loss("dtw")
    with pytest.raises(ParameterError, match="config is a LACConfig; the loss 'scl' takes a SCLConfig"):
        make_loss("scl", LACConfig())
