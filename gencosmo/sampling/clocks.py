"""How high each pixel starts.

A start at level t forgets correlations of the posterior that are wider than t: t^2 must be well above the
variance of the widest mode, ``lambda_max``. A hole of a few pixels starts low, a large one high.
``lambda_max`` of a covariance C is at most ``max_i sum_j |C_ij|`` (Gershgorin); with ``C_ij ~ sqrt(V_i V_j)
rho(i - j)`` that is a small convolution of the first pass' variance, so that the start level is a smooth map
instead of one number per hole.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gencosmo.priors.base import Denoiser
from gencosmo.windows import Canvas

__all__ = ["set_clocks_", "widest_mode"]

REACH = 3.0
"""Correlation lengths after which pixels no longer count as connected."""
CLOCK_MIN = 1e-6
"""Flux; a moving pixel's clock is never 0, which would mean that it does not move."""


def widest_mode(var: NDArray[np.float64], open_: NDArray[np.bool_], length: float) -> NDArray[np.float64]:
    """Estimated variance of the widest posterior mode around each pixel (flux^2), never below the pixel's
    own.

    Parameters
    ----------
    var : ndarray (H, W)
        Posterior variance of every pixel given the observation.
    open_ : ndarray of bool (H, W)
        Pixels that are to be sampled; the others cannot carry a mode.
    length : float
        Correlation length (pixels) of their posterior: ``rho = exp(-(|rows| + |cols|) / length)``.
    """
    reach = math.ceil(REACH * length)
    rho = np.exp(-np.abs(np.arange(-reach, reach + 1)) / length)
    std = np.sqrt(var)
    summed = ndimage.correlate1d(np.where(open_, std, 0.0), rho, axis=0, mode="constant")
    summed = ndimage.correlate1d(summed, rho, axis=1, mode="constant")
    result: NDArray[np.float64] = np.maximum(std * summed, var)
    return result


def set_clocks_(canvas: Canvas, moving: Tensor, denoiser: Denoiser, factor: float) -> None:
    """Write ``canvas.clock`` from the first pass' variance ``canvas.var``.

    Parameters
    ----------
    canvas : Canvas
        ``sigma_obs`` and ``var`` are read.
    moving : Tensor (N,) bool
        The pixels to be sampled; all others get clock 0.
    denoiser : Denoiser
        Its ``correlation_length`` and ``sigma_max`` count.
    factor : float
        Squared start level over the variance of the widest mode.
    """
    canvas.clock.zero_()
    for p in range(canvas.layout.shape[0]):
        mine = canvas.view(moving, p)
        if not bool(mine.any()):
            continue
        var = canvas.plane("var", p).double().clamp(min=0).cpu().numpy()
        level = canvas.plane("sigma_obs", p).double().cpu().numpy()
        chosen = mine.cpu().numpy()
        mode = widest_mode(var, chosen, denoiser.correlation_length)
        # no mode of the posterior is wider than the noise of the pixels that it lives on
        mode = np.maximum(np.minimum(mode, level**2), var)
        clock = np.clip(np.sqrt(factor * mode), CLOCK_MIN, denoiser.sigma_max)
        canvas.plane("clock", p).copy_(torch.from_numpy(np.where(chosen, clock, 0.0)))
