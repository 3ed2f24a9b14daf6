"""The generalised Anscombe transform and its exact unbiased inverse: photon noise made even, and back.

For the ``frame`` world only: there a pixel is predicted as it would be observed again, and the mean of many
observations comes back without bias. In the ``scene`` world the level of every pixel says the same and bends nothing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.stats import poisson

from gencosmo.photon.noise import PhotonNoise

__all__ = ["stabilise", "unstabilise"]

Double = NDArray[np.float64]
TABLE_END = 100.0
"""Electrons from which the closed form is used: there it differs from the integral by less than 0.02 electrons."""
NODES = 48


def _forward(electrons: Double, read_noise: float) -> Double:
    return np.asarray(2 * np.sqrt(np.maximum(electrons + 0.375 + read_noise**2, 0)))


@lru_cache(maxsize=32)
def _table(read_noise: float) -> tuple[Double, Double]:
    """Mean of the transformed observation for a grid of true signals: (means, signals), both rising."""
    signal = np.linspace(0, np.sqrt(TABLE_END), 401) ** 2
    counts = np.arange(0, int(TABLE_END + 10 * np.sqrt(TABLE_END) + 20))
    node, weight = hermegauss(NODES)
    seen = _forward(counts[:, None] + read_noise * node[None], read_noise) @ (weight / weight.sum())
    means = poisson.pmf(counts[None], signal[:, None]) @ seen
    return means, signal


def stabilise(values: NDArray[np.floating], noise: PhotonNoise) -> Double:
    """Values to a scale on which the noise has unit variance (Starck, Murtagh & Bijaoui 1998, eq. 2.40).

    Parameters
    ----------
    values : ndarray, any shape
        In units of the image.
    noise : PhotonNoise
        Without photon noise the scale is linear.

    Returns
    -------
    ndarray of float64
    """
    centred = np.asarray(values, dtype=np.float64) - noise.offset
    if noise.slope == 0:
        return np.asarray(centred / np.sqrt(noise.floor))
    return _forward(centred / noise.slope, noise.read_noise)


def unstabilise(mean: NDArray[np.floating], noise: PhotonNoise, spread: NDArray[np.floating] | None = None) -> Double:
    """Means on the stabilised scale back to units, without bias (Maekitalo & Foi 2013).

    Up to 100 electrons by the integral that defines the inverse, ``E[f(x) | signal] -> signal``, tabulated for this
    read noise; beyond that by their closed form (eq. 10). A value below the mean of no light at all is no light.

    Parameters
    ----------
    mean : ndarray, any shape
        Expected values on the stabilised scale; not single observations.
    noise : PhotonNoise
    spread : ndarray, optional
        Standard deviation of the prediction on that scale, 1 where the signal itself is certain. What exceeds 1 is
        uncertainty of the signal, and the inverse is convex: its variance over four is added, in electrons.

    Returns
    -------
    ndarray of float64
        In units of the image.
    """
    seen = np.asarray(mean, dtype=np.float64)
    if noise.slope == 0:
        return np.asarray(seen * np.sqrt(noise.floor) + noise.offset)
    means, signal = _table(noise.read_noise)
    d = np.maximum(seen, means[-1])
    root = np.sqrt(1.5)
    closed = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 0.125 - noise.read_noise**2
    electrons = np.where(seen < means[-1], np.interp(seen, means, signal), closed)
    if spread is not None:
        electrons = electrons + np.maximum(np.asarray(spread, dtype=np.float64) ** 2 - 1, 0) / 4
    return np.asarray(electrons * noise.slope + noise.offset)
