"""One update of every moving pixel: from the state and the denoiser's answer to the state at the next level.

The levels of pixel i follow its own clock, ``sigma_i(tau) = min(sigma_obs_i, tau * clock_i)``, with ``tau``
from 1 at the start to 0 at the end. An update goes from ``sigma`` to ``target = min(sigma_obs, tau_next *
clock)`` where that is lower and leaves every other pixel alone. With ``a = target / sigma`` (0 where
``sigma`` is inf), ``r = a^2`` and the denoiser's mean ``D`` and variance ``V`` there are two kinds of update:

stochastic (the reverse transition with the predicted variance; exact for independent pixels)
    ``z' = r z + (1 - r) D + sqrt(target^2 (1 - r) + (1 - r)^2 V) n``
flow (second-order multistep of the probability-flow ODE: DPM-Solver++(2M), Lu et al. 2022, eq. 12, in data
prediction)
    ``z' = a z + (1 - a) (D + extrapolate (D - D_previous))``

The row's ``mode`` chooses: in mode 0 every pixel takes the stochastic update; in mode 1 the pixels that were
never observed (``sigma_obs = inf``) and are on their way from a finite level to one above 0 take the flow,
all others the stochastic update: a pixel held at its observed value must draw its noise when it is let go, an
unobserved one carries it since the warm start.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad
from gencosmo.ops.normal import normal_reference_

MODE_STOCHASTIC = 0
MODE_FLOW = 1
COEF_COLUMNS = ("tau_next", "mode", "extrapolate", "stream", "rng_step")
"""Columns of the table of steps, one row per step."""

_step = define(
    "step_(Tensor(a!) fields, Tensor mean, Tensor var, Tensor sigma_obs, Tensor clock, Tensor(b!) previous, "
    "Tensor layout, Tensor seed, Tensor coef, Tensor index) -> ()",
    "step",
)


def step_reference_(
    fields: Tensor,
    mean: Tensor,
    var: Tensor,
    sigma_obs: Tensor,
    clock: Tensor,
    previous: Tensor,
    layout: Tensor,
    seed: Tensor,
    coef: Tensor,
    index: Tensor,
) -> None:
    """Plain torch truth of :func:`step_`, in the dtype of ``fields``."""
    per_plane = index.expand(layout.shape[0]) if index.numel() == 1 else index
    noise = torch.zeros_like(mean)
    for row in torch.unique(per_plane).tolist():
        planes = per_plane == row
        tau, mode, extrapolate, stream, rng_step = coef[row].to(fields.dtype).unbind()
        mine = plane_pixels(layout[planes], mean.numel())
        normal_reference_(noise, layout[planes], seed[planes], rng_step, stream)
        z, sigma = fields[0, mine], fields[1, mine]
        observed, speed, d = sigma_obs[mine], clock[mine], mean[mine]
        target = torch.minimum(observed, tau * speed)
        moves = (speed > 0) & (target < sigma)
        a = torch.where(torch.isinf(sigma), 0.0, target / sigma)
        r, q = a * a, (1 - a) * (1 + a)
        spread = torch.sqrt(target * target * q + q * q * var[mine].clamp(min=0))
        stochastic = r * z + q * d + spread * noise[mine]
        flow = a * z + (1 - a) * (d + extrapolate * (d - previous[mine]))
        flows = (mode == MODE_FLOW) & torch.isinf(observed) & ~torch.isinf(sigma) & (target > 0)
        fields[0, mine] = torch.where(moves, torch.where(flows, flow, stochastic), z)
        fields[1, mine] = torch.where(moves, target, sigma)
        previous[mine] = torch.where(speed > 0, d, previous[mine])


def plane_pixels(layout: Tensor, total: int) -> Tensor:
    """Boolean (total,): the pixels that belong to the planes of ``layout`` (the padding between planes does
    not).
    """
    inside = torch.zeros(total, dtype=torch.bool, device=layout.device)
    for offset, height, width in layout[:, :3].tolist():
        inside[offset : offset + height * width] = True
    return inside


def step_(
    fields: Tensor,
    mean: Tensor,
    var: Tensor,
    sigma_obs: Tensor,
    clock: Tensor,
    previous: Tensor,
    layout: Tensor,
    seed: Tensor,
    coef: Tensor,
    index: Tensor,
) -> None:
    """Move every pixel with ``clock > 0`` to the level of one row of the table of steps, in place.

    Parameters
    ----------
    fields : Tensor (5, N) float32
        Row 0 ``z`` and row 1 ``sigma`` are read and written; the others are left alone.
    mean, var : Tensor (N,) float32
        The denoiser's answer at this state (flux, flux^2); negative variances count as 0.
    sigma_obs : Tensor (N,) float32
        Level of the observation, 0 (exact) to inf (never observed).
    clock : Tensor (N,) float32
        Scale of the pixel's clock (flux); 0 where the pixel never moves.
    previous : Tensor (N,) float32
        The last step's ``mean``: read by the flow, then overwritten with ``mean`` where ``clock > 0``. Start
        with zeros.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``. Pixels between planes are left alone.
    seed : Tensor (P,) int64
        Key of the noise.
    coef : Tensor (S, 5) float32
        ``tau_next, mode, extrapolate, stream, rng_step`` of every step.
    index : Tensor (1,) or (P,) int64
        The row to use, for all planes or per plane.
    """
    refuse_grad("step_", fields, mean, var, sigma_obs, clock, previous, coef)
    _step(fields, mean, var, sigma_obs, clock, previous, layout, seed, coef, index)
