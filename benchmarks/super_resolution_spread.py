"""How wide the stated spread has to be: the table `gencosmo.sampling.spectrum.TRAINED_SPREAD`.

Measured on scenes of both kinds with seeds that nothing is reported of: in each bin of brightness 68.3 % of the pixels
shall lie within one standard deviation, in the mean over the scenes, each of which counts the same.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import ndimage
from super_resolution_rivals import ours
from super_resolution_scenes import Array, Seen, rendered, simulated

__all__ = ["BRIGHT", "brightness", "run_spread"]

BRIGHT = (-np.inf, 0.1, 1, 10, 45, np.inf)
"""Edges of the bins, in noise of a pixel of the image."""
HEIGHTS = (0.03, 0.3, 3.0, 20.0, 100.0)
"""Brightness that stands for each bin."""
FEWEST = 30


def brightness(mean: Array, seen: Seen) -> Array:
    """Mean over 5x5 fine pixels of a result, above the frame's sky and in its noise: network flux."""
    from gencosmo.scaling import measure_scaling

    data, ivar = seen.image.astype(np.float32), (1 / seen.noise**2).astype(np.float32)
    scaling = measure_scaling(data, np.ones(data.shape, bool), ivar)
    return np.asarray(scaling.to_flux(ndimage.uniform_filter(mean, 5) * seen.scale**2), np.float64)


def run_spread(options: argparse.Namespace) -> dict[str, object]:
    """The table, without the one that the package has."""
    import gencosmo.tasks.super_resolve as task
    from gencosmo.priors import load_prior
    from gencosmo.sampling.spectrum import UNCORRECTED, Honest

    task.TRAINED_MEAN = replace(task.TRAINED_MEAN, honest=UNCORRECTED)
    prior, inside = load_prior(options.prior, "cpu"), (slice(8, -8), slice(8, -8))
    pulls = []
    for make in (simulated, rendered):
        for seed in range(options.first, options.first + options.scenes):
            seen = make(seed, options.side, options.scale)
            assert seen.truth is not None
            mean, std, *_ = ours(seen, 0, options.steps, options.mode, prior)
            pulls.append([p[inside] for p in (np.abs(mean - seen.truth) / std, brightness(mean, seen))])
            print(make.__name__, seed, [round(w, 2) for w in widths([pulls[-1]], 0.683)], flush=True)
    found = Honest(HEIGHTS, tuple(round(w, 2) for w in widths(pulls, 0.683)), 1.96)
    corrected = [pull / factors(found, height) for pull, height in pulls]
    found = replace(found, quantile95=round(quantile(corrected, 0.954), 2))
    print(found)
    return {"median": {"factors": list(found.factors), "quantile95": found.quantile95}}


def widths(pulls: list[list[Array]], share: float) -> list[float]:
    """Quantile of the errors over the spread in each bin; NaN where all scenes have as good as no pixels there."""
    found = []
    for low, high in pairwise(BRIGHT):
        bins = [pull[(height > low) & (height <= high)] for pull, height in pulls]
        found.append(quantile([b for b in bins if b.size >= FEWEST], share))
    return found


def quantile(scenes: list[Array], share: float) -> float:
    """Of values of several scenes, each scene of the same weight."""
    if not scenes:
        return float("nan")
    values = np.concatenate([s.ravel() for s in scenes])
    weights = np.concatenate([np.full(s.size, 1 / s.size / len(scenes)) for s in scenes])
    order = np.argsort(values)
    return float(values[order][min(np.searchsorted(np.cumsum(weights[order]), share), values.size - 1)])


def factors(table: object, height: Array) -> Array:
    import torch

    from gencosmo.sampling.spectrum import Honest

    assert isinstance(table, Honest)
    found: Array = table.factor(torch.from_numpy(height.copy())).numpy()
    return found
