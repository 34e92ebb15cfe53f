"""Features of augmented copies of a video, for training on a frozen encoder."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lactoolkit.errors import ParameterError
from lactoolkit.features.cache import entry_key, load_entry, save_entry
from lactoolkit.features.extraction import (
    VideoFeatures,
    encode_frames,
    loaded_encoder,
    recorded_damage,
    taps_and_identity,
    warn_of_damage,
)
from lactoolkit.models.registry import INPUT_SIZE
from lactoolkit.video.augmentation import (
    Augmentation,
    AugmentationSettings,
    apply_augmentation,
    draw_augmentation,
)
from lactoolkit.video.decoding import probe
from lactoolkit.video.digest import file_sha256

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder

# Raised when the same settings and seed give other pictures than before.
_REVISION = 1


def extract_feature_views(
    path: str | Path,
    encoder: str | FrameEncoder = "lite0",
    *,
    views: int = 4,
    augmentation: AugmentationSettings | None = None,
    seed: int = 0,
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    cache: bool = True,
    progress: bool = False,
) -> VideoFeatures:
    """Encode V augmented copies of a video, decoding it once, or find them in the cache.

    Each copy is augmented by one draw, the same for all of its frames (crop, flip, colours, blur). The draw depends on
    the video's content, `seed` and the number of the view alone: asking for more views later keeps the first ones and
    computes only the others. The video as it is, is not among them: see
    :func:`lactoolkit.features.extraction.extract_features`, whose frames are the same.

    Parameters
    ----------
    path : path
        The video.
    encoder : str or FrameEncoder
        Name of an encoder, or one that is loaded already (``weights`` and ``device`` then have no effect).
    views : int
        Number of augmented copies, V, at least 1.
    augmentation : AugmentationSettings, optional
        What may happen to a copy, and how likely.
    seed : int
        Chooses the draws.
    weights : path, optional
        File of other weights.
    device : str
        Where to augment and encode: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    frame_rate : float, optional
        Frames per second to encode; every frame by default.
    start, end : float, optional
        Range to encode in seconds.
    cache : bool
        Use and fill the cache.
    progress : bool
        Show a progress bar on stderr when it takes longer than a second.

    Returns
    -------
    VideoFeatures
        With ``values`` of shape (V, T, sum(tap_sizes)), and no preview.

    Raises
    ------
    ParameterError
        If `views` is below 1.
    VideoError
        If the file is missing or cannot be decoded.
    EncoderError
        If the encoder is unknown or has no weights.

    Examples
    --------
    >>> extract_feature_views("data/samples/hammer_fast.mp4", views=2).values.shape  # doctest: +SKIP
    (2, 113, 2736)
    """
    if views < 1:
        raise ParameterError(f"views must be at least 1, not {views!r}")
    settings = augmentation or AugmentationSettings()
    path = Path(path)
    info = probe(path)
    sha256 = file_sha256(path)
    tap_sizes, identity = taps_and_identity(encoder, weights)
    keys = [
        entry_key(
            video=sha256,
            encoder=identity,
            frame_rate=frame_rate,
            start=start,
            end=end,
            augmentation=asdict(settings),
            revision=_REVISION,
            seed=seed,
            view=view,
        )
        for view in range(views)
    ]
    entries = {view: entry for view, key in enumerate(keys) if cache and (entry := load_entry(key)) is not None}
    missing = [view for view in range(views) if view not in entries]
    if missing:
        drawn = _draws(sha256, seed, missing, settings)

        def variants(images: torch.Tensor, encoder: FrameEncoder) -> list[torch.Tensor]:
            clips = images.to(encoder.mean.device).permute(0, 3, 1, 2).float() / 255
            clips = clips.expand(len(missing), -1, -1, -1, -1)
            changed = (apply_augmentation(clips, drawn) * 255).round().byte()
            return list(changed.permute(0, 1, 3, 4, 2))

        with recorded_damage(path) as damage:
            frames, times, values = encode_frames(
                path, info, lambda: loaded_encoder(encoder, weights, device), frame_rate, start, end, progress, variants
            )
        common = {"frames": frames, "times": times, "damage": np.array(damage, dtype=np.str_)}
        for view, taps in zip(missing, values, strict=True):
            entries[view] = {"values": taps, **common}
            if cache:
                save_entry(keys[view], **entries[view])
    warn_of_damage(path, entries[0]["damage"])
    return VideoFeatures(
        frames=entries[0]["frames"],
        times=entries[0]["times"],
        values=np.stack([entries[view]["values"].astype(np.float32) for view in range(views)]),
        tap_sizes=tap_sizes,
        encoder=identity,
        sha256=sha256,
        info=info,
    )


def _draws(sha256: str, seed: int, views: list[int], settings: AugmentationSettings) -> Augmentation:
    """What happens to the views, one row each."""
    drawn = []
    for view in views:
        digest = hashlib.sha256(f"{sha256} {seed} {view}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        drawn.append(draw_augmentation(1, INPUT_SIZE, generator, settings))
    return Augmentation(**{f.name: torch.cat([getattr(one, f.name) for one in drawn]) for f in fields(Augmentation)})
