"""Deeper frames made of real ones: smooth structure far above the noise, which few frames have enough of.

A real tile is smoothed, so that little of its noise is left, amplified, and observed again with white noise of one
unit. Galaxies and the wings of bright stars then tell far more of what a hole hides than they did.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from gencosmo.training.masks import Rng

__all__ = ["deepen"]

SPREAD = (1.0, 2.5)
"""Standard deviation of the smoothing, in pixels; even."""
GAIN = 2.0
"""Least amplification; the most, log-uniformly, is what brings the noise that is left back to one unit."""
LEAST = 5.0
"""A hundredth of the tile has to lie this far above its middle: elsewhere only noise would be amplified."""


def deepen(tiles: NDArray[np.float32], good: NDArray[np.bool_], rng: Rng, share: float) -> NDArray[np.bool_]:
    """Deepen a `share` of the tiles (B, H, W) that are wholly good and show something, in place; returns which (B,)."""
    rise = np.quantile(tiles, 0.99, axis=(1, 2)) - np.median(tiles, axis=(1, 2))
    chosen = (rng.random(len(tiles)) < share) & good.all((1, 2)) & (rise > LEAST)
    for index in np.flatnonzero(chosen):
        spread = rng.uniform(*SPREAD)
        left = 1 / (2 * spread * math.sqrt(math.pi))  # of white noise, smoothed
        gain = math.exp(rng.uniform(math.log(GAIN), math.log(1 / left)))
        smooth = gaussian_filter(tiles[index], spread, mode="nearest")
        tiles[index] = gain * smooth + rng.standard_normal(smooth.shape)
    return chosen
