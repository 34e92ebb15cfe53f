"""Spatial augmentation of clips: one draw per clip, the same for all of its frames, on any device.

A crop, its resizing, a flip and a blur are linear in rows and in columns, so a clip's whole spatial change is one
matrix for its rows and one for its columns; brightness, contrast, saturation, hue and grey are one 3 x 3 matrix for its
colours. Nothing loops over frames or clips.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite, pi

import numpy as np
import torch

from lactoolkit.errors import ParameterError

_LUMA = (0.299, 0.587, 0.114)
# RGB to YIQ, the colour space of NTSC: one axis of brightness, two of colour. Hue is an angle in the latter.
_YIQ = np.array((_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
# Not by torch: on CUDA it fails if the first calls to its linear algebra come from several threads at once.
_RGB = np.linalg.inv(_YIQ)
_CPU_NUMBERS = 2_000_000  # of the clips at once: 8 MB
_DRAWS = 13  # random numbers per clip, used or not: a setting never changes what others draw


@dataclass(frozen=True)
class AugmentationSettings:
    """What may happen to a clip, and how likely.

    The defaults are those of Chen et al. (CVPR 2022), after SimCLR.

    Parameters
    ----------
    crop_area : (float, float)
        Least and greatest fraction of the picture that the crop keeps.
    crop_aspect : (float, float)
        Least and greatest width of the crop over its height.
    flip : float
        Chance of a horizontal flip. Set it to 0 where left and right matter.
    jitter : float
        Chance of a change of colours by the next four.
    brightness, contrast, saturation : float
        Greatest change of the factor, which is 1 for no change; at most 1.
    hue : float
        Greatest turn of the hue, in full turns; at most 0.5.
    blur : float
        Chance of a Gaussian blur.
    blur_sigma : (float, float)
        Least and greatest standard deviation of the blur, in pixels of the result at 224 pixels of height; other sizes
        are blurred in proportion.
    grey : float
        Chance of losing all colour.

    Raises
    ------
    ParameterError
        A value is out of range.
    """

    crop_area: tuple[float, float] = (0.8, 1.0)
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    blur: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    grey: float = 0.2

    def __post_init__(self) -> None:
        for name in ("flip", "jitter", "blur", "grey", "brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ParameterError(f"{name} must be between 0 and 1, not {value!r}")
        if not 0 <= self.hue <= 0.5:
            raise ParameterError(f"hue must be between 0 and 0.5 turns, not {self.hue!r}")
        for name, least, most in (("crop_area", 0, 1), ("crop_aspect", 0, float("inf")), ("blur_sigma", 0, 100)):
            low, high = getattr(self, name)
            if not (least < low <= high <= most and isfinite(high)):
                raise ParameterError(f"{name} must be two increasing numbers above {least}, not {(low, high)!r}")


@dataclass(frozen=True)
class Augmentation:
    """What happens to each of B clips; every field is a tensor of shape (B,).

    Parameters
    ----------
    top, left, height, width : Tensor, int64
        The crop, in pixels of the clip.
    flip : Tensor, bool
        Whether it is mirrored, left to right.
    brightness, contrast, saturation : Tensor, float64
        Factors; 1 changes nothing, 0 gives black, the frame's mean grey, the grey of each pixel.
    hue : Tensor, float64
        Turn of the hue, in full turns.
    sigma : Tensor, float64
        Standard deviation of the blur in pixels of the result; 0 for none.
    grey : Tensor, bool
        Whether the clip loses its colours.
    """

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    flip: torch.Tensor
    brightness: torch.Tensor
    contrast: torch.Tensor
    saturation: torch.Tensor
    hue: torch.Tensor
    sigma: torch.Tensor
    grey: torch.Tensor

    def to(self, device: torch.device | str) -> Augmentation:
        """The same on another device."""
        return Augmentation(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def draw_augmentation(
    clips: int, size: tuple[int, int], generator: torch.Generator, settings: AugmentationSettings | None = None
) -> Augmentation:
    """Draw what is to happen to each clip of a batch.

    Parameters
    ----------
    clips : int
        Number of clips, B.
    size : (int, int)
        Height and width of their frames in pixels.
    generator : torch.Generator
        Source of chance. One on the CPU gives the same draws whatever device the clips are on.
    settings : AugmentationSettings, optional
        What may happen.

    Returns
    -------
    Augmentation
        On the generator's device.

    Examples
    --------
    >>> drawn = draw_augmentation(3, (224, 224), torch.Generator().manual_seed(0))
    >>> drawn.width.shape
    torch.Size([3])
    """
    settings = settings or AugmentationSettings()
    rows, columns = size
    chance = torch.rand(clips, _DRAWS, generator=generator, device=generator.device, dtype=torch.float64).unbind(1)

    def between(least: float, most: float, draw: torch.Tensor) -> torch.Tensor:
        return least + (most - least) * draw

    area = between(*settings.crop_area, chance[0]) * rows * columns
    # All shapes of this area that fit into the picture; where none of those asked for does, the nearest that does.
    lowest = (area / rows**2).clamp(min=settings.crop_aspect[0])
    highest = torch.maximum((columns**2 / area).clamp(max=settings.crop_aspect[1]), area / rows**2)
    lowest = torch.minimum(lowest, columns**2 / area)
    aspect = torch.exp(lowest.log() + (highest.log() - lowest.log()) * chance[1])
    width = (area * aspect).sqrt().round().clamp(1, columns)
    height = (area / aspect).sqrt().round().clamp(1, rows)
    jitter = chance[5] < settings.jitter

    def factor(strength: float, draw: torch.Tensor) -> torch.Tensor:
        return torch.where(jitter, between(1 - strength, 1 + strength, draw), 1.0)

    return Augmentation(
        top=(chance[2] * (rows - height + 1)).floor().long(),
        left=(chance[3] * (columns - width + 1)).floor().long(),
        height=height.long(),
        width=width.long(),
        flip=chance[4] < settings.flip,
        brightness=factor(settings.brightness, chance[6]),
        contrast=factor(settings.contrast, chance[7]),
        saturation=factor(settings.saturation, chance[8]),
        hue=torch.where(jitter, between(-settings.hue, settings.hue, chance[9]), 0.0),
        sigma=torch.where(chance[10] < settings.blur, between(*settings.blur_sigma, chance[11]) * rows / 224, 0.0),
        grey=chance[12] < settings.grey,
    )


def apply_augmentation(
    clips: torch.Tensor, augmentation: Augmentation, size: tuple[int, int] | None = None
) -> torch.Tensor:
    """Do to every clip what has been drawn for it, alike for all of its frames.

    In this order: crop, resizing (bilinear, with antialiasing where it makes smaller), flip, blur; brightness,
    contrast, saturation, hue, grey. The colours are clamped to 0 ... 1 once, at the end.

    Parameters
    ----------
    clips : Tensor, shape (B, T, 3, H, W), uint8 or floating
        RGB; floating numbers between 0 and 1.
    augmentation : Augmentation
        What to do to each of the B clips.
    size : (int, int), optional
        Height and width of the result; those of the clips when left out.

    Returns
    -------
    Tensor, shape (B, T, 3, h, w)
        Between 0 and 1, on the clips' device; float32 for uint8 clips, else in the clips' precision.

    Raises
    ------
    ParameterError
        The clips have another shape or type, or there are more or fewer than were drawn for.

    Notes
    -----
    Brightness, contrast and saturation are those of every image library: a blend with black, with the frame's mean
    grey, with each pixel's own grey. The hue turns in the plane of I and Q in YIQ, which keeps the brightness of every
    pixel (turning it in HSV does not).
    """
    count = len(augmentation.top)
    if clips.ndim != 5 or clips.shape[2] != 3 or len(clips) != count:
        raise ParameterError(f"clips must have shape ({count}, T, 3, H, W), not {tuple(clips.shape)}")
    if clips.dtype != torch.uint8 and not clips.is_floating_point():
        raise ParameterError(f"clips must be uint8 or floating between 0 and 1, not {clips.dtype}")
    batch, frames, colours, rows, columns = clips.shape
    height, width = size or (rows, columns)
    result = torch.float32 if clips.dtype == torch.uint8 else clips.dtype
    # CPUs multiply in float32 faster than in less.
    working = result if clips.is_cuda else torch.promote_types(result, torch.float32)
    # Where chance stays on the CPU for the sake of equal draws, a GPU still makes its matrices itself.
    one = augmentation.to(clips.device) if clips.is_cuda else augmentation
    never = torch.zeros_like(one.flip)
    change = _Change(
        vertical=_resampling(one.top, one.height, never, one.sigma, rows, height).to(clips.device, working),
        horizontal=_resampling(one.left, one.width, one.flip, one.sigma, columns, width).to(clips.device, working),
        colours=_colour_matrix(one).to(clips.device, working),
        pull=((1 - one.contrast) * one.brightness).to(clips.device, torch.promote_types(working, torch.float32)),
    )
    if clips.is_cuda:
        return change(clips)
    # A few frames at a time, in memory that is used again: a CPU spends as long on fetching new pages as on arithmetic.
    changed = torch.empty(batch, frames, colours, height, width, dtype=result, device=clips.device)
    at_once = max(1, _CPU_NUMBERS // max(1, batch * colours * max(rows * columns, height * width)))
    for start in range(0, frames, at_once):
        changed[:, start : start + at_once] = change(clips[:, start : start + at_once])
    return changed


@dataclass(frozen=True)
class _Change:
    """All that happens to each of B clips, as matrices."""

    vertical: torch.Tensor  # (B, h, H)
    horizontal: torch.Tensor  # (B, w, W)
    colours: torch.Tensor  # (B, 3, 3)
    pull: torch.Tensor  # (B,): weight of each frame's mean grey, which the contrast adds

    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """Change frames (B, T, 3, H, W); the result is (B, T, 3, h, w)."""
        batch, frames, colours, rows, columns = clips.shape
        scale = 255 if clips.dtype == torch.uint8 else 1
        numbers = clips.to(self.vertical.dtype).reshape(batch, frames * colours * rows, columns)
        pictures = torch.bmm(numbers, self.horizontal.transpose(1, 2) / scale)
        pictures = torch.matmul(self.vertical[:, None], pictures.view(batch, frames * colours, rows, -1))
        height, width = pictures.shape[2:]
        pixels = pictures.view(batch, frames, colours, height * width)
        mean = pixels.mean(dim=3, dtype=self.pull.dtype)
        # What is grey stays so whatever follows: the mean grey passes saturation and hue unchanged.
        offset = self.pull[:, None] * (mean @ mean.new_tensor(_LUMA))
        changed = torch.matmul(self.colours[:, None], pixels).add_(offset[:, :, None, None].to(pixels.dtype))
        return changed.clamp_(0, 1).view(batch, frames, colours, height, width)


def augment_clips(
    clips: torch.Tensor,
    generator: torch.Generator,
    settings: AugmentationSettings | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Augment every clip of a batch in its own way, and all frames of a clip alike.

    Parameters
    ----------
    clips : Tensor, shape (B, T, 3, H, W), uint8 or floating
        RGB; floating numbers between 0 and 1.
    generator : torch.Generator
        Source of chance.
    settings : AugmentationSettings, optional
        What may happen, and how likely.
    size : (int, int), optional
        Height and width of the result; those of the clips when left out.

    Returns
    -------
    Tensor, shape (B, T, 3, h, w)
        Between 0 and 1; float32 for uint8 clips, else in the clips' precision.

    Raises
    ------
    ParameterError
        The clips have another shape or type.

    Examples
    --------
    >>> clips = torch.zeros(2, 8, 3, 64, 64, dtype=torch.uint8)
    >>> augment_clips(clips, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 8, 3, 64, 64])
    """
    if clips.ndim != 5:
        raise ParameterError(f"clips must have shape (B, T, 3, H, W), not {tuple(clips.shape)}")
    drawn = draw_augmentation(len(clips), (clips.shape[3], clips.shape[4]), generator, settings)
    return apply_augmentation(clips, drawn, size)


def _resampling(
    start: torch.Tensor, length: torch.Tensor, flip: torch.Tensor, sigma: torch.Tensor, old: int, new: int
) -> torch.Tensor:
    """Matrices (B, new, old) that crop, resize, flip and blur a row of `old` pixels."""
    device = start.device
    source = torch.arange(old, device=device)
    target = torch.arange(new, device=device, dtype=torch.float64)
    scale = length.double() / new
    # Centres of the new pixels among the old ones; a triangle as wide as the spacing of either, whichever is coarser.
    centre = start[:, None] + (target + 0.5) * scale[:, None] - 0.5
    reach = scale.clamp(min=1)[:, None, None]
    inside = (source >= start[:, None]) & (source < (start + length)[:, None])
    weights = (1 - (source - centre[:, :, None]).abs() / reach).clamp(min=0) * inside[:, None]
    weights = weights / weights.sum(dim=2, keepdim=True)
    weights = torch.where(flip[:, None, None], weights.flip(1), weights)
    distance = (target[:, None] - target).square()
    # sigma = 0 blurs nothing: exp(-inf) off the diagonal.
    spread = (2 * sigma.square()).clamp(min=1e-12)[:, None, None]
    blur = torch.exp(-distance / spread)
    return torch.bmm(blur / blur.sum(dim=2, keepdim=True), weights)


def _colour_matrix(augmentation: Augmentation) -> torch.Tensor:
    """Matrices (B, 3, 3) of brightness, contrast, saturation, hue and grey."""
    device = augmentation.hue.device
    identity = torch.eye(3, device=device, dtype=torch.float64)
    to_yiq, from_yiq = (torch.tensor(matrix, device=device) for matrix in (_YIQ, _RGB))
    luma = torch.tensor(_LUMA, device=device, dtype=torch.float64)
    to_grey = luma.expand(3, 3)
    brightness, contrast, saturation = (
        factor[:, None, None] for factor in (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    )
    saturate = saturation * identity + (1 - saturation) * to_grey
    cosine, sine = (f(2 * pi * augmentation.hue) for f in (torch.cos, torch.sin))
    turn = torch.zeros(len(cosine), 3, 3, device=device, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = cosine
    turn[:, 1, 2], turn[:, 2, 1] = -sine, sine
    colour = from_yiq @ turn @ to_yiq @ saturate
    colour = torch.where(augmentation.grey[:, None, None], to_grey, colour)
    return colour * contrast * brightness
