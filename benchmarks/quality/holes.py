"""Hole patterns for the comparison, drawn apart from the training's: one function per kind, `(rng, shape) -> bool`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Pattern = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def cosmic(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
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


def columns(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Dead columns of width 1 to 3, one for each 40 columns."""
    mask = np.zeros(shape, bool)
    for _ in range(max(1, shape[1] // 40)):
        at = int(rng.integers(0, shape[1]))
        mask[:, at : at + int(rng.integers(1, 4))] = True
    return mask


def bleed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
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


def discs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Discs of radius 4 to 6."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for _ in range(max(2, shape[0] * shape[1] // 2500)):
        row, col = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        mask |= np.hypot(rows - row, cols - col) <= rng.uniform(4, 6)
    return mask


def random(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One pixel in ten."""
    return rng.random(shape) < 0.1


PATTERNS: dict[str, Pattern] = {
    "cosmic": cosmic,
    "columns": columns,
    "bleed": bleed,
    "discs": discs,
    "random": random,
}
