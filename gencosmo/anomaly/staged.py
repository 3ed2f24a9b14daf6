"""Known anomalies, staged in normal tiles: what they do to the figures of a tile is then looked for in others.

A streak, a reflection, an arc or a doubled source moves the figures (`gencosmo.anomaly.photometry.tile_figures`) of a
normal tile into a direction of its own. Staging each kind once in every normal gives that direction, the scatter of
the normals gives the weights: a matched filter among figures. No kind needs examples, and what the filters do not know
is left to the other views.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gencosmo.anomaly.objects import contrast
from gencosmo.scaling import neighbour_noise

__all__ = ["STAGED", "stage", "suited"]

Array = NDArray[np.float64]
Rng = np.random.Generator
LINE_CONTRAST, BODY_CONTRAST = (8.0, 100.0), (8.0, 150.0)
"""Contrast of a tile, in noises, that the heights of fibres and of bodies follow: least and most."""


def _places(shape: tuple[int, ...]) -> tuple[Array, Array]:
    rows, cols = np.indices(shape)
    return rows.astype(np.float64), cols.astype(np.float64)


def _somewhere(rng: Rng, shape: tuple[int, ...]) -> tuple[float, float]:
    return float(rng.uniform(0.25, 0.75) * shape[0]), float(rng.uniform(0.25, 0.75) * shape[1])


def _bright_place(rng: Rng, flux: Array) -> tuple[int, int]:
    """One of the three brightest maxima that are not at the edge."""
    margin = min(flux.shape) // 6
    smooth = ndimage.gaussian_filter(np.clip(flux, -5.0, 1e5), 1.2)
    inner = smooth[margin : flux.shape[0] - margin, margin : flux.shape[1] - margin]
    tops = np.flatnonzero(inner == ndimage.maximum_filter(inner, 7))
    tops = tops[np.argsort(-inner.flat[tops], kind="stable")][:3]
    # the brightest most often: around it most anomalies of sources are found
    row, col = np.unravel_index(int(tops[min(len(tops) - 1, int(rng.exponential(0.6)))]), inner.shape)
    return int(row) + margin, int(col) + margin


def _streak(rng: Rng, flux: Array) -> Array:
    """A straight line through the tile, 0.7 to 2.5 pixels wide (sigma), 0.7 to 7 noises high."""
    rows, cols = _places(flux.shape)
    row, col = _somewhere(rng, flux.shape)
    angle, width = rng.uniform(0, np.pi), rng.uniform(0.7, 2.5)
    away = (rows - row) * np.cos(angle) - (cols - col) * np.sin(angle)
    height = np.exp(rng.uniform(np.log(0.7), np.log(7.0)))
    return np.asarray(flux + height * np.exp(-0.5 * (away / width) ** 2))


def _reflection(rng: Rng, flux: Array) -> Array:
    """A disc out of focus, with or without a hole, with a soft rim; 0.4 to 4 noises high."""
    rows, cols = _places(flux.shape)
    row, col = _somewhere(rng, flux.shape)
    radius = rng.uniform(0.1, 0.35) * min(flux.shape)
    squeeze = rng.uniform(0.75, 1.0)
    away = np.hypot(rows - row, (cols - col) / squeeze)
    soft, hole = rng.uniform(0.5, 2.0), rng.uniform(0.0, 0.6) * radius
    disc = 0.5 * (1 - np.tanh((away - radius) / soft)) * (1 - (hole > 2) * 0.5 * (1 - np.tanh((away - hole) / soft)))
    return np.asarray(flux + np.exp(rng.uniform(np.log(0.4), np.log(4.0))) * disc)


def _shadow(rng: Rng, flux: Array) -> Array:
    """Dust in the light path: a dark disc with soft rims."""
    return 2 * flux - _reflection(rng, flux)


def _arc(rng: Rng, flux: Array) -> Array:
    """Part of a circle around a bright source: radius 4 to 14 pixels, 40 to 200 degrees, 1 to 8 noises high."""
    rows, cols = _places(flux.shape)
    row, col = _bright_place(rng, flux)
    radius, width = rng.uniform(4.0, float(np.clip(min(flux.shape) / 3, 5.0, 14.0))), rng.uniform(0.9, 2.0)
    half, middle = np.radians(rng.uniform(20, 100)), rng.uniform(-np.pi, np.pi)
    turn = np.abs(np.angle(np.exp(1j * (np.arctan2(rows - row, cols - col) - middle))))
    along = 0.5 * (1 - np.tanh((turn - half) / 0.15))
    across = np.exp(-0.5 * ((np.hypot(rows - row, cols - col) - radius) / width) ** 2)
    return np.asarray(flux + np.exp(rng.uniform(0.0, np.log(8.0))) * along * across)


def _pair(rng: Rng, flux: Array) -> Array:
    """A bright source once more, 4 to 12 pixels away, with 0.3 to 1.2 of its light."""
    row, col = _bright_place(rng, flux)
    away, angle = rng.uniform(4.0, float(np.clip(min(flux.shape) / 4, 5.0, 12.0))), rng.uniform(-np.pi, np.pi)
    rows, cols = _places(flux.shape)
    near = np.exp(-0.5 * (np.hypot(rows - row, cols - col) / 3.0) ** 4)
    light = near * np.maximum(ndimage.gaussian_filter(flux, 0.6), 0.0)
    moved = ndimage.shift(light, (away * np.sin(angle), away * np.cos(angle)), order=1, mode="constant")
    return np.asarray(flux + rng.uniform(0.3, 1.2) * moved)


def _trailed(rng: Rng, flux: Array) -> Array:
    """Sources smeared along one direction by 1.5 to 3.5 pixels to each side; the noise stays."""
    length, angle = rng.uniform(1.5, 3.5), rng.uniform(0, np.pi)
    light = _light(flux)
    steps = np.linspace(-length, length, 7)
    moved = [ndimage.shift(light, (t * np.sin(angle), t * np.cos(angle)), order=1, mode="nearest") for t in steps]
    return np.asarray(flux + np.mean(moved, axis=0) - light)


def _blurred(rng: Rng, flux: Array) -> Array:
    """The whole tile out of focus by 0.8 to 2.5 pixels (sigma), seen with fresh noise."""
    width = rng.uniform(0.8, 2.5)
    left = 1 / (4 * np.pi * width**2)
    blurred = ndimage.gaussian_filter(flux, width)
    return np.asarray(blurred + np.sqrt(max(0.0, 1 - left)) * rng.standard_normal(flux.shape))


def _dragged(rng: Rng, flux: Array) -> Array:
    """The whole tile smeared along one direction, as by wrong registration, seen with fresh noise."""
    length, angle = rng.uniform(1.0, 3.5), rng.uniform(0, np.pi)
    steps = np.linspace(-length, length, 7)
    moved = [ndimage.shift(flux, (t * np.sin(angle), t * np.cos(angle)), order=1, mode="nearest") for t in steps]
    return np.asarray(np.mean(moved, axis=0) + 0.85 * rng.standard_normal(flux.shape))


def _light(flux: Array) -> Array:
    """What stands out of the noise, with soft rims."""
    found = ndimage.binary_dilation(ndimage.gaussian_filter(flux, 1.0) > 1.2, iterations=2)
    light: Array = flux * ndimage.gaussian_filter(found.astype(np.float64), 1.0)
    return light


def _debris(rng: Rng, flux: Array) -> Array:
    """An irregular patch of light with sharp rims, 6 to 30 noises high."""
    rows, cols = _places(flux.shape)
    row, col = _somewhere(rng, flux.shape)
    wild = ndimage.gaussian_filter(rng.standard_normal(flux.shape), 2.0)
    away = np.hypot(rows - row, cols - col) / (rng.uniform(0.06, 0.2) * min(flux.shape))
    patch = (wild / wild.std() + 2 * (1 - away)) > 0.5
    patch &= away < 2
    height = np.exp(rng.uniform(np.log(6.0), np.log(30.0)))
    return np.asarray(flux + height * ndimage.gaussian_filter(patch.astype(float), 0.7))


def _hit(rng: Rng, flux: Array) -> Array:
    """Pixels that light did not reach through the optics: a short thin track or single pixels, 5 to 50 noises high."""
    row, col = _somewhere(rng, flux.shape)
    length, angle = np.exp(rng.uniform(0.0, np.log(0.25 * min(flux.shape)))), rng.uniform(-np.pi, np.pi)
    out = flux.copy()
    steps = np.arange(0.0, max(length, 1.0))
    rows = np.clip(np.floor(row + steps * np.sin(angle)), 0, flux.shape[0] - 1).astype(np.int64)
    cols = np.clip(np.floor(col + steps * np.cos(angle)), 0, flux.shape[1] - 1).astype(np.int64)
    height = np.exp(rng.uniform(np.log(5.0), np.log(50.0)))
    out[rows, cols] += height * rng.uniform(0.4, 1.4, rows.size)
    return out


def _fibre(rng: Rng, flux: Array) -> Array:
    """A bent line through the tile, 0.7 to 2 pixels wide (sigma), 1.5 noises to 1.2 times the tile's contrast high."""
    rows, cols = _places(flux.shape)
    row, col = _somewhere(rng, flux.shape)
    turn, radius = rng.uniform(-np.pi, np.pi), min(flux.shape) * np.exp(rng.uniform(np.log(0.5), np.log(3.0)))
    away = np.hypot(rows - (row + radius * np.sin(turn)), cols - (col + radius * np.cos(turn))) - radius
    width, highest = rng.uniform(0.7, 2.0), 1.2 * float(np.clip(contrast(flux), *LINE_CONTRAST))
    height = np.exp(rng.uniform(np.log(1.5), np.log(highest)))
    return np.asarray(flux + height * np.exp(-0.5 * (away / width) ** 2))


def _body(rng: Rng, flux: Array) -> Array:
    """An oval, as of a cell of another kind or a smudge: half axes of 3 to 13 pixels, smooth or rough inside, 3 noises
    to 1.5 times the tile's contrast high.
    """
    rows, cols = _places(flux.shape)
    row, col = rng.uniform(0.2, 0.8, 2) * np.array(flux.shape)
    turn, long = rng.uniform(0, np.pi), rng.uniform(5.0, 13.0)
    squeeze, soft, rough = rng.uniform(0.55, 1.0), rng.uniform(0.08, 0.3), rng.uniform(0.0, 1.25)
    along = (cols - col) * np.cos(turn) + (rows - row) * np.sin(turn)
    across = (rows - row) * np.cos(turn) - (cols - col) * np.sin(turn)
    disc = 0.5 * (1 - np.tanh((np.hypot(along, across / squeeze) / long - 1) / soft))
    inside = 1 + rough * ndimage.gaussian_filter(rng.standard_normal(flux.shape), 1.5)
    highest = 1.5 * float(np.clip(contrast(flux), *BODY_CONTRAST))
    return np.asarray(flux + np.exp(rng.uniform(np.log(3.0), np.log(highest))) * disc * inside)


STAGED: dict[str, Callable[[Rng, Array], Array]] = {
    "streak": _streak,
    "reflection": _reflection,
    "shadow": _shadow,
    "arc": _arc,
    "pair": _pair,
    "trailed": _trailed,
    "dragged": _dragged,
    "blurred": _blurred,
    "debris": _debris,
    "hit": _hit,
    "fibre": _fibre,
    "body": _body,
}
"""Kinds of anomaly by name: what each makes of a tile in noises above the background."""
AMONG_CELLS = ("fibre", "body")
"""Kinds that only a prior of cells looks for unasked: galaxies are ovals and spikes lines, and belong to the sky."""


def suited(simulator: str) -> tuple[str, ...]:
    """Kinds that are looked for when nobody says which, with a prior that this simulator helped to train."""
    return tuple(kind for kind in STAGED if simulator == "cells" or kind not in AMONG_CELLS)


def stage(kind: str, rng: np.random.Generator, flux: Array, scored: NDArray[np.bool_]) -> Array:
    """A normal tile with an anomaly in it, in whole steps where a digitiser has swallowed the noise of the tile.

    Parameters
    ----------
    kind : str
        A name of `STAGED`.
    rng : numpy Generator
    flux : ndarray (h, w)
        In noises above the background; left as it is.
    scored : ndarray of bool (h, w)
        Pixels with a value; others come out as 0.
    """
    clean = np.where(scored, flux, 0.0)
    changed: Array = STAGED[kind](rng, clean)
    step, coarse = neighbour_noise(clean.astype(np.float32), scored)
    if coarse and step > 0:  # else the faint end of a streak (1e-41) would be the noise of the tile
        changed = clean + step * np.round((changed - clean) / step)
    return np.where(scored, changed, 0.0)
