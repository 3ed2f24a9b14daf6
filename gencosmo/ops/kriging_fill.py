"""Kriging of holes: the best linear estimate of a pixel from its neighbours, under the covariance they show.

Around every hole the squares of the differences of trusted pixels are counted by distance (the empirical variogram,
Matheron 1963), less what their stated noise explains; where a pixel's own surroundings hold few pairs, the law of a
region nine blocks wide, at the local scale, counts with them. A nonnegative mixture of Gaussian and Matern-3/2 shapes
and a nugget is laid through them, and each hidden pixel is the ordinary-kriging estimate from its 32 nearest trusted
neighbours (Cressie 1993, section 3.2), kept near the values of the nearest. On a smooth source that follows it as a
biharmonic surface does, on blank sky it is a mean, in a texture it uses the texture's own range.

With weights of gradients (:func:`gradient_weights`) distances are shorter along an edge or a fibre than across it: the
tensor of the gradients of trusted pixels around a hidden one (Foerstner & Gulch 1987) stretches them, by the fourth
root of the ratio of its ends, at most to an ellipse twice as long as wide. What pixels do not share, the nugget, is
added to both ends, so that noise has no direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad
from gencosmo.ops.biharmonic_fill import HOLE_SIGMA

Plane = NDArray[np.floating[Any]]
BLOCK = 8
"""Side of the squares over which pairs are counted."""
PAIRS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 1), (1, 0)),
    2: ((1, 1), (1, -1)),
    4: ((0, 2), (2, 0)),
    5: ((1, 2), (2, 1), (1, -2), (2, -1)),
    8: ((2, 2), (2, -2)),
    9: ((0, 3), (3, 0)),
    13: ((2, 3), (3, 2), (2, -3), (3, -2)),
    16: ((0, 4), (4, 0)),
    25: ((3, 4), (4, 3), (3, -4), (4, -3)),
    36: ((0, 6), (6, 0)),
}
"""Squared distance of a pair to its offsets (down, right)."""
LENGTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 12.0, 20.0)
"""Lengths of the correlation shapes, in pixels."""
TERMS = 2 * len(LENGTHS) + 1
REACH = 10
"""Neighbours are at most so many pixels away."""
NEAR, LEAST_NEAR = 32, 12
"""Most neighbours of an estimate, and the fewest; with fewer a pixel keeps what it has."""
CANDIDATES = 2 * NEAR
"""Nearest trusted pixels among which neighbours are chosen where distances differ by direction."""
GRADIENT_REACH = 3.0
"""Standard deviation in pixels of the window over which gradients are gathered."""
MOST_STRETCH, OWN_GRADIENTS = 2.0, 4.0
"""Of squared distances, and the nuggets that are added to both ends of the gradients' tensor."""
FINE, FINE_END = 8, 16
"""The tables have rows for eighths of squared distances below 16, beyond for whole ones."""
NEAREST = 8
"""An estimate lies no farther beyond the values of so many nearest neighbours than these lie apart."""
REGION = 4
"""Blocks to each side whose law counts where the pixel's own surroundings say little."""
SHRINK = 30.0
"""Pairs that the region's law counts for."""
OWN_FLOOR = 0.003
"""Least share of the squares of neighbouring pixels that they do not share."""
MOST_PAIRS, ADDED_PAIRS = 300.0, 5.0
SWEEPS = 60
"""Of coordinate descent."""
JITTER, TINY, MOST_SQUARE = 1e-5, 1e-9, 1e30

_fill = define(
    "kriging_fill_(Tensor(a!) fields, Tensor layout, Tensor blocks, Tensor pixels, Tensor cell_of, Tensor cells, "
    "Tensor offsets, Tensor shapes, Tensor weights, Tensor(b!) workspace, float limit) -> ()",
    "kriging_fill",
)


@dataclass(frozen=True)
class Cells:
    """Hidden pixels by the block that they lie in.

    Attributes
    ----------
    blocks : Tensor (P + 1,) int64
        Running number of blocks of the planes.
    pixels, cell_of : Tensor (K,) int64
        Canvas indices, and the cell of each.
    cells : Tensor (M, 3) int64
        Plane, row and column of each block that holds hidden pixels.
    """

    blocks: Tensor
    pixels: Tensor
    cell_of: Tensor
    cells: Tensor


def find_cells(pixels: Tensor, starts: Tensor, planes: Tensor, layout: Tensor) -> Cells:
    """Cells of the components of :func:`~gencosmo.ops.biharmonic_fill.hole_components`."""
    plan = layout.cpu().numpy()
    height, width = (-(-plan[:, side] // BLOCK) for side in (1, 2))
    blocks = np.concatenate([[0], np.cumsum(height * width)])
    at = pixels.cpu().numpy()
    of = np.repeat(planes.cpu().numpy(), np.diff(starts.cpu().numpy()))
    row, col = np.divmod(at - plan[of, 0], np.maximum(plan[of, 2], 1))
    number = blocks[of] + row // BLOCK * width[of] + col // BLOCK
    found, cell_of = np.unique(number, return_inverse=True)
    plane = np.searchsorted(blocks, found, side="right") - 1
    inside = found - blocks[plane]
    cells = np.stack([plane, inside // np.maximum(width[plane], 1), inside % np.maximum(width[plane], 1)], axis=1)
    made = (np.asarray(a, np.int64) for a in (blocks, cell_of.reshape(-1), cells))
    first, second, third = (torch.from_numpy(a).to(pixels.device) for a in made)
    return Cells(first, pixels, second, third.reshape(-1, 3))


def kriging_workspace(cells: Cells) -> int:
    """Floats of workspace that :func:`kriging_fill_` needs."""
    return int(cells.blocks[-1]) * 2 * len(PAIRS) + cells.cells.shape[0] * TERMS


@cache
def neighbour_offsets() -> Tensor:
    """Offsets (R, 2) int32 of possible neighbours, down and right, nearest first."""
    side = np.arange(-REACH, REACH + 1)
    down, right = (grid.reshape(-1) for grid in np.meshgrid(side, side, indexing="ij"))
    far = down**2 + right**2
    order = np.lexsort((right, down, far))
    order = order[(far[order] > 0) & (far[order] <= REACH * REACH)]
    return torch.from_numpy(np.stack([down[order], right[order]], axis=1).astype(np.int32))


@cache
def squared_distances() -> NDArray[np.float64]:
    """Squared distances (D,) of the rows of the tables."""
    fine = np.arange(FINE * FINE_END) / FINE
    return np.concatenate([fine, np.arange(FINE_END, 4 * REACH * REACH + 1)])


@cache
def correlation_shapes() -> Tensor:
    """Correlations (TERMS - 1, D) float32 at :func:`squared_distances`: Matern-3/2, then Gaussian."""
    far = np.sqrt(squared_distances())[None] / np.array(LENGTHS)[:, None]
    matern = (1 + np.sqrt(3) * far) * np.exp(-np.sqrt(3) * far)
    return torch.from_numpy(np.concatenate([matern, np.exp(-0.5 * far**2)]).astype(np.float32))


@cache
def gradient_weights(directed: bool = True) -> Tensor:
    """Weights (2 REACH + 1,) float32 of gradients by their offset along an axis; (0,): the same in all directions."""
    side = np.arange(-REACH, REACH + 1) if directed else np.zeros(0)
    return torch.from_numpy(np.exp(-0.5 * (side / GRADIENT_REACH) ** 2).astype(np.float32))


def kriging_fill_(
    fields: Tensor,
    layout: Tensor,
    blocks: Tensor,
    pixels: Tensor,
    cell_of: Tensor,
    cells: Tensor,
    offsets: Tensor,
    shapes: Tensor,
    weights: Tensor,
    workspace: Tensor,
    limit: float,
) -> None:
    """Overwrite rows ``smooth`` and ``base`` of a canvas in hidden pixels with enough trusted neighbours, in place.

    The estimate becomes ``smooth``, and what ``smooth`` was becomes ``base``.

    Parameters
    ----------
    fields : Tensor (5, N) float32
        Rows ``z, sigma, base, base_var, smooth``. Finite pixels with ``sigma < HOLE_SIGMA`` are neighbours,
        and their noise counts.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    blocks, pixels, cell_of, cells : Tensor int64
        See :class:`Cells`.
    offsets : Tensor (R, 2) int32
        :func:`neighbour_offsets`.
    shapes : Tensor (20, D) float32
        :func:`correlation_shapes`.
    weights : Tensor (21,) or (0,) float32
        :func:`gradient_weights`; empty: correlations are the same in all directions.
    workspace : Tensor (S,) float32
        Scratch of at least :func:`kriging_workspace` floats.
    limit : float
        The result stays within ``limit sqrt(base_var)`` of ``base``.

    References
    ----------
    Cressie 1993, *Statistics for Spatial Data*, eqs. 3.2.12 to 3.2.16.
    """
    refuse_grad("kriging_fill_", fields)
    _fill(fields, layout, blocks, pixels, cell_of, cells, offsets, shapes, weights, workspace, limit)


def trusted(z: Plane, sigma: Plane) -> NDArray[np.bool_]:
    """Which pixels are neighbours and count in pairs."""
    return np.asarray((sigma < HOLE_SIGMA) & np.isfinite(sigma) & np.isfinite(z))


def pair_counts(z: Plane, sigma: Plane) -> tuple[Plane, Plane]:
    """Squares (lags, rows, cols) and numbers of the pairs of every block of one plane (H, W)."""
    height, width = z.shape
    rows, cols = -(-height // BLOCK), -(-width // BLOCK)
    good = trusted(z, sigma)
    z, noise = np.where(good, z, 0), 0.5 * np.where(good, sigma, 0) ** 2
    square, number = (np.zeros((len(PAIRS), rows * BLOCK, cols * BLOCK)) for _ in range(2))
    for lag, offsets in enumerate(PAIRS.values()):
        for down, right in offsets:
            here = np.s_[: max(height - down, 0), max(-right, 0) : width - max(right, 0)]
            there = np.s_[down:, max(right, 0) : max(width + min(right, 0), 0)]
            both = good[here] & good[there]
            value = 0.5 * (z[here] - z[there]) ** 2 - (noise[here] + noise[there])
            top = np.s_[lag, : both.shape[0], max(-right, 0) : max(-right, 0) + both.shape[1]]
            square[top] += np.where(both, value, 0)
            number[top] += both
    shape = (len(PAIRS), rows, BLOCK, cols, BLOCK)
    return square.reshape(shape).sum((2, 4)), number.reshape(shape).sum((2, 4))


def mixture(square: Plane, number: Plane, row: int, col: int) -> Plane | None:
    """Weights (TERMS,) of the correlation shapes and the nugget around one block; None without pairs."""
    rows, cols = (slice(max(at - REGION, 0), at + REGION + 1) for at in (row, col))
    wide, many = square[:, rows, cols], number[:, rows, cols]
    off = [np.abs(np.arange(part.start, min(part.stop, n)) - at) for part, n, at in
           zip((rows, cols), square.shape[1:], (row, col), strict=True)]  # fmt: skip
    tent = np.where((off[0][:, None] <= 1) & (off[1][None] <= 1), 0.5 ** (off[0][:, None] + off[1][None]), 0.0)
    near, seen = (np.where(tent > 0, tent * x, 0).sum((1, 2)) for x in (wide, many))
    if not seen.sum() > 0:
        return None
    scale = wide.sum(0) / np.maximum(many.sum(0), 1)
    use = scale > TINY
    counted = (many * use).sum((1, 2))
    told = np.where(use, wide / np.where(use, scale, 1), 0).sum((1, 2))
    law = np.where(counted > 0, told / np.maximum(counted, 1), 1.0)
    local = max(near.sum(), 0.0) / max((seen * law).sum(), TINY) + TINY
    value = (near + SHRINK * local * law) / (seen + SHRINK)
    if not value.max() < MOST_SQUARE:
        return None
    value = np.maximum(value, TINY)  # the stated noise may explain all there is
    own = OWN_FLOOR * value[0]
    value = np.maximum(value, 1e-4 * value.max())
    lags = np.array(list(PAIRS))
    weight = ((np.minimum(seen, MOST_PAIRS) + ADDED_PAIRS) / np.sqrt(lags)) ** 0.25 / value
    shapes = correlation_shapes().numpy().astype(float)[:, np.isin(squared_distances(), lags)]
    columns = np.concatenate([1 - shapes, np.ones((1, lags.size))])
    columns = columns * weight
    norm = (columns**2).sum(1)
    x = np.zeros(TERMS)
    rest = weight * value
    order = [*range(TERMS - 2, -1, -1), TERMS - 1]  # long Gaussians first, what pixels do not share last
    for _ in range(SWEEPS):
        for t in order:
            new = max(x[t] + columns[t] @ rest / norm[t], 0.0)
            rest -= (new - x[t]) * columns[t]
            x[t] = new
    x[-1] += own
    return x


def metric(z: Plane, sigma: Plane, row: int, col: int, own: float) -> Plane:
    """Matrix (2, 2) of squared distances (down, right) around one pixel of a plane (H, W); `own` is the nugget."""
    reach = REACH + 1
    good = np.pad(trusted(z, sigma), reach)[row : row + 2 * reach + 1, col : col + 2 * reach + 1]
    around = np.pad(z, reach)[row : row + 2 * reach + 1, col : col + 2 * reach + 1]
    around = np.where(good, around, 0)
    down, right = around[2:, 1:-1] - around[:-2, 1:-1], around[1:-1, 2:] - around[1:-1, :-2]
    weight = gradient_weights().numpy().astype(z.dtype)
    weight = np.outer(weight, weight) * (good[2:, 1:-1] & good[:-2, 1:-1] & good[1:-1, 2:] & good[1:-1, :-2])
    tensor = np.array([[(weight * a * b).sum() for b in (down, right)] for a in (down, right)])
    half, middle = 0.5 * (tensor[0, 0] - tensor[1, 1]), 0.5 * (tensor[0, 0] + tensor[1, 1])
    apart, noise = float(np.hypot(half, tensor[0, 1])), OWN_GRADIENTS * own * float(weight.sum())
    low = max(float(middle) - apart, 0.0) + noise
    high = float(middle) + apart + noise
    if not (apart > 0 and high > low and middle < MOST_SQUARE):
        return np.eye(2)
    stretch = min((high / low) ** 0.25, MOST_STRETCH) if low > 0 else MOST_STRETCH
    turn = 0.5 * (stretch - 1 / stretch) / apart
    mean = 0.5 * (stretch + 1 / stretch)
    return np.array([[mean + turn * half, turn * tensor[0, 1]], [turn * tensor[0, 1], mean - turn * half]])


def kriged(z: Plane, sigma: Plane, row: int, col: int, law: Plane, directed: bool = False) -> float | None:
    """Estimate of one pixel of a plane (H, W); None with too few neighbours."""
    height, width = z.shape
    near = neighbour_offsets().numpy().astype(int) + np.array([row, col])
    near = near[((near >= 0) & (near < (height, width))).all(1)]
    at = near[:, 0], near[:, 1]
    near = near[trusted(z[at], sigma[at])][:CANDIDATES]
    if len(near) < LEAST_NEAR:
        return None
    law, shapes = law.astype(z.dtype), correlation_shapes().numpy().astype(z.dtype)
    stretched = metric(z, sigma, row, col, float(law[-1])) if directed else np.eye(2)

    def far(step: Plane) -> Plane:
        return np.asarray(np.einsum("...i,ij,...j", step, stretched, step))

    near = near[np.argsort(far(near - (row, col)), kind="stable")][:NEAR]
    table = law[:-1] @ shapes
    total = table[0] + law[-1]
    own = law[-1] + JITTER * total + sigma[near[:, 0], near[:, 1]] ** 2
    covariance = np.interp(far(near[:, None] - near[None]), squared_distances(), table) + np.diag(own)
    pull = np.interp(far(near - (row, col)), squared_distances(), table)
    values, ones = z[near[:, 0], near[:, 1]], np.ones(len(near), z.dtype)
    solved, units = np.linalg.solve(covariance.astype(z.dtype), np.stack([values, ones], axis=1)).T
    mean = solved.sum() / units.sum()
    nearest = values[:NEAREST]
    apart = nearest.max() - nearest.min()
    return float(np.clip(mean + pull @ (solved - mean * units), nearest.min() - apart, nearest.max() + apart))


def kriging_fill_reference_(
    fields: Tensor, layout: Tensor, pixels: Tensor, cell_of: Tensor, cells: Tensor, limit: float, directed: bool = True
) -> None:
    """Truth of :func:`kriging_fill_`: rows ``smooth`` and ``base`` of `fields`, pixel by pixel, in its precision."""
    counted: dict[int, tuple[Plane, Plane]] = {}
    laws: dict[int, Plane | None] = {}
    rows = fields.cpu().numpy()
    for at, cell in zip(pixels.tolist(), cell_of.tolist(), strict=True):
        p, row, col = cells[cell].tolist()
        offset, height, width = layout[p, :3].tolist()
        z, sigma = (rows[k, offset : offset + height * width].reshape(height, width) for k in (0, 1))
        if p not in counted:
            counted[p] = pair_counts(z, sigma)
        if cell not in laws:
            laws[cell] = mixture(*counted[p], row, col)
        law = laws[cell]
        down, right = divmod(at - offset, width)
        found = None if law is None else kriged(z, sigma, down, right, law, directed)
        if found is not None:
            bridge = float(fields[4, at])
            fields[4, at] = found
            reach = limit * fields[3, at].sqrt()
            fields[4, at] = torch.minimum(torch.maximum(fields[4, at], fields[2, at] - reach), fields[2, at] + reach)
            fields[2, at] = bridge
