"""From a window of the canvas to what the network sees: local, scale-free features.

Everything the network is shown is relative to a local mean ``m`` and two local scales, so that a galaxy core
of ten thousand sigmas and blank sky look alike; the absolute brightness enters once, compressed. The *spread*
``s`` says how much the pixels around vary; the *roughness* ``d`` how much of that a smooth surface does not
explain (their Laplacian). On a bright smooth source ``d`` is a thousandth of ``s``, and a correction has to
be small in units of ``d``.

Two pixels beside an unmasked saturated column the box around a pixel of blank sky is rougher than the sky by a
factor of a thousand, and corrections in its units are useless. There the statistics are those of the quietest of
the boxes that hold the pixel (Kuwahara et al. 1976), blended in where it is quieter by more than :data:`CONTRAST`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.ops._dispatch import define, wants_grad
from gencosmo.ops.biharmonic_fill import HOLE_SIGMA, laplacian

FEATURES = 12
"""Channels: data, base, Laplacian (each in local units), log s, log d/s, brightness, log base variance, log
disagreement of the bases, log level over s, log level over d, is-unknown, world."""
LOCALS = 5
"""Channels of the local statistics: x0, m, s, d, gate."""
BOX = 7
"""Side of the box over which the local statistics are taken."""
SCALE_FLOOR = 0.01
"""Smallest local variance, in squared network flux."""
BRIGHTNESS = 8.0
"""Flux at which the brightness feature turns from linear to logarithmic."""
GATE = 1e-3
"""Variance of the base, in squared network flux, at which the gate is half open."""
LAPLACIAN_GAIN = 20.0
"""Variance of the four-neighbour Laplacian of unit white noise."""
SPREAD_SHARE = 1e-4
"""How little the spread counts in the roughness where good pixels are near; it is all there is where none
is."""

CONTRAST = 4.0
"""A pixel keeps its own box's statistics unless another box that holds it is quieter by more than this."""

SCRATCH = 8
"""Planes of scratch per window."""

_precondition = define(
    "precondition(Tensor win, Tensor world, float prior_var, Tensor(a!) features, Tensor(b!) local, "
    "Tensor(c!) workspace) -> ()",
    "precondition",
)


def precondition(
    win: Tensor, world: Tensor, prior_var: float, features: Tensor, local: Tensor, workspace: Tensor | None = None
) -> None:
    """Write features and local statistics of windows.

    With gradients on and an input that requires one, the reference runs instead (and the outputs carry the
    graph).

    Parameters
    ----------
    win : Tensor (B, 5, h, w) float32
        Rows ``z, sigma, base, base_var, smooth``.
    world : Tensor (B,) float32
        0 for ``frame``, 1 for ``scene``.
    prior_var : float
        Variance of the prior.
    features : Tensor (B, 12, h, w) float32, bfloat16 or float16
        Overwritten; row-major or channels_last. See :func:`precondition_reference`.
    local : Tensor (B, 5, h, w) float32
        Overwritten with ``x0, m, s, d, gate``.
    workspace : Tensor (B, SCRATCH, h, w) float32, optional
        Scratch; new memory when left out.
    """
    if wants_grad(win, world):
        for out, value in zip((features, local), precondition_reference(win, world, prior_var), strict=True):
            out.copy_(value)
        return
    if workspace is None:
        workspace = win.new_empty((win.shape[0], SCRATCH, *win.shape[2:]))
    _precondition(win, world, prior_var, features, local, workspace)


def box_mean(x: Tensor, size: int = BOX) -> Tensor:
    """Mean over a size x size box of (B, H, W), counting only pixels inside the window."""
    return F.avg_pool2d(x[:, None], size, 1, size // 2, count_include_pad=False)[:, 0]


def _log(x: Tensor, low: float, high: float) -> Tensor:
    return x.clamp(min=1e-20).log().clamp(low, high)


def local_statistics(win: Tensor, prior_var: float) -> tuple[Tensor, Tensor]:
    """Local statistics (B, 5, h, w) and the Laplacian of x0 (B, h, w); see :func:`precondition_reference`."""
    z, sigma, base, base_var, smooth = win.unbind(1)
    mean = box_mean(base)
    contrast = box_mean((base - mean) ** 2)
    spread2 = contrast + box_mean(base_var.clamp(max=prior_var)) + SCALE_FLOOR
    unknown = torch.isinf(sigma)
    level = torch.where(unknown, torch.zeros_like(sigma), sigma)
    gain = torch.where(unknown, torch.zeros_like(sigma), spread2 / (spread2 + level * level))
    x0 = smooth + gain * (z - smooth)
    curve = laplacian(x0)
    good = (sigma < HOLE_SIGMA).to(x0.dtype)
    rough2 = (box_mean(good * curve * curve) / LAPLACIAN_GAIN + SPREAD_SHARE * spread2) / (
        box_mean(good) + SPREAD_SHARE
    )
    rough = rough2.sqrt()
    mean, local_rough = _of_quietest(rough, mean, rough)
    again = (box_mean((base - mean) ** 2) + box_mean(base_var.clamp(max=prior_var)) + SCALE_FLOOR).sqrt()
    (spread,) = _of_quietest(rough, again)
    return torch.stack([x0, mean, spread, local_rough, contrast / (contrast + GATE)], dim=1), curve


def _of_quietest(rough: Tensor, *statistics: Tensor) -> tuple[Tensor, ...]:
    """Statistics (B, h, w) blended with those of the least rough of the box and the four a reach away from it."""
    reach, (height, width) = BOX // 2, rough.shape[-2:]
    own = torch.stack([rough, *statistics])
    rows, cols = (torch.arange(side, device=rough.device) for side in (height, width))
    quiet = own
    for there in (
        own[:, :, (rows - reach).clamp(min=0)],
        own[:, :, (rows + reach).clamp(max=height - 1)],
        own[..., (cols - reach).clamp(min=0)],
        own[..., (cols + reach).clamp(max=width - 1)],
    ):
        quiet = torch.where(there[0] < quiet[0], there, quiet)
    share = (CONTRAST * quiet[0] / rough).clamp(max=1) ** 2
    return tuple(torch.where(share < 1, quiet + share * (own - quiet), own)[1:])


def precondition_reference(win: Tensor, world: Tensor, prior_var: float) -> tuple[Tensor, Tensor]:
    """Features and local statistics of windows, differentiable plain torch.

    Parameters
    ----------
    win : Tensor (B, 5, h, w)
        Rows ``z, sigma, base, base_var, smooth``.
    world : Tensor (B,)
        0 for ``frame``, 1 for ``scene``.
    prior_var : float
        Variance of the prior; bounds what an unknown pixel adds to the local spread.

    Returns
    -------
    features : Tensor (B, 12, h, w)
        Channels as listed at :data:`FEATURES`.
    local : Tensor (B, 5, h, w)
        ``x0, m, s, d, gate``. ``x0 = u + g (z - u)`` with ``u = smooth`` and ``g = s^2/(s^2 + sigma^2)``: the
        data where they are good, the smooth fill where they are not. ``m``: mean of the base in the box;
        ``s``: spread of the base plus its variance; ``d``: root mean square of the Laplacian of x0 over the
        good pixels of the box, 1 for unit white noise, ``s`` where no good pixel is near; ``gate = C/(C + 0.001)``
        with ``C`` the variance of the base in the box: 0 where the base is constant because nothing is known
        nearby. With ``d_q`` the least ``d`` of the box and of those three pixels above, below, left and right, and
        ``t = min(1, 4 d_q/d)``, each of ``m``, ``s`` (taken anew around this ``m``) and ``d`` becomes
        ``v_q + t^2 (v - v_q)``.
    """
    z, sigma, base, base_var, smooth = win.unbind(1)
    local, curve = local_statistics(win, prior_var)
    x0, mean, spread, rough, _gate = local.unbind(1)
    unknown = torch.isinf(sigma)
    level = torch.where(unknown, torch.zeros_like(sigma), sigma)
    top = torch.full_like(sigma, 5.0)
    rough2 = rough * rough
    features = torch.stack(
        [
            ((x0 - mean) / spread).clamp(-8, 8),
            ((base - mean) / spread).clamp(-8, 8),
            (curve / (LAPLACIAN_GAIN**0.5 * rough)).clamp(-8, 8),
            spread.log() / 3,
            _log(rough / spread, -6, 3) / 2,
            torch.asinh(mean / BRIGHTNESS) / 3,
            _log(base_var / (spread * spread) + 1e-4, -10, 5) / 6,
            _log(box_mean((base - smooth) ** 2, 3) / rough2 + 1e-3, -8, 12) / 6,
            torch.where(unknown, top, _log(level / spread, -6, 5)) / 4,
            torch.where(unknown, top, _log(level / rough, -6, 5)) / 4,
            unknown.to(z.dtype),
            world.to(z.dtype)[:, None, None].expand_as(z),
        ],
        dim=1,
    )
    return features, local
