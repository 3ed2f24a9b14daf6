"""Calibration of a trained prior on tiles it has not seen: variance factors by bin, and interval multipliers.

The variance is scaled so that in each bin of (level, local scale) it is the second moment of the residual,
``E[(x - D)^2] = E[V]``, and the mean is moved to ``E[x - D] = 0``; the sampler's step relies on both. Residuals of real
images are heavy-tailed, so the intervals for users come from their own stored quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.ops.apply_kernels import applied_kernels
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.cards import Calibration
from gencosmo.priors.diffusion import calibration_bins
from gencosmo.priors.network import DenoiserNetwork
from gencosmo.training.data import frame_shares
from gencosmo.training.pack import Frame
from gencosmo.training.trainer import Settings, features_of, sky_draws

LEVEL_EDGES = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
SCALE_EDGES = (-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 5.0)
SHRINK, SHIFT_SHRINK = 300.0, 3000.0
"""Pixels' worth of belief in a factor of one and in a shift of zero, bin by bin; errors hang together over tiles."""
OUTLIER = 25.0
"""Squared residuals over the variance count at most this much: a rare hidden star does not widen every hole."""
FACTOR_LOW, FACTOR_HIGH = 0.2, 5.0
MIN_HIDDEN = 60
"""Tiles with fewer unknown pixels do not count for the intervals."""
VALIDATION_SEED = 987_654
"""Added to the training seed, so that simulated validation tiles are new."""


@dataclass
class Residuals:
    """Residuals of one world, flat: ``x - D``, variance, unknown or not, bin and tile of each pixel."""

    error: Tensor
    var: Tensor
    unknown: Tensor
    row: Tensor
    col: Tensor
    tile: Tensor


def collect(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, batches: int, *, plain: bool = False
) -> dict[str, Residuals]:
    """Residuals of `batches` validation batches, by world.

    `plain`: every pixel of the frames has the same chance, and no unmasked defects are put in.
    """
    draws = sky_draws(frames, replace(settings, scene_share=0.6), settings.seed + VALIDATION_SEED)
    if plain and draws.source is not None:
        draws.artifacts, draws.source.shares = 0.0, frame_shares(frames, 1.0)
    levels, scales = torch.tensor(LEVEL_EDGES), torch.tensor(SCALE_EDGES)
    found: dict[str, list[Residuals]] = {"frame": [], "scene": []}
    for step in range(batches):
        task = draws.draw()
        tile = (step * settings.batch + torch.arange(len(task.world)))[:, None, None].expand(task.z.shape)
        with torch.no_grad():
            win = tile_windows(task.z, task.sigma, settings.prior_var)
            features, local = features_of(win, task.world, settings.prior_var)
            mean, var = applied_kernels(network(features), win, local)
        row, col = calibration_bins(win, local, levels, scales)
        for world, number in (("frame", 0.0), ("scene", 1.0)):
            # a noisy target's residual is not the scene's
            keep = task.supervised & (task.world == number)[:, None, None] & (task.noise == 0)
            parts = (task.target - mean[:, 0], var[:, 0], torch.isinf(task.sigma), row, col, tile)
            found[world].append(Residuals(*(x[keep] for x in parts)))
    return {
        w: Residuals(*(torch.cat([getattr(r, n) for r in rs]) for n in Residuals.__annotations__))
        for w, rs in found.items()
    }


def correction_tables(residuals: Residuals) -> tuple[Tensor, Tensor]:
    """Variance factors and mean shifts (levels + 2, scales + 1), shrunk to one and zero where pixels are few.

    Shifts are in units of the corrected standard deviation, factors those of the residuals that they leave.
    """
    shape = (len(LEVEL_EDGES) + 2, len(SCALE_EDGES) + 1)
    bins = residuals.row * shape[1] + residuals.col

    def totals(values: Tensor) -> Tensor:
        return torch.zeros(shape[0] * shape[1]).index_add_(0, bins, values)

    z = (residuals.error / residuals.var.clamp(min=1e-12).sqrt()).clamp(-(OUTLIER**0.5), OUTLIER**0.5)
    count = totals(torch.ones_like(z))
    moved = totals(z) / (count + SHIFT_SHRINK)
    left = (z - moved[bins]) ** 2
    factors = ((totals(left.clamp(max=OUTLIER)) + SHRINK) / (count + SHRINK)).clamp(FACTOR_LOW, FACTOR_HIGH)
    return factors.view(shape), (moved / factors.sqrt()).view(shape)


def interval_multipliers(residuals: Residuals, factors: Tensor, shifts: Tensor) -> dict[str, float]:
    """Quantiles of ``|x - D| / sqrt(V)`` over the unknown pixels of a tile, after the tables: the median tile's.

    Tile by tile, because a promise is kept or broken image by image; a few tiles full of holes would set a pooled one.
    """
    hidden = residuals.unknown
    bins = residuals.row[hidden], residuals.col[hidden]
    std = (residuals.var[hidden] * factors[bins]).clamp(min=1e-12).sqrt()
    z = (residuals.error[hidden] / std - shifts[bins]).abs()
    # pixels come tile by tile, so equal numbers stand together
    numbers = residuals.tile[hidden]
    counts = torch.bincount(numbers, minlength=1)
    tiles = [tile for tile in torch.split(z, counts.tolist()) if tile.numel() >= MIN_HIDDEN]
    shares = {"68": math.erf(math.sqrt(0.5)), "95": 0.95}
    if not tiles:
        raise InputError(
            f"no validation tile has {MIN_HIDDEN} hidden pixels: nothing to measure intervals on",
            code="too_small",
            hint="calibrate on more batches or larger frames",
        )
    return {name: float(torch.stack([t.quantile(share) for t in tiles]).median()) for name, share in shares.items()}


def group_multipliers(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, tables: tuple[Tensor, Tensor], batches: int
) -> dict[str, float]:
    """Interval multipliers of large real frames, those of the group with the widest; empty where there are none.

    Stamps centred on an object and simulated crowds have other tails than users' frames, and a user's instrument is
    none of the training's: what holds for the worst of these has the best chance to hold there.
    """
    large = [frame for frame in frames if min(frame.flux.shape) >= settings.tile]
    groups = sorted({frame.group for frame in large})
    real = replace(settings, real_share=1.0)
    found: dict[str, float] = {}
    for group in groups:
        mine = [frame for frame in large if frame.group == group]
        seen = collect(network, mine, real, max(2, batches // len(groups)), plain=True)["frame"]
        if int(seen.unknown.sum()) < MIN_HIDDEN * settings.batch:
            continue
        for name, value in interval_multipliers(seen, *tables).items():
            found[name] = max(value, found.get(name, 0.0))
    return found


def calibrate(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, weights_sha256: str, batches: int = 300
) -> Calibration:
    """Measure a calibration on validation frames (and simulated tiles of another seed)."""
    residuals = collect(network.eval(), frames, settings, batches)
    tables = {world: correction_tables(r) for world, r in residuals.items()}
    quantiles = {world: interval_multipliers(residuals[world], *tables[world]) for world in tables}
    widest = group_multipliers(network, frames, settings, tables["frame"], batches // 3)
    quantiles["frame"] = widest or quantiles["frame"]
    return Calibration(
        weights_sha256=weights_sha256,
        level_edges=LEVEL_EDGES,
        scale_edges=SCALE_EDGES,
        factors={world: _rounded(factors) for world, (factors, _shifts) in tables.items()},
        shifts={world: _rounded(shifts) for world, (_factors, shifts) in tables.items()},
        quantiles={world: {k: round(v, 4) for k, v in found.items()} for world, found in quantiles.items()},
        measured_on=f"{batches} batches of {settings.batch} validation tiles, seed {settings.seed + VALIDATION_SEED}",
    )


def _rounded(table: Tensor) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in table.tolist()]
