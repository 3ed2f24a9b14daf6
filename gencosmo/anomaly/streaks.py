"""Straight lines through a tile: satellite trails, diffraction spikes that leave their star, bad rows and columns.

A line of one noise is found in no pixel and in no short piece. Summed from edge to edge it stands far out, but so does
a galaxy that lies on the way. So a line is cut into pieces, each piece is compared with the ground on both its sides,
values are clipped near the noise, and only the fainter half of the pieces counts: whatever is bright in one place says
nothing, and a line must be there all along.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["streaks"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ANGLES = 36
PIECE = 12
"""Length of a piece, in pixels."""
FAINTER = 0.5
"""Share of the pieces that counts, the faintest first."""
WHOLE = 0.8
"""A line crosses at least this share of the shorter side."""
CLIP = 1.5
"""Values count up to this many noises."""
BESIDE = (4, 5, 6, 7)
"""Distances of the ground on both sides, in pixels."""
LEAST = 8
"""Pixels that a piece, and the ground beside it, must have."""


def streaks(flux: Array, scored: Mask) -> Array:
    """Brightest and darkest line (2,), as the sum over its fainter half in sigmas of independent pixels.

    Parameters
    ----------
    flux : ndarray (h, w)
        In noises above the background.
    scored : ndarray of bool (h, w)
        Pixels with a value.
    """
    gather, lines, pieces = _pieces((flux.shape[0], flux.shape[1]))
    held = np.where(scored, np.clip(flux, -CLIP, CLIP), 0.0)
    total, count = ((gather @ plane.ravel()).reshape(ANGLES, lines, pieces) for plane in (held, scored.astype(float)))
    bright, dark = np.full_like(total, np.inf), np.full_like(total, np.inf)
    thick, cover = (_moved(plane, (-1, 0, 1)) for plane in (total, count))
    for side in (1, -1):
        ground, known = (_moved(plane, [side * away for away in BESIDE]) for plane in (total, count))
        enough = (cover > LEAST) & (known > LEAST)
        cover_, known_ = np.maximum(cover, 1.0), np.maximum(known, 1.0)
        rise = (thick / cover_ - ground / known_) / np.sqrt(1 / cover_ + 1 / known_)
        bright, dark = (
            np.where(enough, np.minimum(bright, rise), bright),
            np.where(enough, np.minimum(dark, -rise), dark),
        )
    least = WHOLE * min(flux.shape) / PIECE
    return np.array([_strongest(bright, least), _strongest(dark, least)])


def _strongest(rise: Array, least: float) -> float:
    """Highest sum over the fainter half of the pieces, over the root of their number; 0 where no line is long."""
    there = np.isfinite(rise).sum(axis=-1)
    counted = np.maximum(np.rint(FAINTER * there).astype(int), 1)
    ordered = np.sort(rise, axis=-1)
    summed = np.cumsum(np.where(np.isfinite(ordered), ordered, 0.0), axis=-1)
    level = np.take_along_axis(summed, counted[..., None] - 1, -1)[..., 0] / np.sqrt(counted)
    return max(0.0, float(level[there >= least].max(initial=0.0)))


def _moved(planes: Array, offsets: tuple[int, ...] | list[int]) -> Array:
    """Sum of the lines at these offsets from each line."""
    reach = max(abs(offset) for offset in offsets)
    padded = np.pad(planes, ((0, 0), (reach, reach), (0, 0)))
    total = np.zeros_like(planes)
    for offset in offsets:
        total += padded[:, reach + offset : reach + offset + planes.shape[1]]
    return total


@lru_cache(maxsize=16)
def _pieces(shape: tuple[int, int]) -> tuple[sparse.csr_matrix, int, int]:
    """Matrix that sums pixels into pieces (angle, line, piece), number of lines per angle, of pieces per line."""
    rows, cols = (index - (side - 1) / 2 for index, side in zip(np.indices(shape), shape, strict=True))
    reach = int(np.ceil(np.hypot(*shape) / 2)) + 1
    lines, pieces = 2 * reach + 1, (2 * reach) // PIECE + 1
    found: list[NDArray[np.int64]] = []
    for angle in np.pi * np.arange(ANGLES) / ANGLES:
        line = np.rint(rows * np.cos(angle) - cols * np.sin(angle)).astype(np.int64) + reach
        piece = ((rows * np.sin(angle) + cols * np.cos(angle) + reach) / PIECE).astype(np.int64)
        found.append((line * pieces + piece).ravel() + len(found) * lines * pieces)
    pixels = np.tile(np.arange(rows.size), ANGLES)
    matrix = sparse.csr_matrix(
        (np.ones(pixels.size), (np.concatenate(found), pixels)), shape=(ANGLES * lines * pieces, rows.size)
    )
    return matrix, lines, pieces
