"""Normals turned into p-values: a density per view, scores of tiles it has not seen, and the views combined.

The normals are cut into folds of whole images. A tile is scored by densities fitted to the other folds, so that normals
and newcomers are scored alike. The views are combined (`gencosmo.anomaly.combination`), and the combination is
calibrated by counting once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.combination import LIKE, combine_margins, least_shape, margins
from gencosmo.anomaly.conformal import Calibrated
from gencosmo.anomaly.density import Density, fit_density, fit_filter
from gencosmo.anomaly.likeness import LEAST_TAUGHT, Likeness, fit_likeness
from gencosmo.anomaly.memory import Memory, fit_memory
from gencosmo.anomaly.objects import OBJECTS
from gencosmo.anomaly.photometry import LIGHT
from gencosmo.anomaly.views import BARE, FIGURES, KNOWN, Evidence
from gencosmo.anomaly.widths import Widths

__all__ = ["Calibration", "Fitted", "Judged", "Sample", "calibrate", "fold_numbers"]

Array = NDArray[np.float64]
Fitted = Density | Likeness | Memory
"""What a view is judged by."""
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
    """What a calibration says of tiles; arrays (n,), explained at `gencosmo.tasks.tiles.TileScores`."""

    score: Array
    p_value: Array
    extrapolated: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    views: dict[str, Array]
    margins: dict[str, Array]

    def take(self, chosen: NDArray[np.bool_]) -> Judged:
        """Some of the tiles."""
        views, apart = ({name: x[chosen] for name, x in by.items()} for by in (self.views, self.margins))
        score, p_value, beyond, outside = self.score, self.p_value, self.extrapolated, self.outside
        return Judged(score[chosen], p_value[chosen], beyond[chosen], outside[chosen], views, apart)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that scoring needs.

    Attributes
    ----------
    densities : mapping of str to list of Fitted
        By view, one per fold.
    normal : mapping of str to ndarray (n,)
        Scores of the normals by view, each by the density that has not seen it.
    combined : ndarray (n,)
        Their margins, combined.
    peaks : ndarray (n,)
        Largest deviation on the map of every normal tile: the law of a region's peak.
    nuisance_centre, nuisance_spread : ndarray (q,)
    widths : Widths or None
        Calibration of the deviations; None for a prior that is exact.
    """

    densities: dict[str, list[Fitted]]
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
        beyond, views = {}, {}
        for name, fitted in self.densities.items():
            values, given = values_of(name, some), given_of(name, some)
            scores = np.median([d.score(values, given) for d in fitted], axis=0)
            beyond[name] = margins(name, scores, self.normal[name], taught=_taught(fitted))
            views[name] = _spread(Calibrated(self.normal[name], least_shape(name)).p_value(scores)[0], usable)
        total = combine_margins(np.array(list(beyond.values())))
        p, extrapolated = Calibrated(self.combined).p_value(total)
        far = np.abs(sample.nuisances - self.nuisance_centre) > REACH * self.nuisance_spread
        flags = np.zeros(count, np.bool_)
        flags[usable] = extrapolated
        apart = {name: _spread(values, usable) for name, values in beyond.items()}
        return Judged(_spread(total, usable), _spread(p, usable), flags, np.asarray(far.any(axis=1)), views, apart)


def _spread(values: Array, usable: NDArray[np.bool_]) -> Array:
    out = np.full(usable.size, np.nan)
    out[usable] = values
    return out


def _taught(fitted: Sequence[Fitted]) -> bool:
    """Whether scores are log-odds."""
    return all(isinstance(one, Likeness) for one in fitted)


def values_of(name: str, sample: Sample) -> Array:
    """The features (n, d) that a density scores: of its view, or of `known` for the filter of a kind."""
    view = KNOWN if name.startswith(LIKE) else name
    values = sample.features[view]
    if view == BARE:
        return values[:, :OBJECTS]
    return values[:, :-LIGHT] if view in FIGURES else values


def given_of(name: str, sample: Sample) -> Array:
    """What a view is judged given (n, q): the nuisances, and the light that each tile holds, with its square.

    The view `objects` is given nothing: that a tile is empty, or full, may be what is odd in it.
    """
    if name == BARE:
        return np.zeros((len(sample.nuisances), 0))
    light = next((sample.features[view][:, -LIGHT:] for view in FIGURES if view in sample.features), None)
    return sample.nuisances if light is None else _with_light(sample.nuisances, light)


def _with_light(nuisances: Array, light: Array) -> Array:
    return np.column_stack([nuisances, light, light**2])


def calibrate(
    sample: Sample,
    widths: Widths | None,
    *,
    folds: int,
    seed: int,
    fold: NDArray[np.int64] | None = None,
    teach: bool = True,
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
    teach : bool
        False leaves known kinds to their filters alone, however many normals there are.
    """
    if fold is None or np.unique(fold).size < 2:
        fold = fold_numbers(sample.group, folds, seed)
    teach = teach and _enough(sample, fold)
    densities: dict[str, list[Fitted]] = {}
    normal: dict[str, Array] = {}
    names = [name for name in sample.features if name != KNOWN]
    if KNOWN in sample.features:
        names += [LIKE + kind for kind, rows in sample.staged.items() if np.isfinite(rows).all(axis=1).sum() >= 2]
    for name in names:
        values, given = values_of(name, sample), given_of(name, sample)
        scores = np.empty(len(values))
        fitted = []
        for k in np.unique(fold):
            inside = fold != k
            density = _fit(name, sample.take(inside), seed, teach=teach)
            scores[~inside] = density.score(values[~inside], given[~inside])
            fitted.append(density)
        densities[name], normal[name] = fitted, scores
    beyond = [margins(name, own, own, taught=_taught(densities[name])) for name, own in normal.items()]
    combined = combine_margins(np.array(beyond))
    centre = np.median(sample.nuisances, axis=0)
    spread = np.maximum(sample.nuisances.std(axis=0), 0.05)
    return Calibration(densities, normal, combined, np.sort(sample.peak), centre, spread, widths)


def _enough(sample: Sample, fold: NDArray[np.int64]) -> bool:
    """Whether every fold leaves enough normals, with every kind staged in enough of them, to teach trees."""
    there = [np.asarray(np.isfinite(rows).all(axis=1)) for rows in sample.staged.values()]
    there = [fold >= 0, *(one for one in there if one.sum() >= 2)]
    return all((one & (fold != k)).sum() >= LEAST_TAUGHT for one in there for k in np.unique(fold))


def _fit(name: str, sample: Sample, seed: int, *, teach: bool) -> Fitted:
    values, given = values_of(name, sample), given_of(name, sample)
    if name == "places":
        return fit_memory(values, sample.group, seed)
    if not name.startswith(LIKE):
        return fit_density(values, given, peaks=name == "peaks", seed=seed)
    staged = sample.staged[name.removeprefix(LIKE)]
    there: NDArray[np.bool_] = np.asarray(np.isfinite(staged).all(axis=1))
    if there.sum() < 2:  # a fold without staged tiles: a filter that says nothing
        return fit_filter(values, given, values, given)
    moved = staged[there]
    moved_given = _with_light(sample.nuisances[there], moved[:, -LIGHT:])
    if teach:
        return fit_likeness(values, given, moved[:, :-LIGHT], moved_given, seed)
    return fit_filter(values, given, moved[:, :-LIGHT], moved_given)


def fold_numbers(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every tile: whole images, shuffled; runs of tiles when there is one image only."""
    names = np.unique(group)
    if names.size < 2:
        parts = min(folds, group.size)
        return np.arange(group.size) * parts // group.size
    parts = min(folds, names.size)
    shuffled = np.random.default_rng(seed).permutation(names.size) % parts
    return shuffled[np.searchsorted(names, group)]
