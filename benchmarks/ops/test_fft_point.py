"""`fft_point`, the modes of the PSF solve, beside complex numbers in torch."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.fft_point import fft_point_reference
from tests.ops.cases import copies, make_point


@pytest.mark.parametrize("mode", ["forward", "adjoint", "solve"])
def test_fft_point(race, mode: str) -> None:
    made = make_point(torch.Generator().manual_seed(0), ((256, 129),), mode)
    checked("fft_point", made)
    mine = copies(made)
    rivals = {"eager": lambda: fft_point_reference(**mine)}
    race(f"fft_point, {mode}", bound("fft_point", made), rivals, made["spectrum"].numel() // 2, 24)
