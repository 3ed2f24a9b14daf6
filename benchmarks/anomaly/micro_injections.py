"""What is put into real tiles of microscopy: five things that do not belong there, in units of the tile's noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

Rng = np.random.Generator
Array = np.ndarray
FOREIGN = 24
"""Side of the patches that hold foreign cells, in pixels."""


def _grid(tile: Array) -> tuple[Array, Array]:
    rows, cols = np.indices(tile.shape)
    return rows.astype(float), cols.astype(float)


def _height(tile: Array) -> float:
    """How bright the specimen of a tile is, in noises; 8 where there is hardly any."""
    return max(8.0, float(np.percentile(tile, 99.5) - np.percentile(tile, 10)))


def defocus(rng: Rng, tile: Array) -> Array:
    """The specimen out of focus by 1.5 to 4 pixels (sigma), seen with fresh noise."""
    width = rng.uniform(1.5, 4)
    left = 1 / (4 * np.pi * width**2)
    return ndimage.gaussian_filter(tile, width) + np.sqrt(1 - left) * rng.standard_normal(tile.shape)


def dust(rng: Rng, tile: Array) -> Array:
    """Dust in the light path: a soft disc of 6 to 14 pixels radius that takes 25 to 70 per cent of the light."""
    rows, cols = _grid(tile)
    row, col = rng.uniform(0.3, 0.7, 2) * tile.shape[0]
    r = np.hypot(rows - row, (cols - col) / rng.uniform(0.7, 1.0))
    disc = 0.5 * (1 - np.tanh((r - rng.uniform(6, 14)) / rng.uniform(1, 3)))
    ground = np.percentile(tile, 5) - 3.0
    return ground + (tile - ground) * (1 - rng.uniform(0.25, 0.7) * disc)


def debris(rng: Rng, tile: Array) -> Array:
    """A ragged bright clump of 5 to 12 lumps within 3 to 9 pixels, 0.3 to 1.5 times as bright as the specimen."""
    rows, cols = _grid(tile)
    row, col = rng.uniform(0.25, 0.75, 2) * tile.shape[0]
    reach, out = rng.uniform(3, 9), np.zeros(tile.shape)
    for _ in range(rng.integers(5, 13)):
        dr, dc = rng.normal(0, reach / 2, 2)
        width = rng.uniform(0.7, 2.0)
        out += rng.uniform(0.3, 1) * np.exp(-0.5 * ((rows - row - dr) ** 2 + (cols - col - dc) ** 2) / width**2)
    return tile + rng.uniform(0.3, 1.5) * _height(tile) * out / out.max()


def fibre(rng: Rng, tile: Array) -> Array:
    """A bent fibre through the tile, 0.8 to 1.8 pixels wide (sigma), 0.2 to 0.8 times as bright as the specimen."""
    rows, cols = _grid(tile)
    side, turn = tile.shape[0], rng.uniform(0, np.pi)
    along = (rows - side / 2) * np.cos(turn) + (cols - side / 2) * np.sin(turn)
    across = (cols - side / 2) * np.cos(turn) - (rows - side / 2) * np.sin(turn)
    bend, start = rng.uniform(-0.5, 0.5) / side, rng.uniform(-0.15, 0.15) * side
    away = (across - start - bend * along**2) / np.sqrt(1 + (2 * bend * along) ** 2)
    height = rng.uniform(0.2, 0.8) * _height(tile)
    return tile + height * np.exp(-0.5 * (away / rng.uniform(0.8, 1.8)) ** 2)


def foreign(patches: Sequence[Array]) -> Callable[[Rng, Array], Array]:
    """A cell of another specimen, turned, as bright as this one; `patches` from :func:`cells_of`."""

    def put(rng: Rng, tile: Array) -> Array:
        patch = np.rot90(patches[rng.integers(len(patches))], rng.integers(4))
        top, left = rng.integers(4, tile.shape[0] - FOREIGN - 4, 2)
        out = tile.copy()
        out[top : top + FOREIGN, left : left + FOREIGN] += rng.uniform(0.5, 1.2) * _height(tile) * patch
        return out

    return put


def cells_of(frames: Sequence[Array], most: int = 40) -> list[Array]:
    """Patches (FOREIGN, FOREIGN) around bright objects of frames: no ground, soft rims, 1 at the brightest."""
    found = []
    taper = np.minimum(1.0, 2.5 * np.hanning(FOREIGN + 2)[1:-1])
    for frame in frames:
        smooth = ndimage.gaussian_filter(frame, 3.0)
        tops = (smooth == ndimage.maximum_filter(smooth, 31)) & (smooth > np.percentile(smooth, 95))
        half = FOREIGN // 2
        for row, col in np.argwhere(tops[half:-half, half:-half])[: most // len(frames)]:
            patch = frame[row : row + FOREIGN, col : col + FOREIGN]
            light = ndimage.gaussian_filter(np.maximum(patch - np.percentile(patch, 10), 0), 0.7)
            found.append(light * np.outer(taper, taper) / light.max())
    return found


KINDS: dict[str, Callable[[Rng, Array], Array]] = {"defocus": defocus, "dust": dust, "debris": debris, "fibre": fibre}
"""Injections by name; a foreign cell needs patches of another specimen."""
