"""`bin` and its adjoint by 2 beside reshape and sum, pooling, and repetition."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.ops.measure import checked
from gencosmo.ops.bin import bin, bin_adjoint, bin_adjoint_reference, bin_reference
from tests.ops.cases import CASES


def test_bin(race) -> None:
    for op in ("bin", "bin_adjoint"):
        checked(op, CASES[op].arguments())
    fine = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    coarse = torch.zeros(64, 1, 32, 32)
    rivals = {"eager": lambda: bin_reference(fine, 2, coarse), "avg_pool2d": lambda: F.avg_pool2d(fine, 2)}
    race("bin", lambda: bin(fine, 2, coarse), rivals, fine.numel(), 5)


def test_bin_adjoint(race) -> None:
    coarse = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    out = torch.zeros(64, 1, 64, 64)
    rivals = {"eager": lambda: bin_adjoint_reference(coarse, 2, out)}
    race("bin_adjoint", lambda: bin_adjoint(coarse, 2, out), rivals, out.numel(), 5)
