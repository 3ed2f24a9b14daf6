"""Masks that are too small: what lies around a hole stands far above what was filled in."""

from __future__ import annotations

import numpy as np

from gencosmo.image import Image
from gencosmo.result import Result
from gencosmo.scaling import difference_noise

__all__ = ["bright_rims"]

_LIMIT = 5.0


def bright_rims(image: Image, result: Result) -> int:
    """Return the number of holes whose rim stands more than five sigma above the filled values beside it.

    The rim of a hole is its observed neighbours; the excess is the median over the rim of the difference to the
    nearest filled pixel, in units of the spread of both. Wings of saturated stars and halos of hits do this.
    """
    from scipy.ndimage import distance_transform_edt, label, median

    total = 0
    for channel in range(image.shape[0]):
        mask = image.mask[channel]
        if not mask.any() or mask.all():
            continue
        away, place = distance_transform_edt(~mask, return_indices=True)
        rim = ~mask & (away < 1.5)
        rows, cols = place[0][rim], place[1][rim]
        marks, number = label(mask, structure=np.ones((3, 3)))
        mean = result.mean.reshape(image.shape)[channel][rows, cols]
        std = result.std.reshape(image.shape)[channel][rows, cols]
        data = image.data[channel]
        floor = difference_noise(data, ~mask)
        variance = np.full(mean.shape, floor**2)
        if image.ivar is not None:
            known = image.ivar[channel][rim]
            variance = np.divide(1.0, known, out=variance, where=known > 0)
        excess = (data[rim] - mean) / np.sqrt(np.maximum(std**2 + variance, 1e-30))
        total += int((np.asarray(median(excess, marks[rows, cols], np.arange(1, number + 1))) > _LIMIT).sum())
    return total
