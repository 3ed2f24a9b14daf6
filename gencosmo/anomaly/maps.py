"""From residuals at several scales to one map, and to figures per tile.

At every scale the residuals are averaged over boxes, so that what is faint but wide adds up; each averaged map is
judged by its own quantiles. The map of a plane is the strongest of all, at every pixel, as the Gaussian deviation that
is as improbable as the strongest of that many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from gencosmo.anomaly.widths import deviation_of, gaussianised, student_shape

__all__ = ["SHAPES", "MapStack", "Tiles", "averages", "combine"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
BOXES = (3, 7)
"""Sides of the boxes over which residuals are averaged."""
LINE, ANGLES = 33, 12
"""Length of the lines over which residuals are averaged, in pixels, and how many directions they have."""
BESIDE = 13
"""Side of the box whose mean is taken off before lines are summed."""
SHAPES = ("1", *(str(box) for box in BOXES), "line")
"""Names of the averages, in order."""
OUTER = 99.5
"""Per cent of a plane within which its own quantiles are trusted to be normal."""
CLIP = 4.0
"""Deviations enter averages up to this size."""
LEAST_CELLS = 64
"""Own scatter is measured where a plane has this many boxes; below, boxes of independent residuals are assumed."""
FAR = 36.0
"""Deviations are told up to this many sigmas; beyond, the logarithm takes over."""


@dataclass(frozen=True)
class Tiles:
    """A grid of nearly equal tiles: first rows and columns, and the plane's shape."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, int], tile: int) -> Tiles:
        """Tiles of about `tile` pixels; a plane smaller than one and a half tiles is one."""
        starts = [np.linspace(0, side, max(1, round(side / tile)) + 1).astype(np.int64)[:-1] for side in shape]
        return cls(starts[0], starts[1], shape)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.cols)

    def reduce(self, how: np.ufunc, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """One figure per tile (rows, cols) of an array (..., H, W), by `np.maximum`, `np.add`, ..."""
        along = how.reduceat(values, self.rows, axis=-2)
        return np.asarray(how.reduceat(along, self.cols, axis=-1), np.float64)

    def boxes(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of every tile, in reading order."""
        rows, cols = [*self.rows.tolist(), self.shape[0]], [*self.cols.tolist(), self.shape[1]]
        for top, bottom in itertools.pairwise(rows):
            for left, right in itertools.pairwise(cols):
                yield slice(top, bottom), slice(left, right)


@dataclass(frozen=True, eq=False)
class MapStack:
    """The combined map of a plane.

    Attributes
    ----------
    anomaly_map : ndarray (H, W)
        Signed deviations, 0 where nothing was scored.
    source : ndarray of uint8 (H, W)
        Which averaged map was the strongest: ``scale * len(SHAPES) + shape``.
    peaks : ndarray (tiles, scales * shapes * 2)
        Highest and lowest deviation of each averaged map in each tile.
    """

    anomaly_map: Float
    source: NDArray[np.uint8]
    peaks: NDArray[np.float64]


def combine(z: Float, scored: Mask, tiles: Tiles) -> MapStack:
    """Average over boxes and lines, take the strongest, and the extremes of every tile.

    Parameters
    ----------
    z : ndarray (S, H, W)
        Deviations at every scale.
    scored : ndarray of bool (H, W)
    tiles : Tiles
    """
    best = np.zeros(z.shape[1:], np.float32)
    source = np.zeros(z.shape[1:], np.uint8)
    peaks = []
    number = counted = 0
    for plane in z:
        for averaged, judged in averages(plane, scored):
            if judged:
                stronger = np.abs(averaged) > np.abs(best)
                best = np.where(stronger, averaged, best)
                source[stronger] = number
                counted += 1
            peaks += [tiles.reduce(np.maximum, averaged), -tiles.reduce(np.minimum, averaged)]
            number += 1
    return MapStack(_joint(best, counted), source, np.stack(peaks, axis=-1).reshape(tiles.count, -1))


def averages(z: Float, scored: Mask) -> Iterator[tuple[Float, bool]]:
    """The map itself and its averages over `SHAPES`, and whether each is in Gaussian deviations.

    Averages are judged by their own quantiles; on a plane too small to have any they are plain sums over the square
    root of their pixels, good for comparison with normals only.
    """
    weight = scored.astype(np.float32)
    yield np.where(scored, z, np.float32(0)).astype(np.float32), True
    # a pixel beyond reason would spread over its box; single pixels have a map of their own
    held = np.clip(z, -CLIP, CLIP) * weight
    for box in BOXES:
        total = ndimage.uniform_filter(held, box, mode="constant") * np.float32(box * box)
        count = ndimage.uniform_filter(weight, box, mode="constant") * np.float32(box * box)
        yield _in_own_scatter(total / np.sqrt(np.maximum(count, 1)), scored, box * box)
    yield _in_own_scatter(_lines(held, weight), scored, 9 * LINE // 3)


def _lines(held: Float, weight: Float) -> Float:
    """The strongest average along a line through each pixel, over `ANGLES` directions, three pixels wide.

    Both halves of a line must tell the same: the weaker one counts for both. So a star at one end makes no ray.
    """
    # against what lies beside the line: a galaxy or a gradient is no line
    beside = ndimage.uniform_filter(held, BESIDE, mode="constant")
    beside /= np.maximum(ndimage.uniform_filter(weight, BESIDE, mode="constant"), np.float32(1 / BESIDE**2))
    thick = ndimage.uniform_filter((held - beside) * weight, 3, mode="constant") * np.float32(9)
    cover = ndimage.uniform_filter(weight, 3, mode="constant") * np.float32(9)
    best = np.zeros_like(held)
    for angle in range(ANGLES):
        offsets = line_offsets(np.pi * angle / ANGLES)
        middle = len(offsets) // 2
        one, other = (_along(thick, cover, half) for half in (offsets[:middle], offsets[middle + 1 :]))
        level = np.where(one * other > 0, np.sign(one) * np.minimum(np.abs(one), np.abs(other)), 0.0)
        best = np.where(np.abs(level) > np.abs(best), level, best).astype(np.float32)
    return np.asarray(np.float32(np.sqrt(2)) * best, np.float32)


def _along(thick: Float, cover: Float, offsets: Sequence[tuple[int, int]]) -> Float:
    total, count = _shifted_sum(thick, offsets), _shifted_sum(cover, offsets)
    return np.asarray(total / np.sqrt(np.maximum(count, 1)), np.float32)


def line_offsets(angle: float) -> list[tuple[int, int]]:
    """Centres of the 3 x 3 boxes that make a line of `LINE` pixels, three apart."""
    steps = np.arange(-(LINE // 6), LINE // 6 + 1) * 3
    return [(round(float(t * np.sin(angle))), round(float(t * np.cos(angle)))) for t in steps]


def _shifted_sum(plane: Float, offsets: Sequence[tuple[int, int]]) -> Float:
    """Sum of the plane moved by each offset; 0 comes in from outside."""
    reach = max(max(abs(row), abs(col)) for row, col in offsets)
    padded = np.pad(plane, reach)
    height, width = plane.shape
    total = np.zeros_like(plane)
    for row, col in offsets:
        total += padded[reach + row : reach + row + height, reach + col : reach + col + width]
    return total


def _in_own_scatter(summed: Float, scored: Mask, pixels: int) -> tuple[Float, bool]:
    """Gaussian deviations of the same probability by the map's own quantiles, where it is large enough to tell.

    What a frame holds often (its faint stars) is then no surprise, whatever its sum. 0 where not scored.
    """
    summed = np.where(scored, summed, np.float32(0)).astype(np.float32)
    if scored.sum() < LEAST_CELLS * pixels:
        return summed, False
    sample = np.abs(summed[scored])
    inner, outer = np.percentile(sample[:: max(1, sample.size // 200_000)], (68, OUTER))
    freedom, scale = student_shape(max(float(inner), 0.05), float(outer), OUTER / 100)
    return gaussianised(summed, freedom, scale), True


def _joint(best: Float, number: int) -> Float:
    """The Gaussian deviation as improbable as the strongest of `number` independent ones (Sidak 1967)."""
    grid = np.concatenate([np.linspace(0, FAR, 721), np.geomspace(FAR + 1, 1e8, 200)])
    single = np.log(2.0) + special.log_ndtr(-np.minimum(grid, 2 * FAR))
    with np.errstate(divide="ignore"):
        joint = np.log(-np.expm1(number * np.log1p(-np.exp(np.minimum(single, -1e-12)))))
    joint = np.where(single < -30, single + np.log(number), joint)
    equal = deviation_of(joint - np.log(2.0))
    equal = np.where(grid > FAR, equal[720] + (grid - FAR), equal)
    return (np.sign(best) * np.interp(np.abs(best), grid, equal)).astype(np.float32)
