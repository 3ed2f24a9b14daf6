"""Microscopy-like scenes and what a camera makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

Double = NDArray[np.float64]


def cells(side: int = 320, peak: float = 400.0, ground: float = 10.0, seed: int = 0) -> Double:
    """Soft blobs over a dim ground, in electrons."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    out = np.full((side, side), ground)
    for _ in range(max(4, side * side // 2500)):
        row, col, radius = *rng.uniform(0, side, 2), rng.uniform(5, 16)
        away = np.hypot(rows - row, cols - col)
        out += peak * rng.uniform(0.1, 1) * expit((radius - away) / 0.9)
    return np.asarray(out * (1 + 0.15 * gaussian_filter(rng.normal(size=out.shape), 4) * 14))


def counted(electrons: Double, gain: float, read_noise: float, offset: float, seed: int = 1) -> NDArray[np.float32]:
    """One exposure, in units of the camera."""
    rng = np.random.default_rng(seed)
    seen = rng.poisson(np.maximum(electrons, 0)) + read_noise * rng.normal(size=electrons.shape)
    return (seen / gain + offset).astype(np.float32)
