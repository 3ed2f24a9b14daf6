"""The two bases of every pixel, filled on the canvas: pyramid value and variance, and the smooth surface."""

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
from gencosmo.ops.pyramid_fill import pyramid_fill_, pyramid_workspace


@dataclass(frozen=True)
class Components:
    """Independent holes of a canvas, see :func:`gencosmo.ops.biharmonic_fill.hole_components`."""

    pixels: Tensor
    starts: Tensor
    planes: Tensor


def find_components(sigma: Tensor, layout: Tensor) -> Components:
    """Components of the pixels that are bridged rather than trusted."""
    return Components(*hole_components(sigma, layout))


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


def tile_windows(z: Tensor, sigma: Tensor, prior_var: float) -> Tensor:
    """Window batch (B, 5, H, W) of separate tiles (B, H, W), each a plane of its own; used in training."""
    batch, height, width = z.shape
    pixels = height * width
    fields = torch.zeros(5, batch * pixels, device=z.device)
    fields[0], fields[1] = z.reshape(-1), sigma.reshape(-1)
    layout = torch.zeros(batch, 6, dtype=torch.int64, device=z.device)
    layout[:, 0] = torch.arange(batch, device=z.device) * pixels
    layout[:, 1], layout[:, 2] = height, width
    fill_bases_(fields, layout, prior_var, find_components(fields[1], layout))
    return fields.view(5, batch, height, width).transpose(0, 1).contiguous()
