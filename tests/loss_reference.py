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


def triplets(arguments, margin, positive_window, negative_window):
    """Sermanet et al. 2018, equation 1: mean hinge over all triplets of an anchor, its positive and a negative."""
    hinges = []
    for video in range(len(arguments[0])):
        for this, that in ((0, 1), (1, 0)):
            rows, times = real_frames(arguments, this, video)
            others, other_times = real_frames(arguments, that, video)
            for anchor, time in zip(rows, times, strict=True):
                apart = np.abs(other_times - time)
                if len(others) == 0 or apart.min() > positive_window:
                    continue
                positive = ((anchor - others[apart.argmin()]) ** 2).sum()
                for other, gap in zip(others, apart, strict=True):
                    if gap > negative_window:
                        hinges.append(max(0.0, positive - ((anchor - other) ** 2).sum() + margin))
    return float(np.mean(hinges))


def cycle_back(arguments, pairs, form, temperature, variance_weight):
    """Dwibedi et al. 2019, equations 1 to 4: mean over the frames of both videos of each pair (first view, second)."""
    losses = []
    for first, second in pairs:
        sides = real_frames(arguments, 0, first), real_frames(arguments, 1, second)
        for (rows, times), (others, _) in (sides, sides[::-1]):
            for i, row in enumerate(rows):
                alphas = np.exp([-((row - other) ** 2).sum() / temperature for other in others])
                neighbour = (alphas / alphas.sum()) @ others
                betas = np.exp([-((neighbour - back) ** 2).sum() / temperature for back in rows])
                betas /= betas.sum()
                if form == "classification":
                    losses.append(-math.log(betas[i]))
                    continue
                mean = sum(beta * time for beta, time in zip(betas, times, strict=True))
                variance = sum(beta * (time - mean) ** 2 for beta, time in zip(betas, times, strict=True))
                losses.append((times[i] - mean) ** 2 / variance + variance_weight * math.log(math.sqrt(variance)))
    return float(np.mean(losses))


def soft_dtw(cost, gamma):
    """Cuturi & Blondel 2017, algorithm 1."""
    n, m = cost.shape
    sums = np.full((n + 1, m + 1), np.inf)
    sums[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            sources = np.array([sums[i, j], sums[i, j + 1], sums[i + 1, j]])
            sums[i + 1, j + 1] = cost[i, j] - gamma * math.log(np.exp(-sources / gamma).sum())
    return sums[n, m]


def squared_distances(rows, others):
    return np.array([[((row - other) ** 2).sum() for other in others] for row in rows])


def contrastive_idm(rows, times, length, window, margin):
    """Haresh et al. 2021: pull together what is close in time, push apart what is not."""
    total = 0.0
    for row, time in zip(rows, times, strict=True):
        for other, other_time in zip(rows, times, strict=True):
            weight = 1 + ((time - other_time) / length) ** 2
            distance = ((row - other) ** 2).sum()
            if abs(time - other_time) > window:
                total += weight * max(0.0, margin - distance)
            else:
                total += distance / weight
    return total


def probabilistic_costs(rows, others, temperature):
    """Hadji et al. 2021: minus the log of a softmax of the cosines over the rows."""
    weights = np.exp(rows @ others.T / temperature)
    return -np.log(weights / weights.sum(0))


def smooth_accumulation(cost, gamma):
    """Hadji et al. 2021: accumulated costs, with the smooth minimum that is the mean under a softmin."""
    n, m = cost.shape
    sums = np.full((n + 1, m + 1), 1e12)
    sums[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            sources = np.array([sums[i, j], sums[i, j + 1], sums[i + 1, j]])
            weights = np.exp(-(sources - sources.min()) / gamma)
            sums[i + 1, j + 1] = cost[i, j] + (sources * weights).sum() / weights.sum()
    return sums[1:, 1:]
