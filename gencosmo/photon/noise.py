"""The law of a camera: variance grows in proportion to the light, over a floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError

__all__ = ["MeanVariance", "PhotonNoise"]

Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanVariance:
    """What an estimate was read off: one point per level of the image.

    Attributes
    ----------
    level, variance : ndarray of float64, (N,)
        In units and squared units of the image.
    count : ndarray of int, (N,)
        Pixels behind each point.
    weight : ndarray of float64, (N,)
        0 to 1: how far the fit believes a point; those lifted by structure count little.
    white : float
        Variance of the finest detail over that of detail twice as coarse, in the flattest places: 1 for white noise,
        less where neighbours are correlated or structure fills the image.
    """

    level: Double
    variance: Double
    count: NDArray[np.int64]
    weight: Double
    white: float


@dataclass(frozen=True, eq=False)
class PhotonNoise:
    """Poisson-Gaussian noise of one channel: ``variance = slope * max(level - offset, 0) + floor``.

    Attributes
    ----------
    slope : float
        Variance per unit of signal: 1 / gain. 0 when the noise does not grow with the light.
    floor : float
        Variance at `offset`, in squared units.
    offset : float
        Level without light (black level), in units. An estimate without a known offset takes the darkest level of the
        image: the law is then right for all levels that occur, and `read_noise` includes the shot noise of that
        darkest level.
    points : MeanVariance or None
        What the law was fitted to.

    Raises
    ------
    InputError
        `bad_noise` when a number is negative or not finite, or there is no noise at all.
    """

    slope: float
    floor: float
    offset: float = 0.0
    points: MeanVariance | None = None

    def __post_init__(self) -> None:
        numbers = (self.slope, self.floor, self.offset)
        if (
            not all(math.isfinite(x) for x in numbers)
            or self.slope < 0
            or self.floor < 0
            or self.slope + self.floor == 0
        ):
            raise InputError(
                f"noise with slope {self.slope:g}, floor {self.floor:g}, offset {self.offset:g} is none: expected "
                "finite numbers, slope and floor not negative and not both zero",
                code="bad_noise",
            )

    @classmethod
    def of_camera(cls, gain: float, read_noise: float, offset: float = 0.0) -> PhotonNoise:
        """From what a data sheet says: `gain` in electrons per unit, `read_noise` in electrons, `offset` in units."""
        if not (math.isfinite(gain) and gain > 0):
            raise InputError(f"gain is {gain}, expected electrons per unit, above 0", code="bad_noise")
        return cls(slope=1 / gain, floor=(read_noise / gain) ** 2, offset=offset)

    @property
    def gain(self) -> float:
        """Electrons per unit; infinity when the noise does not grow with the light."""
        return 1 / self.slope if self.slope else math.inf

    @property
    def read_noise(self) -> float:
        """Electrons (units when there is no photon noise)."""
        return math.sqrt(self.floor) * (self.gain if self.slope else 1.0)

    def variance(self, level: Any) -> Double:
        """Variance of pixels whose noise-free value is `level`, any shape, in squared units."""
        light = np.maximum(np.asarray(level, dtype=np.float64) - self.offset, 0)
        return np.asarray(self.slope * light + self.floor)

    def __repr__(self) -> str:
        return f"PhotonNoise(gain={self.gain:.4g}, read_noise={self.read_noise:.4g}, offset={self.offset:.4g})"
