"""The ground under the sources of a tile: wide light that nothing bright explains, and the grain of the noise.

A reflection, a cloud or flat-field trouble is faint and wide: no single pixel is odd, and a network that sees it
through noise takes it for part of the scene. So compact light is masked, and discs are compared with the rings around
them. A changed PSF of the detector, resampling or compression changes how neighbouring pixels go together.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

__all__ = ["compact", "glow", "grain"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
DISCS = (5, 9, 13)
"""Radii of the discs, in pixels; the rings around them reach to 1.5 of the radius plus 2."""
REACH = round(1.5 * DISCS[-1]) + 2
"""How far the widest ring reaches."""
COVER = 0.5
"""A disc, or a quarter of its ring, with a smaller share of its pixels left says nothing."""
QUARTERS = 3
"""Quarters of the ring that must be seen."""
BRIGHT = (4.0, 16.0, 64.0, 256.0, 1024.0)
"""Heights above which light is masked wider and wider, in noises."""
LAGS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (2, 2), (2, -2), (0, 3), (3, 0))
MAD_TO_SD = 1.4826


def compact(flux: Array, scored: Mask) -> Mask:
    """Pixels of compact sources, and the surroundings of bright ones."""
    fine, coarse = (ndimage.gaussian_filter(np.where(scored, flux, 0.0), s) for s in (1.0, 4.0))
    sharp = fine - coarse
    spread = MAD_TO_SD * float(np.median(np.abs(sharp[scored] - np.median(sharp[scored])))) + 1e-9
    found: Mask = ndimage.binary_dilation(sharp > 4 * spread, iterations=2)
    for number, height in enumerate(BRIGHT, start=2):
        found |= _grown(fine > height, number)
    return found


def _grown(mask: Mask, radius: int) -> Mask:
    if not mask.any():
        return mask
    grown: Mask = ndimage.distance_transform_edt(~mask) <= radius
    return grown


def glow(flux: Array, scored: Mask, source: Mask) -> Array:
    """How far discs stand out of the rings around them, and the tilt of the ground.

    Parameters
    ----------
    flux : ndarray (h, w)
        In noises above the background.
    scored, source : ndarray of bool (h, w)
        Pixels with a value; pixels that compact sources cover.

    Returns
    -------
    ndarray (2 * len(DISCS) + 1,)
        How far the most outstanding disc of every radius rises above, and the deepest falls below, its ring; the tilt.
    """
    free = scored & ~source
    light = np.where(free, np.clip(flux, -4.0, 4.0), 0.0)
    # one complex transform for light and cover together
    both = fft.fft2(light + 1j * free, [side + 2 * REACH for side in flux.shape])
    features = [found for radius in DISCS for found in _discs(both, flux.shape, radius)]
    return np.array([*features, _tilt(light, free)])


def _discs(both: NDArray[np.complex128], shape: tuple[int, ...], radius: int) -> tuple[float, float]:
    """How far a disc rises above, and falls below, each of the four quarters of the ring around it.

    In sigmas of independent pixels. Next to a bright galaxy one quarter is brighter still: its halo is no disc.
    """
    (inner, count), *quarters = (_summed(both, shape, radius, part) for part in range(5))
    areas = _areas(radius)
    enough = count > COVER * areas[0]
    if not enough.any():
        return 0.0, 0.0
    count = np.maximum(count, 1.0)
    rise = fall = np.full(shape, np.inf)
    told = np.zeros(shape, np.int64)
    for (outer, cover), area in zip(quarters, areas[1:], strict=True):
        known = cover > COVER * area
        told += known
        cover = np.maximum(cover, 1.0)
        difference = (inner / count - outer / cover) / np.sqrt(1 / count + 1 / cover)
        rise = np.where(known, np.minimum(rise, difference), rise)
        fall = np.where(known, np.minimum(fall, -difference), fall)
    enough &= told >= QUARTERS
    if not enough.any():
        return 0.0, 0.0
    return max(0.0, float(rise[enough].max())), max(0.0, float(fall[enough].max()))


def _summed(both: NDArray[np.complex128], shape: tuple[int, ...], radius: int, part: int) -> tuple[Array, Array]:
    """Light and cover summed over a disc (part 0) or a quarter of its ring, around every pixel."""
    sums = fft.ifft2(both * _transformed(radius, part, both.shape))
    sums = sums[REACH : REACH + shape[0], REACH : REACH + shape[1]]
    return sums.real, sums.imag


@lru_cache(maxsize=200)
def _transformed(radius: int, part: int, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    found: NDArray[np.complex128] = fft.fft2(_shapes(radius)[part][::-1, ::-1], shape)
    return found


@lru_cache
def _areas(radius: int) -> tuple[float, ...]:
    return tuple(float(shape.sum()) for shape in _shapes(radius))


@lru_cache
def _shapes(radius: int) -> tuple[Array, ...]:
    """A disc, and the quarters of the ring around it."""
    reach = round(1.5 * radius) + 2
    rows, cols = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    away = np.hypot(rows, cols)
    ring = (away > radius + 1) & (away <= reach)
    quarter = np.floor((np.arctan2(rows, cols) / (np.pi / 2)) % 4)
    return ((away <= radius).astype(np.float64), *((ring & (quarter == k)).astype(np.float64) for k in range(4)))


def _tilt(light: Array, free: Mask) -> float:
    """Root mean square of the plane that fits best, in noises times the side."""
    rows, cols = np.nonzero(free)
    if rows.size < 16:
        return 0.0
    design = np.column_stack([np.ones(rows.size), rows - rows.mean(), cols - cols.mean()])
    slopes = np.linalg.lstsq(design, light[free], rcond=None)[0][1:]
    return float(np.hypot(*slopes) * np.sqrt(rows.size) * 16)


def grain(flux: Array, scored: Mask, source: Mask) -> Array:
    """How neighbouring pixels of the ground go together: correlations at `LAGS`, height and tails of the noise.

    Parameters
    ----------
    flux, scored, source
        As for :func:`glow`.
    """
    free = scored & ~source
    weight = free.astype(np.float64)
    light = np.where(free, flux, 0.0)
    under = ndimage.gaussian_filter(light, 4.0) / np.maximum(ndimage.gaussian_filter(weight, 4.0), 0.05)
    rest = np.where(free, np.clip(flux - under, -4.0, 4.0), 0.0)
    if weight.sum() < 64:
        return np.zeros(len(LAGS) + 3)
    rest -= weight * (rest.sum() / weight.sum())
    variance = (rest**2).sum() / weight.sum() + 1e-9
    together = [_lagged(rest, weight, *lag) / variance for lag in LAGS]
    size = np.abs(rest[free]) / np.sqrt(variance)
    return np.array([*together, np.log(variance), (size**4).mean() ** 0.25, (rest[free] ** 3).mean() / variance**1.5])


def _lagged(rest: Array, weight: Array, down: int, right: int) -> float:
    """Mean product of pixels this far apart, over pairs that are both free."""
    if right < 0:
        rest, weight, right = rest[:, ::-1], weight[:, ::-1], -right
    height, width = rest.shape
    near, far = (slice(height - down), slice(width - right)), (slice(down, None), slice(right, None))
    pairs = (weight[near] * weight[far]).sum()
    return float((rest[near] * rest[far]).sum() / max(pairs, 1.0))
