"""How wide deviations really are, given how wide they were predicted: the calibration of z.

A prediction of a star's core is off by more of its own standard deviations than one of blank sky. So deviations are
judged among those with a like variance: in bins of the predicted variance, a Student-t through the 68 and 99 % points
turns each into the Gaussian deviation of the same probability. The bins come from normals, or from the image itself
where it is large enough (quantiles do not mind a few anomalies), or else there is one bin with the card's quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

__all__ = ["LEAST_PIXELS", "Widths", "deviation_of", "fit_widths", "gaussianised", "student_shape", "widths_of_card"]

Array = NDArray[np.float64]
Float = NDArray[np.float32]
EDGES = (-0.5, 0.5, 1.5, 2.5, 3.5, 5.0, 6.5, 8.0, 10.0)
"""Between bins of the natural log of the predicted variance, in squared flux."""
LEAST_PIXELS = 20_000
"""An image with as many scored pixels calibrates itself."""
LEAST_BIN = 300
"""Bins with fewer pixels take the shape of the next bin towards the middle."""
HEAVIEST = 1.0
"""Fewest degrees of freedom."""


@dataclass(frozen=True, eq=False)
class Widths:
    """A Student-t for every scale and bin of the predicted variance.

    Attributes
    ----------
    edges : ndarray (b - 1,)
    freedom, scale : ndarray (S, b)
        Degrees of freedom (inf: Gaussian) and scale in predicted standard deviations.
    """

    edges: Array
    freedom: Array
    scale: Array

    def __call__(self, z: Float, var: Float) -> Float:
        """Gaussian deviations (S, ...) of deviations with predicted variances (S, ...)."""
        out = np.empty_like(z, dtype=np.float32)
        for k in range(len(z)):
            with np.errstate(divide="ignore"):
                bins = np.searchsorted(self.edges, np.log(var[k]))
            for b in range(self.scale.shape[1]):
                here = bins == b
                out[k][here] = gaussianised(z[k][here], self.freedom[k, b], self.scale[k, b])
        return out


def deviation_of(log_tail: Array) -> Array:
    """Gaussian deviation with this log probability above it; not below 0."""
    found: Array = np.maximum(-special.ndtri_exp(np.asarray(log_tail, np.float64)), 0.0)
    return found


def gaussianised(z: Float, freedom: float, scale: float) -> Float:
    """Deviations that follow a Student-t of this scale, as Gaussian deviations of the same probability."""
    if np.isinf(freedom):
        return (z / np.float32(scale)).astype(np.float32)
    grid = np.concatenate([np.linspace(0, 12, 300), np.geomspace(12.1, 1e7, 300)])
    equal = deviation_of(stats.t.logsf(grid, freedom))
    return (np.sign(z) * np.interp(np.abs(z) / scale, grid, equal)).astype(np.float32)


def student_shape(inner: float, outer: float, share: float) -> tuple[float, float]:
    """Degrees of freedom and scale of the Student-t whose central 68 % end at `inner` and central `share` at `outer`.

    Infinite degrees of freedom when the two are as far apart as a Gaussian's, or closer.
    """
    low_q, high_q = 0.84, 0.5 + share / 2
    gauss = float(stats.norm.ppf(high_q) / stats.norm.ppf(low_q))
    ratio = outer / max(inner, 1e-12)
    if not ratio > 1.01 * gauss:
        return float("inf"), max(inner / float(stats.norm.ppf(low_q)), 1e-6)
    low, high = HEAVIEST, 100.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        wide = special.stdtrit(middle, high_q) / special.stdtrit(middle, low_q)
        low, high = (middle, high) if wide > ratio else (low, middle)
    return float(low), float(inner / special.stdtrit(low, low_q))


def widths_of_card(q68: float, q95: float, scales: int) -> Widths:
    """One bin with the quantiles of a card (half-widths of central intervals in standard deviations)."""
    freedom, scale = student_shape(q68, q95, 0.95)
    return Widths(np.zeros(0), np.full((scales, 1), freedom), np.full((scales, 1), scale))


def fit_widths(z: Float, var: Float) -> Widths:
    """Measure the widths on deviations (S, n) with predicted variances (S, n)."""
    edges = np.array(EDGES)
    freedom, scale = np.full((len(z), len(edges) + 1), np.nan), np.full((len(z), len(edges) + 1), np.nan)
    for k in range(len(z)):
        with np.errstate(divide="ignore"):
            bins = np.searchsorted(edges, np.log(var[k]))
        for b in range(len(edges) + 1):
            size = np.abs(z[k][bins == b])
            if size.size >= LEAST_BIN:
                inner, outer = np.percentile(size, (68, 99))
                freedom[k, b], scale[k, b] = student_shape(float(inner), float(outer), 0.99)
        freedom[k], scale[k] = _filled(freedom[k], freedom[k]), _filled(scale[k], freedom[k])
    return Widths(edges, freedom, scale)


def _filled(values: Array, known_by: Array) -> Array:
    """Empty bins take the value of the nearest bin that has one; all empty: a Gaussian's."""
    known = np.flatnonzero(~np.isnan(known_by))
    if known.size == 0:
        return np.where(np.isnan(values), np.inf if values is known_by else 1.0, values)
    nearest = known[np.abs(np.arange(values.size)[:, None] - known).argmin(axis=1)]
    filled: Array = values[nearest]
    return filled
