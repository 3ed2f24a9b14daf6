"""`apply_kernels` beside the unfold form, which needs 25 copies of the image."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import checked
from gencosmo.ops.apply_kernels import RAW_CHANNELS, apply_kernels, apply_kernels_reference
from gencosmo.ops.precondition import precondition_reference
from tests.ops.cases import CASES


def test_apply_kernels(race) -> None:
    checked("apply_kernels", CASES["apply_kernels"].arguments())
    g = torch.Generator().manual_seed(0)
    win = torch.rand(64, 5, 64, 64, generator=g) + 0.1
    local = precondition_reference(win, torch.zeros(64), 100.0)[1].contiguous()
    raw = 0.3 * torch.randn(64, RAW_CHANNELS, 64, 64, generator=g)
    mean, var = (torch.zeros(64, 1, 64, 64) for _ in range(2))
    rivals = {"eager": lambda: apply_kernels_reference(raw, win, local)}
    # the network's output, five local rows, z, sigma, base and smooth, two outputs
    moved = 4 * (RAW_CHANNELS + 5 + 4 + 2)
    race("apply_kernels", lambda: apply_kernels(raw, win, local, mean, var), rivals, mean.numel(), moved)
