"""Density of feature vectors of normals: what depends on nuisances is taken out, then a Gaussian mixture.

Nuisances move features and widen them: a tile with a bright star has larger deviations, and they scatter more, than
blank sky. Both are regressed out, else the brightest normals would set the limit for all.

scikit-learn fits; what is kept are plain arrays, so that a fitted density is stored without pickle and evaluated
without scikit-learn.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError

__all__ = ["Density", "fit_density", "fit_filter", "scikit"]

Array = NDArray[np.float64]
RIDGE = 1e-2
"""Penalty of the regression on nuisances, per normal."""
SPREAD_RIDGE = (0.05, 10.0)
"""Penalty of the regression of the scatter on nuisances: per normal, and at least."""
WIDEST = 2.0
"""Nuisances change the natural log of the scatter by at most this much."""
DENSITY, HIGHEST, FILTER = 0.0, 1.0, 2.0
"""How a fitted density scores: minus its log, the highest feature, or the features along one direction."""
MIXTURE_LEAST = 40
"""A second component needs this many normals for each dimension and component."""


def scikit(name: str) -> Any:
    """A module of scikit-learn.

    Raises
    ------
    UsageError
        When it is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{name}")
    except ImportError:
        text = "fitting a detector needs the package scikit-learn"
        raise UsageError(text, code="extra", hint="pip install 'gencosmo[anomaly]'") from None


@dataclass(frozen=True, eq=False)
class Density:
    """A fitted density; every field is an array.

    Attributes
    ----------
    nuisance_centre, nuisance_scale : (q,)
    slopes : (q + 1, d)
        Regression of features on standardised nuisances, constant first.
    spreads : (q + 1, d)
        Regression of the natural log of the scatter on the same.
    scale : (d,)
        Spread of what is left; of peaks, which are skewed, the distance from the median to the 95 % point.
    axes : (m, d)
        Principal axes that the mixture sees.
    axis_scale : (m,)
    rest : (2,)
        Mean and spread of the log of what the axes leave over; spread 0 when they leave nothing.
    weights, means, roots : (k,), (k, m), (k, m, m)
        Mixture: shares, centres, Cholesky factors of the precisions.
    mode : (1,)
        `DENSITY`: the score is minus the log density; `HIGHEST`: the highest standardised feature; `FILTER`: the
        features, stretched by arsinh, along the first axis.
    """

    nuisance_centre: Array
    nuisance_scale: Array
    slopes: Array
    spreads: Array
    scale: Array
    axes: Array
    axis_scale: Array
    rest: Array
    weights: Array
    means: Array
    roots: Array
    mode: Array

    def residuals(self, features: Array, nuisances: Array) -> Array:
        """Features (n, d) with the nuisances (n, q) taken out, standardised."""
        design = _design((nuisances - self.nuisance_centre) / self.nuisance_scale)
        left: Array = (features - design @ self.slopes) / (self.scale * _widening(design, self.spreads))
        return left

    def score(self, features: Array, nuisances: Array) -> Array:
        """How abnormal (n,): minus the log density, or the highest standardised feature; higher = more."""
        left = self.residuals(features, nuisances)
        if self.mode[0] == HIGHEST:
            highest: Array = left.max(axis=1)
            return highest
        if self.mode[0] == FILTER:
            along: Array = np.arcsinh(left) @ self.axes[0]
            return along
        left = np.sign(left) * np.minimum(np.abs(left), 1e6)
        coordinates = left @ self.axes.T
        total = -_log_mixture(coordinates / self.axis_scale, self.weights, self.means, self.roots)
        if self.rest[1] > 0:
            over = _left_over(left, coordinates, self.axes)
            total = total + 0.5 * np.maximum((over - self.rest[0]) / self.rest[1], 0.0) ** 2
        return total

    def arrays(self) -> dict[str, Array]:
        """All fields by name."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.__dataclass_fields__}


def _design(nuisances: Array) -> Array:
    return np.column_stack([np.ones(len(nuisances)), np.clip(nuisances, -4.0, 4.0)])


def _widening(design: Array, spreads: Array) -> Array:
    """By how much nuisances widen the scatter (n, d)."""
    wider: Array = np.exp(np.clip(design @ spreads, -WIDEST, WIDEST))
    return wider


def _spreads(design: Array, left: Array) -> Array:
    """How the log of the scatter of what is left depends on nuisances (q + 1, d); 0 where it does not."""
    n, q = design.shape[0], design.shape[1] - 1
    size = np.clip(np.log(np.abs(left) / _spread(left) + 0.05), -2.5, 3.0)
    per_normal, least = SPREAD_RIDGE
    penalty = np.diag([0.0, *([per_normal * n + least] * q)])
    found: Array = np.linalg.solve(design.T @ design + penalty, design.T @ (size - size.mean(axis=0)))
    return found


def _left_over(left: Array, coordinates: Array, axes: Array) -> Array:
    over: Array = np.log(np.mean((left - coordinates @ axes) ** 2, axis=1) + 1e-6)
    return over


def _log_mixture(x: Array, weights: Array, means: Array, roots: Array) -> Array:
    parts = []
    for weight, mean, root in zip(weights, means, roots, strict=True):
        white = (x - mean) @ root
        log_det = np.log(np.diagonal(root)).sum()
        parts.append(np.log(weight) + log_det - 0.5 * (white**2).sum(axis=1))
    stacked = np.stack(parts)
    top = stacked.max(axis=0)
    total: Array = top + np.log(np.exp(stacked - top).sum(axis=0)) - 0.5 * x.shape[1] * np.log(2 * np.pi)
    return total


def _spread(values: Array) -> Array:
    """Robust spread of columns, never 0."""
    centre = np.median(values, axis=0)
    mad = 1.4826 * np.median(np.abs(values - centre), axis=0)
    sd = values.std(axis=0)
    spread: Array = np.where(mad > 1e-3 * sd, np.maximum(mad, 0.5 * np.minimum(sd, 2 * mad)), sd)
    return np.where(spread > 1e-9, spread, 1.0)


def fit_density(features: Array, nuisances: Array, *, peaks: bool = False, seed: int = 0) -> Density:
    """Fit the density of normals.

    Parameters
    ----------
    features : ndarray (n, d)
    nuisances : ndarray (n, q)
        What may differ between normals without meaning anything: depth, seeing, background; q may be 0.
    peaks : bool
        Score by the highest standardised feature instead of by the density.
    seed : int
        Of the mixture's start.
    """
    n, d = features.shape
    centre = np.median(nuisances, axis=0) if nuisances.size else np.zeros(nuisances.shape[1])
    width = _spread(nuisances) if nuisances.size else np.ones(nuisances.shape[1])
    design = _design((nuisances - centre) / width)
    penalty = np.diag([0.0, *([RIDGE * n + 1.0] * nuisances.shape[1])])
    slopes = np.linalg.solve(design.T @ design + penalty, design.T @ features)
    left = features - design @ slopes
    slopes[0] += np.median(left, axis=0)
    left = features - design @ slopes
    spreads = _spreads(design, left)
    left /= _widening(design, spreads)
    scale = np.maximum(np.percentile(left, 95, axis=0), 1e-3 * _spread(left)) if peaks else _spread(left)
    left = np.clip(left / scale, -8.0, 8.0)  # a stray among the normals must not turn the axes
    m = 1 if peaks else int(np.clip(n // 6, 1, min(d, 24)))
    _, _, rows = np.linalg.svd(left - left.mean(axis=0), full_matrices=False)
    axes = rows[:m]
    coordinates = np.asarray(left @ axes.T, np.float64)
    axis_scale = np.maximum(coordinates.std(axis=0), 1e-6)
    over = _left_over(left, coordinates, axes)
    rest = np.array([over.mean(), max(over.std(), 0.05) if m < d else 0.0])
    weights, means, roots = _fit_mixture(coordinates / axis_scale, seed)
    chosen = np.array([HIGHEST if peaks else DENSITY])
    width = np.asarray(width, np.float64)
    return Density(
        centre,
        width,
        np.asarray(slopes, np.float64),
        spreads,
        np.asarray(scale, np.float64),
        axes,
        axis_scale,
        rest,
        weights,
        means,
        roots,
        chosen,
    )


def fit_filter(features: Array, nuisances: Array, staged: Array, staged_nuisances: Array) -> Density:
    """Fit a matched filter (Fisher 1936): the direction in which something staged moves features, over their scatter.

    Parameters
    ----------
    features : ndarray (n, d)
        Of normals.
    nuisances : ndarray (n, q)
    staged : ndarray (s, d)
        Of normals in which an anomaly was staged; at least 2.
    staged_nuisances : ndarray (s, q)
    """
    plain = fit_density(features, nuisances, peaks=True)
    plain = replace(plain, scale=plain.scale * _spread(plain.residuals(features, nuisances)))
    left, moved = (np.arcsinh(plain.residuals(x, q)) for x, q in ((features, nuisances), (staged, staged_nuisances)))
    scatter = np.concatenate([left - left.mean(axis=0), moved - moved.mean(axis=0)])
    cov = scikit("covariance").LedoitWolf(assume_centered=True).fit(scatter).covariance_
    direction = np.linalg.solve(cov + 1e-6 * np.eye(len(cov)), moved.mean(axis=0) - left.mean(axis=0))
    direction /= max(float((left @ direction).std()), 1e-12)
    return replace(plain, axes=direction[None], axis_scale=np.ones(1), mode=np.array([FILTER]))


def _fit_mixture(x: Array, seed: int) -> tuple[Array, Array, Array]:
    """Shares, centres and precision roots; the number of components by the Bayesian information criterion."""
    n, m = x.shape
    if n < 4 * m + 4:
        cov = scikit("covariance").LedoitWolf().fit(x).covariance_ if n > 1 else np.eye(m)
        root = np.linalg.cholesky(np.linalg.inv(cov + 1e-3 * np.eye(m)))
        return np.ones(1), x.mean(axis=0)[None], root[None]
    mixture = scikit("mixture").GaussianMixture
    most = int(np.clip(n // (MIXTURE_LEAST * max(1, m // 4)), 1, 4))
    found = [mixture(k, reg_covar=1e-2, random_state=seed % (1 << 32)).fit(x) for k in range(1, most + 1)]
    best = min(found, key=lambda one: float(one.bic(x)))
    return best.weights_, best.means_, best.precisions_cholesky_
