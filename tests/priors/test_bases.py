"""The bases on the canvas: what a fill starts from must not depend on how large the frame is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from gencosmo.priors.bases import fill_bases_, find_components
from gencosmo.windows import Canvas

SIDE = 640


def surface(z: Tensor, hole: Tensor, kind: str) -> Tensor:
    """Row ``smooth`` of one plane (H, W)."""
    canvas = Canvas.from_planes([z], [torch.where(hole, math.inf, 0.0)], seeds=[0])
    fill_bases_(canvas.fields, canvas.layout, 900.0, find_components(canvas.fields[1], canvas.layout, kind))
    return canvas.plane("smooth", 0)


@pytest.mark.parametrize("kind", ["biharmonic", "kriging"])
def test_many_scattered_holes_of_a_large_frame_have_the_surface_of_a_small_one(kind: str) -> None:
    """A third of the pixels, which all hang together: the middle of a large frame like the same piece alone."""
    rows = torch.arange(SIDE) * 1.0
    z = 40 * torch.sin(rows / 5)[:, None] * torch.cos(rows / 7) + torch.randn(
        SIDE, SIDE, generator=Generator().manual_seed(1)
    )
    hole = torch.rand(SIDE, SIDE, generator=Generator().manual_seed(2)) < 0.33
    middle = slice(256, 384)
    inner = slice(32, 96)
    whole = surface(z, hole, kind)[middle, middle][inner, inner]
    alone = surface(z[middle, middle], hole[middle, middle], kind)[inner, inner]
    hidden, truth = hole[middle, middle][inner, inner], z[middle, middle][inner, inner]
    assert float((whole - alone)[hidden].abs().max()) < 0.5
    assert float((whole - truth)[hidden].square().mean().sqrt()) < 3.0
