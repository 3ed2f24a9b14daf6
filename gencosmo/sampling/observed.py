"""Pixels that were observed with noise, while they are being sampled.

The diffusion state u of a pixel and its observation y are two independent measurements of the same value,
with errors tau (falling from step to step) and sigma_obs. Together they are one measurement,

    z = u + rho (y - u),   1/sigma^2 = 1/tau^2 + 1/sigma_obs^2,   rho = tau^2 / (tau^2 + sigma_obs^2),

and that is what the denoiser is shown. So an observed pixel is sampled exactly like an unobserved one, for
which rho is 0: the denoiser's mean and variance at (z, sigma) are those given u and y, which the step of u
needs (docs/decisions/0001).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.windows import Canvas

__all__ = ["Observed", "combine"]


def combine(u: Tensor, tau: Tensor, y: Tensor, sigma_obs: Tensor) -> tuple[Tensor, Tensor]:
    """State (value, level) of pixels that are known as ``u`` to within tau and as ``y`` to within sigma_obs.

    Parameters
    ----------
    u, tau : Tensor
        Diffusion state and its level, above 0.
    y, sigma_obs : Tensor
        Observation and its level, above 0 and finite.
    """
    rho = 1 / (1 + (sigma_obs / tau) ** 2)
    return u + rho * (y - u), sigma_obs * torch.sqrt(rho)


class Observed:
    """The observations of a canvas' moving pixels, taken out of its state and put back for the denoiser.

    Parameters
    ----------
    canvas : Canvas
        At the observation's levels, with its clocks set. The moving pixels lose their observation and start
        unknown.

    Attributes
    ----------
    levels : Tensor (N,)
        ``sigma_obs`` with inf on the moving pixels: what the step op is to see.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.levels = canvas.sigma_obs
        noisy = (canvas.clock > 0) & torch.isfinite(canvas.sigma_obs)
        self._index = noisy.nonzero()[:, 0]
        if self._index.numel():
            self._y = canvas.fields[0, self._index]
            self._sigma = canvas.sigma_obs[self._index]
            self.levels = canvas.sigma_obs.masked_fill(noisy, torch.inf)
            canvas.fields[0, self._index] = 0.0
            canvas.fields[1, self._index] = torch.inf

    def put_in_(self, canvas: Canvas) -> None:
        """Replace the diffusion state by its combination with the observations."""
        if self._index.numel():
            self._state = canvas.fields[:2, self._index]
            z, sigma = combine(self._state[0], self._state[1], self._y, self._sigma)
            canvas.fields[0, self._index] = z
            canvas.fields[1, self._index] = sigma

    def take_out_(self, canvas: Canvas) -> None:
        """Bring the diffusion state of before :meth:`put_in_` back."""
        if self._index.numel():
            canvas.fields[:2, self._index] = self._state
