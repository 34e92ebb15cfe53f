"""Spatial augmentation against closed forms, torch's own resizing and Pillow's colour operations."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional

from lactoolkit.errors import ParameterError
from lactoolkit.video.augmentation import (
    Augmentation,
    AugmentationSettings,
    apply_augmentation,
    augment_clips,
    draw_augmentation,
)

LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def nothing(clips=1, height=20, width=30, **changed):
    """An augmentation that changes nothing, save for what is given."""
    plain = {"top": 0, "left": 0, "height": height, "width": width, "flip": False, "grey": False}
    plain |= {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, "sigma": 0.0}
    values = {name: torch.as_tensor(value).expand(clips) for name, value in (plain | changed).items()}
    return Augmentation(**{k: v.double() if v.is_floating_point() else v for k, v in values.items()})


def pictures(batch=1, frames=3, height=20, width=30, low=0.0, high=1.0):
    return torch.rand(batch, frames, 3, height, width, generator=generator(), dtype=torch.float64) * (high - low) + low


def test_nothing_drawn_changes_nothing():
    clips = pictures(2)
    torch.testing.assert_close(apply_augmentation(clips, nothing(2)), clips, rtol=0, atol=1e-12)
    bytes_ = (clips * 255).byte()
    out = apply_augmentation(bytes_, nothing(2))
    assert out.dtype == torch.float32
    assert torch.equal((out * 255).round().byte(), bytes_)


@pytest.mark.parametrize("size", [(20, 30), (64, 48), (7, 9)], ids=["same", "larger", "smaller"])
def test_crop_and_resize_agree_with_torch(size):
    clips = pictures()
    out = apply_augmentation(clips, nothing(top=3, left=5, height=14, width=21), size)
    expected = functional.interpolate(
        clips[0, :, :, 3:17, 5:26], size, mode="bilinear", align_corners=False, antialias=True
    )
    torch.testing.assert_close(out[0], expected, rtol=0, atol=1e-6)


def test_flip_is_a_flip_and_its_own_inverse():
    clips = pictures()
    once = apply_augmentation(clips, nothing(flip=True))
    torch.testing.assert_close(once, clips.flip(4), rtol=0, atol=1e-12)
    torch.testing.assert_close(apply_augmentation(once, nothing(flip=True)), clips, rtol=0, atol=1e-12)


def test_blur_spreads_a_point_by_sigma_and_keeps_its_light():
    clips = torch.zeros(1, 1, 3, 41, 41, dtype=torch.float64)
    clips[..., 20, 18] = 1
    spot = apply_augmentation(clips, nothing(height=41, width=41, sigma=1.7))[0, 0, 0]
    assert spot.sum().item() == pytest.approx(1)
    position = torch.arange(41, dtype=torch.float64)
    for marginal, centre in ((spot.sum(1), 20), (spot.sum(0), 18)):
        assert (marginal @ position).item() == pytest.approx(centre)
        assert (marginal @ (position - centre) ** 2).item() == pytest.approx(1.7**2, rel=1e-6)
    torch.testing.assert_close(spot, spot.sum(1)[:, None] * spot.sum(0))


@pytest.mark.parametrize("sigma", [0.0, 0.1, 2.0, 9.0])
def test_what_is_constant_stays_constant(sigma):
    colour = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)[:, None, None]
    clips = colour.expand(1, 2, 3, 20, 30)
    drawn = nothing(sigma=sigma, top=2, left=1, height=10, width=25, flip=True)
    torch.testing.assert_close(apply_augmentation(clips, drawn, (33, 17)), colour.expand(1, 2, 3, 33, 17))


def test_grey_is_luma():
    clips = pictures()
    expected = torch.einsum("c,btchw->bthw", LUMA, clips)[:, :, None].expand_as(clips)
    torch.testing.assert_close(apply_augmentation(clips, nothing(grey=True)), expected)
    # Whatever else happens to the colours, the result is grey.
    out = apply_augmentation(clips, nothing(grey=True, saturation=1.7, hue=0.1, contrast=0.6))
    torch.testing.assert_close(out[:, :, 0], out[:, :, 2])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.6])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_colour_factors_agree_with_pillow(name, enhancer, factor):
    frames = (pictures() * 255).byte()
    out = apply_augmentation(frames, nothing(**{name: factor}))[0]
    for frame, mine in zip(frames[0], out, strict=True):
        picture = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
        theirs = torch.from_numpy(np.array(enhancer(picture).enhance(factor))).permute(2, 0, 1)
        # Pillow rounds the grey, the mean and the result.
        assert (mine * 255 - theirs).abs().max() <= 2


def test_hue_turns_keep_the_brightness_and_add_up():
    clips = pictures(low=0.45, high=0.55)  # so little colour that nothing is clamped
    torch.testing.assert_close(apply_augmentation(clips, nothing(hue=1.0)), clips)
    torch.testing.assert_close(apply_augmentation(clips, nothing(hue=-1.0)), clips)
    turned = apply_augmentation(clips, nothing(hue=0.13))
    assert (turned - clips).abs().max() > 0.02
    torch.testing.assert_close(torch.einsum("c,btchw->bthw", LUMA, turned), torch.einsum("c,btchw->bthw", LUMA, clips))
    twice = apply_augmentation(turned, nothing(hue=0.2))
    torch.testing.assert_close(twice, apply_augmentation(clips, nothing(hue=0.33)))
    # Half a turn mirrors the colour at the grey of the same brightness.
    grey = apply_augmentation(clips, nothing(grey=True))
    torch.testing.assert_close(apply_augmentation(clips, nothing(hue=0.5)), 2 * grey - clips)


def test_steps_follow_each_other_as_documented():
    clips = pictures(low=0.4, high=0.6)
    together = {"brightness": 0.9, "contrast": 0.8, "saturation": 1.2, "hue": 0.1}
    step = clips
    for name, value in together.items():
        step = apply_augmentation(step, nothing(**{name: value}))
    torch.testing.assert_close(apply_augmentation(clips, nothing(**together)), step)


def test_all_frames_of_a_clip_alike_and_every_clip_its_own_way():
    still = pictures(4, 1).expand(4, 5, 3, 20, 30)
    always = AugmentationSettings(crop_area=(0.3, 0.9), flip=0.5, jitter=1.0, blur=1.0, grey=0.0)
    drawn = draw_augmentation(4, (20, 30), generator(), always)
    out = apply_augmentation(still, drawn)
    torch.testing.assert_close(out, out[:, :1].expand_as(out))
    for k in range(4):
        alone = Augmentation(**{f.name: getattr(drawn, f.name)[k : k + 1] for f in fields(drawn)})
        torch.testing.assert_close(apply_augmentation(still[k : k + 1], alone), out[k : k + 1])
    same = apply_augmentation(still[:1].expand_as(still), drawn)
    assert all((same[0, 0] - same[k, 0]).abs().max() > 0.05 for k in range(1, 4))


def test_the_seed_decides_and_nothing_else():
    clips = pictures(3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augment_clips(clips, generator(7))
    assert torch.equal(first, augment_clips(clips, generator(7)))
    assert not torch.equal(first, augment_clips(clips, generator(8)))
    assert torch.equal(before, torch.get_rng_state())
    # A setting changes what it is about, not the draws of everything after it.
    plain = draw_augmentation(50, (20, 30), generator(3))
    other = draw_augmentation(50, (20, 30), generator(3), AugmentationSettings(flip=0, blur=0, hue=0))
    assert not other.flip.any()
    assert not other.sigma.any()
    for name in ("top", "left", "height", "width", "brightness", "contrast", "saturation", "grey"):
        assert torch.equal(getattr(plain, name), getattr(other, name)), name


def test_draws_are_as_likely_and_as_large_as_asked_for():
    count = 20_000
    drawn = draw_augmentation(count, (224, 224), generator())
    tolerance = 4 * (0.25 / count) ** 0.5
    assert drawn.flip.double().mean().item() == pytest.approx(0.5, abs=tolerance)
    assert drawn.grey.double().mean().item() == pytest.approx(0.2, abs=tolerance)
    assert (drawn.sigma > 0).double().mean().item() == pytest.approx(0.5, abs=tolerance)
    jittered = drawn.brightness != 1
    assert jittered.double().mean().item() == pytest.approx(0.8, abs=tolerance)
    for values, low, high in (
        (drawn.brightness[jittered], 0.2, 1.8),
        (drawn.contrast[jittered], 0.2, 1.8),
        (drawn.saturation[jittered], 0.2, 1.8),
        (drawn.hue[jittered], -0.2, 0.2),
        (drawn.sigma[drawn.sigma > 0], 0.1, 2.0),
        ((drawn.height * drawn.width).double() / 224**2, 0.8, 1.0),
    ):
        # Uniform: mean and spread of a uniform distribution between the bounds (crops are rounded to whole pixels).
        assert values.min() >= low - 0.005
        assert values.max() <= high + 0.005
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=(high - low) * 0.012)
        assert values.std().item() == pytest.approx((high - low) / 12**0.5, rel=0.03)
    assert torch.equal(drawn.contrast != 1, jittered)


@pytest.mark.parametrize("size", [(224, 224), (100, 400), (400, 100), (1, 1), (3, 2)])
def test_crops_lie_inside_and_keep_the_area(size):
    settings = AugmentationSettings(crop_area=(0.1, 1.0))
    drawn = draw_augmentation(3000, size, generator(), settings)
    for start, length, whole in ((drawn.top, drawn.height, size[0]), (drawn.left, drawn.width, size[1])):
        assert start.min() >= 0
        assert length.min() >= 1
        assert (start + length).max() <= whole
        assert (start + length).max() == whole
        assert start.min() == 0
    if min(size) >= 100:
        area = (drawn.height * drawn.width).double() / (size[0] * size[1])
        assert area.min() > 0.09
        assert area.max() <= 1
        assert area.mean().item() == pytest.approx(0.55, abs=0.02)
        whole = draw_augmentation(1, size, generator(), AugmentationSettings(crop_area=(1.0, 1.0)))
        assert (whole.height.item(), whole.width.item()) == size


def test_half_precision_stays_close():
    clips = pictures(2).float()
    drawn = draw_augmentation(2, (20, 30), generator())
    exact = apply_augmentation(clips, drawn)
    half = apply_augmentation(clips.bfloat16(), drawn)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.04


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_a_gpu():
    clips = pictures(2).float()
    cpu = augment_clips(clips, generator(5))
    torch.testing.assert_close(augment_clips(clips.cuda(), generator(5)).cpu(), cpu, rtol=0, atol=1e-5)


def test_wrong_arguments():
    drawn = nothing()
    for clips in (torch.zeros(1, 2, 4, 20, 30), torch.zeros(2, 3, 20, 30), torch.zeros(2, 2, 3, 20, 30)):
        with pytest.raises(ParameterError, match="clips must have shape"):
            apply_augmentation(clips, drawn)
    with pytest.raises(ParameterError, match="clips must have shape"):
        augment_clips(torch.zeros(2, 3, 20, 30), generator())
    with pytest.raises(ParameterError, match="uint8 or floating"):
        apply_augmentation(torch.zeros(1, 2, 3, 20, 30, dtype=torch.int64), drawn)
    for name, value in (
        ("flip", 1.5),
        ("hue", 0.6),
        ("contrast", -0.1),
        ("blur", float("nan")),
        ("crop_area", (0.0, 1.0)),
        ("crop_area", (0.9, 1.1)),
        ("crop_aspect", (2.0, 1.0)),
        ("blur_sigma", (0.1, float("inf"))),
    ):
        with pytest.raises(ParameterError, match=name):
            replace(AugmentationSettings(), **{name: value})
