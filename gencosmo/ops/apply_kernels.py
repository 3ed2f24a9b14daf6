"""From the network's raw output to the posterior mean and variance of every pixel.

The mean starts from the data: affine weights over the 5x5 filled neighbours (kernel prediction, Bako et al.
2017), a weight for the second base, a residual. Kernel and residual act in units of the local roughness
``d``, so that on a bright smooth source a small error of the network is a small error of the pixel. Limits
that hold whatever the weights:

- an exact pixel is returned exactly, with variance 0, and the network is not asked about it; others are pulled to their
  data: ``mean = c z + (1 - c) head``, ``c = (eta d)^2/((eta d)^2 + sigma^2)``;
- the variance never exceeds the level's: ``1/var = 1/sigma^2 + 1/S`` with the network's own ``S``;
- where the base is constant, because nothing is known for far around, the ``gate`` switches the residual off,
  so that a wholly unknown plane returns the prior mean.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.ops._dispatch import define, wants_grad

KERNEL = 5
RAW_CHANNELS = KERNEL * KERNEL + 3
"""Kernel weights, weight of the base against the smooth fill, residual, log variance over d^2."""
ETA = 0.2
"""The pull to the data starts at levels below this share of the local roughness."""
LOG_VAR_MIN, LOG_VAR_MAX = -12.0, 18.0
DEVIATION = 8.0
"""Neighbours count as at most this many local spreads from the local mean. Within the box that the spread was taken of
none can be (a single bright pixel is 6.9); it holds back those outside the quietest box."""

_apply = define(
    "apply_kernels(Tensor raw, Tensor win, Tensor local, Tensor(a!) mean, Tensor(b!) var) -> ()",
    "apply_kernels",
)
_backward = define(
    "apply_kernels_backward(Tensor raw, Tensor win, Tensor local, Tensor grad_mean, Tensor grad_var, "
    "Tensor(a!) grad_raw) -> ()",
    "apply_kernels_backward",
)


class _Applied(torch.autograd.Function):
    """The op with its gradient for the network's output; windows and local statistics are data."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, win: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = (torch.empty_like(win[:, :1]).contiguous() for _ in range(2))
        _apply(raw, win, local, mean, var)
        ctx.save_for_backward(raw, win, local)
        return mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_mean: Tensor, grad_var: Tensor) -> tuple[Tensor, None, None]:
        raw, win, local = ctx.saved_tensors
        grad_raw = torch.empty_like(raw)
        _backward(raw, win, local, grad_mean.contiguous(), grad_var.contiguous(), grad_raw)
        return grad_raw, None, None


def applied_kernels(raw: Tensor, win: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance (B, 1, h, w) as new tensors, differentiable in `raw`.

    Gradients flow to the network's output by a compiled kernel, once; arguments as in :func:`apply_kernels`.
    Where `win` or `local` require a gradient too, the reference runs instead.
    """
    if wants_grad(win, local):
        return apply_kernels_reference(raw.to(win.dtype), win, local)
    mean, var = _Applied.apply(raw, win, local)  # type: ignore[no-untyped-call]
    return mean, var


def apply_kernels(raw: Tensor, win: Tensor, local: Tensor, mean: Tensor, var: Tensor) -> None:
    """Write the posterior mean and variance of windows.

    With gradients on and an input that requires one, the outputs carry the graph of :func:`applied_kernels`.

    Parameters
    ----------
    raw : Tensor (B, 28, h, w) float32, bfloat16 or float16
        The network's output, row-major or channels_last. See :func:`apply_kernels_reference`.
    win : Tensor (B, 5, h, w) float32
        Rows ``z, sigma, base, base_var, smooth``.
    local : Tensor (B, 5, h, w) float32
        ``x0, m, s, d, gate`` of :func:`~gencosmo.ops.precondition.precondition`.
    mean, var : Tensor (B, 1, h, w) float32
        Overwritten.
    """
    if wants_grad(raw, win, local):
        for out, value in zip((mean, var), applied_kernels(raw, win, local), strict=True):
            out.copy_(value)
        return
    _apply(raw, win, local, mean, var)


def _neighbours(x: Tensor) -> Tensor:
    """The 25 neighbours of each pixel of (B, h, w), edges repeated: (B, 25, h, w), rows before columns."""
    half = KERNEL // 2
    padded = F.pad(x[:, None], (half, half, half, half), mode="replicate")
    return F.unfold(padded, KERNEL).view(x.shape[0], KERNEL * KERNEL, *x.shape[-2:])


def apply_kernels_reference(raw: Tensor, win: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance of windows, differentiable plain torch.

    Parameters
    ----------
    raw : Tensor (B, 28, h, w)
        The network's output: 25 kernel weights (rows before columns; their mean is removed), base weight,
        residual, log variance. All zero gives back the smooth fill where unknown and ``x0`` at small levels.
    win : Tensor (B, 5, h, w)
        Rows ``z, sigma, base, base_var, smooth``.
    local : Tensor (B, 5, h, w)
        ``x0, m, s, d, gate`` of :func:`~gencosmo.ops.precondition.precondition_reference`.

    Returns
    -------
    mean, var : Tensor (B, 1, h, w)
        ``head = x0 + d/s sum_k w_k clip(x0_k - m, +-8 s) + w_b (base - smooth) + gate d r``.
    """
    z, sigma, base, _base_var, smooth = win.unbind(1)
    x0, m, s, d, gate = local.unbind(1)
    taps = KERNEL * KERNEL
    weights = raw[:, :taps] - raw[:, :taps].mean(1, keepdim=True)
    deviations = (_neighbours(x0) - m[:, None]).clamp(-DEVIATION * s[:, None], DEVIATION * s[:, None])
    head = x0 + d / s * (weights * deviations).sum(1)
    head = head + raw[:, taps] * (base - smooth) + gate * d * raw[:, taps + 1]
    unknown, exact = torch.isinf(sigma), sigma == 0
    level2 = torch.where(unknown, torch.zeros_like(sigma), sigma * sigma)
    pull = (ETA * d) ** 2
    share = torch.where(unknown, torch.ones_like(sigma), level2 / (pull + level2))
    datum = torch.where(unknown, torch.zeros_like(z), z)
    mean = torch.where(exact, z, datum + share * (head - datum))
    spread = d * d * raw[:, taps + 2].clamp(LOG_VAR_MIN, LOG_VAR_MAX).exp()
    var = torch.where(unknown, spread, level2 * spread / (level2 + spread))
    var = torch.where(exact, torch.zeros_like(var), var)
    return mean[:, None], var[:, None]
