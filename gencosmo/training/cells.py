"""Simulated microscopy in units of the background's noise, one modality per tile, on any device.

Truth and variance come together as in :mod:`gencosmo.training.simulate`. A modality is one function
``(dice, batch, size) -> (B, H, W)`` of contrast about one; the optics (blur, uneven light), the contrast in units of
the noise and the photon statistics are drawn afterwards, the same way for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from gencosmo.training.shapes import (
    blobs,
    blur,
    cells,
    curves,
    field,
    grid,
    of_cell,
    per_tile,
    scattered,
    spots,
    warped,
)
from gencosmo.training.simulate import Dice, Sky

__all__ = ["MODALITIES", "simulate_cells"]

Modality = Callable[[Dice, int, int], Tensor]
CELLS_PER_TILE = 48
QUIET_SHARE, QUIET_LEAST = 0.7, 0.08
ROUGH_SHARE = 0.3
"""Share of the tiles with texture on all scales over everything."""


def _chance(dice: Dice, batch: int, share: float) -> Tensor:
    """1 for a `share` of the tiles and 0 for the others, (B, 1, 1)."""
    return (dice.uniform(batch, 1, 1) < share).float()


def fractal(dice: Dice, batch: int, size: int) -> Tensor:
    """Random texture on all scales, of unit spread: a power law of slope -2.2 to -4 in two dimensions."""
    side = size + size // 2
    freq = torch.fft.fftfreq(side, device=dice.device)
    k = torch.sqrt(freq[:, None] ** 2 + torch.fft.rfftfreq(side, device=dice.device)[None] ** 2)
    slope = dice.uniform(batch, 1, 1, low=1.1, high=2.0)
    waves = torch.fft.rfft2(dice.normal(batch, side, side)) * (k + 0.7 / side) ** (-slope)
    noise = torch.fft.irfft2(waves, s=(side, side))[:, :size, :size]
    kept: Tensor = (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)
    return kept


def nuclei(dice: Dice, batch: int, size: int) -> Tensor:
    """Textured bright blobs, some with bright or dark specks inside, in a dim haze."""
    radius = dice.log_uniform(batch, low=3.0, high=26.0)
    count = 18
    body = blobs(dice, warped(dice, batch, size, 3.0), radius, count, dice.log_uniform(batch, low=0.3, high=2.0))
    lit = dice.uniform(batch, count) < dice.log_uniform(batch, 1, low=0.1, high=1.0)
    bodies = (body * per_tile(dice.log_uniform(batch, count, low=0.25, high=1.0) * lit)).amax(1)
    grain = 1 + dice.uniform(batch, 1, 1, high=0.35) * field(dice, batch, size, 0.8, 6)
    specks = per_tile(dice.normal(batch)) * spots(dice, batch, size, 60, 0.8, 3.0)
    haze = blur(bodies, 0.6 * radius.clamp(max=8)) * dice.uniform(batch, 1, 1, high=0.15)
    return bodies * (grain + specks).clamp(min=0.05) + haze


def stained_cells(dice: Dice, batch: int, size: int) -> Tensor:
    """Packed or scattered cells: bodies of different brightness, bright borders, dark or bright nuclei, granules."""
    spacing = dice.log_uniform(batch, low=9.0, high=60.0)
    border, middle, number = cells(dice, warped(dice, batch, size, 4.0), spacing, CELLS_PER_TILE)
    height = dice.log_uniform(batch, CELLS_PER_TILE, low=0.1, high=1.0)
    present = dice.uniform(batch, CELLS_PER_TILE) < dice.uniform(batch, 1, low=0.3, high=1.3)
    body = of_cell(height * present, number)
    edge = dice.log_uniform(batch, 1, 1, low=0.5, high=2.5)
    inside = torch.sigmoid((border - edge) / (0.5 * edge))
    texture = (1 + dice.uniform(batch, 1, 1, high=0.4) * field(dice, batch, size, 0.8, 8)).clamp(min=0)
    nucleus = torch.sigmoid((0.28 * per_tile(spacing) - middle) / edge) * dice.uniform(batch, 1, 1, low=-0.9, high=0.9)
    rim = torch.exp(-0.5 * (border / edge) ** 2) * of_cell(present.float(), number)
    granules = spots(dice, batch, size, 80, 0.6, 1.6) * inside * dice.uniform(batch, 1, 1, high=1.5)
    parts = body * (inside * texture * (1 + nucleus) + granules * _chance(dice, batch, 0.5))
    return parts + rim * dice.uniform(batch, 1, 1, high=1.0) * _chance(dice, batch, 0.6)


def filaments(dice: Dice, batch: int, size: int) -> Tensor:
    """Bent fibres in one or many directions over a diffuse background."""
    fibres = curves(dice, warped(dice, batch, size, 3.0), 24)
    diffuse = torch.exp(0.8 * field(dice, batch, size, 5, 20)) * dice.uniform(batch, 1, 1, high=0.3)
    return fibres + diffuse


def puncta(dice: Dice, batch: int, size: int) -> Tensor:
    """Spots near the resolution limit, sparse or crowded, some of them gathered in cells."""
    gathered = torch.sigmoid(3 * field(dice, batch, size, 4, 16) + dice.normal(batch, 1, 1))
    share = _chance(dice, batch, 0.5)
    dots = spots(dice, batch, size, 90) * (gathered * share + 1 - share)
    return dots + gathered * dice.uniform(batch, 1, 1, high=0.25) * share


def electron(dice: Dice, batch: int, size: int) -> Tensor:
    """Electron microscopy: dark membranes on a grainy bright ground, vesicles, dense bodies with stripes."""
    where = warped(dice, batch, size, 6.0)
    border, _, number = cells(dice, where, dice.log_uniform(batch, low=10.0, high=50.0), CELLS_PER_TILE)
    width = dice.log_uniform(batch, 1, 1, low=0.6, high=2.2)
    membranes = torch.exp(-0.5 * (border / width) ** 2)
    doubled = _chance(dice, batch, 0.3)
    membranes = membranes * (1 - 0.7 * doubled * torch.exp(-0.5 * (border / (0.4 * width)) ** 2))
    ground = 0.12 * of_cell(dice.normal(batch, CELLS_PER_TILE), number)
    grain = dice.uniform(batch, 1, 1, low=0.05, high=0.3) * field(dice, batch, size, 0.5, 1.8)
    grain = grain + dice.uniform(batch, 1, 1, high=0.25) * fractal(dice, batch, size)
    edge = dice.uniform(batch, low=0.4, high=0.9)
    ring = blobs(dice, grid(dice, batch, size), dice.uniform(batch, low=2.0, high=4.5), 14, edge)
    few = (dice.uniform(batch, 14) < dice.uniform(batch, 1, high=0.9)).float()
    vesicles = (4 * ring * (1 - ring) * per_tile(few)).amax(1)
    dense = blobs(dice, where, dice.uniform(batch, low=6.0, high=22.0), 3, edge)
    dense = (dense * per_tile((dice.uniform(batch, 3) < 0.35).float())).amax(1)
    angle, pitch = (dice.uniform(batch, 1, 1, high=math.pi), dice.uniform(batch, 1, 1, low=3.0, high=7.0))
    stripes = torch.sin(2 * math.pi * (where[0] * angle.cos() + where[1] * angle.sin()) / pitch)
    dark = torch.maximum(membranes, torch.maximum(0.8 * vesicles, dense * (0.5 + 0.3 * stripes)))
    return 1 + ground + grain - dice.uniform(batch, 1, 1, low=0.5, high=1.0) * dark


def phase(dice: Dice, batch: int, size: int) -> Tensor:
    """Phase contrast (dark bodies in bright halos) and, for a third, relief of one-sided shading."""
    where = warped(dice, batch, size, 5.0)
    radius = dice.log_uniform(batch, low=4.0, high=28.0)
    body = blobs(dice, where, radius, 10, dice.log_uniform(batch, low=0.5, high=3.0))
    lit = dice.uniform(batch, 10) < dice.uniform(batch, 1, low=0.2)
    thick = (body * per_tile(lit * dice.uniform(batch, 10, low=0.3))).sum(1).clamp(max=1.5)
    # from bodies as smooth as lenses to granular ones
    detail = dice.log_uniform(batch, 1, 1, low=0.02, high=1.0)
    thick = thick * (1 + 0.5 * detail * field(dice, batch, size, 0.8, 4))
    thick = thick + detail * (0.1 * spots(dice, batch, size, 60, 0.8, 2.0) + 0.06 * field(dice, batch, size, 1, 8))
    halo = blur(thick, dice.log_uniform(batch, low=2.0, high=9.0))
    angle = dice.uniform(batch, 1, 1, high=2 * math.pi)
    slope_r, slope_c = torch.gradient(thick, dim=(1, 2))
    relief = (slope_r * angle.sin() + slope_c * angle.cos()) * dice.uniform(batch, 1, 1, low=1.0, high=4.0)
    shaded = _chance(dice, batch, 0.33)
    return shaded * relief + (1 - shaded) * (dice.uniform(batch, 1, 1, low=0.7, high=1.3) * halo - thick)


def smooth(dice: Dice, batch: int, size: int) -> Tensor:
    """What is out of focus or thick: soft bodies, halos and slopes, nothing as fine as a pixel."""
    where = warped(dice, batch, size, 5.0)
    soft = dice.log_uniform(batch, low=1.5, high=8.0)
    body = blobs(dice, where, dice.log_uniform(batch, low=5.0, high=40.0), 8, soft)
    height = dice.normal(batch, 8) * (dice.uniform(batch, 8) < dice.uniform(batch, 1, low=0.2))
    bodies = (body * per_tile(height)).sum(1)
    ground = field(dice, batch, size, 5, 28) * dice.log_uniform(batch, 1, 1, low=0.05, high=1.5)
    rows, cols = grid(dice, batch, size)
    slope = dice.normal(batch, 2) * dice.log_uniform(batch, 1, low=0.1, high=3.0) / size
    return bodies + ground + rows * per_tile(slope[:, 0]) + cols * per_tile(slope[:, 1])


def brightfield(dice: Dice, batch: int, size: int) -> Tensor:
    """Absorbing matter on bright ground (Beer-Lambert): stained tissue with fibres and nuclei, or dark bodies."""
    where = warped(dice, batch, size, 5.0)
    edge = dice.log_uniform(batch, low=0.4, high=1.6)
    dark = blobs(dice, where, dice.log_uniform(batch, low=2.5, high=10.0), 16, edge)
    seeds = (dark * per_tile(dice.uniform(batch, 16, low=0.3) * (dice.uniform(batch, 16) < 0.7))).amax(1)
    tissue = torch.sigmoid(2.5 * field(dice, batch, size, 4, 20) + dice.normal(batch, 1, 1))
    stroma = tissue * (0.6 + 0.25 * field(dice, batch, size, 0.8, 4) + 0.5 * curves(dice, where, 14, 0.8, 2.5))
    worms = curves(dice, where, 3, 2.0, 7.0).clamp(max=0.5) * (2 + 0.4 * field(dice, batch, size, 0.8, 3))
    seeds = seeds * (1 + dice.uniform(batch, 1, 1, high=0.4) * field(dice, batch, size, 0.6, 3))
    stroma = stroma * (1 + dice.uniform(batch, 1, 1, high=0.5) * fractal(dice, batch, size))
    single = _chance(dice, batch, 0.3)
    depth = dice.log_uniform(batch, 1, 1, low=0.2, high=2.0)
    return torch.exp(-depth * (single * worms + (1 - single) * (seeds + stroma)).clamp(min=0))


def texture(dice: Dice, batch: int, size: int) -> Tensor:
    """Grains with flat or rough faces, pores between them, and plain random texture."""
    border, _, number = cells(dice, warped(dice, batch, size, 6.0), dice.log_uniform(batch, low=8.0, high=60.0), 48)
    faces = of_cell(dice.normal(batch, 48) * dice.uniform(batch, 1), number)
    pores = torch.sigmoid(4 * (field(dice, batch, size, 2, 12) - dice.uniform(batch, 1, 1, low=0.5, high=2.5)))
    gap = torch.exp(-0.5 * (border / dice.log_uniform(batch, 1, 1, low=0.5, high=3.0)) ** 2) * _chance(dice, batch, 0.4)
    rough = field(dice, batch, size, 0.6, 10) * dice.log_uniform(batch, 1, 1, low=0.03, high=1.0)
    return faces + rough - 2 * torch.maximum(pores, gap)


MODALITIES: dict[str, tuple[Modality, float, float, float]] = {
    "nuclei": (nuclei, 0.18, 6.0, 500.0),
    "cells": (stained_cells, 0.18, 6.0, 300.0),
    "filaments": (filaments, 0.06, 4.0, 200.0),
    "puncta": (puncta, 0.10, 5.0, 250.0),
    "electron": (electron, 0.14, 2.5, 60.0),
    "phase": (phase, 0.10, 5.0, 300.0),
    "smooth": (smooth, 0.08, 10.0, 600.0),
    "brightfield": (brightfield, 0.11, 5.0, 250.0),
    "texture": (texture, 0.05, 2.0, 60.0),
}
"""Name: how it is drawn, its share of the tiles, least and greatest contrast in units of the noise."""


def _uneven_light(dice: Dice, batch: int, size: int) -> Tensor:
    """Falloff towards the rim of a field of view of which the tile is a part; 1 in the middle, (B, H, W)."""
    rows, cols = grid(dice, batch, size)
    row, col = (per_tile(x[:, 0]) for x in scattered(dice, batch, size, 1, 4.0 * size))
    reach = dice.log_uniform(batch, 1, 1, low=3.0 * size, high=20.0 * size)
    return 1 / (1 + ((rows - row) ** 2 + (cols - col) ** 2) / reach**2)


def _scenes(dice: Dice, batch: int, size: int) -> Tensor:
    """Contrast of `batch` scenes in units of the noise, each of one modality or of two added."""
    share = torch.tensor([row[1] for row in MODALITIES.values()], device=dice.device)
    kind = torch.multinomial(share, batch, replacement=True, generator=dice.generator)
    out = torch.empty(batch, size, size, device=dice.device)
    for number, (draw, _, low, high) in enumerate(MODALITIES.values()):
        mine = kind == number
        count = int(mine.sum())
        if count:
            out[mine] = draw(dice, count, size) * dice.log_uniform(count, 1, 1, low=low, high=high)
    rough = _chance(dice, batch, ROUGH_SHARE) * dice.log_uniform(batch, 1, 1, low=0.02, high=0.4)
    out = out * (1 + rough * fractal(dice, batch, size))
    through = (dice.uniform(batch, 1, 1) < 0.1) * dice.uniform(batch, 1, 1, high=0.5)
    return out + through * out.roll(1, 0)


def simulate_cells(batch: int, size: int, generator: Generator, device: torch.device | str = "cpu") -> Sky:
    """Draw `batch` microscopy tiles of `size` x `size` pixels, noise-free and with the variance of photon counting.

    Zero is the frame's background: the dark ground of sparse fluorescence, the middle of the values where the frame is
    full. The variance is 1 there, in most tiles less, and grows linearly with the light (shot noise over a
    read-noise floor), so what is darker than the background is quieter.

    Parameters
    ----------
    batch, size : int
    generator : Generator
        On `device`; the same state draws the same tiles.
    device : torch.device or str

    Returns
    -------
    Sky
        Truth and variance, each (B, H, W).
    """
    dice = Dice(generator, device)
    scene = _scenes(dice, batch, size) * _uneven_light(dice, batch, size)
    scene = blur(scene, dice.log_uniform(batch, low=0.25, high=2.0) * 2 ** (_chance(dice, batch, 0.12)[:, 0, 0] * 1.2))
    scene = torch.where(_chance(dice, batch, 0.08) > 0, -scene, scene)
    middle = scene.flatten(1).quantile(dice.uniform(1).item() * 0.3 + 0.35, dim=1)[:, None, None]
    full = _chance(dice, batch, 0.3)
    darkest = scene.flatten(1).quantile(0.02, dim=1)[:, None, None]
    truth = scene - torch.where(full > 0, middle, darkest) + dice.normal(batch, 1, 1)
    gain = dice.log_uniform(batch, 1, 1, low=1.0, high=300.0)
    # the deepest shadow still has the read noise's share of the variance
    gain = torch.maximum(gain, -truth.amin((1, 2), keepdim=True) * dice.log_uniform(batch, 1, 1, low=1.05, high=10.0))
    # full, 8-bit, filtered and resampled frames are quieter than the noise scale that differences of their pixels give
    softer = dice.log_uniform(batch, 1, 1, low=QUIET_LEAST, high=1.0)
    quiet = torch.where(_chance(dice, batch, QUIET_SHARE) > 0, softer, 1.0)
    return Sky(truth=truth, variance=(1 + truth / gain) * quiet**2)
