"""What a tile holds, as a person would count it: connected regions at four heights, long ridges, the finest detail.

Two heights are in noises, for the sky; two are shares of the tile's own contrast, for cells that all lie far above
their noise, where whatever is told in noises is the same everywhere. A faint trail joins pixels that are nothing
each into one long region; a fibre among bright cells is a ridge longer than any cell; a tile that is empty where
others hold a source has no region at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["OBJECTS", "contrast", "objects"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
NOISES = (1.0, 3.0)
"""Heights of regions in noises, of the smoothed tile."""
SHARES = (0.3, 0.6)
"""Heights of regions as shares of the tile's contrast."""
RANGE = (10.0, 99.5)
"""Per cent of the smoothed pixels below the ends of the contrast."""
LEAST_CONTRAST = 2.0
"""Contrast of an empty tile, in noises; a height that is a share of less would cut the noise."""
LEAST_AREA = 5
"""Pixels of a region that counts."""
RIDGE_NOISES, RIDGE_SHARE = 3.0, 0.02
"""Height of ridges: in typical ridges of the tile's own noise, and as a share of the contrast."""
MAD_TO_SD = 1.4826
TOUCHING = np.ones((3, 3))
OBJECTS = 1 + 7 * (len(NOISES) + len(SHARES)) + 3 + 12
"""Number of features."""


def objects(flux: Array, scored: Mask) -> Array:
    """Features (`OBJECTS`,) of the regions, ridges and details of a tile.

    Parameters
    ----------
    flux : ndarray (h, w)
        In noises above the background.
    scored : ndarray of bool (h, w)
        Pixels with a value; at least one.

    Returns
    -------
    ndarray
        Log of the contrast; of the regions at each height seven features (`_regions`); the strongest ridge, and the
        longest at each height; the highest and the deepest detail at three scales, as they are and over the contrast.
    """
    clean = np.where(scored, flux, 0.0)
    smooth = ndimage.gaussian_filter(clean, 1.0)
    low, span = _span(smooth[scored])
    heights = (*NOISES, *(low + share * span for share in SHARES))
    regions = [figure for height in heights for figure in _regions(clean, smooth, scored, height)]
    return np.array([np.log(span), *regions, *_ridges(smooth, scored, span), *_details(clean, scored, span)])


def contrast(flux: Array) -> float:
    """How far the bright parts of a tile rise above its dark ones, in the units of `flux`."""
    return _span(ndimage.gaussian_filter(flux, 1.0).ravel())[1]


def _span(smooth: Array) -> tuple[float, float]:
    low, high = np.percentile(smooth, RANGE)
    return float(low), max(float(high - low), LEAST_CONTRAST)


def _regions(clean: Array, smooth: Array, scored: Mask, height: float) -> list[float]:
    """Number of regions; area, length, elongation and raggedness of the largest; light of the brightest and of all.

    Raggedness is the log of the area of the ellipse with the same second moments over the region's own.
    """
    labels, count = ndimage.label((smooth > height) & scored, TOUCHING)
    if count == 0:
        return [0.0] * 7
    area = np.bincount(labels.ravel())[1:]
    rows, cols = np.nonzero(labels == int(area.argmax()) + 1)
    # a pixel is a square of variance 1/12: a region of one pixel has a shape, too
    along_rows, along_cols = rows.var() + 1 / 12, cols.var() + 1 / 12
    both = ((rows - rows.mean()) * (cols - cols.mean())).mean()
    middle, half = (along_rows + along_cols) / 2, np.hypot((along_rows - along_cols) / 2, both)
    long, short = middle + half, max(middle - half, 1 / 12)
    light = ndimage.sum_labels(clean - height, labels, np.arange(1, count + 1))
    return [
        float(np.log1p((area >= LEAST_AREA).sum())),
        float(np.log1p(area.max())),
        float(0.5 * np.log(long)),
        float(0.5 * np.log(long / short)),
        float(np.log(4 * np.pi * np.sqrt(long * short) / rows.size)),
        float(np.arcsinh(light.max())),
        float(np.arcsinh(np.maximum(light, 0.0).sum())),
    ]


def _ridges(smooth: Array, scored: Mask, span: float) -> list[float]:
    """Strength of the strongest ridges over the typical, and extent of the longest at both heights, in logs.

    A ridge falls to both sides and not along itself: the second derivative is far below zero in one direction, and
    near it in the other.
    """
    down, right = np.gradient(ndimage.gaussian_filter(smooth, 1.0))
    rows, mixed = np.gradient(down)
    cols = np.gradient(right, axis=1)
    middle, half = (rows + cols) / 2, np.hypot((rows - cols) / 2, mixed)
    strength = np.where(scored, np.maximum(np.maximum(half - middle, 0.0) - np.abs(middle + half), 0.0), 0.0)
    some = strength[strength > 0]
    typical = MAD_TO_SD * float(np.median(some)) if some.size else 1.0
    longest = []
    for height in (RIDGE_NOISES * typical, RIDGE_SHARE * span):
        boxes = ndimage.find_objects(ndimage.label(strength > height, TOUCHING)[0])
        sides = [[side.stop - side.start - 1 for side in box] for box in boxes]
        longest.append(float(np.log1p(max((np.hypot(*side) for side in sides), default=0.0))))
    return [float(np.log1p(np.percentile(strength, 99.5) / typical)), *longest]


def _details(clean: Array, scored: Mask, span: float) -> list[float]:
    """Highest and deepest value beside a median of 5 x 5 pixels, and between smoothings by 1, 2 and 4 pixels."""
    fine, middle, coarse = (ndimage.gaussian_filter(clean, width) for width in (1.0, 2.0, 4.0))
    found = []
    for plane in (clean - ndimage.median_filter(clean, 5), fine - middle, middle - coarse):
        for extreme in (float(plane[scored].max()), -float(plane[scored].min())):
            found += [float(np.arcsinh(extreme)), extreme / span]
    return found
