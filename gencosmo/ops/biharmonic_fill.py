"""Biharmonic fill of holes: the smoothest surface through the pixels around each hole.

Inside a hole the values minimise ``||L u||^2`` with ``u`` fixed outside, where ``L`` is the graph Laplacian
of the pixel grid with four neighbours (neighbours beyond the plane do not exist, so ``L`` is symmetric and
the normal operator is ``L L``). Holes whose stencils touch are one *component*; each component is solved by
conjugate gradients on its own (Hestenes & Stiefel 1952), so that a hole's fill does not depend on other
holes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

HOLE_SIGMA = 4.0
"""Pixels noisier than this, in network flux, are bridged rather than trusted."""
MAX_PIXELS = 1 << 24
"""Components larger than this keep the pyramid's value. Scattered pixels hang together from a share of 15 % on: a whole
frame of them is one component, and solved in a fraction of a microsecond for each."""
ITERATIONS = 30
REACH = 3
"""Steps between pixels that couple: one of each stencil and one between."""
SPARSE = 0.05
"""Share of hole pixels below which looking at them alone is faster."""
CLIP_SIGMAS = 6.0
"""The surface stays within this many standard deviations of the pyramid's value."""
RESIDUAL_FLOOR = 1e-12
"""Conjugate gradients stop when the squared residual has fallen by this factor."""

_fill = define(
    "biharmonic_fill_(Tensor(a!) fields, Tensor layout, Tensor pixels, Tensor starts, Tensor planes, "
    "Tensor(b!) workspace, int iterations, float limit) -> ()",
    "biharmonic_fill",
)


def biharmonic_workspace(size: int, holes: int) -> int:
    """Floats of workspace that :func:`biharmonic_fill_` needs for a canvas of `size` pixels with `holes`."""
    return size + 3 * holes


def biharmonic_fill_(
    fields: Tensor,
    layout: Tensor,
    pixels: Tensor,
    starts: Tensor,
    planes: Tensor,
    workspace: Tensor,
    iterations: int = ITERATIONS,
    limit: float = CLIP_SIGMAS,
) -> None:
    """Write row ``smooth`` of a canvas from its rows ``base`` and ``base_var``, in place.

    Parameters
    ----------
    fields : Tensor (5, N) float32
        Rows ``z, sigma, base, base_var, smooth``; ``smooth`` is ``base`` outside the components.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    pixels, starts, planes : Tensor (K,), (M + 1,), (M,) int64
        The components, see :func:`hole_components`.
    workspace : Tensor (S,) float32
        Scratch of at least :func:`biharmonic_workspace` floats.
    iterations : int
        Steps of conjugate gradients at most.
    limit : float
        The result stays within ``limit sqrt(base_var)`` of ``base``.
    """
    refuse_grad("biharmonic_fill_", fields)
    _fill(fields, layout, pixels, starts, planes, workspace, iterations, limit)


def hole_components(sigma: Tensor, layout: Tensor, max_pixels: int = MAX_PIXELS) -> tuple[Tensor, Tensor, Tensor]:
    """Group the pixels with ``sigma >= HOLE_SIGMA`` into independent components.

    Parameters
    ----------
    sigma : Tensor (N,)
        Noise levels of a canvas.
    layout : Tensor (P, 6)
        Its planes.
    max_pixels : int
        Components with more pixels are left out.

    Returns
    -------
    pixels : Tensor (K,) int64
        Canvas indices, grouped by component, ascending within each.
    starts : Tensor (M + 1,) int64
        Component m owns ``pixels[starts[m]:starts[m + 1]]``.
    planes : Tensor (M,) int64
        The plane of each component.
    """
    hole = (sigma >= HOLE_SIGMA).cpu().numpy()
    pixels, sizes, planes = [], [], []
    for p, (offset, height, width, *_) in enumerate(layout.tolist()):
        mask = hole[offset : offset + height * width].reshape(height, width)
        index = np.flatnonzero(mask)
        if not index.size:
            continue
        of = _far_labels(mask, index) if index.size < SPARSE * mask.size else _near_labels(mask, index)
        order = np.argsort(of, kind="stable")
        size = np.bincount(of)[1:]
        keep = (size > 0) & (size <= max_pixels)
        chosen = order[np.repeat(keep, size)]
        pixels.append(index[chosen] + offset)
        sizes.append(size[keep])
        planes.append(np.full(int(keep.sum()), p))
    if not pixels:
        empty = torch.zeros(0, dtype=torch.int64, device=sigma.device)
        return empty, torch.zeros(1, dtype=torch.int64, device=sigma.device), empty.clone()
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    arrays = (np.concatenate(pixels), starts, np.concatenate(planes))
    pixel_t, start_t, plane_t = (torch.from_numpy(a.astype(np.int64)).to(sigma.device) for a in arrays)
    return pixel_t, start_t, plane_t


def _near_labels(mask: NDArray[np.bool_], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Component (from 1) of each hole pixel. Dilation by a plus joins pixels whose stencils share a neighbour, which
    is what couples them in ``L L``.
    """
    label, _count = ndimage.label(ndimage.binary_dilation(mask))
    of: NDArray[np.int64] = label.reshape(-1)[index].astype(np.int64)
    return of


def _far_labels(mask: NDArray[np.bool_], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same components from the hole pixels alone, for large frames with few of them: two pluses overlap or touch
    when their centres are at most three steps apart.
    """
    height, width = mask.shape
    number = np.zeros(mask.size, np.int32)  # pages that hold no hole are never touched
    number[index] = np.arange(1, index.size + 1)
    rows, cols = np.divmod(index, width)
    ends: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for down in range(REACH + 1):
        for right in range(down - REACH, REACH - down + 1):
            if (down, right) <= (0, 0):
                continue
            near = np.flatnonzero((rows + down < height) & (cols + right >= 0) & (cols + right < width))
            far = number[index[near] + (down * width + right)]
            ends.append((near[far > 0], far[far > 0].astype(np.int64) - 1))
    near, far = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(near.size, np.int8), (near, far)), shape=(index.size, index.size))
    of: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64) + 1
    return of


def laplacian(u: Tensor) -> Tensor:
    """Graph Laplacian of (..., H, W) with four neighbours; missing neighbours do not count."""
    down, right = u[..., 1:, :] - u[..., :-1, :], u[..., :, 1:] - u[..., :, :-1]
    return F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0)) + F.pad(right, (0, 1)) - F.pad(right, (1, 0))


def solve_components(u: Tensor, label: Tensor, count: int, iterations: int) -> Tensor:
    """Conjugate gradients for all components at once, each with its own step sizes.

    Parameters
    ----------
    u : Tensor (B, H, W)
        Start values in the holes, fixed values elsewhere.
    label : Tensor (B, H, W) int64
        Component of each hole pixel, 0 to ``count - 1``; -1 outside.
    count, iterations : int

    Returns
    -------
    Tensor (B, H, W)
    """
    hole = label >= 0
    which = label[hole]

    def dots(a: Tensor, b: Tensor) -> Tensor:
        product = (a[hole] * b[hole]).to(torch.float64)
        return torch.zeros(count, dtype=torch.float64, device=u.device).index_add_(0, which, product)

    def spread(values: Tensor) -> Tensor:
        out = torch.zeros_like(u)
        out[hole] = values[which].to(u.dtype)
        return out

    zero = torch.zeros_like(u)
    r = torch.where(hole, -laplacian(laplacian(u)), zero)
    p = r.clone()
    rr = first = dots(r, r)
    for _ in range(iterations):
        ap = torch.where(hole, laplacian(laplacian(p)), zero)
        curvature = dots(p, ap)
        active = (rr > RESIDUAL_FLOOR * first) & (curvature > 0)
        alpha = torch.where(active, rr / curvature, torch.zeros_like(rr))
        u = u + spread(alpha) * p
        r = r - spread(alpha) * ap
        new = dots(r, r)
        beta = torch.where(active, new / rr, torch.zeros_like(rr))
        p = r + spread(beta) * p
        rr = torch.where(active, new, rr)
    return u


def biharmonic_fill_reference_(
    fields: Tensor, layout: Tensor, pixels: Tensor, starts: Tensor, iterations: int, limit: float
) -> None:
    """Truth of :func:`biharmonic_fill_`: row ``smooth`` of `fields` from rows ``base`` and ``base_var``."""
    fields[4].copy_(fields[2])
    count = starts.numel() - 1
    flat = torch.full((fields.shape[1],), -1, dtype=torch.int64, device=fields.device)
    flat[pixels] = torch.repeat_interleave(torch.arange(count, device=fields.device), starts.diff())
    for offset, height, width, *_ in layout.tolist():
        here = slice(offset, offset + height * width)
        label = flat[here].view(1, height, width)
        if not bool((label >= 0).any()):
            continue
        u = fields[2, here].view(1, height, width)
        u = solve_components(u, label, count, iterations).view(-1)
        reach = limit * fields[3, here].sqrt()
        u = torch.minimum(torch.maximum(u, fields[2, here] - reach), fields[2, here] + reach)
        fields[4, here] = torch.where(label.view(-1) >= 0, u, fields[2, here])
