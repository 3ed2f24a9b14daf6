"""The sources of a tile: how sharp, how aligned, how close together, and whether light lies in arcs around them.

Single pixels of a trailed star, a doubled source or a lens arc are all predictable from their neighbours. What gives
them away is the catalogue: no source is sharp along one direction, two bright ones are closer than chance allows,
light follows a circle around a third.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["NAMES", "shapes"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
NAMES = ("count", "blunt", "sharp", "aligned", "stretched", "pair", "pair_share", "arc", "arc_bright", "lopsided")
"""Features, in order."""
MOST = 16
"""Sources that are measured, the brightest first."""
HALF = 7
"""Half a window of moments."""
WIDTH = 2.5
"""Width of the Gaussian within which moments are measured, in pixels."""
DETECTED = 6.0
"""Height of a source in spreads of the smoothed tile."""
WELL = 15.0
"""Height of a source whose shape is believed."""
NEAR, FAR = 3.5, 10.5
"""Distances of pairs, in pixels."""
CENTRES = 4
"""Sources around which arcs are sought."""
RADII = np.arange(1.0, 16.0)
TURNS = 48
"""Steps of a full turn."""
ARCS = (9, 13, 17)
"""Lengths of arcs, in steps."""
EVEN = 1.6
"""An arc's strongest third may be this many times its weakest."""
ANGLES = 8


@dataclass(frozen=True, eq=False)
class _Sources:
    """Places (n,), heights over the spread (n,) and second moments (n, 3: rows, cols, both), the brightest first."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    height: Array
    moments: Array


def shapes(flux: Array, scored: Mask) -> Array:
    """Features (10,) of the sources of a tile.

    Parameters
    ----------
    flux : ndarray (h, w)
        In noises above the background.
    scored : ndarray of bool (h, w)
        Pixels with a value.

    Notes
    -----
    Features say more when they are larger; a tile without sources has 0 of everything.
    """
    clean = np.where(scored, flux, 0.0)
    smooth = ndimage.gaussian_filter(clean, 1.0)
    low = smooth[scored & (smooth <= np.median(smooth[scored]))]
    spread = float(np.sqrt(np.mean((low - np.median(smooth[scored])) ** 2))) + 1e-6
    found = _found(clean, smooth, scored, spread)
    if found.row.size == 0:
        return np.zeros(len(NAMES))
    return np.array(
        [
            np.log1p(found.row.size),
            *_sizes(found),
            *_pairs(found),
            *_arcs(clean, scored, found),
            _lopsided(clean, found),
        ]
    )


def _found(clean: Array, smooth: Array, scored: Mask, spread: float) -> _Sources:
    peak = (smooth == ndimage.maximum_filter(smooth, 5)) & (smooth > DETECTED * spread) & scored
    rows, cols = np.nonzero(peak)
    order = np.argsort(-smooth[rows, cols], kind="stable")[:MOST]
    rows, cols = rows[order], cols[order]
    return _Sources(rows, cols, smooth[rows, cols] / spread, _moments(clean, rows, cols))


def _windows(clean: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
    """Windows (n, 2 HALF + 1, 2 HALF + 1) around places, mirrored at the edges."""
    padded = np.pad(clean, HALF, mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, (2 * HALF + 1, 2 * HALF + 1))
    found: Array = views[rows, cols]
    return found


def _moments(clean: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
    """Second moments under a Gaussian, with its width taken out (a Gaussian source gets its own)."""
    if rows.size == 0:
        return np.zeros((0, 3))
    offsets = np.arange(-HALF, HALF + 1.0)
    dr, dc = offsets[:, None], offsets[None, :]
    light = _windows(clean, rows, cols) * np.exp(-(dr**2 + dc**2) / (2 * WIDTH**2))
    total = np.maximum(light.sum((1, 2)), 1e-3)
    row, col = (light * dr).sum((1, 2)) / total, (light * dc).sum((1, 2)) / total
    seen = np.stack([(light * dr**2).sum((1, 2)) / total - row**2, (light * dc**2).sum((1, 2)) / total - col**2,
                     (light * dr * dc).sum((1, 2)) / total - row * col], axis=1)  # fmt: skip
    # Gaussian times Gaussian: the inverse covariances add
    rr, cc = (np.clip(seen[:, k], 0.15, 0.9 * WIDTH**2) for k in (0, 1))
    rc = np.clip(seen[:, 2], -0.95 * np.sqrt(rr * cc), 0.95 * np.sqrt(rr * cc))
    det = rr * cc - rc**2
    irr, icc, irc = cc / det - 1 / WIDTH**2, rr / det - 1 / WIDTH**2, -rc / det
    irr, icc = np.maximum(irr, 0.01), np.maximum(icc, 0.01)
    irc = np.clip(irc, -0.95 * np.sqrt(irr * icc), 0.95 * np.sqrt(irr * icc))
    det = irr * icc - irc**2
    return np.stack([icc / det, irr / det, -irc / det], axis=1)


def _sizes(found: _Sources) -> list[float]:
    """Least sharp direction of the sharpest sources, sharpest size, common direction of the shapes."""
    good = found.height > WELL
    if not good.any():
        return [0.0, 0.0, 0.0, 0.0]
    rr, cc, rc = found.moments[good].T
    angles = np.pi * np.arange(ANGLES) / ANGLES
    along = rr[:, None] * np.sin(angles) ** 2 + cc[:, None] * np.cos(angles) ** 2
    along = np.sqrt(np.maximum(along + rc[:, None] * np.sin(2 * angles), 0.05))
    least = along.min(axis=0)
    weight = np.minimum(found.height[good], 100.0)
    ellipticity = ((cc - rr) + 2j * rc) / (rr + cc)
    mean = abs((weight * ellipticity).sum()) / weight.sum()
    effective = weight.sum() ** 2 / (weight**2).sum()
    blunt, sharp = float(np.log(least.max() + 1)), float(-np.log(least.min()))
    return [blunt, sharp, float(mean * np.sqrt(effective)), float(np.log(least.max() / least.min()))]


def _pairs(found: _Sources) -> list[float]:
    """Height of the fainter one of the brightest close pair, and the same as a share of the brightest of all."""
    away = np.hypot(found.row[:, None] - found.row, found.col[:, None] - found.col)
    close = np.triu((away >= NEAR) & (away <= FAR), 1)
    if not close.any():
        return [0.0, 0.0]
    fainter = np.minimum(found.height[:, None], found.height)[close].max()
    return [float(np.log(fainter)), float(np.log(fainter) * fainter / found.height[0])]


def _polar(clean: Array, scored: Mask, row: int, col: int) -> tuple[Array, Array]:
    """Light and cover (radii, turns) around a place."""
    turn = 2 * np.pi * np.arange(TURNS) / TURNS
    rows, cols = row + RADII[:, None] * np.sin(turn), col + RADII[:, None] * np.cos(turn)
    light = ndimage.map_coordinates(clean, [rows, cols], order=1, mode="constant", cval=0.0)
    cover = ndimage.map_coordinates(scored.astype(np.float64), [rows, cols], order=1, mode="constant", cval=0.0)
    return light, cover


def _arcs(clean: Array, scored: Mask, found: _Sources) -> list[float]:
    """Strongest arc around one of the brightest sources: over the noise, and over the source's own light."""
    best, relative = 0.0, 0.0
    for row, col in zip(found.row[:CENTRES], found.col[:CENTRES], strict=True):
        light, cover = _polar(clean, scored, int(row), int(col))
        profile = np.median(light, axis=1, keepdims=True)
        rest = np.where(cover > 0.9, light - profile, 0.0)
        noise = 1.0 + 0.1 * np.maximum(profile, 0.0)
        strength = float(_arc_strength(rest / noise).max())
        if strength > best:
            best, relative = strength, strength / float(np.log(found.height[0] + 2.0))
    return [float(np.log1p(best)), relative]


def _arc_strength(rest: Array) -> Array:
    """Mean light on arcs of three radii, against the radii beside them; the weakest third of an arc counts."""
    thick = ndimage.uniform_filter1d(rest, 3, axis=0, mode="constant")
    beside = np.zeros_like(thick)
    beside[4:-4] = np.maximum(thick[:-8], thick[8:])
    line = (thick - np.maximum(beside, 0.0))[4:-4]
    strongest = np.zeros(line.shape)
    for length in ARCS:
        third = max(1, length // 3)
        part = ndimage.uniform_filter1d(line, third, axis=1, mode="wrap")
        thirds = np.stack([np.roll(part, third, 1), part, np.roll(part, -third, 1)])
        weakest = thirds.min(axis=0)
        # an arc is even; the wings of a bright neighbour are not
        weakest *= np.minimum(EVEN * weakest / np.maximum(thirds.max(axis=0), 1e-3), 1.0).clip(0.0) ** 4
        strongest = np.maximum(strongest, weakest * np.sqrt(length * RADII[4:-4, None] / 8))
    return strongest


def _lopsided(clean: Array, found: _Sources) -> float:
    """Largest share of light that is not there again half a turn around one of the brightest sources."""
    windows = _windows(clean, found.row[:CENTRES], found.col[:CENTRES])
    turned = windows[:, ::-1, ::-1]
    unlike = np.maximum(np.abs(windows - turned) - 1.5, 0.0).sum((1, 2))
    return float(np.log1p((unlike / np.sqrt(np.maximum(windows, 0.0).sum((1, 2)) + 100.0)).max()))
