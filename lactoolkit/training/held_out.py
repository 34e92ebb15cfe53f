"""Which videos are kept from learning, to validate on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lactoolkit.training.data import LoadedVideo

_FEWEST = 2  # of a process, to learn from and to validate on


def hold_out(videos: Sequence[LoadedVideo], share: float, seed: int) -> tuple[list[LoadedVideo], list[LoadedVideo]]:
    """Split into videos to learn from and videos to validate on, by chance, each process by itself.

    Of a process, at least two videos are learned from and two validate; one with fewer than four is all learned from.
    Where that leaves none to validate, and with share 0, all are learned from and all validate: one and the same list.
    """
    rng = np.random.default_rng(seed)
    held: set[int] = set()
    for name in sorted({video.class_name for video in videos}):
        members = [k for k, video in enumerate(videos) if video.class_name == name]
        count = min(max(_FEWEST, round(share * len(members))), len(members) - _FEWEST)
        if share > 0 and count >= _FEWEST:
            held.update(members[k] for k in rng.permutation(len(members))[:count])
    if not held:
        everything = list(videos)
        return everything, everything
    learned_from = [video for k, video in enumerate(videos) if k not in held]
    return learned_from, [videos[k] for k in sorted(held)]
