"""The loss: a mean that is a mean, and a variance that is the variance of what the mean leaves.

Squared error over the predicted variance, ``e^2 / V`` with ``V`` detached: a function of the input alone, never of the
target, so the minimiser stays the conditional mean, and every pixel counts by how well it can be known. Beyond `reach`
units the square turns linear, so that one unpredictable star does not set the gradient of a batch (decision 0005). The
variance follows by Gaussian likelihood with the mean detached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SURPRISE_LIMIT = 100.0
"""Squared residuals over the predicted variance count at most this much in the likelihood."""
COUNT_FLOOR = 40.0
"""Tiles with fewer supervised pixels than this weigh less."""
VAR_FLOOR = 1e-4
"""Share of d^2 below which a predicted variance does not raise a pixel's weight any further."""


@dataclass(frozen=True)
class Loss:
    """Scalars of one batch: `total` to differentiate, `square` and `likelihood` to watch."""

    total: Tensor
    square: Tensor
    likelihood: Tensor


def tile_mean(values: Tensor, supervised: Tensor) -> Tensor:
    """Mean over supervised pixels, tile by tile, then over tiles: small holes count like large ones."""
    weight = supervised.to(values.dtype)
    return ((values * weight).sum((1, 2)) / (weight.sum((1, 2)) + COUNT_FLOOR)).mean()


def observed_moments(mean: Tensor, var: Tensor, z: Tensor, sigma: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a target with `noise` of its own, from those of the scene behind it; all (B, H, W).

    With ``r = noise^2/sigma^2`` (0 for unknown pixels): ``E[y|z] = r z + (1-r) mean`` and ``Var[y|z] = (1-r)^2 var +
    noise^2 (1-r)`` (ambient Tweedie: Daras, Dimakis & Daskalakis 2024). Without noise they are `mean` and `var`.
    """
    share = torch.where(torch.isinf(sigma), torch.zeros_like(sigma), (noise / sigma.clamp(min=1e-12)) ** 2).clamp(max=1)
    rest = 1 - share
    return share * z + rest * mean, rest * rest * var + noise * noise * rest


def denoising_loss(
    mean: Tensor, var: Tensor, target: Tensor, sigma: Tensor, rough: Tensor, supervised: Tensor, reach: float
) -> Loss:
    """Loss of predicted (mean, var), all (B, H, W); `rough` is the local roughness ``d`` of the input."""
    error2 = torch.where(supervised, mean - target, torch.zeros_like(mean)) ** 2
    level2 = torch.where(torch.isinf(sigma), rough**2, torch.minimum(rough, sigma) ** 2)
    floor = VAR_FLOOR * level2 + 1e-12
    known_var = torch.where(supervised, var, torch.ones_like(var)).clamp(min=1e-12)
    relative2 = error2 / (known_var.detach() + floor)
    bounded = 2 * reach * (relative2 + 1e-12).sqrt() - reach * reach
    square = tile_mean(torch.where(relative2 > reach * reach, bounded, relative2), supervised)
    surprise = (error2.detach() / known_var).clamp(max=SURPRISE_LIMIT)
    likelihood = tile_mean(0.5 * (surprise + known_var.log() - level2.clamp(min=1e-12).log()), supervised)
    return Loss(square + 0.3 * likelihood, square.detach(), likelihood.detach())
