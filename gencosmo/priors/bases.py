"""The two bases of every pixel, filled on the canvas: pyramid value and variance, and the surface over the holes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencosmo.ops.biharmonic_fill import (
    CLIP_SIGMAS,
    ITERATIONS,
    biharmonic_fill_,
    biharmonic_workspace,
    hole_components,
)
from gencosmo.ops.kriging_fill import (
    Cells,
    correlation_shapes,
    find_cells,
    gradient_weights,
    kriging_fill_,
    kriging_workspace,
    neighbour_offsets,
)
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_workspace

SURFACES = ("biharmonic", "kriging", "anisotropic")
"""What the second base of a hidden pixel is: the smoothest surface; or, where neighbours are near enough, their best
linear estimate, beside which the smoothest surface takes the place of the pyramid's value (decision 0015); or that
estimate with distances that are shorter along edges and fibres than across them (decision 0022)."""


@dataclass(frozen=True)
class Components:
    """Independent holes of a canvas, see :func:`gencosmo.ops.biharmonic_fill.hole_components`, and for kriging the
    blocks in which their pixels lie and whether distances differ by direction.
    """

    pixels: Tensor
    starts: Tensor
    planes: Tensor
    cells: Cells | None = None
    directed: bool = False


def find_components(sigma: Tensor, layout: Tensor, surface: str = "biharmonic") -> Components:
    """Components of the pixels that are bridged rather than trusted."""
    found = hole_components(sigma, layout)
    cells = None if surface == "biharmonic" else find_cells(*found, layout)
    return Components(*found, cells, directed=surface == "anisotropic")


def fill_bases_(fields: Tensor, layout: Tensor, prior_var: float, components: Components) -> None:
    """Write rows ``base, base_var, smooth`` of `fields` (5, N) from rows ``z, sigma``.

    The prior mean of a plane is zero: fluxes are background-subtracted.
    """
    size = max(pyramid_workspace(layout), biharmonic_workspace(fields.shape[1], components.pixels.numel()))
    workspace = torch.empty(size, dtype=torch.float32, device=fields.device)
    pyramid_fill_(fields, layout, workspace, 0.0, prior_var)
    biharmonic_fill_(
        fields, layout, components.pixels, components.starts, components.planes, workspace, ITERATIONS, CLIP_SIGMAS
    )
    if components.cells is not None:
        _krige_(fields, layout, components.cells, components.directed)


def _krige_(fields: Tensor, layout: Tensor, cells: Cells, directed: bool) -> None:
    tables = (neighbour_offsets(), correlation_shapes(), gradient_weights(directed))
    offsets, shapes, weights = (table.to(fields.device) for table in tables)
    workspace = torch.empty(kriging_workspace(cells), dtype=torch.float32, device=fields.device)
    kriging_fill_(
        fields, layout, cells.blocks, cells.pixels, cells.cell_of, cells.cells, offsets, shapes, weights, workspace,
        CLIP_SIGMAS,
    )  # fmt: skip


def tile_windows(z: Tensor, sigma: Tensor, prior_var: float, surface: str = "biharmonic") -> Tensor:
    """Window batch (B, 5, H, W) of separate tiles (B, H, W), each a plane of its own; used in training."""
    batch, height, width = z.shape
    pixels = height * width
    fields = torch.zeros(5, batch * pixels, device=z.device)
    fields[0], fields[1] = z.reshape(-1), sigma.reshape(-1)
    layout = torch.zeros(batch, 6, dtype=torch.int64, device=z.device)
    layout[:, 0] = torch.arange(batch, device=z.device) * pixels
    layout[:, 1], layout[:, 2] = height, width
    fill_bases_(fields, layout, prior_var, find_components(fields[1], layout, surface))
    return fields.view(5, batch, height, width).transpose(0, 1).contiguous()
