"""Observed against predicted: how surprising every pixel is, and every tile.

A prediction is a mean and a variance per pixel; the observation adds its own noise, ``v = var + 1/ivar``. One
pass writes the standardised residual ``z = (value - mean) / sqrt(v)``, the natural log density of the value,
and per tile their sums. Three families of densities:

``gaussian``
    ``-(log(2 pi v) + z^2) / 2``
``student_t``
    heavy tails with ``parameter = nu`` degrees of freedom and scale ``sqrt(v)`` (the variance is
    ``v nu/(nu - 2)``): ``lgamma((nu+1)/2) - lgamma(nu/2) - log(nu pi v)/2 - (nu+1)/2 log(1 + z^2/nu)``
``poisson_gaussian``
    as ``gaussian``, with the photon noise of the *predicted* flux, ``v + max(mean, 0)/parameter``, where
    ``parameter`` is counts per unit of flux and ``ivar`` holds the rest (background, read noise)

Sums are float64 in an order that depends on the shape only: 256 lanes (row and column of the tile modulo 16), then a
binary tree. Compiled code is the same on CPU and CUDA.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["FAMILIES", "predictive_score", "predictive_score_reference", "score_sums_shape"]

FAMILIES = {"gaussian": 0, "student_t": 1, "poisson_gaussian": 2}
SMALLEST = 1.1754943508222875e-38
"""Variances below the smallest normal float32 count as that."""
_LARGEST_TILE = 1 << 20

_score = define(
    "predictive_score(Tensor value, Tensor mean, Tensor var, Tensor ivar, int family, float parameter, float constant, "
    "int tile, Tensor(a!) z, Tensor(b!) log_prob, Tensor(c!) sums) -> ()",
    "predictive_score",
)


def score_sums_shape(images: int, height: int, width: int, tile: int) -> tuple[int, int, int, int]:
    """Shape of the sums: ``(images, tile rows, tile columns, 3)``; tiles at the far edges may be smaller."""
    return images, -(-height // tile), -(-width // tile), 3


def density_constant(family: str, parameter: float) -> float:
    """The part of the log density that no pixel changes; refuses what is no density."""
    if family not in FAMILIES:
        raise UsageError(
            f"gencosmo.ops.predictive_score: argument 'family' expected one of {', '.join(FAMILIES)}, got {family!r}"
        )
    if family != "gaussian" and not (parameter > 0 and math.isfinite(parameter)):
        raise UsageError(
            f"gencosmo.ops.predictive_score: argument 'parameter' expected a positive number for {family}, "
            f"got {parameter}"
        )
    if family != "student_t":
        return -0.5 * math.log(2 * math.pi)
    return math.lgamma((parameter + 1) / 2) - math.lgamma(parameter / 2) - 0.5 * math.log(parameter * math.pi)


def predictive_score(
    value: Tensor,
    mean: Tensor,
    var: Tensor,
    ivar: Tensor,
    family: str,
    parameter: float,
    tile: int,
    z: Tensor,
    log_prob: Tensor,
    sums: Tensor,
) -> None:
    """Score observed pixels against their prediction.

    Parameters
    ----------
    value, mean, var : Tensor (B, H, W) float32
        Observed value, predicted mean and variance (the same unit, and its square). Negative variances count
        as 0; NaN stays NaN, in its pixel and in the sums of its tile.
    ivar : Tensor (B, H, W) float32
        Inverse variance of the observation; pixels where it is not positive are not scored.
    family : {"gaussian", "student_t", "poisson_gaussian"}
    parameter : float
        Degrees of freedom, or counts per unit of flux; not used by ``gaussian``.
    tile : int
        Side of a tile in pixels, 1 to 2^20.
    z, log_prob : Tensor (B, H, W) float32
        Overwritten; 0 where not scored.
    sums : Tensor (B, ceil(H/tile), ceil(W/tile), 3) float64
        Overwritten: sums over each tile of ``log_prob``, of ``z^2`` and of the number of scored pixels.

    Raises
    ------
    UsageError
        When the family, its parameter or the tile mean nothing, or a gradient is asked for.
    """
    constant = density_constant(family, parameter)
    if not 1 <= tile <= _LARGEST_TILE:
        raise UsageError(f"gencosmo.ops.predictive_score: argument 'tile' expected 1 to {_LARGEST_TILE}, got {tile}")
    refuse_grad("predictive_score", value, mean, var, ivar, z, log_prob, sums)
    _score(value, mean, var, ivar, FAMILIES[family], parameter, constant, tile, z, log_prob, sums)


def predictive_score_reference(
    value: Tensor,
    mean: Tensor,
    var: Tensor,
    ivar: Tensor,
    family: str,
    parameter: float,
    tile: int,
    z: Tensor,
    log_prob: Tensor,
    sums: Tensor,
) -> None:
    """Plain torch truth of :func:`predictive_score`, in the dtype of `value`."""
    scored = ivar > 0
    v = var.clamp(min=0) + 1 / torch.where(scored, ivar, torch.ones_like(ivar))
    if family == "poisson_gaussian":
        v = v + mean.clamp(min=0) / parameter
    v = v.clamp(min=SMALLEST)
    standard = (value - mean) / v.sqrt()
    square = standard * standard
    density = density_constant(family, parameter) - 0.5 * v.log()
    if family == "student_t":
        density = density - (parameter + 1) / 2 * torch.log1p(square / parameter)
    else:
        density = density - square / 2
    nothing = torch.zeros_like(value)
    z.copy_(torch.where(scored, standard, nothing))
    log_prob.copy_(torch.where(scored, density, nothing))
    parts = torch.stack([log_prob, z * z, scored.to(z.dtype)], -1)
    height, width = value.shape[1:]
    rows, cols = sums.shape[1:3]
    parts = F.pad(parts, (0, 0, 0, cols * tile - width, 0, rows * tile - height))
    sums.copy_(parts.reshape(value.shape[0], rows, tile, cols, tile, 3).sum((2, 4)))
