"""A PSF that changes over the field: PSFs at the nodes of a grid, interpolated between them.

A source at position p is spread by ``sum_k w_k(p) psf_k`` with bilinear weights, so that
``A x = sum_k psf_k * (w_k x)`` and ``A^T y = sum_k w_k (psf_k^T y)``: the weights belong to where the light comes from
(Nagy & O'Leary 1998). Every node works on the part of the plane where its weight is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.operators.base import check_planes
from gencosmo.operators.psf import Psf

__all__ = ["VaryingPsf"]


@dataclass(frozen=True)
class _Node:
    """One PSF, its weights, the pixels that it spreads (`source`) and those that it reaches (`target`)."""

    psf: Psf
    weight: Tensor
    source: tuple[slice, slice]
    target: tuple[slice, slice]

    @property
    def inside(self) -> tuple[slice, slice]:
        """`source` counted from the first pixel of `target`."""
        rows, cols = (slice(s.start - t.start, s.stop - t.start) for s, t in zip(self.source, self.target, strict=True))
        return rows, cols


class VaryingPsf:
    """PSFs on a grid of nodes.

    Parameters
    ----------
    psfs : Tensor (R, C, h, w)
        Unit-sum PSF of each node.
    rows, cols : sequence of float
        Positions of the nodes (pixels of the plane), increasing; beyond the outer ones the PSF stays the same.
    shape : (int, int)
        Rows and columns of the plane.
    device : torch.device or str

    Raises
    ------
    InputError
        `bad_psf`: positions and PSFs that do not belong together, and as :class:`Psf`.
    """

    def __init__(
        self,
        psfs: Tensor,
        rows: NDArray[np.float64],
        cols: NDArray[np.float64],
        shape: tuple[int, int],
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        rows, cols = np.asarray(rows, np.float64), np.asarray(cols, np.float64)
        if psfs.ndim != 4 or psfs.shape[:2] != (rows.size, cols.size) or psfs.numel() == 0:
            raise InputError(
                f"varying psf has shape {tuple(psfs.shape)} for {rows.size} x {cols.size} positions; "
                "expected (rows, columns, h, w)",
                code="bad_psf",
            )
        if (np.diff(rows) <= 0).any() or (np.diff(cols) <= 0).any():
            raise InputError("positions of the varying psf do not increase", code="bad_psf", hint="sort them")
        self.shape_in = self.shape_out = (int(shape[0]), int(shape[1]))
        tall, wide = _hats(rows, self.shape_in[0]), _hats(cols, self.shape_in[1])
        self._nodes = [
            node
            for r in range(rows.size)
            for c in range(cols.size)
            if (node := self._node(psfs[r, c], tall[r], wide[c], device)) is not None
        ]

    def _node(
        self, psf: Tensor, tall: NDArray[np.float64], wide: NDArray[np.float64], device: torch.device | str
    ) -> _Node | None:
        touched = np.flatnonzero(tall), np.flatnonzero(wide)
        if not (touched[0].size and touched[1].size):
            return None
        source, target = [], []
        for axis, index in enumerate(touched):
            size, total = psf.shape[axis], self.shape_in[axis]
            low, high = int(index[0]), int(index[-1]) + 1
            source.append(slice(low, high))
            target.append(slice(max(0, low - size // 2), min(total, high + size - 1 - size // 2)))
        shape = target[0].stop - target[0].start, target[1].stop - target[1].start
        weight = torch.from_numpy(np.outer(tall[source[0]], wide[source[1]])).float().to(device)
        return _Node(Psf(psf, shape, device=device), weight, (source[0], source[1]), (target[0], target[1]))

    def forward(self, scene: Tensor) -> Tensor:
        """Spread planes (..., H, W)."""
        check_planes("VaryingPsf.forward", scene, self.shape_in)
        out = torch.zeros_like(scene)
        for node in self._nodes:
            patch = torch.zeros(*scene.shape[:-2], *node.psf.shape_in, device=scene.device)
            patch[(..., *node.inside)] = scene[(..., *node.source)] * node.weight
            out[(..., *node.target)] += node.psf.forward(patch)
        return out

    def adjoint(self, image: Tensor) -> Tensor:
        """The adjoint of :meth:`forward`."""
        check_planes("VaryingPsf.adjoint", image, self.shape_out)
        out = torch.zeros_like(image)
        for node in self._nodes:
            gathered = node.psf.adjoint(image[(..., *node.target)])
            out[(..., *node.source)] += gathered[(..., *node.inside)] * node.weight
        return out


def _hats(nodes: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Weights (nodes, size) of linear interpolation, constant beyond the outer nodes."""
    pixels = np.arange(size, dtype=np.float64)
    return np.stack([np.interp(pixels, nodes, unit) for unit in np.eye(nodes.size)])
