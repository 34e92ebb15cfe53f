"""Slow losses: loops over videos and frames, written from the papers' equations; they import nothing of lactoolkit."""

from __future__ import annotations

import math

import numpy as np


def real_frames(arguments, which, video):
    """Embeddings and positions of the real frames of one view of one video, as NumPy arrays."""
    rows = arguments[which][video].detach().numpy()
    positions = arguments[2 + which][video].numpy()
    mask = arguments[4 + which][video].numpy()
    return rows[mask], positions[mask]


def gaussian_contrast(arguments, variance, temperature, reach):
    """Chen et al. 2022: divergence from the normalised Gaussian of the time difference, frame by frame."""
    divergences = []
    for video in range(len(arguments[0])):
        for this, that in ((0, 1), (1, 0)):
            rows, times = real_frames(arguments, this, video)
            others, other_times = real_frames(arguments, that, video)
            for row, time in zip(rows, times, strict=True):
                weights = [math.exp(-((time - other) ** 2) / (2 * variance)) for other in other_times]
                if len(others) == 0 or min(abs(time - other) for other in other_times) > reach * math.sqrt(variance):
                    continue
                exponentials = [math.exp(row @ other / temperature) for other in others]
                divergence = 0.0
                for weight, exponential in zip(weights, exponentials, strict=True):
                    target, prediction = weight / sum(weights), exponential / sum(exponentials)
                    divergence += target * math.log(target / prediction) if target > 0 else 0.0
                divergences.append(divergence)
    return float(np.mean(divergences))


def known_matches(times, other_times, tolerance):
    """Pairs of frames that are each other's nearest and at most the tolerance apart."""
    pairs = []
    for i, time in enumerate(times):
        j = int(np.argmin(np.abs(other_times - time)))
        if int(np.argmin(np.abs(times - other_times[j]))) == i and abs(other_times[j] - time) <= tolerance:
            pairs.append((i, j))
    return pairs
