"""The law of the noise from one image: scatter of the finest detail against the level, in the flattest places.

After Foi, Trimeche, Katkovnik & Egiazarian (2008), with other means: a detail filter that is blind to smooth structure
(Immerkaer 1996), levels sorted into bins, in each bin the half with the smallest slope, a scale from the inner
quantiles, and a straight line that believes points above it less than points below, because structure only adds.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, convolve1d, gaussian_filter
from scipy.optimize import nnls

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.image import as_image
from gencosmo.photon.noise import MeanVariance, PhotonNoise

__all__ = ["estimate_noise", "fit_law"]

Double = NDArray[np.float64]
Mask = NDArray[np.bool_]

BINS, MIN_COUNT, FLAT_SHARE = 48, 150, 0.6
INNER, INNER_SCALE = 0.4, 0.5244005127080409
"""The quantile of the detail's size that is read, and its value for a unit Gaussian."""
CUT, CUT_SCALE = 2.0, 0.7737413
"""Then details smaller than this many standard deviations count, and their mean square for a unit Gaussian."""
SMOOTH = 2.0
PLATEAU = 0.001
"""An extreme value held by more than this share of the pixels is a clipped one."""
WHITE_LEAST = 0.7
SCATTER, SURE = 10.0, 2.5
"""Relative variance of a point times its count (cut tails, overlapping filters); how many deviations are chance."""


def _detail(plane: Double, lag: int) -> Double:
    """Second differences along both axes, of unit variance for white noise of unit variance."""
    taps = np.zeros(2 * lag + 1)
    taps[[0, lag, -1]] = 1, -2, 1
    out: Double = convolve1d(convolve1d(plane, taps, axis=0), taps, axis=1) / 6
    return out


def _usable(plane: Double, good: Mask) -> Mask:
    """Pixels with good, unclipped pixels all around."""
    bad = ~good
    for extreme in (plane[good].min(), plane[good].max()):
        clipped = good & (plane == extreme)
        if clipped.sum() > max(4, PLATEAU * good.sum()):
            bad |= clipped
    bad = binary_dilation(bad, np.ones((5, 5), bool))
    bad[:3], bad[-3:], bad[:, :3], bad[:, -3:] = True, True, True, True
    usable: Mask = ~bad
    return usable


def _scale2(detail: Double) -> float:
    """Variance of a Gaussian, from the inner quantile and then from the mean square of what is not far out."""
    found = float((np.quantile(np.abs(detail), INNER) / INNER_SCALE) ** 2)
    for _ in range(8):
        kept = detail[np.abs(detail) <= CUT * np.sqrt(found)]
        if kept.size == 0:
            break
        found = float(np.mean(kept**2)) / CUT_SCALE
    return found


def _points(plane: Double, good: Mask) -> MeanVariance:
    usable = _usable(plane, good)
    if usable.sum() < 4 * MIN_COUNT:
        raise InputError(
            f"{int(usable.sum())} pixels are neither masked nor clipped, expected at least {4 * MIN_COUNT}",
            code="no_noise",
            hint="give gain and read noise instead",
        )
    cover = np.maximum(gaussian_filter(good.astype(np.float64), SMOOTH), 1e-6)
    level = gaussian_filter(np.where(good, plane, 0), SMOOTH) / cover
    slope = np.hypot(*np.gradient(level))
    fine, coarse = _detail(plane, 1), _detail(plane, 2)
    where = np.flatnonzero(usable)
    where = where[np.argsort(level.flat[where], kind="stable")]
    low, high = level.flat[where[[0, -1]]]
    # bins of equal width, and where these hold too little, of equal number
    wide = np.searchsorted(level.flat[where], np.linspace(low, high, BINS + 1)[1:-1])
    rows, white = [], []
    for part in np.split(where, np.unique(wide)):
        if part.size < MIN_COUNT:
            continue
        flat = part[slope.flat[part] <= np.quantile(slope.flat[part], FLAT_SHARE)]
        near, far = _scale2(fine.flat[flat]), _scale2(coarse.flat[flat])
        rows.append((float(level.flat[flat].mean()), near, flat.size))
        white.append((near / far if far > 0 else 1.0, flat.size))
    if not rows:
        raise InputError(
            f"no level of the image has {MIN_COUNT} pixels to tell its noise from",
            code="no_noise",
            hint="give gain and read noise instead, or a larger image",
        )
    levels, variances, counts = (np.array(x, dtype=np.float64) for x in zip(*rows, strict=True))
    ratio, size = np.array(white).T
    return MeanVariance(
        levels, variances, counts.astype(np.int64), np.ones_like(levels), float(np.average(ratio, weights=size))
    )


def _line(points: MeanVariance, offset: float) -> tuple[float, float, Double]:
    """Slope, floor and the weight of each point: least squares on the relative error, with both not negative."""
    light = np.maximum(points.level - offset, 0)
    design = np.stack([light, np.ones_like(light)], axis=1)
    weight = np.ones_like(light)
    slope, floor = 0.0, max(float(np.median(points.variance)), 1e-30)
    for _ in range(30):
        fitted = np.maximum(slope * light + floor, 1e-12 * points.variance.max() + 1e-30)
        ratio = points.variance / fitted - 1
        # chance lifts and lowers points alike; what stands further above the line is structure
        above = ratio / (SURE * np.sqrt(SCATTER / points.count))
        weight = np.where(above > 1, 1 / np.maximum(above, 1) ** 2, 1.0)
        root = np.sqrt(weight * points.count) / fitted
        (slope, floor), _ = nnls(design * root[:, None], points.variance * root)
    return float(slope), float(floor), weight


def _digitising(values: NDArray[np.float32]) -> float:
    """Variance of rounding to the steps of the digitiser, step^2 / 12; next to nothing for values that have none."""
    steps = np.diff(np.unique(values))
    return float(steps.min()) ** 2 / 12 if steps.size else 0.0


def fit_law(
    plane: NDArray[np.float32], good: NDArray[np.bool_], *, offset: float | None = None, name: str = "the image"
) -> PhotonNoise:
    """Read the law of one plane (H, W) off its good pixels; see :func:`estimate_noise`. `name` is for messages."""
    points = _points(plane.astype(np.float64), good)
    start = float(points.level.min()) if offset is None else offset
    if not (points.variance > 0).any():
        raise InputError(
            f"{name} has no noise: neighbouring pixels are equal or follow a surface",
            code="no_noise",
            hint="give gain and read noise instead",
        )
    slope, floor, weight = _line(points, start)
    floor = max(floor, _digitising(plane[good]))
    if points.white < WHITE_LEAST:
        share = f"fine detail has {points.white:.2f} of the coarser's variance"
        text = f"noise of {name} is not white, {share}: compressed, filtered or resampled images look too quiet"
        warnings.warn(GencosmoWarning(text, code="correlated"), stacklevel=3)
    kept = MeanVariance(points.level, points.variance, points.count, weight, points.white)
    return PhotonNoise(slope, floor, start, kept)


def estimate_noise(image: Any, mask: Any = None, *, offset: float | None = None) -> list[PhotonNoise]:
    """Read gain, read noise and (where it is not told) a stand-in for the offset off one image.

    Parameters
    ----------
    image : Image, ndarray (H, W) or (C, H, W), or what `as_image` takes
        In linear units; masked and clipped pixels do not count.
    mask : array-like, optional
        True = bad.
    offset : float, optional
        Level without light. Unknown, the darkest level of each channel stands for it.

    Returns
    -------
    list of PhotonNoise
        One per channel, with the points of the fit.

    Raises
    ------
    InputError
        `no_noise`: too few pixels, or none of them scatter (a rendered or heavily compressed image).

    Warns
    -----
    GencosmoWarning
        `correlated`: neighbouring pixels are correlated, so that the scatter of the finest detail is too small
        (resampled, filtered or compressed images), or structure fills the image (then it is too large).
    """
    asked = as_image(image, mask)
    good = ~asked.mask
    return [
        fit_law(plane, seen, offset=offset, name=f"channel {channel}")
        for channel, (plane, seen) in enumerate(zip(asked.data, good, strict=True))
    ]
