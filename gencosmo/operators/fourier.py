"""Fourier transforms of planes whose last bits depend neither on how many planes there are nor on the threads.

On a CPU the library takes another way for a single plane than for one of many. So large planes are always transformed
one by one, and a small one never alone; which of the two is a matter of the plane's size only. On some processors its
way from half a spectrum to many small planes depends on the number of threads, too; that from a whole one does not.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["irfft2", "rfft2"]

ALONE = 1 << 12
"""Planes of at least this many pixels are transformed one by one on a CPU."""


def rfft2(planes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Spectra (B, rows, cols // 2 + 1) of planes (B, H, W), continued by zeros to `grid`."""
    if planes.device.type == "cpu" and planes.shape[0] == 1 and grid[0] * grid[1] < ALONE:
        alone: Tensor = torch.fft.rfft2(torch.cat([planes, planes]), s=grid)[:1]
        return alone
    if planes.device.type == "cpu" and grid[0] * grid[1] >= ALONE:
        return torch.stack([torch.fft.rfft2(one, s=grid) for one in planes])
    spectra: Tensor = torch.fft.rfft2(planes, s=grid)
    return spectra


def irfft2(spectra: Tensor, grid: tuple[int, int]) -> Tensor:
    """Planes (B, rows, cols) of spectra (B, rows, cols // 2 + 1)."""
    if spectra.device.type != "cpu":
        planes: Tensor = torch.fft.irfft2(spectra, s=grid)
        return planes
    if grid[0] * grid[1] >= ALONE:
        return torch.stack([torch.fft.irfft2(one, s=grid) for one in spectra])
    if spectra.shape[0] == 1:
        return _whole(torch.cat([spectra, spectra]), grid)[:1]
    return _whole(spectra, grid)


def _whole(spectra: Tensor, grid: tuple[int, int]) -> Tensor:
    """By way of whole spectra, of columns and then of rows."""
    half = torch.fft.ifft(spectra, n=grid[0], dim=-2)
    rest = half[..., 1 : (grid[1] + 1) // 2].flip(-1).conj()
    planes: Tensor = torch.fft.ifft(torch.cat([half, rest], -1), dim=-1).real.contiguous()
    return planes
