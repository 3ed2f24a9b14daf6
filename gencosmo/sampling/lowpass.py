"""How the pixels of a noisy state hang together, told by the denoiser's variance alone.

The posterior covariance of an image x given its state ``z = x + t n`` is ``t^2 J`` with the denoiser's Jacobian J
(Tweedie's formula), a smoother: J keeps the modes that stand out of the noise and drops the others, so that its
trace, ``sum_i V_i / t_i^2``, counts how many are still open. Images have red spectra, hence the open modes are the
long ones: J is a low-pass filter, and ``f = V / t^2`` fixes its width. The model is

    C = sum_b sqrt(w_b V) R_b sqrt(w_b V),   R_b = circulant of 1 / (1 + (k / k_b)^3), scaled to a unit diagonal,

with the cut-off ``k_b`` such that the filter's mean is ``f_b``, and weights ``w_b`` that interpolate between a few
``f_b`` where f varies over the image. Its diagonal is V. As t falls, f goes to 1 and C to diag(V): what is assumed
vanishes towards the end of the sampling (docs/decisions/0008). Far above the image's contrast f says nothing any more:
there the filter is no narrower than the prior's own correlations.

A trained denoiser is calibrated pixel by pixel, and what it misses on a source or on the sky it misses on many pixels
together: sums over them err more than C allows, and data that know such sums are not heard. :class:`Doubt` adds that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.operators.fourier import irfft2, rfft2
from gencosmo.sampling.spectrum import TRAINED_SPREAD, UNCORRECTED, Honest

__all__ = ["NODES", "TRAINED_MEAN", "Doubt", "LowPass"]

EXPONENT = 3.0
"""Of the filter; spectra of fields with sharp features fall like k^-3."""
NODES = (1 / 1024, 1 / 128, 1 / 16, 1 / 4, 1.0)
"""Shares f of open modes for which there is a filter; 1 is no filter at all."""
OPEN = 2 * math.pi * 2 * math.pi / (3 * math.sqrt(3))
"""Mean of the filter over all wavenumbers (cycles per pixel), over the square of its cut-off."""
COARSE = 512
"""Side of the grid of wavenumbers on which a cut-off is searched; larger planes have as good as the same."""
LIGHT = 1e-3
"""A filter whose largest weight is below this is left out, and its weight given to the others."""


@dataclass(frozen=True)
class Doubt:
    """How much more a denoiser errs over many pixels together than its variance says.

    Attributes
    ----------
    spread : float
        Factor on the covariance C.
    drift : float
        Variance, over the squared level, of an error that all pixels of a wide neighbourhood (the longest filter of
        `NODES`) share, such as a pedestal of the sky.
    pedestal : float
        Standard deviation (network flux) of such an error of the result, which the data are asked for once more when
        the walk is over and the level at which `drift` counted is gone.
    honest : Honest
        Measured corrections of the spread that is stated in the end.
    """

    spread: float = 1.0
    drift: float = 0.0
    pedestal: float = 0.0
    honest: Honest = UNCORRECTED


TRAINED_MEAN = Doubt(spread=4.0, drift=1e-2, pedestal=0.1, honest=TRAINED_SPREAD)
"""For the mean of trained networks by the walk without noise (docs/decisions/0011-networks-err-together.md, 0017)."""


@lru_cache(maxsize=32)
def _filter(rows: int, cols: int, share: float) -> NDArray[np.float32]:
    """Square root of the spectrum of R for a share f: (rows, cols // 2 + 1)."""
    some = np.hypot(np.fft.fftfreq(min(rows, COARSE))[:, None], np.fft.fftfreq(min(cols, COARSE))[None, :])
    low, high = 1e-7, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if (1 / (1 + (some / middle) ** EXPONENT)).mean() < share else (low, middle)
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None, :])
    spectrum = 1 / (1 + (k / middle) ** EXPONENT)
    twice = np.full(k.shape[1], 2.0)  # columns of the whole spectrum that a column of the half one stands for
    twice[0] = 1.0
    twice[-1] = 1.0 if cols % 2 == 0 else 2.0
    mean = float((spectrum * twice).sum() / (rows * cols))
    root: NDArray[np.float32] = np.sqrt(spectrum / mean).astype(np.float32)
    return root


class LowPass:
    """Covariance C of planes for one variance map each.

    Parameters
    ----------
    var : Tensor (B, H, W)
        The denoiser's variance.
    share : Tensor (B, H, W)
        ``V / t^2`` of every pixel, 0 to 1.
    length : float
        Correlation length (pixels) of the prior, the longest that is assumed.
    drift : Tensor (B, H, W), optional
        Variance to be added with the longest filter.
    """

    def __init__(self, var: Tensor, share: Tensor, length: float = math.inf, drift: Tensor | None = None) -> None:
        self.var, self.shape = var if drift is None else var + drift, (var.shape[-2], var.shape[-1])
        place = share.clamp(min(1.0, max(NODES[0], OPEN / (2 * math.pi * length) ** 2)), 1.0).log()
        total = torch.zeros_like(var)
        for b in range(len(NODES)):
            total += _hat(place, b)
        self.roots = {}
        for b in range(len(NODES)):
            part = var * _hat(place, b) / total
            root = (part if drift is None or b else part + drift).sqrt()
            if bool(root.any()):
                self.roots[b] = root

    def __matmul__(self, planes: Tensor) -> Tensor:
        """``C x`` for planes (B, H, W)."""
        out = torch.zeros_like(planes)
        for b, root in self.roots.items():
            out += root * self._filtered(root * planes, b, 2)
        return out

    def draw(self, noise: Callable[[int], Tensor]) -> Tensor:
        """A draw from N(0, C); ``noise(b)`` gives white noise (B, H, W) for each filter."""
        out = torch.zeros_like(self.var)
        for b, root in self.roots.items():  # one after the other: adding a filter that a plane has not changes no bit
            out += root * self._filtered(noise(b), b, 1)
        return out

    def _filtered(self, planes: Tensor, b: int, power: int) -> Tensor:
        if NODES[b] == 1.0:
            return planes
        root = torch.from_numpy(_filter(*self.shape, NODES[b])).to(planes.device)
        spectrum = rfft2(planes, self.shape) * (root if power == 1 else root * root)
        return irfft2(spectrum, self.shape)


def _hat(place: Tensor, b: int) -> Tensor:
    """Weight (B, H, W) of one filter where ``log f`` is `place`: linear between neighbours, dropped where it is light
    over a whole plane. What one plane needs does not depend on the others.
    """
    nodes = [math.log(node) for node in NODES]
    rise = (place - nodes[b - 1]) / (nodes[b] - nodes[b - 1]) if b else torch.ones_like(place)
    fall = (nodes[b + 1] - place) / (nodes[b + 1] - nodes[b]) if b + 1 < len(nodes) else torch.ones_like(place)
    hat = torch.minimum(rise, fall).clamp(0, 1)
    return torch.where(hat.amax((-2, -1), keepdim=True) > LIGHT, hat, 0.0)
