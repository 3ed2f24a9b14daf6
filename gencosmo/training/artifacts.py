"""Defects that nobody masked beside the holes: saturated stars, bleed columns, amplifier edges, hot pixels.

They are part of the frame that is to be predicted. A prior that has not met them takes a bright column for the flank
of a star and lets it spill into the hole next to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gencosmo.training.masks import Rng, cosmic_rays

__all__ = ["add_artifacts"]

Float = NDArray[np.float32]
LOW, HIGH = 10.0, 6000.0
"""Range of a defect's height over the sky, in units of the noise; log-uniform."""


def _height(rng: Rng) -> np.float32:
    return np.float32(np.exp(rng.uniform(np.log(LOW), np.log(HIGH))))


def bright_column(tile: Float, rng: Rng) -> None:
    """A column or row, one to four wide, whole or from some pixel on, with a rough plateau."""
    view = tile.T if rng.random() < 0.3 else tile
    at, width = rng.integers(0, view.shape[1]), rng.integers(1, 5)
    start = rng.integers(0, view.shape[0]) if rng.random() < 0.5 else 0
    piece = view[start:, at : at + width]
    piece += _height(rng) * (1 + 0.03 * rng.standard_normal(piece.shape)).astype(np.float32)


def edge(tile: Float, rng: Rng) -> None:
    """Everything beyond a straight line lies higher."""
    view = tile.T if rng.random() < 0.5 else tile
    view[:, rng.integers(2, view.shape[1]) :] += _height(rng)


def hot_pixels(tile: Float, rng: Rng) -> None:
    """One to six single pixels."""
    for _ in range(rng.integers(1, 7)):
        tile[rng.integers(0, tile.shape[0]), rng.integers(0, tile.shape[1])] += _height(rng)


def tracks(tile: Float, rng: Rng) -> None:
    """Cosmic rays that were not found."""
    mask = cosmic_rays(rng, tile.shape[0])
    tile[mask] += _height(rng) * rng.gamma(2.0, 0.5, int(mask.sum())).astype(np.float32)


def saturation(tile: Float, rng: Rng) -> None:
    """A plateau where the tile is brightest, with bleed trails along the columns from some of it."""
    level = np.float32(np.quantile(tile, rng.uniform(0.985, 0.9998)))
    full = tile > level
    if level - np.median(tile) < LOW:
        return
    view, lit = (tile.T, full.T) if rng.random() < 0.2 else (tile, full)
    if rng.random() < 0.6:
        for col in np.flatnonzero(lit.any(0)):
            rows = np.flatnonzero(lit[:, col])
            reach = rng.exponential(3.0 * rows.size)
            lit[max(0, int(rows[0] - reach)) : int(rows[-1] + reach) + 1, col] = True
    rough = 1 + rng.choice([0.0, 0.003, 0.03]) * rng.standard_normal(view.shape)
    view[lit] = (level * rough)[lit].astype(np.float32)


KINDS = (bright_column, bright_column, edge, hot_pixels, tracks, saturation, saturation)


def add_artifacts(tiles: Float, rng: Rng, share: float) -> Float:
    """Copies of tiles (B, H, W), a `share` of them with one defect each."""
    out = tiles.copy()
    for tile in out:
        if rng.random() < share:
            KINDS[rng.integers(len(KINDS))](tile, rng)
    return out
