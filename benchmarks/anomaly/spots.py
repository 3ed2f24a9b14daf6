"""Tiles that hold a defect of their own: a null that is none.

A tile that was drawn as normal and holds a hot pixel is an anomaly that nobody injected. A method that sees it is
right, and yet its threshold rises. So everything is told twice: with all null tiles, and with those without such a
pixel. The rule knows none of the methods, and light that came through optics cannot fall under it: of a source as
narrow as two pixels (FWHM) the neighbours have half of its height.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["has_lone_pixel"]

HIGH = 8.0
"""Height over the median of 5 x 5 pixels, in noises."""
SHARE = 0.25
"""Its neighbours have less than this share of it."""
AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def has_lone_pixel(tile: np.ndarray) -> bool:
    """Whether one pixel of a tile (h, w), in noises, is bright and its eight neighbours are not."""
    over = tile - ndimage.median_filter(tile, 5)
    near = ndimage.maximum_filter(over, footprint=AROUND, mode="constant", cval=-np.inf)  # no mirror shows it twice
    return bool(((over > HIGH) & (near < SHARE * over)).any())
