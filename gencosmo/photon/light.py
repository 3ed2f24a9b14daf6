"""Uneven illumination as a low-order surface, carried as the image's background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import legval
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.image import Image, as_image

__all__ = ["Illumination", "check_order", "estimate_illumination", "fit_illumination", "with_illumination"]

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


@dataclass(frozen=True, eq=False)
class Illumination:
    """A surface over a plane of `size` (H, W): coefficients of Legendre products up to a total degree `order`."""

    coefficients: Double
    order: int
    size: tuple[int, int]

    def at(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Return the surface at some rows and columns of the plane."""
        height, width = self.size
        down = 2 * np.arange(rows.start, rows.stop, dtype=np.float64) / max(height - 1, 1) - 1
        across = 2 * np.arange(cols.start, cols.stop, dtype=np.float64) / max(width - 1, 1) - 1
        out = np.empty((down.size, across.size), np.float32)
        for number, place in enumerate(down):
            out[number] = _terms(np.full(across.size, place), across, self.order) @ self.coefficients
        return out


def _block_medians(plane: Double, good: NDArray[np.bool_]) -> tuple[Double, Double, Double]:
    """Rows, columns (in pixels of `plane`) and medians of blocks that are at least a quarter good."""
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
    row_at, col_at, value = np.array(found).reshape(-1, 3).T
    return row_at, col_at, value


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


def check_order(order: int) -> None:
    """Raise `UsageError` when a surface of this order is not fitted."""
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"illumination: order is {order}, expected 0 to {MAX_ORDER}", code="usage")


def fit_illumination(
    plane: NDArray[np.floating],
    good: NDArray[np.bool_],
    *,
    order: int = 3,
    step: int = 1,
    size: tuple[int, int] | None = None,
) -> Illumination:
    """Fit the large-scale level of one plane.

    Parameters
    ----------
    plane : ndarray (h, w)
    good : bool ndarray (h, w)
    order : int
        Total degree, 0 to 6.
    step, size : int, (int, int)
        When `plane` holds every `step`-th row and column of a larger one: that one's size.

    Raises
    ------
    InputError
        `too_small` when there are fewer blocks than coefficients.
    UsageError
        `order` out of range.
    """
    check_order(order)
    height, width = size or plane.shape
    rows, cols, values = _block_medians(plane.astype(np.float64), good)
    count = (order + 1) * (order + 2) // 2
    if values.size < 2 * count:
        raise InputError(
            f"{values.size} blocks of good pixels, a surface of order {order} needs {2 * count}",
            code="too_small",
            hint="ask for a lower order",
        )
    down, across = 2 * step * rows / max(height - 1, 1) - 1, 2 * step * cols / max(width - 1, 1) - 1
    return Illumination(_robust(_terms(down, across, order), values), order, (height, width))


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
    check_order(order)
    asked = as_image(image, mask)
    good = ~asked.mask
    _, height, width = asked.shape
    everything = slice(0, height), slice(0, width)
    fitted = [fit_illumination(plane, seen, order=order) for plane, seen in zip(asked.data, good, strict=True)]
    return np.stack([one.at(*everything) for one in fitted])


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
