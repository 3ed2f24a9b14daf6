"""Probabilities that hold by counting: how often something normal scores as high as this.

With n normal scores, ``p = (1 + #{normal >= s}) / (n + 1)`` is at most uniform when s is as exchangeable with them as
they are with each other (Vovk et al. 2005). It cannot be smaller than ``1 / (n + 1)``. Below that a
generalised-Pareto tail (Pickands 1975) is fitted to the highest normal scores, and whoever reads such a value is told
that it is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError

__all__ = ["Calibrated", "Tail", "benjamini_hochberg", "conformal_p", "fit_tail"]

Array = NDArray[np.float64]
TAIL_SHARE, TAIL_LEAST = 0.15, 8
"""The tail is fitted to this share of the normal scores, and to no fewer than this number."""


def conformal_p(normal: Array, score: Array) -> Array:
    """``(1 + #{normal >= score}) / (n + 1)``, elementwise; NaN scores have p NaN.

    Parameters
    ----------
    normal : ndarray (n,)
        Scores of normals, higher = more abnormal.
    score : ndarray
    """
    ordered = np.sort(np.asarray(normal, np.float64))
    score = np.asarray(score, np.float64)
    above = ordered.size - np.searchsorted(ordered, score, side="left")
    return np.where(np.isnan(score), np.nan, (1.0 + above) / (ordered.size + 1.0))


@dataclass(frozen=True)
class Tail:
    """Generalised-Pareto tail: beyond `start`, where a share `share` of the normals lies, ``P(S > s) =
    share (1 + shape (s - start) / scale)^(-1/shape)``.
    """

    start: float
    scale: float
    shape: float
    share: float

    def log_p(self, score: Array) -> Array:
        """Natural log of the probability of exceeding `score`; meant for scores beyond `start`."""
        far = np.maximum(np.asarray(score, np.float64) - self.start, 0.0) / self.scale
        bent = far if self.shape < 1e-9 else np.log1p(self.shape * far) / self.shape
        found: Array = np.log(self.share) - bent
        return found


def fit_tail(normal: Array, least_shape: float = 0.0) -> Tail | None:
    """Tail by probability-weighted moments (Hosking & Wallis 1987, eq. 4); None with too few or equal scores.

    The shape is kept between `least_shape` and 1: a finite end of the scores would give p = 0 from a handful of
    normals.
    """
    ordered = np.sort(np.asarray(normal, np.float64))
    count = max(TAIL_LEAST, round(TAIL_SHARE * ordered.size))
    if ordered.size < 2 * TAIL_LEAST:
        return None
    start = float(ordered[-count - 1])
    excess = ordered[-count:] - start
    mean = float(excess.mean())
    weights = 1.0 - (np.arange(1, count + 1) - 0.35) / count
    first = float((weights * excess).mean())
    if not (mean > 0 and mean - 2 * first > 0):
        return None
    shape = 2.0 - mean / (mean - 2 * first)
    shape = float(np.clip(shape, least_shape, 0.95))
    # with the shape clipped, the scale that keeps the mean excess
    return Tail(start, mean * (1.0 - shape), shape, count / ordered.size)


class Calibrated:
    """Normal scores and what they say of others.

    Parameters
    ----------
    normal : ndarray (n,)
        Finite scores of normals, higher = more abnormal; at least 2.
    least_shape : float
        Of the tail, from 0 (exponential) to below 1: the more, the slower p falls beyond the normals.
    """

    def __init__(self, normal: Array, least_shape: float = 0.0) -> None:
        self.normal = np.sort(np.asarray(normal, np.float64))
        if self.normal.size < 2 or not np.isfinite(self.normal).all():
            raise UsageError(
                f"calibration needs at least 2 finite scores of normals, got {self.normal.size}",
                code="too_few_normals",
                hint="give more normal images to fit()",
            )
        self.tail = fit_tail(self.normal, least_shape)

    @property
    def smallest(self) -> float:
        """The smallest p that counting can give."""
        return 1.0 / (self.normal.size + 1)

    def p_value(self, score: Array) -> tuple[Array, NDArray[np.bool_]]:
        """p-values and whether each is extrapolated, that is below :attr:`smallest`.

        Without a tail (too few normals) nothing is extrapolated.
        """
        score = np.asarray(score, np.float64)
        p = conformal_p(self.normal, score)
        if self.tail is None:
            return p, np.zeros(score.shape, np.bool_)
        beyond = score > self.normal[-1]
        far = np.exp(self.tail.log_p(score))
        extrapolated = beyond & (far < self.smallest)
        return np.where(extrapolated, far, p), extrapolated

    def surprise(self, score: Array) -> Array:
        """``-log p``, continuous and increasing without end: interpolated counts in the body, the tail beyond."""
        score = np.asarray(score, np.float64)
        n = self.normal.size
        levels = -np.log((n - np.arange(n)) / (n + 1.0))
        body = np.interp(score, self.normal, levels)
        if self.tail is None:
            spread = max(float(self.normal[-1] - self.normal[0]), 1e-12)
            rising: Array = body + np.maximum(score - self.normal[-1], 0.0) / spread
            return rising
        joint = -self.tail.log_p(self.normal[-1:])[0]
        return np.where(score > self.normal[-1], levels[-1] - joint - self.tail.log_p(score), body)


def benjamini_hochberg(p: Array, rate: float) -> NDArray[np.bool_]:
    """Which of the p-values to believe so that at most `rate` of them are false on average (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p : ndarray (n,)
        NaN is never believed, and counts as a test that was made.
    rate : float
        False discovery rate, above 0 and below 1.
    """
    if not 0 < rate < 1:
        raise UsageError(f"false discovery rate is {rate}, expected a number between 0 and 1")
    p = np.asarray(p, np.float64)
    order = np.argsort(np.where(np.isnan(p), 2.0, p), kind="stable")
    ranked = p[order]
    passed = np.flatnonzero(ranked <= rate * np.arange(1, p.size + 1) / max(1, p.size))
    believed = np.zeros(p.size, np.bool_)
    if passed.size:
        believed[order[: passed[-1] + 1]] = True
    return believed
