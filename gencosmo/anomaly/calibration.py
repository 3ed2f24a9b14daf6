"""Normals turned into p-values: a density per view, scores of tiles it has not seen, and the views combined.

The normals are cut into folds of whole images. A tile is scored by densities fitted to the other folds, so that normals
and newcomers are scored alike. Each view's score becomes a surprise ``-log p``; the surprises are combined as their
harmonic-mean p-value (Wilson 2019), dominated by the most surprised view, and the combination is calibrated by counting
once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.conformal import Calibrated
from gencosmo.anomaly.density import Density, fit_density
from gencosmo.anomaly.views import Evidence
from gencosmo.anomaly.widths import Widths

__all__ = ["Calibration", "Judged", "Sample", "calibrate"]

Array = NDArray[np.float64]
REACH = 4.5
"""Nuisances further than this many spreads from the normals' centre are outside."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Tiles with their features.

    Attributes
    ----------
    group : ndarray of int (n,)
        Image of each tile.
    place : ndarray of int (n, 5)
        Channel, row, column, height, width.
    features : mapping of str to ndarray (n, d)
    nuisances : ndarray (n, q)
    peak : ndarray (n,)
        Largest absolute deviation on the map.
    """

    group: NDArray[np.int64]
    place: NDArray[np.int64]
    features: dict[str, Array]
    nuisances: Array
    peak: Array

    @classmethod
    def of(cls, evidence: Sequence[Evidence], plane_of: Sequence[tuple[int, int]], nuisances: Array) -> Sample:
        """All tiles of planes; `plane_of` gives image and channel, `nuisances` (planes, q) one row of each."""
        group, place, peak = [], [], []
        for one, (image, channel) in zip(evidence, plane_of, strict=True):
            highest = one.tiles.reduce(np.maximum, np.abs(one.stack.anomaly_map)).ravel()
            for (rows, cols), top in zip(one.tiles.boxes(), highest, strict=True):
                group.append(image)
                place.append((channel, rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start))
                peak.append(top)
        features = {name: np.concatenate([one.features[name] for one in evidence]) for name in evidence[0].features}
        repeated = np.concatenate(
            [np.tile(row, (one.tiles.count, 1)) for one, row in zip(evidence, nuisances, strict=True)]
        )
        return cls(np.array(group), np.array(place, np.int64).reshape(-1, 5), features, repeated, np.array(peak))

    @classmethod
    def joined(cls, samples: Sequence[Sample]) -> Sample:
        """One after the other."""
        features = {name: np.concatenate([s.features[name] for s in samples]) for name in samples[0].features}
        parts = [np.concatenate([getattr(s, name) for s in samples]) for name in ("group", "place")]
        ends = [np.concatenate([getattr(s, name) for s in samples]) for name in ("nuisances", "peak")]
        return cls(parts[0], parts[1], features, ends[0], ends[1])

    def usable(self) -> NDArray[np.bool_]:
        """Tiles whose features are all finite."""
        good: NDArray[np.bool_] = np.asarray(np.isfinite(self.nuisances).all(axis=1))
        for values in self.features.values():
            good &= np.isfinite(values).all(axis=1)
        return good

    def take(self, chosen: NDArray[np.bool_]) -> Sample:
        """Some of the tiles."""
        features = {name: values[chosen] for name, values in self.features.items()}
        return Sample(self.group[chosen], self.place[chosen], features, self.nuisances[chosen], self.peak[chosen])


@dataclass(frozen=True, eq=False)
class Judged:
    """What a calibration says of tiles; arrays (n,). See `gencosmo.tasks.detector.TileScores`."""

    score: Array
    p_value: Array
    extrapolated: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    views: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that scoring needs.

    Attributes
    ----------
    densities : mapping of str to list of Density
        By view, one per fold.
    normal : mapping of str to ndarray (n,)
        Scores of the normals by view, each by the density that has not seen it.
    combined : ndarray (n,)
        Their combined surprises.
    peaks : ndarray (n,)
        Largest deviation on the map of every normal tile: the law of a region's peak.
    nuisance_centre, nuisance_spread : ndarray (q,)
    widths : Widths or None
        Calibration of the deviations; None for a prior that is exact.
    """

    densities: dict[str, list[Density]]
    normal: dict[str, Array]
    combined: Array
    peaks: Array
    nuisance_centre: Array
    nuisance_spread: Array
    widths: Widths | None

    def judge(self, sample: Sample) -> Judged:
        """Score tiles; those without features get NaN."""
        usable = sample.usable()
        count = len(usable)
        some = sample.take(usable)
        surprises, views = [], {}
        for name, fitted in self.densities.items():
            scores = np.median([d.score(some.features[name], some.nuisances) for d in fitted], axis=0)
            law = Calibrated(self.normal[name])
            surprises.append(law.surprise(scores))
            views[name] = _spread(law.p_value(scores)[0], usable)
        total = combine_surprises(np.array(surprises))
        p, extrapolated = Calibrated(self.combined).p_value(total)
        far = np.abs(sample.nuisances - self.nuisance_centre) > REACH * self.nuisance_spread
        flags = np.zeros(count, np.bool_)
        flags[usable] = extrapolated
        return Judged(_spread(total, usable), _spread(p, usable), flags, np.asarray(far.any(axis=1)), views)


def _spread(values: Array, usable: NDArray[np.bool_]) -> Array:
    out = np.full(usable.size, np.nan)
    out[usable] = values
    return out


def combine_surprises(surprises: Array) -> Array:
    """Minus log of the harmonic mean of p-values, from surprises (views, n)."""
    top = surprises.max(axis=0)
    total: Array = top + np.log(np.exp(surprises - top).mean(axis=0))
    return total


def calibrate(sample: Sample, widths: Widths | None, *, folds: int, seed: int) -> Calibration:
    """Fit the densities and score the normals by those that have not seen them.

    Parameters
    ----------
    sample : Sample
        Normal tiles, all usable.
    widths : Widths or None
        With which their deviations were calibrated; kept.
    folds : int
        Of whole images; of tiles when all come from one image.
    seed : int
    """
    fold = fold_numbers(sample.group, folds, seed)
    densities: dict[str, list[Density]] = {}
    normal: dict[str, Array] = {}
    for name, values in sample.features.items():
        scores = np.empty(len(values))
        fitted = []
        for k in range(int(fold.max()) + 1):
            inside = fold != k
            density = fit_density(values[inside], sample.nuisances[inside], peaks=name == "peaks", seed=seed)
            scores[~inside] = density.score(values[~inside], sample.nuisances[~inside])
            fitted.append(density)
        densities[name], normal[name] = fitted, scores
    combined = combine_surprises(np.array([Calibrated(scores).surprise(scores) for scores in normal.values()]))
    centre = np.median(sample.nuisances, axis=0)
    spread = np.maximum(sample.nuisances.std(axis=0), 0.05)
    return Calibration(densities, normal, combined, np.sort(sample.peak), centre, spread, widths)


def fold_numbers(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every tile: whole images, shuffled; runs of tiles when there is one image only."""
    names = np.unique(group)
    if names.size < 2:
        parts = min(folds, group.size)
        return np.arange(group.size) * parts // group.size
    parts = min(folds, names.size)
    shuffled = np.random.default_rng(seed).permutation(names.size) % parts
    return shuffled[np.searchsorted(names, group)]
