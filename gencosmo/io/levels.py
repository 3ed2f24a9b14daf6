"""Smaller copies of an image (pyramids): only what stands over filled pixels is made again, the rest stays.

A pixel of a level is the mean of the pixels of the level below that lie under it. One that holds no filled pixel keeps
the input's own value, however that was made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Plane, Section
from gencosmo.io.repairs import Repairs

__all__ = ["Ladder", "encode", "halve", "level_sizes"]

Index = NDArray[np.int64]


def encode(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in a stored type: rounded to the nearest, and to the ends of its range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    # float64 holds every 32-bit integer; the ends of 64 bits are taken care of by the clip below them
    wide = np.clip(np.rint(values.astype(np.float64)), float(info.min), float(np.nextafter(float(info.max) + 1, 0)))
    return wide.astype(dtype)


def halve(array: NDArray[Any]) -> NDArray[Any]:
    """Return (ceil(H/2), ceil(W/2)): means of 2x2 pixels, of fewer at an odd edge, in the same type."""
    height, width = array.shape
    padded = np.pad(array, ((0, height % 2), (0, width % 2)), mode="edge")
    four = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    return encode(four.mean((1, 3), dtype=np.float64), array.dtype)


def level_sizes(height: int, width: int, smallest: int = 1024) -> list[tuple[int, int]]:
    """Return the sizes of the levels below full size, halved until both sides are at most `smallest`."""
    found = []
    while max(height, width) > smallest:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
        found.append((height, width))
    return found


@dataclass(frozen=True)
class _Step:
    """One axis of one level over the level below it."""

    above: int
    below: int

    @property
    def ratio(self) -> float:
        """Pixels of the level below under one pixel: a whole number when the sizes allow it."""
        whole = max(1, round(self.below / self.above))
        fits = self.above in (self.below // whole, -(-self.below // whole))
        return float(whole) if fits else self.below / self.above

    def first(self, above: Index) -> Index:
        first: Index = np.minimum(np.floor(above * self.ratio).astype(np.int64), self.below - 1)
        return first

    def stop(self, above: Index) -> Index:
        stop: Index = np.clip(np.ceil((above + 1) * self.ratio).astype(np.int64), 1, self.below)
        return stop

    def over(self, below: Index) -> list[Index]:
        """The one or two pixels that have this one under them; more than the last is the last."""
        low = np.minimum(np.floor(below / self.ratio).astype(np.int64), self.above - 1)
        high = np.clip(np.ceil((below + 1) / self.ratio).astype(np.int64) - 1, 0, self.above - 1)
        return [low] if np.array_equal(low, high) else [low, high]


class Ladder:
    """Levels of an image: `sizes` (H, W) from full size down."""

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self.sizes = list(sizes)
        self._steps = [
            (_Step(up[0], low[0]), _Step(up[1], low[1])) for low, up in zip(self.sizes, self.sizes[1:], strict=False)
        ]

    def below(self, level: int, section: Section) -> Section:
        """Return the rows and columns of the next larger level that lie under a section."""
        down, right = (
            slice(int(step.first(np.array(part.start))), int(step.stop(np.array(part.stop - 1))))
            for step, part in zip(self._steps[level - 1], section, strict=True)
        )
        return down, right

    def _root(self, level: int, section: Section) -> Section:
        """Rows and columns at full size that can stand under a section, with one pixel more around it."""
        for number in range(level, 0, -1):
            height, width = self.sizes[number]
            wide = (
                slice(max(0, section[0].start - 1), min(height, section[0].stop + 1)),
                slice(max(0, section[1].start - 1), min(width, section[1].stop + 1)),
            )
            section = self.below(number, wide)
        return section

    def _climb(self, level: int, rows: Index, cols: Index) -> list[tuple[Index, Index, NDArray[np.int64]]]:
        """Where pixels at full size come to stand: rows, columns, and which pixel it is."""
        places = [(rows, cols, np.arange(rows.size))]
        for down, right in self._steps[:level]:
            places = [(r, c, n) for a, b, n in places for r in down.over(a) for c in right.over(b)]
        return places

    def layer(
        self, repairs: Repairs, name: str, dtype: Any, plane: Plane, level: int, section: Section
    ) -> NDArray[Any]:
        """Return a field of the filled pixels as an image of a level: the largest under each pixel."""
        if level == 0:
            return repairs.layer(name, dtype, plane, section)
        out = np.zeros((section[0].stop - section[0].start, section[1].stop - section[1].start), dtype)
        root = self._root(level, section)
        for row, col, spot in repairs.inside(plane, root):
            values = getattr(spot, name).astype(dtype)
            for r, c, n in self._climb(level, row + root[0].start, col + root[1].start):
                r, c = r - section[0].start, c - section[1].start
                keep = (r >= 0) & (r < out.shape[0]) & (c >= 0) & (c < out.shape[1])
                np.maximum.at(out, (r[keep], c[keep]), values[n[keep]])
        return out

    def touched(self, repairs: Repairs, plane: Plane, level: int, section: Section) -> tuple[Index, Index]:
        """Return rows and columns in a section of a level of the pixels that stand over filled ones."""
        marks = self.layer(repairs, "fill", np.uint8, plane, level, section)
        rows, cols = np.nonzero(marks)
        return rows, cols

    def patch(
        self,
        array: NDArray[Any],
        level: int,
        section: Section,
        below: NDArray[Any],
        below_section: Section,
        where: tuple[Index, Index],
    ) -> None:
        """Write the means of `below` into the pixels `where` (rows and columns in the section) of `array`, in place."""
        down, right = self._steps[level - 1]
        row, col = where[0] + section[0].start, where[1] + section[1].start
        r0, r1 = down.first(row) - below_section[0].start, down.stop(row) - below_section[0].start
        c0, c1 = right.first(col) - below_section[1].start, right.stop(col) - below_section[1].start
        total, number = np.zeros(row.size), np.zeros(row.size)
        for dy in range(int((r1 - r0).max(initial=0))):
            for dx in range(int((c1 - c0).max(initial=0))):
                there = (r0 + dy < r1) & (c0 + dx < c1)
                total[there] += below[(r0 + dy)[there], (c0 + dx)[there]]
                number[there] += 1
        array[where] = encode(total / np.maximum(number, 1), array.dtype)
