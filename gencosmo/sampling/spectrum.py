"""The scene's local spectrum, told by the denoiser's variances at a few levels: what lies behind the stated spread.

At level t the share of open modes is ``f = V / t^2``; spectra are red, so the modes that are closed are the short ones,
and the cut-off ``k_t`` that belongs to f (`gencosmo.sampling.lowpass`) is the wavenumber at which the scene's power
falls to ``t^2``. One level gives one point of the spectrum and an assumed slope; a few levels give the spectrum of each
pixel's surroundings, however steep. With bands of half an octave in k,

    C = sum_b a_b F_b a_b,   F_b = circulant of band b, sum_b F_b = 1,   a_b(i)^2 = power of pixel i at the band's k,

C is the covariance of the scene before the data, and the linearised posterior follows by perturb and solve. The states
are the result plus fresh noise: a denoiser that is told of noise and sees none takes a blank sky for a known one.

What is still missing is measured (docs/decisions/0017-samples-around-the-mean.md): :class:`Honest`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.operators.fourier import irfft2, rfft2

__all__ = ["CENTRES", "TAUS", "TRAINED_SPREAD", "UNCORRECTED", "Bands", "Honest"]

TAUS = (0.5, 0.2, 0.08, 0.025)
"""Levels, over the start level, at which the denoiser is asked."""
CENTRES = tuple(2.0 ** (-e / 2) for e in range(10, 0, -1))
"""Wavenumbers (cycles per pixel) in the middle of the bands, half an octave apart; longer modes count to the first."""
SLOPE = 3.0
"""Of the power beyond the levels that were asked, as of the filter of `gencosmo.sampling.lowpass`."""
CUTOFFS = (-4.0, 2.0)
"""Decimal logarithms of the smallest and largest cut-off in the table of shares."""


@dataclass(frozen=True)
class Honest:
    """Measured corrections of a stated spread.

    Attributes
    ----------
    spreads : tuple of float
        Standard deviations (network flux) as the linearised posterior states them, rising.
    widths : tuple of float
        Factor there: networks that say very little, or very much, of what they do not know mean less by it.
    heights : tuple of float
        Brightness (network flux) of a pixel's neighbourhood, rising.
    factors : tuple of float
        Further factor there.
    quantile95 : float
        Half-width of the 95 % interval in corrected standard deviations.
    """

    spreads: tuple[float, ...]
    widths: tuple[float, ...]
    heights: tuple[float, ...]
    factors: tuple[float, ...]
    quantile95: float

    def factor(self, flux: Tensor, std: Tensor) -> Tensor:
        """Factor on the standard deviation `std` of pixels with neighbourhoods of this brightness: the product of both
        tables, between whose knots the logarithms are straight lines.
        """
        tables = ((std, self.spreads, self.widths), (flux, self.heights, self.factors))
        logs = sum(
            np.interp(x.detach().double().clamp(min=1e-9).log().cpu().numpy(), np.log(at), np.log(factors))
            for x, at, factors in tables
        )
        return torch.from_numpy(np.exp(logs)).to(flux)


UNCORRECTED = Honest((1.0,), (1.0,), (1.0,), (1.0,), 1.96)
TRAINED_SPREAD = Honest(
    spreads=(0.06, 0.12, 0.3, 1.0, 4.0, 16.0, 100.0),
    widths=(2.53, 1.77, 1.02, 0.69, 0.36, 0.43, 0.66),
    heights=(0.03, 0.3, 3.0, 20.0, 100.0),
    factors=(0.44, 0.82, 0.96, 1.04, 0.89),
    quantile95=2.26,
)
"""`python benchmarks/super_resolution.py spread --first 100 --scenes 8`."""


@lru_cache(maxsize=1)
def _shares() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log cut-offs and the mean of the filter with each, rising."""
    k = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None, :])
    logs = np.linspace(*CUTOFFS, 61) * math.log(10)
    return logs, np.array([(1 / (1 + (k / np.exp(c)) ** SLOPE)).mean() for c in logs])


@lru_cache(maxsize=16)
def _band(rows: int, cols: int, number: int) -> NDArray[np.float32]:
    """1 at a band's wavenumbers (rows, cols // 2 + 1), else 0; the first and last band have open ends."""
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None, :])
    nearest = np.rint(2 * np.log2(np.maximum(k, 1e-9) / CENTRES[0])).clip(0, len(CENTRES) - 1)
    inside: NDArray[np.float32] = (nearest == number).astype(np.float32)
    return inside


class Bands:
    """Covariance of planes whose power at each wavenumber varies over the plane.

    Parameters
    ----------
    levels : sequence of Tensor (B, H, W)
        Levels of the states, falling.
    variances : sequence of Tensor (B, H, W)
        The denoiser's variances there.
    top : Tensor (B, H, W)
        Largest standard deviation of any mode.
    """

    def __init__(self, levels: Sequence[Tensor], variances: Sequence[Tensor], top: Tensor) -> None:
        self.shape = (top.shape[-2], top.shape[-1])
        cuts: list[Tensor] = []
        powers = [2 * level.clamp(min=1e-15).log() for level in levels]
        for level, var in zip(levels, variances, strict=True):
            cut = _cutoff(var / level.clamp(min=1e-15) ** 2)
            cuts.append(cut if not cuts else torch.maximum(cut, cuts[-1] + 0.02))
        most = 2 * top.clamp(min=1e-15).log()
        self.roots = [(0.5 * _power(math.log(k), cuts, powers, most)).exp() for k in CENTRES]

    def __matmul__(self, planes: Tensor) -> Tensor:
        """``C x`` for planes (B, H, W)."""
        out = torch.zeros_like(planes)
        for b, root in enumerate(self.roots):
            out += root * self._filtered(root * planes, b)
        return out

    def draw(self, noise: Callable[[int], Tensor]) -> Tensor:
        """A draw from N(0, C); ``noise(b)`` gives white noise (B, H, W) for each band."""
        out = torch.zeros_like(self.roots[0])
        for b, root in enumerate(self.roots):
            out += root * self._filtered(noise(b), b)
        return out

    def _filtered(self, planes: Tensor, b: int) -> Tensor:
        inside = torch.from_numpy(_band(*self.shape, b)).to(planes.device)
        return irfft2(rfft2(planes, self.shape) * inside, self.shape)


def _cutoff(share: Tensor) -> Tensor:
    """Log cut-off (cycles per pixel) of the low-pass filter whose mean is `share`."""
    logs, shares = _shares()
    found = np.interp(share.detach().double().cpu().numpy(), shares, logs)
    return torch.from_numpy(found).to(share)


def _power(place: float, cuts: list[Tensor], powers: list[Tensor], most: Tensor) -> Tensor:
    """Log power at log wavenumber `place`: straight lines between the points, `SLOPE` beyond them, at most `most`."""
    out = powers[0] - SLOPE * (place - cuts[0])
    for j in range(1, len(cuts)):
        rise = (place - cuts[j - 1]) / (cuts[j] - cuts[j - 1])
        out = torch.where(cuts[j - 1] < place, powers[j - 1] + rise * (powers[j] - powers[j - 1]), out)
    out = torch.where(cuts[-1] < place, powers[-1] - SLOPE * (place - cuts[-1]), out)
    return torch.minimum(out, most)
