"""Noise whose neighbours hang together: what resampling, dithering and drizzling leave of white noise.

Most published frames were shifted onto a common grid, so their noise is white noise passed through a small kernel. A
prior that has only met white noise fills them worse than a surface does: it will not use what the neighbours tell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

__all__ = ["correlated_noise"]

TAPS = 5


def _cubic(x: Tensor) -> Tensor:
    """Cubic convolution with a = -1/2 (Keys 1981, eq. 15)."""
    a = x.abs()
    near = 1.5 * a**3 - 2.5 * a**2 + 1
    far = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return torch.where(a < 1, near, torch.where(a < 2, far, torch.zeros_like(a)))


def _kernels(kind: Tensor, generator: Generator) -> Tensor:
    """Five-tap kernels (B, 5) of unit energy: linear and cubic shifts, boxes (drizzled drops), Gaussians."""
    batch, device = kind.shape[0], kind.device
    draw = torch.rand(batch, 1, generator=generator, device=device)
    shift, width = draw - 0.5, 0.3 + 0.7 * draw
    at = torch.arange(TAPS, device=device).float() - TAPS // 2
    linear = (1 - (at - shift).abs()).clamp(min=0)
    # overlap of each pixel with a drop of one to two pixels' width
    half = 0.5 + 0.5 * draw
    box = (torch.minimum(at + 0.5, shift + half) - torch.maximum(at - 0.5, shift - half)).clamp(min=0)
    bell = torch.exp(-0.5 * (at / width) ** 2)
    kernels = torch.stack([linear, _cubic(at - shift), box, bell])[kind, torch.arange(batch, device=device)]
    return kernels / kernels.square().sum(1, keepdim=True).sqrt()


def correlated_noise(shape: tuple[int, int, int], share: float, generator: Generator) -> Tensor:
    """Gaussian noise (B, H, W) of unit variance, correlated over one or two pixels in a `share` of the tiles."""
    device = generator.device
    batch, height, width = shape
    if batch == 0:
        return torch.empty(shape, device=device)
    reach = TAPS // 2
    noise = torch.randn(batch, height + 2 * reach, width + 2 * reach, generator=generator, device=device)
    kind = torch.randint(0, 4, (batch,), generator=generator, device=device)
    rows, cols = _kernels(kind, generator), _kernels(kind, generator)
    smooth = F.conv2d(noise[None], rows[:, None, :, None], groups=batch)
    smooth = F.conv2d(smooth, cols[:, None, None, :], groups=batch)[0]
    chosen = torch.rand(batch, 1, 1, generator=generator, device=device) < share
    return torch.where(chosen, smooth, noise[:, reach:-reach, reach:-reach])
