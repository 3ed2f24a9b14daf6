"""The views of a tile as one number.

Every view says how surprised it is, in nats: log-odds against the normals where it was taught (`likeness`), else minus
the log of the share of normals that score as high. Each is measured from its own limit, that which the strangest
normals in a hundred reach: a view in which many normals are odd must be very sure. The highest wins. So what a tile is
odd in counts in full, and how far beyond the normals it lies is not lost, as it is where p-values are counted first.

Small sets, where nothing can be counted, are combined as a weighted harmonic mean of p-values (Wilson 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.conformal import Calibrated

__all__ = ["LIKE", "combine_margins", "combine_surprises", "least_shape", "margins", "weights_of"]

Array = NDArray[np.float64]
LIKE = "like "
"""How the views of known kinds are called: `like arc`."""
WARY = 0.9
"""Least shape of the tail of densities: beyond the normals they tell little, and must not outbid the other views."""
COUNTED = ("peaks", "places")
"""Views whose tails are believed: their score is one height, or the mean of some, and no density."""
UNTAUGHT = 0.6
"""Weight of the nats of views that were not taught what to look for."""
STRANGEST, LEAST_STRANGEST = 0.01, 3
"""The limit of a view is the mean of this share of the normals, the highest, and of no fewer than this number."""
SHARPNESS = 2.0
"""Of the soft maximum of the margins: views that agree add up to half a nat or so."""
PEAKS_SHARE, LIKE_SHARE, BROAD_SHARE = 0.45, 0.45, 0.1
"""In small sets: shares of the peaks, of all filters together, and of all densities together."""


def least_shape(name: str) -> float:
    """Least shape of the tail beyond the normals: densities of many features are surprised too easily."""
    return 0.0 if name in COUNTED or name.startswith(LIKE) else WARY


def margins(name: str, scores: Array, normal: Array, *, taught: bool) -> Array:
    """By how many nats a view is more surprised than by the strangest normals (n,).

    Parameters
    ----------
    name : str
        Of the view.
    scores : ndarray (n,)
        Higher = more abnormal.
    normal : ndarray (m,)
        Scores of the normals, each by a fit that has not seen it.
    taught : bool
        Scores are log-odds already.
    """
    if taught:
        return np.asarray(scores - _limit(normal))
    law = Calibrated(normal, least_shape(name))
    return np.asarray(UNTAUGHT * (law.surprise(scores) - _limit(law.surprise(normal))))


def _limit(normal: Array) -> float:
    """Mean of the highest scores of normals."""
    count = min(max(LEAST_STRANGEST, round(STRANGEST * normal.size)), normal.size)
    return float(np.sort(normal)[-count:].mean())


def combine_margins(found: Array) -> Array:
    """Soft maximum (n,) of margins (views, n)."""
    top = found.max(axis=0)
    total: Array = top + np.log(np.exp(SHARPNESS * (found - top)).sum(axis=0)) / SHARPNESS
    return total


def combine_surprises(surprises: Array, weights: Array | None = None) -> Array:
    """Minus log of the weighted harmonic mean of p-values, from surprises (views, n); equal weights when left out."""
    shares = np.full(len(surprises), 1.0 / len(surprises)) if weights is None else weights / weights.sum()
    top = surprises.max(axis=0)
    total: Array = top + np.log((shares[:, None] * np.exp(surprises - top)).sum(axis=0))
    return total


def weights_of(names: Sequence[str]) -> Array:
    """Shares of views in a small set: a view that is often wrongly surprised must not drown one that is not."""
    like = [name.startswith(LIKE) for name in names]
    broad = [name != "peaks" and not is_like for name, is_like in zip(names, like, strict=True)]
    shares = [
        LIKE_SHARE / sum(like) if is_like else BROAD_SHARE / sum(broad) if is_broad else PEAKS_SHARE
        for is_like, is_broad in zip(like, broad, strict=True)
    ]
    return np.array(shares) / sum(shares)
