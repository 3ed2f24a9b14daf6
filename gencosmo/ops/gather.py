"""Windows of many planes into one batch for the network."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["gather", "gather_reference"]

_gather = define("gather(Tensor fields, Tensor layout, Tensor windows, Tensor(a!) out) -> ()", "gather")


def gather(fields: Tensor, layout: Tensor, windows: Tensor, out: Tensor) -> None:
    """Copy windows of the canvas to `out`.

    Outside its plane a window is unknown: ``z = 0, sigma = inf``; the rows ``base, base_var, smooth``
    continue with the value of the nearest pixel of the plane.

    Parameters
    ----------
    fields : Tensor (5, N) float32
        Rows ``z, sigma, base, base_var, smooth`` of a canvas.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    windows : Tensor (B, 3) int64
        ``plane, row, col`` of each window's first pixel, in plane coordinates; may lie outside.
    out : Tensor (B, 5, h, w) float32
        Overwritten.
    """
    refuse_grad("gather", fields, out)
    _gather(fields, layout, windows, out)


def gather_reference(fields: Tensor, layout: Tensor, windows: Tensor, out: Tensor) -> None:
    """Plain torch truth of :func:`gather`."""
    height, width = out.shape[-2:]
    beyond = torch.tensor([0.0, math.inf], dtype=out.dtype, device=out.device)[:, None, None]
    for b, (p, row, col) in enumerate(windows.tolist()):
        offset, rows, cols = layout[p, :3].tolist()
        if rows * cols == 0:
            out[b] = 0
            out[b, 1] = math.inf
            continue
        y = torch.arange(row, row + height, device=out.device)
        x = torch.arange(col, col + width, device=out.device)
        index = offset + y.clamp(0, rows - 1)[:, None] * cols + x.clamp(0, cols - 1)
        inside = ((y >= 0) & (y < rows))[:, None] & ((x >= 0) & (x < cols))
        out[b] = fields[:, index].to(out.dtype)
        out[b, :2] = torch.where(inside, out[b, :2], beyond)
