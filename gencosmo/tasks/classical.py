"""Classical fillers behind one signature: `fill(values, mask) -> filled`, (H, W) float32, True = to be filled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["CLASSICAL", "Fill", "biharmonic", "interpolation", "median"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
Fill = Callable[[Float, Mask], Float]

KERNELS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Widths of the interpolation's kernel; the next one fills what the one before cannot reach."""
REACH = 0.01
"""Share of a kernel that must lie on known pixels."""


def biharmonic(values: Float, mask: Mask) -> Float:
    """The smoothest surface through the rim of each hole (Damelin & Hoang 2018), by scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    low, high = float(values[~mask].min()), float(values[~mask].max())
    scale = max(high - low, 1e-30)
    unit = (values.astype(np.float64) - low) / scale
    return np.asarray(inpaint_biharmonic(unit, mask, split_into_regions=True) * scale + low, dtype=np.float32)


def median(values: Float, mask: Mask) -> Float:
    """Medians of the known pixels in 5x5 boxes, from the rims inwards (as in van Dokkum & Pasha 2024)."""
    filled = np.pad(np.where(mask, np.nan, values).astype(np.float64), 2, constant_values=np.nan)
    missing = np.pad(mask, 2)
    rows, cols = np.mgrid[-2:3, -2:3].reshape(2, -1)
    while missing.any():
        rim = missing & ndimage.binary_dilation(~missing & ~np.isnan(filled), np.ones((3, 3)))
        if not rim.any():
            break
        at_rows, at_cols = np.nonzero(rim)
        boxes = filled[at_rows[:, None] + rows, at_cols[:, None] + cols]
        filled[rim] = np.nanmedian(boxes, axis=1)
        missing &= ~rim
    return np.asarray(filled[2:-2, 2:-2], dtype=np.float32)


def interpolation(values: Float, mask: Mask) -> Float:
    """Normalised convolution with a Gaussian of one pixel, wider where that finds nothing."""
    filled, open_ = np.where(mask, 0, values).astype(np.float64), mask.copy()
    known = (~mask).astype(np.float64)
    for width in KERNELS:
        if not open_.any():
            break
        share = ndimage.gaussian_filter(known, width)
        mean = ndimage.gaussian_filter(np.where(mask, 0, values).astype(np.float64), width) / np.maximum(share, 1e-12)
        ready = open_ & (share > REACH)
        filled[ready] = mean[ready]
        open_ &= ~ready
    filled[open_] = float(np.median(values[~mask]))
    return filled.astype(np.float32)


CLASSICAL: dict[str, Fill] = {"biharmonic": biharmonic, "median": median, "interpolation": interpolation}
"""Fillers by name."""
