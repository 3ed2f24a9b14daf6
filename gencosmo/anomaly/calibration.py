"""Normals turned into p-values: a density per view, scores of tiles it has not seen, and the views combined.

The normals are cut into folds of whole images. A tile is scored by densities fitted to the other folds, so that normals
and newcomers are scored alike. Each view's score becomes a surprise ``-log p``; the surprises are combined as their
weighted harmonic-mean p-value (Wilson 2019), dominated by the most surprised view, and the combination is calibrated
by counting once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.conformal import Calibrated
from gencosmo.anomaly.density import Density, fit_density, fit_filter
from gencosmo.anomaly.photometry import LIGHT
from gencosmo.anomaly.views import FIGURES, KNOWN, Evidence
from gencosmo.anomaly.widths import Widths

__all__ = ["Calibration", "Judged", "Sample", "calibrate", "combine_surprises", "fold_numbers", "weights_of"]

Array = NDArray[np.float64]
LIKE = "like "
"""How the filters of the view `known` are called: `like arc`."""
WARY = 0.9
"""Least shape of the tail of densities: beyond the normals they tell little, and must not outbid the other views."""
PEAKS_SHARE, LIKE_SHARE, BROAD_SHARE = 0.45, 0.45, 0.1
"""Shares of the peaks, of all filters together, and of all densities together, when views are combined."""
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
    staged : mapping of str to ndarray (n, d)
        Features of the view `known` with an anomaly staged in the tile, by kind; rows of NaN where none was. Of normals
        only.
    """

    group: NDArray[np.int64]
    place: NDArray[np.int64]
    features: dict[str, Array]
    nuisances: Array
    peak: Array
    staged: dict[str, Array] = field(default_factory=dict)

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
        staged = {kind: np.concatenate([one.staged[kind] for one in evidence]) for kind in evidence[0].staged}
        places = np.array(place, np.int64).reshape(-1, 5)
        return cls(np.array(group), places, features, repeated, np.array(peak), staged)

    @classmethod
    def joined(cls, samples: Sequence[Sample]) -> Sample:
        """One after the other."""
        features = {name: np.concatenate([s.features[name] for s in samples]) for name in samples[0].features}
        staged = {kind: np.concatenate([s.staged[kind] for s in samples]) for kind in samples[0].staged}
        parts = [np.concatenate([getattr(s, name) for s in samples]) for name in ("group", "place")]
        ends = [np.concatenate([getattr(s, name) for s in samples]) for name in ("nuisances", "peak")]
        return cls(parts[0], parts[1], features, ends[0], ends[1], staged)

    def usable(self) -> NDArray[np.bool_]:
        """Tiles whose features are all finite."""
        good: NDArray[np.bool_] = np.asarray(np.isfinite(self.nuisances).all(axis=1))
        for values in self.features.values():
            good &= np.isfinite(values).all(axis=1)
        return good

    def take(self, chosen: NDArray[np.bool_]) -> Sample:
        """Some of the tiles."""
        features = {name: values[chosen] for name, values in self.features.items()}
        staged = {kind: values[chosen] for kind, values in self.staged.items()}
        ends = self.nuisances[chosen], self.peak[chosen]
        return Sample(self.group[chosen], self.place[chosen], features, *ends, staged)


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
            values, given = values_of(name, some), given_of(some)
            scores = np.median([d.score(values, given) for d in fitted], axis=0)
            law = Calibrated(self.normal[name], least_shape(name))
            surprises.append(law.surprise(scores))
            views[name] = _spread(law.p_value(scores)[0], usable)
        total = combine_surprises(np.array(surprises), weights_of(list(self.densities)))
        p, extrapolated = Calibrated(self.combined).p_value(total)
        far = np.abs(sample.nuisances - self.nuisance_centre) > REACH * self.nuisance_spread
        flags = np.zeros(count, np.bool_)
        flags[usable] = extrapolated
        return Judged(_spread(total, usable), _spread(p, usable), flags, np.asarray(far.any(axis=1)), views)


def _spread(values: Array, usable: NDArray[np.bool_]) -> Array:
    out = np.full(usable.size, np.nan)
    out[usable] = values
    return out


def combine_surprises(surprises: Array, weights: Array | None = None) -> Array:
    """Minus log of the weighted harmonic mean of p-values, from surprises (views, n); equal weights when left out."""
    shares = np.full(len(surprises), 1.0 / len(surprises)) if weights is None else weights / weights.sum()
    top = surprises.max(axis=0)
    total: Array = top + np.log((shares[:, None] * np.exp(surprises - top)).sum(axis=0))
    return total


def weights_of(names: Sequence[str]) -> Array:
    """Shares of views in the combination: a view that is often wrongly surprised must not drown one that is not."""
    like = [name.startswith(LIKE) for name in names]
    broad = [name != "peaks" and not is_like for name, is_like in zip(names, like, strict=True)]
    shares = [
        LIKE_SHARE / sum(like) if is_like else BROAD_SHARE / sum(broad) if is_broad else PEAKS_SHARE
        for is_like, is_broad in zip(like, broad, strict=True)
    ]
    return np.array(shares) / sum(shares)


def values_of(name: str, sample: Sample) -> Array:
    """The features (n, d) that a density scores: of its view, or of `known` for the filter of a kind."""
    view = KNOWN if name.startswith(LIKE) else name
    values = sample.features[view]
    return values[:, :-LIGHT] if view in FIGURES else values


def given_of(sample: Sample) -> Array:
    """What every view is judged given (n, q): the nuisances, and the light that each tile holds, with its square."""
    light = next((sample.features[view][:, -LIGHT:] for view in FIGURES if view in sample.features), None)
    return sample.nuisances if light is None else _with_light(sample.nuisances, light)


def _with_light(nuisances: Array, light: Array) -> Array:
    return np.column_stack([nuisances, light, light**2])


def least_shape(name: str) -> float:
    """Least shape of the tail beyond the normals: densities of many features are surprised too easily."""
    return 0.0 if name == "peaks" or name.startswith(LIKE) else WARY


def calibrate(
    sample: Sample, widths: Widths | None, *, folds: int, seed: int, fold: NDArray[np.int64] | None = None
) -> Calibration:
    """Fit the densities and score the normals by those that have not seen them.

    Parameters
    ----------
    sample : Sample
        Normal tiles, all usable.
    widths : Widths or None
        With which deviations are calibrated; kept.
    folds : int
        Of whole images; of tiles when all come from one image.
    seed : int
    fold : ndarray of int (n,), optional
        Fold of every tile, instead of cutting them here.
    """
    if fold is None or np.unique(fold).size < 2:
        fold = fold_numbers(sample.group, folds, seed)
    densities: dict[str, list[Density]] = {}
    normal: dict[str, Array] = {}
    names = [name for name in sample.features if name != KNOWN]
    if KNOWN in sample.features:
        names += [LIKE + kind for kind, rows in sample.staged.items() if np.isfinite(rows).all(axis=1).sum() >= 2]
    for name in names:
        values, given = values_of(name, sample), given_of(sample)
        scores = np.empty(len(values))
        fitted = []
        for k in np.unique(fold):
            inside = fold != k
            density = _fit(name, sample.take(inside), seed)
            scores[~inside] = density.score(values[~inside], given[~inside])
            fitted.append(density)
        densities[name], normal[name] = fitted, scores
    surprises = [Calibrated(scores, least_shape(name)).surprise(scores) for name, scores in normal.items()]
    combined = combine_surprises(np.array(surprises), weights_of(names))
    centre = np.median(sample.nuisances, axis=0)
    spread = np.maximum(sample.nuisances.std(axis=0), 0.05)
    return Calibration(densities, normal, combined, np.sort(sample.peak), centre, spread, widths)


def _fit(name: str, sample: Sample, seed: int) -> Density:
    values, given = values_of(name, sample), given_of(sample)
    if not name.startswith(LIKE):
        return fit_density(values, given, peaks=name == "peaks", seed=seed)
    staged = sample.staged[name.removeprefix(LIKE)]
    there: NDArray[np.bool_] = np.asarray(np.isfinite(staged).all(axis=1))
    if there.sum() < 2:  # a fold without staged tiles: a filter that says nothing
        return fit_filter(values, given, values, given)
    moved = staged[there]
    return fit_filter(values, given, moved[:, :-LIGHT], _with_light(sample.nuisances[there], moved[:, -LIGHT:]))


def fold_numbers(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every tile: whole images, shuffled; runs of tiles when there is one image only."""
    names = np.unique(group)
    if names.size < 2:
        parts = min(folds, group.size)
        return np.arange(group.size) * parts // group.size
    parts = min(folds, names.size)
    shuffled = np.random.default_rng(seed).permutation(names.size) % parts
    return shuffled[np.searchsorted(names, group)]
