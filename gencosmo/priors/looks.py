"""What a frame looks like, in a few numbers that say whether a prior was trained on its kind.

All statistics are medians or quantiles over pixels of the frame in network flux, so that no star, cosmic ray or
unmasked column decides, and all are blind to background, gain and orientation. A card stores the range of each over the
training frames (`measure_domain`), :mod:`gencosmo.tasks.domain` compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["STATISTICS", "frame_looks", "join_domains", "measure_domain", "strange_looks"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
SIDE = 768
"""Larger frames are judged by their middle."""
MIN_PIXELS = 9000
"""Frames of fewer pixels are not judged: a single galaxy would decide."""
FLOOR = 0.05
"""Differences below this share of the noise count as this, in network flux."""
MANY = 10
"""Frames from which on single ones do not set a range."""
LEAST_STEP = 1e-3
"""Values that are rounded more finely than this, in network flux, count as continuous."""
PEAKED = 4.0
"""The 99.5 % quantile over the 90 % one, both above the 5 % one, from which on a frame is a field of peaks."""
PART, PARTS = 20, 6
"""Least side of the parts of a frame that structure is looked for in, and most of them along a side."""
PROFILE_FLOOR = 0.3
"""The same for the steps of a profile."""
SLACK = {"neighbours": 1.0, "structure": 0.3, "direction": 0.8, "mosaic": 0.4, "steps": 0.1}
"""Room beyond the training frames: there are more ordinary frames than anybody trains on."""

STATISTICS: dict[str, str] = {
    "mosaic": "pixels alternate in cells of 2x2, as in a raw frame of a colour camera",
    "direction": "rows and columns differ, as in a spectrum",
    "neighbours": "neighbouring pixels hardly differ, as in an enlarged image",
    "structure": "smooth structure fills the frame, as on the Sun or in a photograph",
    "steps": "most pixels share one value: counts of few photons, or values rounded far above the noise",
}
"""Name of each statistic, and what it means when a frame lies beyond the range of its card."""


def _differences(flux: Float, good: Mask, lag: int, axis: int) -> Float:
    """Absolute differences of good pixels `lag` apart along one axis."""
    near = tuple(slice(None, -lag) if a == axis else slice(None) for a in (0, 1))
    far = tuple(slice(lag, None) if a == axis else slice(None) for a in (0, 1))
    both = good[near] & good[far]
    return np.asarray(np.abs(flux[far][both] - flux[near][both]))


def _log_ratio(a: float, b: float, floor: float = FLOOR) -> float:
    return float(np.log2((a + floor) / (b + floor)))


def _difference(flux: Float, good: Mask, lag: int) -> float:
    """Median difference of pixels `lag` apart, over both axes."""
    return float(np.mean([np.median(_differences(flux, good, lag, axis)) for axis in (0, 1)]))


def _peaked(flux: Float, good: Mask) -> bool:
    """Whether the brightest pixels stand far above the bright ones, as in a field of stars and not on the Sun."""
    low, bright, brightest = np.quantile(flux[good], (0.05, 0.9, 0.995))
    return bool(brightest - low > PEAKED * max(bright - low, FLOOR))


def _structure(flux: Float, good: Mask) -> float:
    """Median difference 4 pixels apart over that 2 pixels apart, in octaves: 0 for noise, 1 for smooth structure.

    Of the middle one of up to 6x6 parts of the frame: one galaxy does not fill them all, the Sun does. A crowd of stars
    does as well, and counts half.
    """
    found = []
    for rows in np.array_split(np.arange(flux.shape[0]), np.clip(flux.shape[0] // PART, 1, PARTS)):
        for cols in np.array_split(np.arange(flux.shape[1]), np.clip(flux.shape[1] // PART, 1, PARTS)):
            part = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
            if good[part].mean() > 0.5:
                found.append(_log_ratio(_difference(flux[part], good[part], 4), _difference(flux[part], good[part], 2)))
    return float(np.median(found)) * (0.5 if _peaked(flux, good) else 1.0) if found else 0.0


def _profile(flux: Float, good: Mask, axis: int) -> Float:
    """Medians of the good pixels along an axis, of the lines that have any."""
    some = good.any(axis)
    lines = np.where(good, flux, np.nan).compress(some, axis=1 - axis)
    return np.asarray(np.nanmedian(lines, axis=axis))


def _direction(flux: Float, good: Mask) -> float:
    """How much rows and columns differ, in octaves: in large differences 8 pixels apart, and in the steps of the
    profiles along the axes; the smaller of the two counts, because a single trail has only one.
    """
    steep = [float(np.quantile(_differences(flux, good, 8, axis), 0.9)) for axis in (0, 1)]
    profiles = [_profile(flux, good, axis) for axis in (0, 1)]
    rough = [float(np.quantile(np.abs(np.diff(p)), 0.9)) if p.size > 8 else 0.0 for p in profiles]
    return min(abs(_log_ratio(*steep)), abs(_log_ratio(rough[0], rough[1], PROFILE_FLOOR)))


def _mosaic(flux: Float, good: Mask) -> float:
    """Largest median of the three patterns that a 2x2 cell can hold, in units of the noise of a pixel."""
    height, width = (side // 2 * 2 for side in flux.shape)
    cells = (height // 2, 2, width // 2, 2)
    whole = good[:height, :width].reshape(cells).all((1, 3))
    a, b, c, d = (flux[:height, :width].reshape(cells)[:, i, :, j][whole] for i in (0, 1) for j in (0, 1))
    if a.size == 0:
        return 0.0
    return float(max(abs(np.median(x)) for x in (a + d - b - c, a + b - c - d, a + c - b - d)) / 2)


def _steps(flux: Float, good: Mask) -> float:
    """Share of the most common value, padding with one value aside; fine digitisation gives a few per cent."""
    same = np.ones(flux.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            same &= np.roll(flux, shift, axis) == flux
    varied = flux[good & ~same]
    return float(np.unique(varied, return_counts=True)[1].max() / good.sum()) if varied.size else 1.0


def _smeared(flux: Float, good: Mask) -> Float:
    """The frame with the rounding of its values undone at random: medians of whole numbers jump."""
    levels = np.unique(flux[good])
    step = float(np.diff(levels).min()) if levels.size > 1 else 0.0
    if step < LEAST_STEP:
        return flux
    return (flux + step * (np.random.default_rng(0).random(flux.shape) - 0.5)).astype(np.float32)


def frame_looks(flux: Float, good: Mask) -> dict[str, float]:
    """The statistics of one plane.

    Parameters
    ----------
    flux : array (H, W)
        Network flux, see :mod:`gencosmo.scaling`.
    good : bool array (H, W)
        Pixels to look at.

    Returns
    -------
    dict
        Empty for planes too small to tell, and for constant ones.
    """
    top, left = (max(0, side - SIDE) // 2 for side in flux.shape)
    flux, good = flux[top : top + SIDE, left : left + SIDE], good[top : top + SIDE, left : left + SIDE]
    if good.sum() < MIN_PIXELS or min(flux.shape) < PART or np.ptp(flux[good]) == 0:
        return {}
    steps, flux = _steps(flux, good), _smeared(flux, good)
    return {
        "neighbours": _log_ratio(_difference(flux, good, 1), _difference(flux, good, 2)),
        "structure": _structure(flux, good),
        "direction": _direction(flux, good),
        "mosaic": _mosaic(flux, good),
        "steps": steps,
    }


def measure_domain(planes: Iterable[Float]) -> dict[str, tuple[float, float]]:
    """Accepted range of each statistic, for a card: that of frames of network flux (NaN = bad), and `SLACK`.

    Of `MANY` frames or more, the most extreme one at each end does not count: it may be the one with the bleed trail.
    """
    seen = [found for flux in planes if (found := frame_looks(np.nan_to_num(flux), np.isfinite(flux)))]
    last = 1 if len(seen) >= MANY else 0
    domain = {}
    for name, room in SLACK.items() if seen else ():
        values = sorted(looks[name] for looks in seen)
        domain[name] = (round(values[last] - room, 4), round(values[-1 - last] + room, 4))
    return domain


def join_domains(
    one: Mapping[str, tuple[float, float]], other: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Ranges that cover both."""
    if not one or not other:
        return dict(one or other)
    return {k: (min(one[k][0], other[k][0]), max(one[k][1], other[k][1])) for k in one.keys() & other.keys()}


def strange_looks(looks: Mapping[str, float], domain: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the statistics that lie beyond a card's range; those first that say most about the kind of image."""
    return [n for n in STATISTICS if n in domain and n in looks and not domain[n][0] <= looks[n] <= domain[n][1]]
