"""The denoiser's own representation: what its deepest or its finest level says of every few pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gencosmo.anomaly.maps import Tiles
from gencosmo.anomaly.memory import SIDE
from gencosmo.priors.base import Denoiser
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.windows import Canvas

__all__ = ["Bottleneck", "narrowed", "place_light"]

MARGIN = 8
"""Least halo, in pixels, of windows that hold a whole small plane: outside it nothing is known anyway."""


def narrowed(denoiser: Denoiser, sides: tuple[int, int]) -> Denoiser:
    """The same prior with windows no larger than planes of at most these sides need; for batches of cutouts.

    Parameters
    ----------
    denoiser : Denoiser
        Anything but a `DiffusionPrior` is returned as it is.
    sides : (int, int)
        Rows and columns of the largest plane.
    """
    if not isinstance(denoiser, DiffusionPrior):
        return denoiser
    stride, card = denoiser.network.shape.stride, denoiser.card
    core = -(-max(sides) // stride) * stride
    if core >= card.core:
        return denoiser
    margin = -(-MARGIN // stride) * stride
    card = replace(card, core=core, halo=margin, ramp=0)
    return DiffusionPrior(denoiser.network, card, denoiser.calibration, denoiser.device)


class Bottleneck:
    """Keeps the features of the pass at one level, of the deepest part of the network or of its last, finest block.

    Parameters
    ----------
    denoiser : DiffusionPrior
        With a network: no other has a representation.
    canvas : Canvas
    wanted : Tensor (N,) bool
        The pixels of the plan.
    level : float
    finest : bool
        Features of half of the resolution, that know the deeper ones, instead of the deepest; averaged to as few.
    """

    def __init__(
        self, denoiser: DiffusionPrior, canvas: Canvas, wanted: Tensor, level: float, *, finest: bool = False
    ) -> None:
        self.denoiser = denoiser
        self.canvas, self.level = canvas, level
        self.parts: list[Tensor] = []
        self.kept: list[Tensor] | None = None
        self.plan = denoiser.plan(canvas, wanted)
        self.finest = finest and len(denoiser.network.up) > 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this lasts, every pass of the network is heard."""
        network = self.denoiser.network
        handle = (network.up[0] if self.finest else network.down[-1]).register_forward_hook(self._hear)
        try:
            yield
        finally:
            handle.remove()

    def _hear(self, module: Any, inputs: Any, output: Tensor) -> None:
        heard = output.detach().float()
        if self.finest:  # at once: a frame has far too many of these
            heard = F.avg_pool2d(heard, 3, 1, 1, count_include_pad=False)
            heard = F.avg_pool2d(heard, self.denoiser.network.shape.stride // 2)
        self.parts.append(heard)

    def after(self, level: float) -> None:
        """Keep what was heard when the pass was at the wanted level, else forget it."""
        if level == self.level and self.parts:
            self.kept = [window for part in self.parts for window in part]
        self.parts.clear()

    def tiles(self, p: int, tiles: Tiles) -> NDArray[np.float64]:
        """Mean and spread of every channel (tiles, 2 C) over each tile of plane `p`."""
        cells, stride = self._plane(p), self.denoiser.network.shape.stride
        rows, cols = ((first // stride).clip(0, side - 1) for first, side in zip(
            (tiles.rows, tiles.cols), cells.shape[1:], strict=True))  # fmt: skip
        coarse = Tiles(rows, cols, (cells.shape[1], cells.shape[2]))  # tiles smaller than a cell share it
        count = coarse.reduce(np.add, np.ones(cells.shape[1:]))
        mean = coarse.reduce(np.add, cells) / count
        square = coarse.reduce(np.add, cells * cells) / count
        spread = np.sqrt(np.maximum(square - mean * mean, 1e-12))
        pooled: NDArray[np.float64] = np.concatenate([mean, np.log(spread)]).reshape(2 * cells.shape[0], -1).T
        return pooled

    def places(self, p: int, tiles: Tiles) -> NDArray[np.float32]:
        """Features (tiles, SIDE * SIDE, C) at places of each tile of plane `p`.

        Where a tile has fewer cells than places, neighbours share one.
        """
        cells, stride = self._plane(p), self.denoiser.network.shape.stride
        fine = parted(tiles, stride, (cells.shape[1], cells.shape[2]))
        mean = fine.reduce(np.add, cells) / fine.reduce(np.add, np.ones(cells.shape[1:]))
        return by_tile(mean, tiles).astype(np.float32)

    def _plane(self, p: int) -> NDArray[np.float64]:
        """The cells (C, h, w) that lie on plane `p`, put together from its windows' cores."""
        assert self.kept is not None
        stride, card = self.denoiser.network.shape.stride, self.denoiser.card
        height, width = self.canvas.layout[p, 1:3].tolist()
        sides = (-(-height // stride), -(-width // stride))
        cells = np.zeros((self.kept[0].shape[0], *sides))
        for number in (self.plan.windows[:, 0] == p).nonzero()[:, 0].tolist():
            corner, heard = self.plan.windows[number, 1:].tolist(), self.kept[number].cpu().numpy()
            # the core's cells on the plane, as far as they were computed; origins that are no multiple of the stride
            # shift a cell by less than its size
            core = [round((at + card.halo) / stride) for at in corner]
            begin = [
                at - (card.halo - cut) // stride for at, cut in zip(core, self.plan.crops[number, ::2], strict=True)
            ]
            rows, cols = (
                slice(max(0, own, first), min(side, own + card.core // stride, first + length))
                for own, first, side, length in zip(core, begin, sides, heard.shape[1:], strict=True)
            )
            part = [slice(s.start - first, s.stop - first) for s, first in zip((rows, cols), begin, strict=True)]
            cells[:, rows, cols] = heard[:, part[0], part[1]]
        return cells


def parted(tiles: Tiles, stride: int, shape: tuple[int, int]) -> Tiles:
    """Tiles cut into `SIDE` x `SIDE` places, on a plane (h, w) of which a cell is `stride` pixels wide."""
    starts = []
    for first, side, cells in zip((tiles.rows, tiles.cols), tiles.shape, shape, strict=True):
        last = np.append(first[1:], side)
        inner = first[:, None] + (last - first)[:, None] * np.arange(SIDE) // SIDE
        starts.append((inner.ravel() // stride).clip(0, cells - 1))
    return Tiles(starts[0], starts[1], shape)


def by_tile(figures: NDArray[np.float64], tiles: Tiles) -> NDArray[np.float64]:
    """Figures (C, rows, cols) of all places of a plane as (tiles, SIDE * SIDE, C)."""
    rows, cols = len(tiles.rows), len(tiles.cols)
    apart = figures.reshape(-1, rows, SIDE, cols, SIDE).transpose(1, 3, 2, 4, 0)
    return apart.reshape(rows * cols, SIDE * SIDE, -1)


def place_light(flux: NDArray[np.float32], tiles: Tiles) -> NDArray[np.float32]:
    """How bright the places of tiles are (tiles, SIDE * SIDE, 2), in arsinh: the mean around each, and the highest.

    Parameters
    ----------
    flux : ndarray (h, w)
        In units of the noise; 0 where nothing is known.
    tiles : Tiles
    """
    fine = parted(tiles, 1, tiles.shape)
    mean = fine.reduce(np.add, flux) / fine.reduce(np.add, np.ones(tiles.shape))
    apart = by_tile(np.stack([mean, fine.reduce(np.maximum, flux)]), tiles).reshape(-1, SIDE, SIDE, 2)
    around = ndimage.uniform_filter(apart[..., 0], (1, 3, 3), mode="nearest")
    highest = ndimage.maximum_filter(apart[..., 1], (1, 3, 3), mode="nearest")
    light = np.arcsinh(np.stack([around, highest], axis=-1))
    return np.asarray(light.reshape(-1, SIDE * SIDE, 2), np.float32)
