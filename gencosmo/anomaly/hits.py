"""Light that no optics made: single pixels and thin tracks, sharper than any source of the tile.

Light that came through a telescope is as wide as its PSF. A hot pixel or the track of a cosmic ray is not: one pixel
aside there is nothing (van Dokkum 2001). So what stands out is measured over its own surroundings, where the core of a
star comes out near 1 however bright it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["hits"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ROUND = 2.0
"""Weight of the mean of a pixel's eight neighbours."""
AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) / 8.0
TRACKS = (((0, 1), (2, 0), 4.0), ((1, 0), (0, 2), 4.0), ((1, 1), (1, -1), 2.0), ((1, -1), (1, 1), 2.0))
"""A step along each track, the step aside, and the weight of what lies there: the nearer, the smaller."""
REACH = 3


def hits(flux: Array, scored: Mask) -> Array:
    """Log of one plus the sharpest pixel and the sharpest track of three pixels (2,), each over its surroundings.

    Parameters
    ----------
    flux : ndarray (h, w)
        In noises above the background.
    scored : ndarray of bool (h, w)
        Pixels with a value.
    """
    clean = np.where(scored, flux, 0.0)
    near = np.maximum(ndimage.convolve(clean, AROUND, mode="nearest"), 0.0)
    spike = clean / np.sqrt(1.0 + (ROUND * near) ** 2)
    best = np.zeros(clean.shape)
    padded = np.pad(clean, REACH, mode="edge")
    for along, aside, weight in TRACKS:
        light = _mean(padded, along, (0, 0))
        beside = np.maximum(_mean(padded, along, aside), _mean(padded, along, (-aside[0], -aside[1])))
        best = np.maximum(best, light / np.sqrt(1 / 3 + (weight * np.maximum(beside, 0.0)) ** 2))
    highest = [max(0.0, float(found[scored].max(initial=0.0))) for found in (spike, best)]
    return np.asarray(np.log1p(np.array(highest)))


def _mean(padded: Array, along: tuple[int, int], moved: tuple[int, int]) -> Array:
    """Mean of three pixels along a direction, around the place this far from every pixel."""
    height, width = padded.shape[0] - 2 * REACH, padded.shape[1] - 2 * REACH
    total = np.zeros((height, width))
    for step in (-1, 0, 1):
        row, col = REACH + moved[0] + step * along[0], REACH + moved[1] + step * along[1]
        total += padded[row : row + height, col : col + width]
    return total / 3
