"""Hole shapes for training: what is missing from real frames, and what has to be hidden to learn to predict.

Each shape is one function ``(rng, size) -> bool (size, size)``; :data:`SHAPES` gives its share of the draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rng = np.random.Generator


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, cols = np.mgrid[:size, :size]
    return rows.astype(float), cols.astype(float)


def _line(rng: Rng, size: int, length: float, width: float) -> Mask:
    """A straight track of given half length and half width through a random pixel."""
    rows, cols = _grid(size)
    row, col = rng.uniform(0, size, 2)
    angle = rng.uniform(0, np.pi)
    across = np.abs((cols - col) * np.sin(angle) - (rows - row) * np.cos(angle))
    along = np.abs((cols - col) * np.cos(angle) + (rows - row) * np.sin(angle))
    near: Mask = (across < width) & (along < length)
    return near


def single_pixels(rng: Rng, size: int) -> Mask:
    """Random pixels, 0.3 to 40 per cent."""
    return rng.random((size, size)) < 10 ** rng.uniform(-2.5, -0.4)


def cosmic_rays(rng: Rng, size: int) -> Mask:
    """Short tracks of one to three pixels' width."""
    mask = np.zeros((size, size), bool)
    for _ in range(rng.integers(2, 14)):
        mask |= _line(rng, size, rng.exponential(7) + 0.5, rng.uniform(0.5, 1.7))
    return mask


def columns(rng: Rng, size: int) -> Mask:
    """Dead rows or columns, one to five wide, some of them partial."""
    mask = np.zeros((size, size), bool)
    for _ in range(rng.integers(1, 4)):
        width, at = rng.integers(1, 6), rng.integers(0, size)
        start = rng.integers(0, size) if rng.random() < 0.3 else 0
        mask[start:, at : at + width] = True
    return mask.T if rng.random() < 0.4 else mask


def trails(rng: Rng, size: int) -> Mask:
    """A satellite trail: a long line."""
    return _line(rng, size, 10.0 * size, rng.uniform(0.7, 4.0))


def discs(rng: Rng, size: int) -> Mask:
    """Round holes of radius 1.5 to 10: masked stars, dust."""
    rows, cols = _grid(size)
    mask = np.zeros((size, size), bool)
    for _ in range(rng.integers(1, 6)):
        row, col = rng.uniform(0, size, 2)
        mask |= np.hypot(rows - row, cols - col) < rng.uniform(1.5, 10)
    return mask


def blocks(rng: Rng, size: int) -> Mask:
    """A random or checkered pattern of square blocks of 1 to 32 pixels."""
    side = int(rng.choice([1, 2, 4, 8, 16, 32]))
    cells = -(-size // side) + 1
    pattern = rng.random((cells, cells)) < rng.uniform(0.05, 0.5)
    if rng.random() < 0.3:
        pattern = np.add.outer(np.arange(cells), np.arange(cells)) % 2 == 0
    shift_r, shift_c = rng.integers(0, side, 2)
    return pattern.repeat(side, 0).repeat(side, 1)[shift_r : shift_r + size, shift_c : shift_c + size]


SHAPES: dict[Callable[[Rng, int], Mask], float] = {
    single_pixels: 0.17,
    cosmic_rays: 0.22,
    columns: 0.2,
    trails: 0.06,
    discs: 0.25,
    blocks: 0.1,
}
"""Shape and its share of the draws."""


def bright_cores(image: NDArray[np.float32], rng: Rng) -> Mask:
    """A value-dependent mask: saturated cores above a random high level, some with a bleed trail down the column."""
    level = max(8.0, float(np.quantile(image, rng.uniform(0.96, 0.999))))
    mask = image > level
    if rng.random() < 0.6 and mask.any():
        row, col = np.argwhere(mask)[rng.integers(mask.sum())]
        reach, width = rng.integers(4, image.shape[0]), rng.integers(1, 4)
        mask = mask.copy()
        mask[max(0, row - reach) : row + reach, col : col + width] = True
    return mask


def draw_holes(images: NDArray[np.float32], rng: Rng, value_share: float = 0.12) -> Mask:
    """Holes for a batch of tiles, (B, H, W) bool; `value_share` of them depend on the tile's own values."""
    shapes, share = list(SHAPES), np.array(list(SHAPES.values()))
    masks = []
    for image in images:
        mask = shapes[rng.choice(len(shapes), p=share / share.sum())](rng, image.shape[0])
        if rng.random() < value_share:
            mask = bright_cores(image, rng)
        if rng.random() < 0.15:
            mask = mask | shapes[rng.choice(len(shapes), p=share / share.sum())](rng, image.shape[0])
        masks.append(mask if mask.mean() < 0.9 else np.zeros_like(mask))
    return np.stack(masks)
