"""What is put into real tiles: eight things that do not belong there, in units of the tile's noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Rng = np.random.Generator
Array = np.ndarray


def _grid(tile: Array) -> tuple[Array, Array]:
    rows, cols = np.indices(tile.shape)
    return rows.astype(float), cols.astype(float)


def _brightest(tile: Array, margin: int = 12) -> tuple[int, int]:
    smooth = ndimage.gaussian_filter(np.clip(tile, -10, 1e4), 1.5)
    inner = smooth[margin:-margin, margin:-margin]
    row, col = np.unravel_index(int(inner.argmax()), inner.shape)
    return int(row) + margin, int(col) + margin


def trail(rng: Rng, tile: Array) -> Array:
    """Satellite trail: straight, 1.4 pixels wide (sigma), 1 to 4 noises high."""
    rows, cols = _grid(tile)
    side = tile.shape[0]
    angle = rng.uniform(0, np.pi)
    row, col = rng.uniform(0.3, 0.7, 2) * side
    distance = (rows - row) * np.cos(angle) - (cols - col) * np.sin(angle)
    return tile + rng.uniform(1, 4) * np.exp(-(distance**2) / (2 * 1.4**2))


def ghost(rng: Rng, tile: Array) -> Array:
    """Out-of-focus reflection: a disc of 9 to 16 pixels radius with a hole, 0.7 to 2 noises high."""
    rows, cols = _grid(tile)
    row, col = rng.uniform(0.35, 0.65, 2) * tile.shape[0]
    radius = rng.uniform(9, 16)
    r = np.hypot(rows - row, cols - col)
    disc = 1 / (1 + np.exp((r - radius) / 0.8)) - 1 / (1 + np.exp((r - 0.35 * radius) / 0.8))
    return tile + rng.uniform(0.7, 2) * disc


def hot(rng: Rng, tile: Array) -> Array:
    """One to three hot pixels of 6 to 25 noises."""
    out = tile.copy()
    for _ in range(rng.integers(1, 4)):
        row, col = rng.integers(4, tile.shape[0] - 4, 2)
        out[row, col] += rng.uniform(6, 25)
    return out


def cosmic_ray(rng: Rng, tile: Array) -> Array:
    """A sharp track of 3 to 12 pixels, 6 to 25 noises high."""
    out = tile.copy()
    angle, length = rng.uniform(0, np.pi), rng.uniform(3, 12)
    row, col = rng.uniform(12, tile.shape[0] - 12, 2)
    steps = np.arange(0, length, 0.5)
    cells = {(round(row + t * np.sin(angle)), round(col + t * np.cos(angle))) for t in steps}
    height = rng.uniform(6, 25)
    for place in cells:
        out[place] += height * rng.uniform(0.5, 1.5)
    return out


def arc(rng: Rng, tile: Array) -> Array:
    """Lens arc around the brightest source: radius 6 to 11 pixels, 60 to 140 degrees, 2 to 5 noises high."""
    rows, cols = _grid(tile)
    row, col = _brightest(tile)
    radius, centre, half = rng.uniform(6, 11), rng.uniform(-np.pi, np.pi), rng.uniform(0.5, 1.2)
    r, theta = np.hypot(rows - row, cols - col), np.arctan2(rows - row, cols - col) - centre
    theta = (theta + np.pi) % (2 * np.pi) - np.pi
    shape = np.exp(-((r - radius) ** 2) / (2 * 1.3**2)) * np.exp(-((theta / half) ** 4))
    return tile + rng.uniform(2, 5) * shape


def double(rng: Rng, tile: Array) -> Array:
    """The brightest source once more, 5 to 9 pixels away, at 0.5 to 1 of its flux."""
    row, col = _brightest(tile)
    patch = ndimage.gaussian_filter(np.clip(tile, 0, 1e4), 0.5)[row - 6 : row + 7, col - 6 : col + 7]
    taper = np.hanning(15)[1:-1]
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(5, 9)
    top, left = round(row + away * np.sin(angle)) - 6, round(col + away * np.cos(angle)) - 6
    top, left = (int(np.clip(v, 0, tile.shape[0] - 13)) for v in (top, left))
    out = tile.copy()
    out[top : top + 13, left : left + 13] += rng.uniform(0.5, 1) * patch * np.outer(taper, taper)
    return out


def psf(rng: Rng, tile: Array) -> Array:
    """Trailed stars: the tile smeared by 1.5 to 3 pixels along one direction, and its noise put back."""
    length, angle = rng.uniform(1.5, 3), rng.uniform(0, np.pi)
    steps = np.linspace(-length, length, 9)
    moved = [ndimage.shift(tile, (t * np.sin(angle), t * np.cos(angle)), order=1, mode="nearest") for t in steps]
    smeared = np.mean(moved, axis=0)
    left = np.std(np.mean([np.roll(rng.standard_normal(tile.shape), round(t), 0) for t in steps], axis=0))
    return smeared + np.sqrt(max(0.0, 1 - left**2)) * rng.standard_normal(tile.shape)


def stars(rng: Rng, tile: Array) -> Array:
    """Trailed stars, the harder way: what stands out of the noise is smeared as in `psf`, and the noise left alone."""
    length, angle = rng.uniform(1.5, 3), rng.uniform(0, np.pi)
    found = ndimage.binary_dilation(ndimage.gaussian_filter(tile, 1.0) > 1.5, iterations=2)
    light = tile * ndimage.gaussian_filter(found.astype(float), 1.0)
    steps = np.linspace(-length, length, 9)
    moved = [ndimage.shift(light, (t * np.sin(angle), t * np.cos(angle)), order=1, mode="nearest") for t in steps]
    return tile - light + np.mean(moved, axis=0)


KINDS: dict[str, Callable[[Rng, Array], Array]] = {
    "trail": trail,
    "ghost": ghost,
    "hot pixels": hot,
    "cosmic ray": cosmic_ray,
    "lens arc": arc,
    "double": double,
    "trailed PSF": psf,
    "trailed stars": stars,
}
"""Injections by name."""
