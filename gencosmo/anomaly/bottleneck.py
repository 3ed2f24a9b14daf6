"""The denoiser's own representation: what its deepest level says of every few pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.anomaly.maps import Tiles
from gencosmo.priors.base import Denoiser
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.windows import Canvas

__all__ = ["Bottleneck", "narrowed"]

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
    """Keeps the deepest features of the pass at one level.

    Parameters
    ----------
    denoiser : Denoiser
        A `DiffusionPrior`; any other has no representation, and nothing is kept.
    canvas : Canvas
    wanted : Tensor (N,) bool
        The pixels of the plan.
    level : float
    """

    def __init__(self, denoiser: Denoiser, canvas: Canvas, wanted: Tensor, level: float) -> None:
        self.denoiser = denoiser if isinstance(denoiser, DiffusionPrior) else None
        self.canvas, self.level = canvas, level
        self.parts: list[Tensor] = []
        self.kept: list[Tensor] | None = None
        self.plan = None if self.denoiser is None else self.denoiser.plan(canvas, wanted)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this lasts, every pass of the network is heard."""
        if self.denoiser is None:
            yield
            return
        handle = self.denoiser.network.down[-1].register_forward_hook(self._hear)
        try:
            yield
        finally:
            handle.remove()

    def _hear(self, module: Any, inputs: Any, output: Tensor) -> None:
        self.parts.append(output.detach().float())

    def after(self, level: float) -> None:
        """Keep what was heard when the pass was at the wanted level, else forget it."""
        if level == self.level and self.parts:
            self.kept = [window for part in self.parts for window in part]
        self.parts.clear()

    def tiles(self, p: int, tiles: Tiles) -> NDArray[np.float64] | None:
        """Mean and spread of every channel (tiles, 2 C) over each tile of plane `p`; None without a representation."""
        if self.kept is None or self.denoiser is None:
            return None
        cells, stride = self._plane(p), 2 ** len(self.denoiser.network.shape.channels)
        rows, cols = ((first // stride).clip(0, side - 1) for first, side in zip(
            (tiles.rows, tiles.cols), cells.shape[1:], strict=True))  # fmt: skip
        coarse = Tiles(rows, cols, (cells.shape[1], cells.shape[2]))  # tiles smaller than a cell share it
        count = coarse.reduce(np.add, np.ones(cells.shape[1:]))
        mean = coarse.reduce(np.add, cells) / count
        square = coarse.reduce(np.add, cells * cells) / count
        spread = np.sqrt(np.maximum(square - mean * mean, 1e-12))
        return np.concatenate([mean, np.log(spread)]).reshape(2 * cells.shape[0], -1).T

    def _plane(self, p: int) -> NDArray[np.float64]:
        """The cells (C, h, w) that lie on plane `p`, put together from its windows' cores."""
        assert self.kept is not None and self.denoiser is not None and self.plan is not None
        stride, card = 2 ** len(self.denoiser.network.shape.channels), self.denoiser.card
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
