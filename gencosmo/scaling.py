"""Physical pixels to network flux and back: one background and one noise scale per channel, linear both ways.

``flux = (value - background) / noise``; a pixel's level goes through by the same factor. Nothing here bends the
values, so means stay means and noise stays Gaussian (DESIGN: the state is linear flux).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
MAD_TO_SD = 1.482602218505602
"""Standard deviation of a Gaussian over its median absolute deviation."""
ROUNDING = 2.0**-21
"""Four steps of a float32 over its value: what neighbours may differ by and mean the same."""
GROUND, MOST_LEVELS = 8.0, 64
"""Noises from the background within which grey levels are counted, and how many there may be: with a step of a quarter
of the noise, rounding adds half a per cent to its variance.
"""
RARE, COMMON = 0.002, 0.7
"""Share of the ground that a level holds at least, and that all levels hold together."""
LEVELS_APART = 0.02
"""Distances of grey levels are whole steps, to this share of one."""
MAX_SAMPLE = 1_000_000
"""Pixels used to estimate background and noise; larger images are thinned."""


@dataclass(frozen=True)
class Scaling:
    """The affine map of one channel.

    Attributes
    ----------
    background, noise : float
        In the image's units; ``noise > 0``.
    """

    background: float
    noise: float

    def to_flux(self, values: Float) -> Float:
        """Physical values to network flux."""
        return ((values - np.float32(self.background)) / np.float32(self.noise)).astype(np.float32, copy=False)

    def to_values(self, flux: Float) -> Float:
        """Network flux to physical values."""
        return (flux * np.float32(self.noise) + np.float32(self.background)).astype(np.float32, copy=False)

    def to_level(self, ivar: Float) -> Float:
        """Inverse variance to the noise level ``sigma`` in network flux; 0 becomes inf."""
        with np.errstate(divide="ignore"):
            return (1 / (np.sqrt(ivar) * np.float32(self.noise))).astype(np.float32, copy=False)


def difference_noise(plane: Float, good: NDArray[np.bool_], lag: int = 2) -> float:
    """Noise from the differences of pixels `lag` apart, along both axes: blind to smooth structure.

    Lag 2 rather than 1, because resampled frames have correlated neighbours. 0.0 where no pair is good.
    """
    pairs = []
    for axis in (0, 1):
        near = tuple(slice(None, -lag) if a == axis else slice(None) for a in (0, 1))
        far = tuple(slice(lag, None) if a == axis else slice(None) for a in (0, 1))
        both = good[near] & good[far]
        pairs.append(np.subtract(plane[far][both], plane[near][both], dtype=np.float64))
    steps = np.concatenate(pairs)
    if steps.size == 0:
        return 0.0
    return float(MAD_TO_SD * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))


def digitiser_step(plane: Float, good: NDArray[np.bool_], lag: int = 2) -> float:
    """What neighbours differ by when they differ at all: an upper bound on a noise that digitising has swallowed.

    For planes on which most pairs are equal, as on the dark ground of 8-bit images. 0.0 where all are.
    """
    both = good[:, lag:] & good[:, :-lag]
    steps = np.abs(np.subtract(plane[:, lag:][both], plane[:, :-lag][both], dtype=np.float64))
    steps = steps[steps > 0]
    more = steps[steps > rounding(plane, good)]
    return float(np.quantile(more if more.size else steps, 0.25)) if steps.size else 0.0


def rounding(plane: Float, good: NDArray[np.bool_]) -> float:
    """What float32 does to the bright values of a plane: whatever is smaller than this is no noise.

    Equal grey levels over a smooth flat, or the ends of a simulated PSF (1e-41), differ by such amounts.
    """
    return ROUNDING * float(np.quantile(np.abs(plane[good]), 0.999)) if good.any() else 0.0


def neighbour_noise(plane: Float, good: NDArray[np.bool_]) -> tuple[float, bool]:
    """Noise from the differences of neighbours, and whether it is only the step of a digitiser that has swallowed it.

    0.0 where nothing tells of it. Measured on the rows that :func:`measure_scaling` looks at.
    """
    plane, good = _thin(plane, good)
    noise = difference_noise(plane, good)
    coarse = noise <= rounding(plane, good)
    return (digitiser_step(plane, good) if coarse else noise), coarse


def grey_step(flux: Float, good: NDArray[np.bool_]) -> float:
    """Step between the grey levels of the ground of a plane in units of its noise; 0.0 where it holds too many to
    matter, or values that are no levels.
    """
    near = flux[good & (np.abs(flux) <= GROUND)]
    levels, counts = np.unique(near, return_counts=True)
    common = counts >= RARE * near.size  # what was repaired before may lie between the levels
    if not 2 <= common.sum() <= MOST_LEVELS or counts[common].sum() < COMMON * near.size:
        return 0.0
    steps = np.diff(levels[common].astype(np.float64))
    steps = steps[steps > ROUNDING * GROUND]
    if steps.size == 0 or np.abs(steps / steps.min() - np.rint(steps / steps.min())).max() > LEVELS_APART:
        return 0.0
    return float(steps.min())


def clipped_median(values: NDArray[np.float64], clip: float = 3.0, rounds: int = 5) -> tuple[float, float]:
    """Median and MAD-scaled spread of the values within `clip` spreads of the median, iterated."""
    centre, spread = 0.0, 0.0
    for _ in range(rounds):
        centre = float(np.median(values))
        spread = float(MAD_TO_SD * np.median(np.abs(values - centre)))
        kept = values[np.abs(values - centre) <= clip * spread]
        if spread == 0 or kept.size in (0, values.size):
            break
        values = kept
    return centre, spread


def _thin(plane: Float, good: NDArray[np.bool_]) -> tuple[Float, NDArray[np.bool_]]:
    """A central strip of whole rows, so that neighbours stay neighbours, with at most MAX_SAMPLE pixels."""
    chosen = sample_rows(*plane.shape)
    return (plane, good) if chosen is None else (plane[chosen], good[chosen])


def sample_rows(height: int, width: int) -> NDArray[np.intp] | None:
    """Rows of a plane on which it is measured, None when that is all of them."""
    rows = max(8, MAX_SAMPLE // max(1, width))
    if height <= rows:
        return None
    blocks = np.array_split(np.arange(height), 16)
    return np.concatenate([block[: max(3, rows // 16)] for block in blocks])


def measure_scaling(plane: Float, good: NDArray[np.bool_], ivar: Float | None = None) -> Scaling:
    """Estimate the scaling of one channel.

    Parameters
    ----------
    plane : array (H, W)
    good : bool array (H, W)
        Pixels to measure on.
    ivar : array (H, W), optional
        Where given, the noise scale is that of the median good pixel instead of an estimate from the values.

    Returns
    -------
    Scaling
        A constant plane gets ``noise = 1`` in its own units.
    """
    if ivar is not None:
        known = ivar[good & (ivar > 0)]
        noise = float(1 / np.sqrt(np.median(known))) if known.size else 0.0
    else:
        noise, _ = neighbour_noise(plane, good)
    some, ok = _thin(plane, good)
    values = some[ok].astype(np.float64)
    if values.size == 0:
        return Scaling(0.0, 1.0)
    background, spread = clipped_median(values)
    for candidate in (noise, spread, float(values.std())):
        if np.isfinite(candidate) and candidate > 0:
            return Scaling(background, candidate)
    return Scaling(background, 1.0)
