"""Finders for images without a mask: saturated, bled, hot and hit pixels, written as flags.

Rules, not a network: each states what it takes for a defect, so that a wrong flag can be explained. They look at
one channel at a time, in the order of `FINDERS`, and pass over pixels that are masked already.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.flags import FILL_BITS, bits
from gencosmo.image import Image
from gencosmo.scaling import difference_noise, digitiser_step

__all__ = ["FINDERS", "check_finders", "find_defects"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]

_PLATEAU = 4
"""Pixels side by side that share the largest value to the last digit: full well."""
_HOT_NOISE, _HOT_NEAR, _HOT_SHARE = 8.0, 3.0, 0.25
"""A hot pixel stands this many noises above the ring around its eight neighbours, and none of these stands above it
by the second number of noises and by this share.
"""
_DEAD_LIGHT = 0.25
_BLEED_NOISE, _BLEED_SIDE, _BLEED_EXTRA, _BLEED_GAP = 5.0, 3, 6, 2
"""A bleed trail: lines through a saturated core that stand this many noises above those `_BLEED_SIDE` pixels beside
them, half as long again one way as the other and `_BLEED_EXTRA` more, with gaps up to `_BLEED_GAP`.
"""
_MAX_CORES, _PAD = 4096, 8


@dataclass(frozen=True)
class _Plane:
    """One channel: values, what is masked, the noise of a pixel, and what the header tells."""

    data: Float
    masked: Mask
    noise: float
    saturation: float | None
    gain: float
    read_noise: float | None
    ivar: Float | None
    full: Mask


def find_defects(image: Image, kinds: Sequence[str], *, saturation: float | None = None) -> Image:
    """Flag defects that nobody has masked.

    Parameters
    ----------
    image : Image
        Any number of channels; pixels that are masked already are left alone.
    kinds : sequence of str
        Some of `sat` (SATURATED), `bleed` (BLEED), `hot` (HOT), `dead` (DEAD), `cr` (COSMIC_RAY, by the package
        astroscrappy).
    saturation : float, optional
        Value, in the image's units, from which a pixel is saturated; without it only a plateau of equal largest
        values is.

    Returns
    -------
    Image
        With more flags; `meta["found"]` counts what each finder flagged.

    Raises
    ------
    UsageError
        A kind that does not exist, or `extra` when astroscrappy is not installed.
    """
    check_finders(kinds)
    flags = np.zeros(image.shape, np.uint32) if image.flags is None else image.flags.copy()
    found = dict.fromkeys(kinds, 0)
    for channel in range(image.shape[0]):
        data, seen = image.data[channel], (flags[channel] & np.uint32(FILL_BITS)) == 0
        level = _saturation(data, seen, saturation)
        full = np.zeros_like(seen) if level is None else data >= level
        ivar = None if image.ivar is None else image.ivar[channel]
        for kind in [name for name in FINDERS if name in kinds]:
            flag, rule = FINDERS[kind]
            bad = (flags[channel] & np.uint32(FILL_BITS)) != 0
            # on the dark ground of 8-bit images most neighbours are equal, which is no noise of zero
            noise = difference_noise(data, ~bad) or digitiser_step(data, ~bad)
            plane = _Plane(data, bad, noise, level, image.gain or 1.0, image.read_noise, ivar, full)
            hit = rule(plane) & ~bad
            flags[channel][hit] |= np.uint32(bits(flag))
            found[kind] += int(hit.sum())
    return image.replace(flags=flags, meta=dict(image.meta) | {"found": found})


def check_finders(kinds: Sequence[str]) -> None:
    """Raise `UsageError` when a finder does not exist or cannot run here."""
    for kind in kinds:
        if kind not in FINDERS:
            raise UsageError(f"finder {kind!r} is not known", code="finder", hint=f"expected {', '.join(FINDERS)}")
    if "cr" in kinds:
        _scrappy()


def _saturation(data: Float, seen: Mask, told: float | None) -> float | None:
    """The level told, else the largest value when pixels side by side share it."""
    from scipy.ndimage import label

    if told is not None:
        return told
    if not seen.any():
        return None
    top = data[seen].max()
    marks, number = label(seen & (data == top))
    if number and np.bincount(marks.ravel())[1:].max() >= _PLATEAU and top > data[seen].min():
        return float(top)
    return None


def _find_saturated(plane: _Plane) -> Mask:
    if plane.saturation is None:
        text = "no saturation level in the header and no plateau of equal largest values: no pixel is taken for full"
        warnings.warn(GencosmoWarning(text, code="saturation"), stacklevel=4)
    return plane.full


def _find_hot(plane: _Plane) -> Mask:
    """Alone among its neighbours: sharper than any point spread function that is sampled at all."""
    from scipy.ndimage import maximum_filter, median_filter

    near, far = np.ones((3, 3), np.bool_), np.ones((5, 5), np.bool_)
    near[1, 1] = False
    far[1:4, 1:4] = False
    clean = np.where(plane.masked, np.float32(np.median(plane.data[~plane.masked])), plane.data)
    around = median_filter(clean, footprint=far, mode="mirror")
    highest = maximum_filter(clean, footprint=near, mode="mirror") - around
    excess = clean - around
    lone: Mask = highest < np.maximum(_HOT_SHARE * excess, _HOT_NEAR * plane.noise)
    high: Mask = excess > _HOT_NOISE * plane.noise
    return lone & high


def _find_dead(plane: _Plane) -> Mask:
    """A hole of one pixel: no more than `_DEAD_LIGHT` of the light around it, and no neighbour that is dark too; or, on
    dark ground above a camera's black level, far below the darkest level and every neighbour.
    """
    from scipy.ndimage import median_filter, minimum_filter

    seen = plane.data[~plane.masked]
    dark, median = np.float32(np.quantile(seen, 0.0005)), np.float32(np.median(seen))
    near, far = np.ones((3, 3), np.bool_), np.ones((5, 5), np.bool_)
    near[1, 1] = False
    far[1:4, 1:4] = False
    clean = np.where(plane.masked, median, plane.data)
    around = median_filter(clean, footprint=far, mode="mirror")
    light = np.maximum(around - dark, 0)
    lowest = minimum_filter(clean, footprint=near, mode="mirror")
    lone = lowest - dark > (1 - _HOT_SHARE) * light
    dim = clean - dark < _DEAD_LIGHT * light
    depth = around - clean
    deep = depth > _HOT_NOISE * plane.noise
    # As hot pixels, upside down, and darker than the ground itself.
    alone = around - lowest < np.maximum(_HOT_SHARE * depth, _HOT_NEAR * plane.noise)
    below = alone & (dark - clean > _HOT_NEAR * plane.noise)
    hit: Mask = deep & (lone & dim | below)
    return hit


def _find_bleed(plane: _Plane) -> Mask:
    """Trails from saturated cores: long one way, short the other; wings and spikes reach as far both ways."""
    from scipy.ndimage import find_objects, label

    trails = np.zeros(plane.data.shape, np.bool_)
    if plane.noise <= 0 or not plane.full.any():
        return trails
    marks, _ = label(plane.full, structure=np.ones((3, 3)))
    for rows, cols in find_objects(marks)[:_MAX_CORES]:
        down = _lines(plane.data, plane.noise, rows, cols)
        across = _lines(plane.data.T, plane.noise, cols, rows)
        _mark_long(trails, down, across)
        _mark_long(trails.T, across, down)
    return trails


def _mark_long(trails: Mask, lines: dict[int, slice], others: dict[int, slice]) -> None:
    """Mark the lines of one direction that are much longer than all of the other one."""
    reach = max((line.stop - line.start for line in others.values()), default=0)
    for col, line in lines.items():
        if line.stop - line.start > 1.5 * reach + _BLEED_EXTRA:
            trails[line, col] = True


def _lines(data: Float, noise: float, rows: slice, cols: slice) -> dict[int, slice]:
    """For each column of a core, the rows in which it stands above both sides of the core."""
    width = data.shape[1]
    left = data[:, max(0, cols.start - _BLEED_SIDE - 3) : max(0, cols.start - _BLEED_SIDE)]
    right = data[:, min(width, cols.stop + _BLEED_SIDE) : min(width, cols.stop + _BLEED_SIDE + 3)]
    sides = [np.median(side, axis=1) for side in (left, right) if side.shape[1]]
    if not sides:
        return {}
    beside = np.max(sides, axis=0) + _BLEED_NOISE * noise
    found = {}
    for col in range(cols.start, cols.stop):
        above = data[:, col] > beside
        found[col] = slice(_end(above, rows.start, -1), _end(above, rows.stop - 1, 1) + 1)
    return found


def _end(above: Mask, row: int, step: int) -> int:
    """The last row of a run that starts at `row`, gaps of up to `_BLEED_GAP` rows passed over."""
    last, gap = row, 0
    while 0 <= row + step < above.size and gap <= _BLEED_GAP:
        row += step
        last, gap = (row, 0) if above[row] else (last, gap + 1)
    return last


def _scrappy() -> Any:
    try:
        return importlib.import_module("astroscrappy")
    except ImportError:
        text = "finding cosmic rays needs the package astroscrappy"
        raise UsageError(text, code="extra", hint="pip install 'gencosmo[find]'") from None


def _find_cosmic_rays(plane: _Plane) -> Mask:
    """Laplacian edges (van Dokkum 2001) as astroscrappy has them, in electrons."""
    gain = plane.gain
    variance = None
    if plane.ivar is not None and (plane.ivar > 0).any():
        known = plane.ivar > 0
        wide = np.divide(1.0, plane.ivar, out=np.zeros_like(plane.ivar), where=known)
        variance = _padded(np.where(known, wide, np.median(wide[known])) * np.float32(gain**2))
    # Without a variance plane the noise that is seen sets the floor: sky and read noise are in it.
    floor = plane.noise * gain
    hit, _ = _scrappy().detect_cosmics(
        _padded(plane.data * np.float32(gain)),
        inmask=_padded(plane.masked | plane.full),
        invar=variance,
        gain=1.0,
        readnoise=float(floor if variance is None else plane.read_noise or floor),
        satlevel=np.inf if plane.saturation is None else plane.saturation * gain,
        sepmed=True,
    )
    found: Mask = np.asarray(hit, np.bool_)[_PAD:-_PAD, _PAD:-_PAD]
    return found


def _padded(plane: NDArray[Any]) -> NDArray[Any]:
    """Mirrored at the borders, where the median filters of the method would take stars for hits."""
    return np.pad(plane, _PAD, mode="symmetric")


FINDERS: dict[str, tuple[str, Callable[[_Plane], Mask]]] = {
    "sat": ("SATURATED", _find_saturated),
    "bleed": ("BLEED", _find_bleed),
    "hot": ("HOT", _find_hot),
    "dead": ("DEAD", _find_dead),
    "cr": ("COSMIC_RAY", _find_cosmic_rays),
}
"""Finders by name, with the flag each sets, in the order in which they run."""
