"""Which pixels are hidden, how much, and in which order: the passes behind a predictive map.

A *scale* is a block side and a level. Blocks of one scale form a checkerboard whose two colours are hidden in two
passes, so that every pixel is predicted once from the blocks around it; block 0 means the whole plane at once. The
level counts in units of the pixel's own noise: at infinity a pixel is hidden, at 3 it is seen through three times its
noise. Hard blocks find what a neighbour cannot explain (hot pixels, hits); under large ones every star would be a
surprise, so large structure is asked for softly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops.normal import STREAM_DATA, normal_
from gencosmo.priors.base import World
from gencosmo.windows import Canvas

__all__ = ["MAX_PASSES", "SCALES", "Scale", "hidden_pixels", "soften_"]

MAX_PASSES = 10
"""Network passes of one map, the second look included."""


@dataclass(frozen=True, order=True)
class Scale:
    """One way of hiding.

    Attributes
    ----------
    block : int
        Side of a block in pixels, 0 = the whole plane at once.
    level : float
        Noise level in units of the pixel's noise; ``inf`` hides.
    """

    block: int
    level: float

    def __post_init__(self) -> None:
        if isinstance(self.block, bool) or not isinstance(self.block, int) or not 0 <= self.block <= 64:
            raise UsageError(f"scale: block is {self.block!r}, expected a whole number from 0 to 64")
        if not self.level > 0 or (self.block == 0 and math.isinf(self.level)):
            raise UsageError(
                f"scale: block {self.block} at level {self.level}; expected a level above 0, "
                "and a finite one for the whole plane (block 0)"
            )

    @property
    def passes(self) -> int:
        """How many passes predict every pixel once."""
        return 1 if self.block == 0 else 2

    @property
    def hard(self) -> bool:
        """Whether pixels are hidden altogether."""
        return math.isinf(self.level)

    @property
    def label(self) -> str:
        """A short name: ``1px``, ``4px``, ``soft3``, ``8px@10``."""
        where = "soft" if self.block == 0 else f"{self.block}px"
        if self.hard:
            return where
        return f"{where}{self.level:g}" if self.block == 0 else f"{where}@{self.level:g}"


SCALES = (Scale(1, math.inf), Scale(4, math.inf), Scale(0, 10.0), Scale(0, 3.0), Scale(0, 1.0))
"""Seven passes; the second look at the hard scales of one pixel takes two more."""


def check_scales(scales: Sequence[Scale], world: World) -> tuple[Scale, ...]:
    """Refuse an empty list, one scale twice, too many passes, and levels that say nothing in the scene world."""
    found = tuple(scales)
    total = sum(scale.passes for scale in found)
    if not found or len(set(found)) != len(found) or total > MAX_PASSES:
        raise UsageError(f"scales: {len(found)} scales with {total} passes, expected different ones, 1 to {MAX_PASSES}")
    if world == "scene" and any(scale.level <= 1 for scale in found):
        raise UsageError("scales: in the scene world a level must be above 1: below it nothing is hidden", code="usage")
    return found


def hidden_pixels(canvas: Canvas, block: int, phase: int) -> Tensor:
    """Boolean (N,): the pixels that a pass hides, by absolute coordinates; for block 0 all.

    Parameters
    ----------
    canvas : Canvas
        Its layout counts only.
    block : int
    phase : int
        0 or 1, the colour of the checkerboard.
    """
    hidden = torch.zeros(canvas.size, dtype=torch.bool, device=canvas.device)
    for p, (_, height, width, row0, col0, _key) in enumerate(canvas.layout.tolist()):
        plane = canvas.view(hidden, p)
        if block == 0:
            plane.fill_(True)
            continue
        rows = torch.arange(row0, row0 + height, device=canvas.device) // block
        cols = torch.arange(col0, col0 + width, device=canvas.device) // block
        plane.copy_((rows[:, None] + cols[None, :]) % 2 == phase)
    return hidden


def soften_(canvas: Canvas, values: Tensor, noise: Tensor, level: float, world: World, number: int) -> None:
    """Put every pixel at `level` times its noise: the state becomes the value plus fresh noise.

    In the ``frame`` world the value itself is what is asked for, and gets noise of the whole level. In the ``scene``
    world the value holds noise already, and gets what is missing to the level.

    Parameters
    ----------
    canvas : Canvas
        Rows z and sigma are overwritten where the observation is known.
    values, noise : Tensor (N,)
        Observed flux and its noise.
    level : float
        Above 0 (frame) or above 1 (scene).
    world : {"frame", "scene"}
    number : int
        Which draw; the same number gives the same noise.
    """
    white = torch.zeros_like(values)
    device = canvas.device
    draw, stream = torch.tensor(number, device=device), torch.tensor(STREAM_DATA, device=device)
    normal_(white, canvas.layout, canvas.seed, draw, stream)
    known = torch.isfinite(canvas.sigma_obs)
    sigma = level * noise
    added = sigma if world == "frame" else noise * math.sqrt(level * level - 1)
    canvas.fields[0] = torch.where(known, values + added * white, 0.0)
    canvas.fields[1] = torch.where(known, sigma, math.inf)
