"""Masks that are too small: what lies around a hole stands far above what was filled in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gencosmo.image import Image
from gencosmo.result import Result
from gencosmo.scaling import difference_noise, sample_rows

__all__ = ["bright_rims"]

_LIMIT = 5.0
_AROUND = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Neighbours by distance: of several filled ones beside a pixel of the rim the first counts."""


def bright_rims(image: Image, result: Result) -> int:
    """Return the number of holes whose rim stands more than five sigma above the filled values beside it.

    The rim of a hole is its observed neighbours; the excess is the median over the rim of the difference to the
    nearest filled pixel, in units of the spread of both. Wings of saturated stars and halos of hits do this. Of a
    section only the holes in `meta["core"]` are looked at: nothing was filled outside it.
    """
    from scipy.ndimage import label, median

    total = 0
    for channel in range(image.shape[0]):
        mask = image.mask[channel]
        hole = np.zeros_like(mask)
        core = image.meta.get("core", (slice(None),) * 3)[1:]
        hole[core] = mask[core]
        rim, beside = _rim(hole, mask)
        if rim.size == 0:
            continue
        marks, number = label(hole, structure=np.ones((3, 3)))
        mean = result.mean.reshape(image.shape)[channel].flat[beside]
        std = result.std.reshape(image.shape)[channel].flat[beside]
        variance = np.full(mean.shape, _floor(image, channel, mask) ** 2)
        if image.ivar is not None:
            known = image.ivar[channel].flat[rim]
            variance = np.divide(1.0, known, out=variance, where=known > 0)
        excess = (image.data[channel].flat[rim] - mean) / np.sqrt(np.maximum(std**2 + variance, 1e-30))
        total += int((np.asarray(median(excess, marks.flat[beside], np.arange(1, number + 1))) > _LIMIT).sum())
    return total


def _rim(hole: NDArray[np.bool_], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Observed pixels beside a hole, and for each the nearest pixel of the hole; row-major indices."""
    height, width = mask.shape
    rows, cols = np.nonzero(hole)
    rims, filled = [], []
    for down, right in _AROUND:
        row, col = rows + down, cols + right
        seen = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        seen[seen] = ~mask[row[seen], col[seen]]
        rims.append(row[seen] * width + col[seen])
        filled.append(rows[seen] * width + cols[seen])
    rim, first = np.unique(np.concatenate(rims), return_index=True)
    return rim, np.concatenate(filled)[first]


def _floor(image: Image, channel: int, mask: NDArray[np.bool_]) -> float:
    """Noise of an observed pixel: that of the plane when it is known, else measured on some rows."""
    told = image.meta.get("scaling")
    if told is not None:
        return float(told[channel][1])
    rows = sample_rows(*mask.shape)
    some = slice(None) if rows is None else rows
    return difference_noise(image.data[channel][some], ~mask[some])
