"""Fluxes of sources, as simply as they come: peaks of the smoothed frame, and apertures over a local background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Sources", "aperture_fluxes", "apertures_with", "find_sources", "significance"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMOOTHING = 1.5
"""Standard deviation of the Gaussian that sources are found with, in pixels."""
FOUND = 10.0
"""Least significance of a source that is measured."""
APERTURE, INNER, OUTER = 4, 7, 11
"""Radii of the aperture and of the ring for the local background, in pixels."""


@dataclass(frozen=True)
class Sources:
    """Sources whose aperture and ring lie inside the frame.

    Attributes
    ----------
    places : int array (n, 2)
        Row and column of each peak.
    level : float array (n,)
        Local background.
    flux : float array (n,)
        Background-subtracted sum over the aperture.
    """

    places: NDArray[np.int64]
    level: NDArray[np.float64]
    flux: NDArray[np.float64]


def significance(values: Float, mask: Mask, background: float, noise: float) -> Float:
    """Smoothed signal over its noise (H, W); masked pixels count as background."""
    level = np.where(mask, 0, values - np.float32(background)).astype(np.float32)
    # white noise of one is 1 / (2 sqrt(pi) s) after a Gaussian of s
    return np.asarray(ndimage.gaussian_filter(level, SMOOTHING) * (2 * SMOOTHING * math.sqrt(math.pi) / noise))


def _offsets(low: float, high: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, cols = np.mgrid[-OUTER : OUTER + 1, -OUTER : OUTER + 1]
    radius = np.hypot(rows, cols)
    inside = (radius <= high) & (radius > low)
    return rows[inside], cols[inside]


def aperture_fluxes(values: Float, places: NDArray[np.int64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums (n,) over the apertures around `places` (n, 2), less the local background."""
    rows, cols = _offsets(-1, APERTURE)
    boxes = values[places[:, :1] + rows, places[:, 1:] + cols].astype(np.float64)
    return np.asarray((boxes - level[:, None]).sum(1))


def apertures_with(hidden: Mask, places: NDArray[np.int64]) -> Mask:
    """Which apertures (n,) hold a hidden pixel."""
    rows, cols = _offsets(-1, APERTURE)
    return np.asarray(hidden[places[:, :1] + rows, places[:, 1:] + cols].any(1))


def find_sources(values: Float, mask: Mask, background: float, noise: float) -> Sources:
    """Peaks of the significance above `FOUND`, apart from each other, with no masked pixel in aperture or ring.

    Only sources that stand out in their aperture are kept: a flux that is mostly noise has no percentages.
    """
    shown = significance(values, mask, background, noise)
    peak = (shown == ndimage.maximum_filter(shown, size=2 * APERTURE + 1)) & (shown > FOUND)
    peak[:OUTER], peak[-OUTER:], peak[:, :OUTER], peak[:, -OUTER:] = (False,) * 4
    places = np.argwhere(peak)
    rows, cols = _offsets(-1, OUTER)
    ring_rows, ring_cols = _offsets(INNER, OUTER)
    places = places[~mask[places[:, :1] + rows, places[:, 1:] + cols].any(1)]
    level = np.median(values[places[:, :1] + ring_rows, places[:, 1:] + ring_cols].astype(np.float64), axis=1)
    flux = aperture_fluxes(values, places, level)
    clear = flux > FOUND * noise * math.sqrt(math.pi) * APERTURE
    return Sources(places[clear], level[clear], flux[clear])
