"""Binning: a detector pixel collects what falls on ``rows x columns`` pixels of the fine grid."""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.operators.base import check_planes
from gencosmo.ops.bin import bin, bin_adjoint

__all__ = ["Binning"]


class Binning:
    """Sums, or means, over blocks of fine pixels.

    Parameters
    ----------
    shape_out : (int, int)
        Rows and columns of the coarse image.
    factor : (int, int)
        Fine pixels per coarse pixel along rows and columns.
    mean : bool
        Means (surface brightness) instead of sums (flux).

    Raises
    ------
    UsageError
        For a factor outside 1 to 1024.
    """

    def __init__(self, shape_out: tuple[int, int], factor: tuple[int, int], *, mean: bool = False) -> None:
        if not all(1 <= f <= 1024 for f in factor):
            raise UsageError(f"binning factor is {factor}, expected whole numbers from 1 to 1024")
        self.shape_out = (int(shape_out[0]), int(shape_out[1]))
        self.factor = (int(factor[0]), int(factor[1]))
        self.shape_in = (self.shape_out[0] * self.factor[0], self.shape_out[1] * self.factor[1])
        self.gain = 1.0 / (self.factor[0] * self.factor[1]) if mean else 1.0

    def forward(self, scene: Tensor) -> Tensor:
        """Sum, or mean, of each block."""
        check_planes("Binning.forward", scene, self.shape_in)
        (rows, cols), (height, width) = self.factor, self.shape_out
        if rows == cols:
            out = torch.empty(*scene.shape[:-2], height, width, device=scene.device)
            bin(_four(scene), rows, _four(out))
        else:
            out = scene.reshape(*scene.shape[:-2], height, rows, width, cols).sum((-3, -1))
        return out if self.gain == 1.0 else out.mul_(self.gain)

    def adjoint(self, image: Tensor) -> Tensor:
        """Each fine pixel gets the (scaled) value of its coarse pixel."""
        check_planes("Binning.adjoint", image, self.shape_out)
        rows, cols = self.factor
        if rows == cols:
            out = torch.empty(*image.shape[:-2], *self.shape_in, device=image.device)
            bin_adjoint(_four(image.contiguous()), rows, _four(out))
        else:
            out = image.repeat_interleave(rows, -2).repeat_interleave(cols, -1)
        return out if self.gain == 1.0 else out.mul_(self.gain)


def _four(planes: Tensor) -> Tensor:
    """Planes (..., H, W) as (B, 1, H, W)."""
    return planes.contiguous().view(-1, 1, *planes.shape[-2:])
