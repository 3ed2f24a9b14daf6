"""Canvases with planes of any shapes, and windows on them, for the tests of the ops."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHAPES = ((33, 20), (1, 1), (1, 19), (23, 2), (40, 37))
"""Odd sides, one pixel, one row, two columns."""
SIZE, HALO, RAMP = 24, 6, 4


def planes(shapes: tuple[tuple[int, int], ...]) -> tuple[Tensor, int]:
    """Layout (P, 6) with negative and odd origins, and the number of pixels."""
    rows, offset = [], 0
    for p, (height, width) in enumerate(shapes):
        rows.append([offset, height, width, 7 * p - 3, 5 * p - 6, p << 8 | p % 3])
        offset += -(-height * width // 16) * 16
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 6), offset


def canvas(g: torch.Generator, shapes: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor]:
    """Layout and fields with exact, noisy, very noisy and unknown pixels and a bright source."""
    layout, n = planes(shapes)
    fields = torch.zeros(5, n)
    # few numbers on one thread: torch's first exp on two may differ in its last bit from process to process
    source = 30 * torch.exp(-(((torch.arange(97) - 40) / 8.0) ** 2))
    fields[0] = torch.randn(n, generator=g) + source[torch.arange(n) % 97]
    fields[1] = 0.1 + 2 * torch.rand(n, generator=g)
    kind = torch.rand(n, generator=g)
    fields[1] = torch.where(kind < 0.2, math.inf, torch.where(kind < 0.3, 0.0, torch.where(kind < 0.4, 9.0, fields[1])))
    fields[0][torch.isinf(fields[1])] = 0
    fields[2] = fields[0] + 0.3 * torch.randn(n, generator=g)
    fields[3] = 0.05 + torch.rand(n, generator=g)
    fields[4] = fields[2] + 0.1 * torch.randn(n, generator=g)
    return layout, fields


def seeds(layout: Tensor) -> Tensor:
    return torch.arange(layout.shape[0]) * 0x123456789ABCDEF - 5


def windows_of(layout: Tensor) -> Tensor:
    """Windows of SIZE on the grid of every plane, reaching outside."""
    core, rows = SIZE - 2 * HALO, []
    for p, (_, height, width, row0, col0, _key) in enumerate(layout.tolist()):
        for row in range(row0 // core * core, row0 + height, core):
            rows += [[p, row - row0 - HALO, c - col0 - HALO] for c in range(col0 // core * core, col0 + width, core)]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
