"""Windows back to the canvas, weighted so that neighbouring windows sum to one."""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["blend_", "blend_finish_", "blend_finish_reference_", "blend_reference_", "blend_weights"]

_blend = define(
    "blend_(Tensor mean_w, Tensor var_w, Tensor windows, Tensor layout, int halo, int ramp, "
    "Tensor(a!) mean, Tensor(b!) var, Tensor(c!) weight) -> ()",
    "blend",
)
_finish = define("blend_finish_(Tensor(a!) mean, Tensor(b!) var, Tensor weight) -> ()", "blend_finish")


def blend_(
    mean_w: Tensor,
    var_w: Tensor,
    windows: Tensor,
    layout: Tensor,
    halo: int,
    ramp: int,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
) -> None:
    """Add windows to the canvas with separable trapezoid weights, in place.

    Along an axis the weight of window pixel ``i`` is ``clip((x + ramp)/(2 ramp), 0, 1) clip((c + ramp - x)/(2
    ramp), 0, 1)`` with ``x = i - halo + 1/2`` and core length ``c``; without a ramp it is 1 inside the core.
    A pixel's additions happen in the order of the windows, whatever the number of threads and however the
    windows are split into calls.

    Parameters
    ----------
    mean_w, var_w : Tensor (B, 1, h, w) float32
        What the windows say.
    windows : Tensor (B, 3) int64
        ``plane, row, col`` of each window's first pixel, in plane coordinates.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    halo, ramp : int
        Pixels around the core, and half-width of the zone shared with a neighbour; ``ramp <= min(halo, c /
        2)``.
    mean, var, weight : Tensor (N,) float32
        Sums of ``weight * value`` and of the weights; zero them first.
    """
    refuse_grad("blend_", mean_w, var_w, mean, var, weight)
    _blend(mean_w, var_w, windows, layout, halo, ramp, mean, var, weight)


def blend_finish_(mean: Tensor, var: Tensor, weight: Tensor) -> None:
    """Divide the sums of :func:`blend_` by their weights where there are any, in place; all (N,) float32."""
    refuse_grad("blend_finish_", mean, var, weight)
    _finish(mean, var, weight)


def blend_weights(size: int, halo: int, ramp: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Weights (size,) along one axis of a window."""
    x = torch.arange(size, dtype=dtype) - halo + 0.5
    core = size - 2 * halo
    if ramp == 0:
        return ((x > 0) & (x < core)).to(dtype)
    return ((x + ramp) / (2 * ramp)).clamp(0, 1) * ((core + ramp - x) / (2 * ramp)).clamp(0, 1)


def blend_reference_(
    mean_w: Tensor,
    var_w: Tensor,
    windows: Tensor,
    layout: Tensor,
    halo: int,
    ramp: int,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
) -> None:
    """Plain torch truth of :func:`blend_`."""
    height, width = mean_w.shape[-2:]
    rows = blend_weights(height, halo, ramp, mean.dtype)
    shares = (rows[:, None] * blend_weights(width, halo, ramp, mean.dtype)).to(mean.device)
    zero = torch.zeros((), dtype=mean.dtype, device=mean.device)
    for b, (p, row, col) in enumerate(windows.tolist()):
        offset, plane_h, plane_w = layout[p, :3].tolist()
        top, bottom = max(0, -row), min(height, plane_h - row)
        left, right = max(0, -col), min(width, plane_w - col)
        if top >= bottom or left >= right:
            continue
        part = (slice(top, bottom), slice(left, right))
        share = shares[part]
        for flat, value in (
            (mean, mean_w[b, 0]),
            (var, var_w[b, 0]),
            (weight, torch.ones_like(mean_w[b, 0])),
        ):
            plane = flat[offset : offset + plane_h * plane_w].view(plane_h, plane_w)
            # a halo may hold anything, NaN too: weight 0 means not read
            plane[row + top : row + bottom, col + left : col + right] += torch.where(
                share > 0, share * value[part].to(mean.dtype), zero
            )


def blend_finish_reference_(mean: Tensor, var: Tensor, weight: Tensor) -> None:
    """Plain torch truth of :func:`blend_finish_`."""
    divisor = torch.where(weight > 0, weight, torch.ones_like(weight))
    mean /= divisor
    var /= divisor
