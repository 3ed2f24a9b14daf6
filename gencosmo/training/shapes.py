"""Shapes that simulated microscopy is made of: random fields, blobs, cell borders, curves, spots, blur; (B, H, W).

Every function draws one tile per row of the batch with its own parameters, all tiles at once.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.training.simulate import Dice

Pair = tuple[Tensor, Tensor]


def per_tile(x: Tensor) -> Tensor:
    """(B,) or (B, N) to the same with two axes of pixels behind."""
    return x[..., None, None]


def grid(dice: Dice, batch: int, size: int) -> Pair:
    """Rows and columns of the pixels, each (B, H, W)."""
    axis = torch.arange(size, device=dice.device, dtype=torch.float32)
    return axis[None, :, None].expand(batch, size, size), axis[None, None, :].expand(batch, size, size)


def field(dice: Dice, batch: int, size: int, low: float, high: float) -> Tensor:
    """Gaussian random field of unit spread, its correlation length log-uniform in `low` to `high` pixels."""
    side = size + size // 2
    freq = torch.fft.fftfreq(side, device=dice.device)
    k2 = freq[:, None] ** 2 + torch.fft.rfftfreq(side, device=dice.device)[None] ** 2
    length = per_tile(dice.log_uniform(batch, low=low, high=high))
    power = torch.exp(-2 * (math.pi * length) ** 2 * k2) + 0.02 / (1 + (6 * length) ** 2 * k2)
    noise = torch.fft.irfft2(torch.fft.rfft2(dice.normal(batch, side, side)) * power, s=(side, side))
    noise = (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)
    kept: Tensor = noise[:, :size, :size]
    return kept


def warped(dice: Dice, batch: int, size: int, reach: float) -> Pair:
    """The grid pushed about by smooth fields of up to `reach` pixels: borders get wavy."""
    rows, cols = grid(dice, batch, size)
    amount = per_tile(dice.uniform(batch, high=reach))
    return rows + amount * field(dice, batch, size, 3, 20), cols + amount * field(dice, batch, size, 3, 20)


def scattered(dice: Dice, batch: int, size: int, count: int, margin: float) -> Pair:
    """Rows and columns (B, count) anywhere on the tile and up to `margin` pixels beside it."""
    low, high = -margin, size + margin
    return dice.uniform(batch, count, low=low, high=high), dice.uniform(batch, count, low=low, high=high)


def blobs(dice: Dice, where: Pair, radius: Tensor, count: int, soft: Tensor, margin: float = 8.0) -> Tensor:
    """Ellipses with wavy edges, (B, count, H, W) between 0 and 1; `radius` and `soft` (B,) in pixels."""
    batch, size = where[0].shape[0], where[0].shape[-1]
    row, col = (per_tile(x) for x in scattered(dice, batch, size, count, margin))
    own = per_tile(radius[:, None] * dice.log_uniform(batch, count, low=0.7, high=1.4))
    angle, ratio = per_tile(dice.uniform(batch, count, high=math.pi)), per_tile(dice.uniform(batch, count, low=0.45))
    dy, dx = where[0][:, None] - row, where[1][:, None] - col
    u, v = dx * angle.cos() + dy * angle.sin(), (dy * angle.cos() - dx * angle.sin()) / ratio
    return torch.sigmoid((own - torch.sqrt(u * u + v * v + 0.1)) / soft[:, None, None, None])


def cells(dice: Dice, where: Pair, spacing: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Voronoi cells: distance to the nearest border, distance to the cell's middle, number of the cell, (B, H, W).

    `spacing` (B,) is the typical distance between middles; at most `count` cells reach a tile.
    """
    batch, size = where[0].shape[0], where[0].shape[-1]
    row, col = scattered(dice, batch, size, count, 0.3 * size)
    wanted = (1.6 * size / spacing[:, None]) ** 2
    absent = torch.arange(count, device=dice.device)[None] > wanted
    row = torch.where(absent, torch.full_like(row, 1e4), row)
    distance = torch.sqrt((where[0][:, None] - per_tile(row)) ** 2 + (where[1][:, None] - per_tile(col)) ** 2)
    near, index = distance.topk(2, dim=1, largest=False)
    return (near[:, 1] - near[:, 0]) / 2, near[:, 0], index[:, 0]


def of_cell(values: Tensor, number: Tensor) -> Tensor:
    """Each pixel gets its cell's entry of `values` (B, N)."""
    return values.gather(1, number.flatten(1)).view(number.shape)


def spots(dice: Dice, batch: int, size: int, count: int, low: float = 0.6, high: float = 2.5) -> Tensor:
    """Gaussian spots of one width per tile, log-uniform in `low` to `high` pixels, brightness over two decades."""
    row, col = scattered(dice, batch, size, count, 3.0)
    width = dice.log_uniform(batch, 1, 1, low=low, high=high) * dice.log_uniform(batch, count, 1, low=0.8, high=1.25)
    lit = dice.uniform(batch, count) < dice.log_uniform(batch, 1, low=0.05, high=1.0)
    flux = dice.log_uniform(batch, count, low=0.03, high=1.0) * lit
    axis = torch.arange(size, device=dice.device)
    down = torch.exp(-0.5 * ((axis - row[..., None]) / width) ** 2)
    across = torch.exp(-0.5 * ((axis - col[..., None]) / width) ** 2)
    return torch.einsum("bn,bnh,bnw->bhw", flux, down, across)


def curves(dice: Dice, where: Pair, count: int, low: float = 0.6, high: float = 3.0) -> Tensor:
    """Bent lines of Gaussian profile across the tile, width log-uniform in `low` to `high` pixels."""
    batch, size = where[0].shape[0], where[0].shape[-1]
    row, col = (per_tile(x) for x in scattered(dice, batch, size, count, 0.0))
    angle = per_tile(dice.uniform(batch, 1, high=math.pi) + dice.log_uniform(batch, 1, low=0.05, high=2.0)
                     * dice.normal(batch, count))  # fmt: skip
    dy, dx = where[0][:, None] - row, where[1][:, None] - col
    along, off = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
    off = off - per_tile(dice.normal(batch, count) * 0.25 / size) * along**2
    width = dice.log_uniform(batch, 1, 1, 1, low=low, high=high)
    height = dice.log_uniform(batch, count, low=0.1, high=1.0) * (dice.uniform(batch, count) < dice.uniform(batch, 1))
    length = per_tile(dice.log_uniform(batch, count, low=size / 8, high=4 * size))
    line = torch.exp(-0.5 * (off / width) ** 2) * torch.sigmoid((length - along.abs()) / (2 * width))
    return (per_tile(height) * line).sum(1)


def blur(image: Tensor, width: Tensor) -> Tensor:
    """Gaussian blur, `width` (B,) in pixels; mirrored beyond the edges."""
    pad = min(16, image.shape[-1] - 1)
    wide = F.pad(image[:, None], (pad, pad, pad, pad), mode="reflect")[:, 0]
    side = wide.shape[-1]
    freq = torch.fft.fftfreq(side, device=image.device)
    k2 = freq[:, None] ** 2 + torch.fft.rfftfreq(side, device=image.device)[None] ** 2
    soft = torch.exp(-2 * (math.pi * per_tile(width)) ** 2 * k2)
    out = torch.fft.irfft2(torch.fft.rfft2(wide) * soft, s=(side, side))
    kept: Tensor = out[:, pad:-pad, pad:-pad]
    return kept
