"""Simulated sky in units of the frame's noise: stars, galaxies, nebulosity, gradients, on any device.

Truth and observation come together, so the ``scene`` world (the noise-free image) can be learned, which real frames
do not offer. Every frame draws its own point-spread function, crowding, gain and background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

OVERSAMPLE = 2
"""Objects are rendered on a grid this much finer and binned, so that undersampled stars have true pixel shapes."""

CROWDED, CUSPY = 0.15, 0.3
"""Share of the frames with a crowded field; with galaxies that no PSF has blurred."""


@dataclass(frozen=True)
class Sky:
    """A batch of simulated frames, each (B, H, W), in units of the blank-sky noise.

    Attributes
    ----------
    truth : Tensor
        Noise-free surface brightness.
    variance : Tensor
        Variance of the observation: 1 from the sky plus the objects' shot noise.
    """

    truth: Tensor
    variance: Tensor


class Dice:
    """Random draws from one generator, on one device."""

    def __init__(self, generator: Generator, device: torch.device | str) -> None:
        """Draw from `generator`, which lies on `device`."""
        self.generator, self.device = generator, device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Even in `low` to `high`."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Even in the logarithm."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        """Gaussian of unit spread."""
        return torch.randn(*shape, generator=self.generator, device=self.device)


def _expand(x: Tensor) -> Tensor:
    """(B, N) to (B, N, 1, 1)."""
    return x[..., None, None]


def _grid(size: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(size * OVERSAMPLE, device=device) + 0.5) / OVERSAMPLE - 0.5
    return axis[None, None, :, None], axis[None, None, None, :]


@dataclass(frozen=True)
class Blur:
    """The point-spread functions of a batch of frames, Moffat's (1969), each sheared a little.

    Attributes
    ----------
    alpha, beta : Tensor (B, 1, 1, 1)
        Core width in pixels; slope of the wings.
    shear : Tensor (B, 2)
    """

    alpha: Tensor
    beta: Tensor
    shear: Tensor

    @classmethod
    def draw(cls, dice: Dice, batch: int) -> Blur:
        """From undersampled to well sampled, from steep to broad wings."""
        fwhm, beta = dice.log_uniform(batch, 1, low=0.8, high=6.5), dice.uniform(batch, 1, low=1.8, high=5.0)
        alpha = _expand(fwhm / (2 * torch.sqrt(2 ** (1 / beta) - 1)))
        return cls(alpha, _expand(beta), 0.05 * dice.normal(batch, 2))

    def profile(self, dy: Tensor, dx: Tensor) -> Tensor:
        """Surface brightness of a star of unit flux, this far from it; (B, N, H, W)."""
        e1, e2 = self.shear[:, 0, None, None, None], self.shear[:, 1, None, None, None]
        radius2 = dx * dx * (1 + e1) + dy * dy * (1 - e1) + 2 * e2 * dx * dy
        return (1 + radius2 / self.alpha**2) ** (-self.beta) * ((self.beta - 1) / (math.pi * self.alpha**2))

    def of(self, image: Tensor) -> Tensor:
        """Images (B, H, W) of the fine grid seen through it; what lies beyond the edge is as bright as the edge."""
        border = image.shape[-1] // 4
        padded = F.pad(image[:, None], (border,) * 4, mode="replicate")[:, 0]
        side = padded.shape[-1]
        away = torch.fft.fftfreq(side, d=1 / side, device=image.device) / OVERSAMPLE
        kernel = self.profile(away[None, None, :, None], away[None, None, None, :])[:, 0]
        kernel = kernel / kernel.sum((1, 2), keepdim=True)
        seen: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded) * torch.fft.rfft2(kernel), s=(side, side))
        return seen[:, border:-border, border:-border]


def stars(dice: Dice, batch: int, size: int, blur: Blur, count: int = 24) -> Tensor:
    """Stars of one PSF per frame, some with diffraction spikes; (B, H, W) oversampled."""
    rows, cols = _grid(size, dice.device)
    density = dice.log_uniform(batch, 1, low=1.0, high=count)
    lit = dice.uniform(batch, count) < density / count
    flux = 10 ** (dice.uniform(batch, count) ** 1.7 * 4.8 + 1.0) * lit
    row, col = (_expand(dice.uniform(batch, count, low=-4, high=size + 4)) for _ in range(2))
    dy, dx = rows - row, cols - col
    image = (blur.profile(dy, dx) * _expand(flux)).sum(1)
    spiked = dice.uniform(batch, 1, 1) < 0.25
    strength = _expand(flux) * _expand(dice.log_uniform(batch, 1, low=3e-4, high=6e-3))
    angle = _expand(dice.uniform(batch, 1, high=math.pi / 2))
    u, v = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
    width = blur.alpha * 0.8
    spikes = strength * (
        torch.exp(-((u / width) ** 2)) / (1 + v.abs()) + torch.exp(-((v / width) ** 2)) / (1 + u.abs())
    )
    return image + torch.where(spiked, spikes.sum(1), torch.zeros_like(image))


def crowd(dice: Dice, batch: int, size: int) -> Tensor:
    """Points of a crowded field, before the PSF: up to one in three pixels, fluxes of a power law; (B, H, W) fine."""
    side = size * OVERSAMPLE
    crowded = dice.uniform(batch, 1, 1) < CROWDED
    density = dice.log_uniform(batch, 1, 1, low=0.01, high=0.33) / OVERSAMPLE**2
    lit = (dice.uniform(batch, side, side) < density) & crowded
    # dN/dF of F^-slope, from a faintest flux up
    faintest, slope = dice.log_uniform(batch, 1, 1, low=1.0, high=60.0), dice.uniform(batch, 1, 1, low=1.7, high=2.6)
    flux = faintest * dice.uniform(batch, side, side, low=1e-4).pow(-1 / (slope - 1)).clamp(max=3e4)
    return flux * lit * OVERSAMPLE**2


def galaxies(dice: Dice, batch: int, size: int, count: int = 5) -> Tensor:
    """Sersic galaxies (Sersic 1963), some with spiral arms or clumps; (B, H, W) oversampled."""
    rows, cols = _grid(size, dice.device)
    radius = _expand(dice.log_uniform(batch, count, low=0.5, high=32.0))
    index = _expand(dice.log_uniform(batch, count, low=0.5, high=6.0))
    flux = _expand(10 ** (dice.uniform(batch, count) ** 1.5 * 4.2 + 1.5) * (dice.uniform(batch, count) < 0.5))
    row, col = (_expand(dice.uniform(batch, count, low=-4, high=size + 4)) for _ in range(2))
    angle, axis_ratio = _expand(dice.uniform(batch, count, high=math.pi)), _expand(dice.uniform(batch, count, low=0.2))
    dy, dx = rows - row, cols - col
    u = dx * angle.cos() + dy * angle.sin()
    v = (dy * angle.cos() - dx * angle.sin()) / axis_ratio
    soft = _expand(dice.log_uniform(batch, 1, low=0.2, high=2.5))
    r = torch.sqrt(u * u + v * v + soft * soft)
    profile = torch.exp(-(2 * index - 1 / 3) * ((r / radius) ** (1 / index) - 1))
    wound = _expand((dice.uniform(batch, count) < 0.4).float() * dice.uniform(batch, count, high=0.8))
    phase = 2 * torch.atan2(v, u) + _expand(dice.uniform(batch, count, low=1.5, high=5)) * torch.log(r / radius + 0.1)
    profile = profile * (1 + wound * torch.cos(phase))
    return (profile / (profile.sum((2, 3), keepdim=True) + 1e-6) * flux).sum(1) * OVERSAMPLE**2


def clouds(dice: Dice, batch: int, size: int) -> Tensor:
    """Nebulosity: a Gaussian random field with a power-law spectrum, sometimes exponentiated; (B, H, W)."""
    freq = torch.fft.fftfreq(2 * size, device=dice.device)
    k = torch.sqrt(freq[:, None] ** 2 + torch.fft.rfftfreq(2 * size, device=dice.device)[None] ** 2)
    slope = dice.uniform(batch, 1, 1, low=1.2, high=2.2)
    noise = torch.fft.rfft2(dice.normal(batch, 2 * size, 2 * size))
    field = torch.fft.irfft2(noise * (k + 0.5 / size) ** (-slope), s=(2 * size, 2 * size))[:, :size, :size]
    field = (field - field.mean((1, 2), keepdim=True)) / field.std((1, 2), keepdim=True)
    sharp = dice.uniform(batch, 1, 1) < 0.5
    field = torch.where(sharp, torch.exp(field.clamp(max=4)) - 1, field)
    amplitude = dice.log_uniform(batch, 1, 1, low=0.05, high=60.0)
    return field * amplitude * (dice.uniform(batch, 1, 1) < 0.3)


def simulate_sky(batch: int, size: int, generator: Generator, device: torch.device | str = "cpu") -> Sky:
    """Draw `batch` frames of `size` x `size` pixels.

    The variance is that of background-limited photon counting: ``1 + max(truth, 0)/gain`` with the sky's own shot
    noise as the unit.
    """
    dice = Dice(generator, device)
    blur = Blur.draw(dice, batch)
    seen, cuspy = galaxies(dice, batch, size), dice.uniform(batch, 1, 1) < CUSPY
    # unblurred galaxies stand for what is sharper than the stars of the frame
    behind = crowd(dice, batch, size) + torch.where(cuspy, 0 * seen, seen)
    objects = stars(dice, batch, size, blur) + blur.of(behind) + torch.where(cuspy, seen, 0 * seen)
    truth = F.avg_pool2d(objects[:, None], OVERSAMPLE)[:, 0] + clouds(dice, batch, size)
    slope = dice.normal(batch, 2) * dice.log_uniform(batch, 1, low=0.02, high=2.0)
    axis = torch.arange(size, device=device) / size - 0.5
    plane = slope[:, 0, None, None] * axis[:, None] + slope[:, 1, None, None] * axis[None]
    gain = dice.log_uniform(batch, 1, 1, low=10.0, high=5000.0)
    return Sky(truth=truth + plane + 0.3 * dice.normal(batch, 1, 1), variance=1 + truth.clamp(min=0) / gain)
