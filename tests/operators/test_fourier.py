"""Fourier transforms: those of torch, with the same bytes for any number of planes and threads."""

from __future__ import annotations

import pytest
import torch

from gencosmo.operators.fourier import irfft2, rfft2


@pytest.mark.parametrize("grid", [(8, 8), (16, 16), (17, 12), (20, 29), (64, 64), (70, 91)])
def test_planes_come_back_with_the_same_bytes(grid: tuple[int, int]) -> None:
    planes = torch.randn(9, *grid, generator=torch.Generator().manual_seed(0))
    spectra = rfft2(planes, grid)
    torch.testing.assert_close(spectra, torch.fft.rfft2(planes), atol=1e-4, rtol=1e-5)
    back = irfft2(spectra, grid)
    torch.testing.assert_close(back, planes, atol=1e-5, rtol=1e-5)
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            parts = [rfft2(planes[a:b], grid) for a, b in ((0, 1), (1, 4), (4, 9))]
            assert torch.equal(torch.view_as_real(torch.cat(parts)), torch.view_as_real(spectra))
            assert torch.equal(torch.cat([irfft2(part, grid) for part in parts]), back)
    finally:
        torch.set_num_threads(threads)
