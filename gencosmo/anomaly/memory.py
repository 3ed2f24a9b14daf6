"""A memory of what normals look like, place by place: how far a tile's places lie from everything that was seen.

Features that are averaged over a tile say little of what is small in it. So the places of the normals are kept as they
are, a bounded number of them, and each place of a new tile is compared with its nearest neighbours there (PatchCore:
Roth et al. 2022). A bright place lies far from all others by its light alone; that is regressed out. The strangest
places of a tile count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIGHTS", "SIDE", "Memory", "fit_memory"]

Array = NDArray[np.float64]
Single = NDArray[np.float32]
SIDE = 8
"""A tile is read at so many places along each side."""
LIGHTS = 2
"""The last features of a place: how bright it is, and its neighbourhood. Its distance is judged given these."""
MOST_KEPT = 4096
"""Places of normals that are kept: 48 features of each take 800 kB."""
MOST_MEASURED = 4096
"""Places of normals from which the law of their distances is taken."""
AXES = 48
RIDGE = 1e-2
"""Principal axes are stretched to one spread, but those with less than this share of the largest variance less."""
FAR = 12.0
"""Features count up to this many spreads."""
NEIGHBOURS = 3
STRANGEST = 4
"""One of so many places of a tile is strange: the mean of these is the score."""
CHUNK = 2048
"""Places that are compared, and tiles that are scored, at a time."""
MOST_TILES = 4096
"""Tiles of normals that are looked at: their places take 100 MB."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Places of normals, and how their distances depend on light; every field is an array.

    Attributes
    ----------
    centre, scale : ndarray (c,)
        Of the features.
    axes : ndarray (c, m)
        To principal axes.
    bank : ndarray of float32 (b, m)
        The places that are kept.
    light_centre, light_scale : ndarray (LIGHTS,)
    slopes, spreads : ndarray (k,)
        Regression of the log of the distance on the light of a place, and of the log of its scatter.
    """

    centre: Array
    scale: Array
    axes: Array
    bank: Single
    light_centre: Array
    light_scale: Array
    slopes: Array
    spreads: Array

    def score(self, features: NDArray[np.floating], given: Array) -> Array:
        """How strange the strangest places of each tile are (n,), in spreads of places as bright; higher = more.

        Parameters
        ----------
        features : ndarray (n, SIDE * SIDE * (c + LIGHTS))
        given : ndarray (n, q)
            Not used: places are judged given their own light.
        """
        parts = [self._some(features[first : first + CHUNK]) for first in range(0, len(features), CHUNK)]
        return np.concatenate([np.zeros(0), *parts])

    def _some(self, features: NDArray[np.floating]) -> Array:
        places, light = _parted(features, len(self.centre))
        where = _projected(places, self.centre, self.scale, self.axes)
        logs = np.log(_distances(where, self.bank) + 1e-6)
        design = _design(light, self.light_centre, self.light_scale)
        strange = (logs - design @ self.slopes) / _width(design, self.spreads)
        strange = np.sort(strange.reshape(len(features), -1), axis=1)
        found: Array = strange[:, -(strange.shape[1] // STRANGEST) :].mean(axis=1)
        return found

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """All fields by name."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.__dataclass_fields__}


def fit_memory(features: NDArray[np.floating], group: NDArray[np.int64], seed: int = 0) -> Memory:
    """Remember the places of normals.

    Parameters
    ----------
    features : ndarray (n, SIDE * SIDE * (c + LIGHTS))
        Of every place the features and the light, place after place.
    group : ndarray of int (n,)
        Image of each tile: the distances of a place are taken to other images.
    seed : int
        Of the choice of places.
    """
    rng = np.random.default_rng(seed)
    if len(features) > MOST_TILES:
        some = np.sort(rng.permutation(len(features))[:MOST_TILES])
        features, group = features[some], group[some]
    places, light = _parted(features, features.shape[1] // SIDE**2 - LIGHTS)
    centre, scale = places.mean(axis=0), np.maximum(places.std(axis=0), 1e-6)
    axes = _whitening(np.clip((places - centre) / scale, -FAR, FAR))
    owner = np.repeat(group, SIDE**2)
    kept = np.sort(rng.permutation(len(places))[:MOST_KEPT])
    asked = np.sort(rng.permutation(len(places))[:MOST_MEASURED])
    bank = _projected(places[kept], centre, scale, axes)
    own = owner[asked][:, None] == owner[kept][None]
    own &= ~own.all(axis=1, keepdims=True)  # of one image only there are no others
    logs = np.log(_distances(_projected(places[asked], centre, scale, axes), bank, own) + 1e-6)
    light_centre, light_scale = light.mean(axis=0), np.maximum(light.std(axis=0), 1e-3)
    design = _design(light[asked], light_centre, light_scale)
    slopes = _fitted(design, logs)
    spreads = _fitted(design, np.log(np.abs(logs - design @ slopes) + 0.02))
    return Memory(centre, scale, axes, bank, light_centre, light_scale, slopes, spreads)


def _parted(features: NDArray[np.floating], width: int) -> tuple[Array, Array]:
    """Features and light of all places, one after the other."""
    rows = features.reshape(-1, width + LIGHTS).astype(np.float64)
    return rows[:, :width], rows[:, width:]


def _whitening(left: Array) -> Array:
    values, vectors = np.linalg.eigh(left.T @ left / len(left))
    values, vectors = values[::-1][:AXES], vectors[:, ::-1][:, :AXES]
    stretched: Array = vectors / np.sqrt(values + RIDGE * values[0] + 1e-12)
    return stretched


def _projected(places: Array, centre: Array, scale: Array, axes: Array) -> Single:
    return np.asarray(np.clip((places - centre) / scale, -FAR, FAR) @ axes, np.float32)


def _distances(where: Single, bank: Single, own: NDArray[np.bool_] | None = None) -> Array:
    """Mean distance (n,) to the nearest places of the bank, without those that are its own."""
    size, count = (bank * bank).sum(axis=1), min(NEIGHBOURS, len(bank))
    out = np.empty(len(where))
    for first in range(0, len(where), CHUNK):
        some = where[first : first + CHUNK]
        squares = size - 2 * (some @ bank.T)
        if own is not None:
            squares[own[first : first + CHUNK]] = np.inf
        near = np.partition(squares, count - 1, axis=1)[:, :count] + (some * some).sum(axis=1)[:, None]
        there = np.isfinite(near)
        roots = np.sqrt(np.maximum(np.where(there, near, 0.0), 0.0))
        out[first : first + CHUNK] = roots.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return out


def _design(light: Array, centre: Array, scale: Array) -> Array:
    own, near = np.clip((light - centre) / scale, -2.5, 4.0).T
    return np.column_stack([np.ones(len(own)), own, own * own, near, near * near, own * near])


def _width(design: Array, spreads: Array) -> Array:
    wide: Array = np.exp(np.clip(design @ spreads, -3.0, 1.0))
    return wide


def _fitted(design: Array, values: Array) -> Array:
    return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
