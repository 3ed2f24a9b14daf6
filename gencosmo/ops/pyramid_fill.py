"""Precision-weighted multi-scale fill: every pixel gets a base value and that value's variance.

The image is the finest level of a quadtree in which a child is its parent plus a *detail*, ``x_child =
x_parent + d, d ~ N(0, q)``. Given the tree, the posterior of all nodes is two sweeps of a Kalman smoother
(Chou, Willsky & Benveniste 1994): information flows up (precision-weighted means), then down
(Rauch-Tung-Striebel gains). The detail variance ``q`` is measured on the way up, block by block, so that a
hole in a bright core is uncertain and a hole in blank sky is not; a block that could not measure it inherits
a quarter of its parent's. Two deliberate departures from the exact smoother: parents are interpolated
bilinearly on the way down (no visible blocks), and ``q`` comes from the data.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo import _core
from gencosmo.ops._dispatch import define, refuse_grad

DETAIL_FLOOR = 0.01
"""Smallest detail variance, in squared network flux."""
DETAIL_DECAY = 0.25
"""Share of its parent's detail variance that a block inherits at least."""

_fill = define(
    "pyramid_fill_(Tensor(a!) fields, Tensor layout, Tensor(b!) workspace, float prior_mean, float prior_var) -> ()",
    "pyramid_fill",
)


def pyramid_workspace(layout: Tensor) -> int:
    """Floats of workspace that :func:`pyramid_fill_` needs for these planes; `layout` (P, 6) int64."""
    return int(_core.pyramid_workspace(layout.cpu()))


def pyramid_fill_(fields: Tensor, layout: Tensor, workspace: Tensor, prior_mean: float, prior_var: float) -> None:
    """Write rows ``base`` and ``base_var`` of a canvas from its rows ``z`` and ``sigma``, in place.

    Parameters
    ----------
    fields : Tensor (5, N) float32
        Rows ``z, sigma, base, base_var, smooth``, in network flux; ``sigma = inf`` means unknown.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    workspace : Tensor (M,) float32
        Scratch of at least :func:`pyramid_workspace` floats.
    prior_mean, prior_var : float
        What is known of the mean of a whole plane before looking at it.
    """
    refuse_grad("pyramid_fill_", fields)
    _fill(fields, layout, workspace, prior_mean, prior_var)


def _children(x: Tensor, fill: float) -> Tensor:
    """(B, H, W) to the 2x2 children of each parent, (B, 4, ceil(H/2), ceil(W/2)); `fill` where there is
    none.
    """
    pad_h, pad_w = x.shape[-2] % 2, x.shape[-1] % 2
    padded = F.pad(x, (0, pad_w, 0, pad_h), value=fill)
    return F.pixel_unshuffle(padded[:, None], 2)


def _up(m: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One level up: (mean, variance, detail variance) of the parents, each (B, ceil(H/2), ceil(W/2))."""
    mc, vc = _children(m, 0.0), _children(v, math.inf)
    known = torch.isfinite(vc)
    zero = torch.zeros((), dtype=m.dtype, device=m.device)
    n = known.sum(1)
    count = n.clamp(min=1).to(m.dtype)
    mean = torch.where(known, mc, zero).sum(1) / count
    spread = torch.where(known, (mc - mean[:, None]) ** 2, zero).sum(1) / (n - 1).clamp(min=1).to(m.dtype)
    noise = torch.where(known, vc, zero).sum(1) / count
    q = DETAIL_FLOOR + (spread - 2 * noise).clamp(min=0)
    w = torch.where(known, 1 / (vc + q[:, None]), zero)
    total = w.sum(1)
    parent_v = torch.where(n > 0, 1 / total, torch.full_like(total, math.inf))
    parent_m = torch.where(n > 0, (w * torch.where(known, mc, zero)).sum(1) / total, torch.zeros_like(total))
    return parent_m, parent_v, q


def _enlarge(x: Tensor, shape: torch.Size) -> Tensor:
    """Bilinear interpolation of parents (B, h, w) at their children's centres, clamped at the edges."""
    up = F.interpolate(x[:, None], scale_factor=2, mode="bilinear", align_corners=False)
    return up[:, 0, : shape[-2], : shape[-1]]


def _repeat(x: Tensor, shape: torch.Size) -> Tensor:
    """Each parent's value at its children, (B, h, w) to (B, *shape[-2:])."""
    return x.repeat_interleave(2, -2).repeat_interleave(2, -1)[:, : shape[-2], : shape[-1]]


def _down(m: Tensor, v: Tensor, parent_m: Tensor, parent_v: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Smoothed (mean, variance) of a level from its own (m, v), its parents' smoothed ones and their q."""
    detail = _repeat(q, m.shape)
    gain = 1 / (1 + detail / v)
    mean = (1 - gain) * m + gain * _enlarge(parent_m, m.shape)
    return mean, detail * gain + gain * gain * _enlarge(parent_v, m.shape)


def pyramid_planes(z: Tensor, sigma: Tensor, prior_mean: float, prior_var: float) -> tuple[Tensor, Tensor]:
    """Base value and variance of planes of one shape, in plain torch.

    Parameters
    ----------
    z, sigma : Tensor (B, H, W)
        State and noise level per pixel, in network flux; ``sigma = inf`` means unknown, and `z` is not read
        there.
    prior_mean, prior_var : float
        What is known of the mean of a whole plane before looking at it.

    Returns
    -------
    base, base_var : Tensor (B, H, W)
        Exact pixels (``sigma = 0``) come back exactly; a wholly unknown plane comes back as `prior_mean`.
    """
    m = torch.where(torch.isinf(sigma), torch.zeros_like(z), z)
    v = sigma * sigma
    levels = [(m, v)]
    details = []
    while max(m.shape[-2:]) > 1:
        m, v, q = _up(m, v)
        levels.append((m, v))
        details.append(q)
    m, v = levels[-1]
    var = 1 / (1 / v + 1 / prior_var)
    mean = torch.where(torch.isinf(v), torch.full_like(m, prior_mean), var * (m / v + prior_mean / prior_var))
    mean = torch.where(v == 0, m, mean)
    above: Tensor | None = None
    for (m, v), q in zip(reversed(levels[:-1]), reversed(details), strict=True):
        if above is not None:
            q = torch.maximum(q, DETAIL_DECAY * _repeat(above, q.shape))
        mean, var = _down(m, v, mean, var, q)
        above = q
    return mean, var


def pyramid_fill_reference_(fields: Tensor, layout: Tensor, prior_mean: float, prior_var: float) -> None:
    """Truth of :func:`pyramid_fill_`: plane by plane through :func:`pyramid_planes`."""
    for offset, height, width, *_ in layout.tolist():
        rows = fields[:, offset : offset + height * width].view(5, 1, height, width)
        if height * width == 0:
            continue
        base, var = pyramid_planes(rows[0], rows[1], prior_mean, prior_var)
        rows[2].copy_(base)
        rows[3].copy_(var)
