"""Measured corrections of a predicted mean and variance, looked up pixel by pixel.

A prior is calibrated on tiles it has not seen: in each bin of level over local roughness ``sigma / d`` and of local
spread ``s`` the variance is multiplied by a factor, and the mean moved by a share of the corrected deviation. Exact
pixels have nothing to correct and come back to the last bit.

The mean of an unknown pixel has two witnesses: the network, and the surfaces through what is seen. What lies beyond
both surfaces, and `ROOM`, is shared between the network and the nearest of them by their variances where the pixels
around are rough (decision 0025).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["calibrate_", "calibrate_reference_", "calibration_bins"]

ROOM = 0.5
"""How far beyond its two bases the mean of an unknown pixel is the network's alone, in units of the noise of blank sky
(1) or of the local roughness ``d``, whichever is smaller."""
SMOOTHEST, ROUGHEST = 0.4, 0.8
"""Roughness over spread, ``d / s``, up to which the network is believed and from which on variances decide: where stars
and galaxies are well sampled it knows their cores better than any surface does."""

_calibrate = define(
    "calibrate_(Tensor(a!) mean, Tensor(b!) var, Tensor win, Tensor local, Tensor levels, Tensor scales, "
    "Tensor factors, Tensor shifts) -> ()",
    "calibrate",
)


def calibrate_(
    mean: Tensor,
    var: Tensor,
    win: Tensor,
    local: Tensor,
    levels: Tensor,
    scales: Tensor,
    factors: Tensor,
    shifts: Tensor,
) -> None:
    """Correct the mean and the variance of windows in place, where ``sigma > 0``.

    Parameters
    ----------
    mean, var : Tensor (B, 1, h, w) float32
        Of :func:`~gencosmo.ops.apply_kernels.apply_kernels` (flux, flux^2); negative variances count as 0.
    win : Tensor (B, 5, h, w) float32
        Rows ``z, sigma, base, base_var, smooth``.
    local : Tensor (B, 5, h, w) float32
        ``x0, m, s, d, gate`` of :func:`~gencosmo.ops.precondition.precondition`.
    levels : Tensor (L,) float32
        Edges between bins of ``sigma / d``, ascending.
    scales : Tensor (S,) float32
        Edges between bins of ``s``, ascending.
    factors : Tensor (L + 2, S + 1) float32
        What the variance is multiplied by; the last row is for unknown pixels (``sigma = inf``). The product never
        exceeds ``sigma^2``.
    shifts : Tensor (L + 2, S + 1) float32
        What is added to the mean, in units of the corrected standard deviation; nothing where the ``gate`` of `local`
        is 0, so that a wholly unknown plane stays at the prior mean.
    """
    refuse_grad("calibrate_", mean, var, win, local, levels, scales, factors, shifts)
    _calibrate(mean, var, win, local, levels, scales, factors, shifts)


def calibration_bins(win: Tensor, local: Tensor, levels: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (B, h, w) of each pixel in the tables of :func:`calibrate_`: how many edges it lies above."""
    sigma, spread, rough = win[:, 1], local[:, 2], local[:, 3]
    row = torch.isposinf(sigma).long()
    for edge in levels:
        row += sigma > edge * rough
    column = torch.zeros_like(row)
    for edge in scales:
        column += spread > edge
    return row, column


def _shared_mean(mean: Tensor, var: Tensor, win: Tensor, local: Tensor) -> Tensor:
    """Means (B, h, w) of unknown pixels: of the rest beyond bases and room ``base_var / (base_var + doubt)``."""
    base, base_var, smooth = win[:, 2], win[:, 3], win[:, 4]
    spread, rough = local[:, 2], local[:, 3]
    room = ROOM * rough.clamp(max=1)
    kept = mean.clamp(torch.minimum(base, smooth) - room, torch.maximum(base, smooth) + room)
    rest = mean - kept
    doubt = ((rough - SMOOTHEST * spread) / ((ROUGHEST - SMOOTHEST) * spread)).clamp(0, 1) * var
    return torch.where((rest == 0) | (doubt == 0), mean, kept + rest * (base_var / (base_var + doubt)))


def calibrate_reference_(
    mean: Tensor,
    var: Tensor,
    win: Tensor,
    local: Tensor,
    levels: Tensor,
    scales: Tensor,
    factors: Tensor,
    shifts: Tensor,
) -> None:
    """Plain torch truth of :func:`calibrate_`."""
    bins = calibration_bins(win, local, levels, scales)
    sigma = win[:, 1]
    own = torch.minimum(var[:, 0].clamp(min=0) * factors[bins], sigma * sigma)
    moved = mean[:, 0] + local[:, 4] * shifts[bins] * own.sqrt()
    moved = torch.where(torch.isposinf(sigma), _shared_mean(moved, own, win, local), moved)
    mean[:, 0] = torch.where(sigma > 0, moved, mean[:, 0])
    var[:, 0] = torch.where(sigma > 0, own, var[:, 0])
