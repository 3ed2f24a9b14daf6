"""Which good pixels to hide from a filler: shapes as the image's own mask has them, or the usual kinds of defects.

One function per kind, `(rng, shape) -> bool (H, W)`, True = hide. None of them looks at pixel values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["PATTERNS", "Pattern", "hits", "moved"]

Mask = NDArray[np.bool_]
Pattern = Callable[[np.random.Generator, tuple[int, int]], Mask]


def cosmic(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """Tracks walked pixel by pixel, one or two wide, about 2 % of the pixels."""
    mask = np.zeros(shape, bool)
    while mask.mean() < 0.02:
        row, col, angle = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.gamma(2.0, 4.0)) + 1):
            r, c = int(row), int(col)
            mask[max(r, 0) : r + 1 + int(rng.random() < 0.5), max(c, 0) : c + 1] = True
            row, col = row + np.sin(angle), col + np.cos(angle)
            angle += rng.normal(0, 0.1)
    return mask


def columns(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """Dead columns of width 1 to 3, one for each 40 columns."""
    mask = np.zeros(shape, bool)
    for _ in range(max(1, shape[1] // 40)):
        at = int(rng.integers(0, shape[1]))
        mask[:, at : at + int(rng.integers(1, 4))] = True
    return mask


def bleed(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """Tapering vertical trails of 2 to 5 pixels' width, 20 to 60 long."""
    mask = np.zeros(shape, bool)
    for _ in range(max(2, shape[0] * shape[1] // 6000)):
        row, col = (int(rng.integers(0, side)) for side in shape)
        reach, width = int(rng.integers(10, 31)), int(rng.integers(2, 6))
        for step in range(-reach, reach + 1):
            half = max(1, round(width * (1 - abs(step) / (reach + 1))))
            if 0 <= row + step < shape[0]:
                mask[row + step, max(0, col - half // 2) : col + half - half // 2] = True
    return mask


def discs(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """Discs of radius 4 to 6."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for _ in range(max(2, shape[0] * shape[1] // 2500)):
        row, col = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        mask |= np.hypot(rows - row, cols - col) <= rng.uniform(4, 6)
    return mask


def random(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """One pixel in ten."""
    return np.asarray(rng.random(shape) < 0.1)


PATTERNS: dict[str, Pattern] = {
    "cosmic": cosmic,
    "columns": columns,
    "bleed": bleed,
    "discs": discs,
    "random": random,
}
"""The usual kinds of defects, by name."""


def moved(rng: np.random.Generator, mask: Mask) -> Mask:
    """The holes of a mask (H, W), each moved to a place of its own inside the frame.

    Connected pixels stay together. What spans the frame along an axis can only move across it.
    """
    label, _count = ndimage.label(mask, structure=np.ones((3, 3)))
    shifts = [(0, 0)]
    for box in ndimage.find_objects(label):
        room = [(-cut.start, side - cut.stop) for cut, side in zip(box, mask.shape, strict=True)]
        shifts.append((int(rng.integers(room[0][0], room[0][1] + 1)), int(rng.integers(room[1][0], room[1][1] + 1))))
    rows, cols = np.nonzero(label)
    by = np.array(shifts)[label[rows, cols]]
    out = np.zeros(mask.shape, bool)
    out[rows + by[:, 0], cols + by[:, 1]] = True
    return out


def hits(rng: np.random.Generator, shape: tuple[int, int], places: NDArray[np.int64], length: int = 5) -> Mask:
    """Short tracks through given places (n, 2): what a cosmic ray does to a star."""
    mask = np.zeros(shape, bool)
    for place in places:
        row, col = place + rng.uniform(-1.5, 1.5, 2)
        angle = rng.uniform(0, np.pi)
        steps = np.arange(length) - length / 2
        rows, cols = np.rint(row + steps * np.sin(angle)).astype(int), np.rint(col + steps * np.cos(angle)).astype(int)
        inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
        mask[rows[inside], cols[inside]] = True
    return mask
