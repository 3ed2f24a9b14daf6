"""Measured corrections of a predicted mean and variance, looked up pixel by pixel.

A prior is calibrated on tiles it has not seen: in each bin of level over local roughness ``sigma / d`` and of local
spread ``s`` the variance is multiplied by a factor, and the mean moved by a share of the corrected deviation. Exact
pixels have nothing to correct and come back to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["calibrate_", "calibrate_reference_", "calibration_bins"]

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
    mean[:, 0] = torch.where(sigma > 0, moved, mean[:, 0])
    var[:, 0] = torch.where(sigma > 0, own, var[:, 0])
