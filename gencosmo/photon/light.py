"""Uneven illumination as a low-order surface, carried as the image's background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial.legendre import legval
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.image import Image, as_image

__all__ = ["estimate_illumination", "with_illumination"]

Double = NDArray[np.float64]
BLOCKS = 24
"""Blocks along the shorter side; each is represented by its median."""
TUKEY = 4.685
MAX_ORDER = 6


def _terms(rows: Double, cols: Double, order: int) -> Double:
    """Legendre products up to a total degree, (N, terms); rows and cols (N,) in -1 to 1."""
    unit = np.eye(order + 1)
    down, across = (np.stack([legval(x, unit[k]) for k in range(order + 1)]) for x in (rows, cols))
    pairs = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    return np.stack([down[i] * across[j] for i, j in pairs], axis=1)


def _block_medians(plane: Double, good: NDArray[np.bool_]) -> tuple[Double, Double, Double]:
    """Rows, columns (-1 to 1) and medians of blocks that are at least a quarter good."""
    height, width = plane.shape
    side = max(4, min(height, width) // BLOCKS)
    found = []
    for row in range(0, height, side):
        for col in range(0, width, side):
            cut = np.s_[row : row + side, col : col + side]
            seen = good[cut]
            if seen.mean() >= 0.25:
                middle = (row + (seen.shape[0] - 1) / 2, col + (seen.shape[1] - 1) / 2)
                found.append((*middle, float(np.median(plane[cut][seen]))))
    if not found:
        return np.empty(0), np.empty(0), np.empty(0)
    row_at, col_at, value = np.array(found).T
    return 2 * row_at / max(height - 1, 1) - 1, 2 * col_at / max(width - 1, 1) - 1, value


def _robust(design: Double, values: Double) -> Double:
    """Coefficients by least absolute deviations first, then Tukey's biweight (Beaton & Tukey 1974)."""
    weight = np.ones_like(values)
    found = np.zeros(design.shape[1])
    for turn in range(40):
        root = np.sqrt(weight)
        found[:] = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        rest = np.abs(values - design @ found)
        scale = max(1.4826 * float(np.median(rest)), 1e-12 * float(np.abs(values).max() + 1))
        weight = scale / np.maximum(rest, scale) if turn < 20 else np.maximum(1 - (rest / (TUKEY * scale)) ** 2, 0) ** 2
    return np.asarray(found)


def estimate_illumination(image: Any, mask: Any = None, *, order: int = 3) -> NDArray[np.float32]:
    """Fit the large-scale level of each channel: falloff to the rim, a tilted lamp, haze.

    Parameters
    ----------
    image : Image or what `as_image` takes
    mask : array-like, optional
        True = bad.
    order : int
        Total degree of the polynomial, 0 to 6.

    Returns
    -------
    ndarray of float32, (C, H, W)
        The level where there is no object: objects that fill less than half of most blocks do not pull it.

    Raises
    ------
    InputError
        `too_small` when there are fewer blocks than coefficients.
    UsageError
        `order` out of range.
    """
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"order is {order}, expected 0 to {MAX_ORDER}", code="usage")
    asked = as_image(image, mask)
    good = ~asked.mask
    _, height, width = asked.shape
    down, across = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    out = np.empty(asked.shape, np.float32)
    for channel in range(asked.shape[0]):
        rows, cols, values = _block_medians(asked.data[channel].astype(np.float64), good[channel])
        count = (order + 1) * (order + 2) // 2
        if values.size < 2 * count:
            raise InputError(
                f"{values.size} blocks of good pixels, a surface of order {order} needs {2 * count}",
                code="too_small",
                hint="ask for a lower order",
            )
        found = _robust(_terms(rows, cols, order), values)
        for row in range(height):
            out[channel, row] = _terms(np.full(width, down[row]), across, order) @ found
    return out


def with_illumination(image: Any, mask: Any = None, *, order: int = 3) -> Image:
    """Carry the large-scale level as the image's `background`, in addition to one that it has; pixels do not change.

    Parameters
    ----------
    image, mask, order
        As for :func:`estimate_illumination`.

    Returns
    -------
    Image

    Raises
    ------
    InputError, UsageError
        As :func:`estimate_illumination`.
    """
    asked = as_image(image, mask)
    had = np.float32(0) if asked.background is None else np.asarray(asked.background, np.float32)
    surface = estimate_illumination(asked.replace(data=asked.data - had), order=order)
    return asked.replace(background=(surface + had).astype(np.float32))
