"""The posterior around a mean that a walk without noise has found: its spread, and samples of it.

The denoiser tells at four levels how much of the scene around each pixel is open (`gencosmo.sampling.spectrum`); with
this covariance C and the measurement, deviations of the scene from its mean are drawn by perturb and solve,

    d = c - C A^T S (I + S A C A^T S)^-1 (S A c + n),   c ~ N(0, C),  n ~ N(0, I),

so that they hang together as the data ask: what the data know, the draws share. Their spread is corrected as measured
(:class:`~gencosmo.sampling.spectrum.Honest`), pixel by pixel, and mean plus deviations are the samples
(docs/decisions/0017-samples-around-the-mean.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from gencosmo.sampling.lowpass import NODES, LowPass
from gencosmo.sampling.solve import Measurement, solve
from gencosmo.sampling.spectrum import CENTRES, TAUS, Bands

__all__ = ["PER_DRAW", "TAUS", "Open", "deviations"]

PER_DRAW = len(CENTRES) + 1
"""Planes of white noise that a draw of :class:`Open` takes."""
ITERATIONS = 24
"""Of conjugate gradients for a draw: after 12, draws are still three times as far from good data as their noise."""


class Open:
    """Covariance of what is open around the mean: the local spectrum, and a pedestal.

    Parameters
    ----------
    levels, variances : sequence of Tensor (B, H, W)
        Levels of the states that the denoiser was asked about, falling, and its variances.
    top : Tensor (B, H, W)
        Largest standard deviation of any mode.
    pedestal : float
        Standard deviation of an error that a wide neighbourhood shares.
    """

    def __init__(
        self, levels: Sequence[Tensor], variances: Sequence[Tensor], top: Tensor, pedestal: float = 0.0
    ) -> None:
        self.bands, self.wide = Bands(levels, variances, top), wide(top, pedestal)

    def __matmul__(self, planes: Tensor) -> Tensor:
        """``C x`` for planes (B, H, W)."""
        out = self.bands @ planes
        return out if self.wide is None else out + self.wide @ planes

    def draw(self, noise: Callable[[int], Tensor]) -> Tensor:
        """A draw from N(0, C); ``noise(b)``, b below `PER_DRAW`, gives white noise (B, H, W)."""
        out = self.bands.draw(noise)
        return out if self.wide is None else out + self.wide.draw(lambda b: noise(len(CENTRES) + b))


def wide(like: Tensor, pedestal: float) -> LowPass | None:
    """Covariance of a pedestal alone; None for none."""
    if pedestal <= 0:
        return None
    return LowPass(torch.zeros_like(like), torch.full_like(like, NODES[0]), drift=torch.full_like(like, pedestal**2))


def deviations(
    cov: Open,
    measured: Measurement,
    scene_noise: Callable[[int], Tensor],
    data_noise: Callable[[int], Tensor],
    count: int,
) -> Iterator[Tensor]:
    """Draws (B, H, W) of the scene's deviation from its mean, given the measurement.

    Parameters
    ----------
    cov : Open
    measured : Measurement
    scene_noise : callable
        Standard normal noise (B, H, W) by number; each draw takes `PER_DRAW` numbers of its own.
    data_noise : callable
        Standard normal noise (B, h, w) by number of the draw.
    count : int
    """
    for draw in range(count):
        drawn = cov.draw(lambda b, draw=draw: scene_noise(draw * PER_DRAW + b))  # type: ignore[misc]
        step, _ = solve(measured, cov.__matmul__, drawn, data_noise(draw), ITERATIONS, blank=True)
        yield drawn + step
