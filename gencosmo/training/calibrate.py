"""Calibration of a trained prior on tiles it has not seen: variance factors by bin, and interval multipliers.

The variance is scaled so that in each bin of (level, local scale) it is the second moment of the residual,
``E[(x - D)^2] = E[V]``, and the mean is moved to ``E[x - D] = 0``; the sampler's step relies on both. Residuals of real
images are heavy-tailed, so the intervals for users come from their own stored quantiles.

What asks for the scene of microscopy is measured twice: on simulated tiles, at all levels of the sampler, and on real
frames of which a simulated camera takes pictures (:mod:`gencosmo.training.lights`): real scenes are rougher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.ops.apply_kernels import applied_kernels
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.cards import Calibration
from gencosmo.priors.diffusion import WORLDS, calibration_bins
from gencosmo.priors.network import DenoiserNetwork
from gencosmo.training.data import frame_shares
from gencosmo.training.levels import Task
from gencosmo.training.lights import Lights
from gencosmo.training.loss import observed_moments
from gencosmo.training.pack import Frame
from gencosmo.training.trainer import Settings, features_of, sky_draws

LEVEL_EDGES = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
SCALE_EDGES = (-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 5.0)
SHRINK, SHIFT_SHRINK = 300.0, 3000.0
"""Pixels' worth of belief in what was believed before, bin by bin; errors hang together over tiles."""
OUTLIER = 25.0
"""Squared residuals over the variance count at most this much: a rare hidden star does not widen every hole."""
FACTOR_LOW, FACTOR_HIGH = 0.2, 5.0
WIDE = 0.9
"""Share of the training's groups that the intervals of large frames are to hold for."""
GROUP_BATCHES = 4
"""Fewest validation batches of a group."""
MIN_HIDDEN = 60
"""Tiles with fewer pixels that were asked for do not count for the intervals."""
VALIDATION_SEED = 987_654
"""Added to the training seed, so that simulated validation tiles are new."""


@dataclass
class Residuals:
    """Residuals of one world, flat, pixel by pixel.

    Attributes
    ----------
    error, var : Tensor
        The target less what was expected of it, and the variance of that by the network.
    own : Tensor
        Variance that the target's own noise adds; 0 where the target has none that matters.
    asked : Tensor of bool
        What a user asks for: unknown pixels of the frame, all of the scene. Intervals are measured there.
    row, col, tile : Tensor
        Bin of the tables, and tile.
    """

    error: Tensor
    var: Tensor
    own: Tensor
    asked: Tensor
    row: Tensor
    col: Tensor
    tile: Tensor

    @property
    def total(self) -> Tensor:
        """Variance of the error by the network."""
        return (self.var + self.own).clamp(min=1e-12)


def residuals_of(network: DenoiserNetwork, task: Task, settings: Settings, first: int = 0) -> dict[str, Residuals]:
    """Residuals of one batch, by world; tiles are counted from `first`."""
    levels, scales = torch.tensor(LEVEL_EDGES), torch.tensor(SCALE_EDGES)
    with torch.no_grad():
        win = tile_windows(task.z, task.sigma, settings.prior_var, settings.surface)
        features, local = features_of(win, task.world, settings.prior_var)
        mean, var = (x[:, 0] for x in applied_kernels(network(features), win, local))
    expected, _ = observed_moments(mean, var, task.z, task.sigma, task.noise)
    # 1 - r of `observed_moments`; an unknown pixel tells nothing of the target's noise
    rest = 1 - (task.noise / task.sigma.clamp(min=1e-12)).square()
    row, col = calibration_bins(win, local, levels, scales)
    tile = (first + torch.arange(len(task.world)))[:, None, None].expand(task.z.shape)
    of_scene = (task.world == WORLDS["scene"])[:, None, None]
    asked = torch.isinf(task.sigma) | of_scene
    parts = (task.target - expected, rest * rest * var, task.noise**2 * rest, asked, row, col, tile)
    worlds = {"frame": task.supervised & ~of_scene, "scene": task.supervised & of_scene}
    return {world: Residuals(*(x[keep] for x in parts)) for world, keep in worlds.items()}


def joined(parts: Sequence[Residuals]) -> Residuals:
    """Residuals of several batches as one."""
    return Residuals(*(torch.cat([getattr(part, name) for part in parts]) for name in Residuals.__annotations__))


def collect(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, batches: int, *, plain: bool = False
) -> dict[str, Residuals]:
    """Residuals of `batches` validation batches, by world.

    `plain`: every pixel of the frames has the same chance, and no unmasked defects are put in.
    """
    draws = sky_draws(frames, replace(settings, scene_share=0.6), settings.seed + VALIDATION_SEED)
    if plain and draws.source is not None:
        draws.artifacts, draws.source.shares = 0.0, frame_shares(frames, 1.0)
    found: dict[str, list[Residuals]] = {"frame": [], "scene": []}
    for step in range(batches):
        task = draws.draw()
        # real frames that stand for their scene are measured by `collect_lights`
        task = replace(task, supervised=task.supervised & (task.noise == 0))
        for world, seen in residuals_of(network, task, settings, step * settings.batch).items():
            found[world].append(seen)
    return {world: joined(parts) for world, parts in found.items()}


def collect_lights(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, batches: int
) -> dict[str, Residuals]:
    """Residuals of the scene behind real frames, by group.

    Groups are missing that show no law of their noise, or so much of it that it hides what a camera would add.
    """
    found = {}
    for group in sorted({frame.group for frame in frames}):
        mine = [frame for frame in frames if frame.group == group]
        lights = Lights(mine, settings.tile, settings.seed + VALIDATION_SEED)
        if lights.frames:
            parts = [
                residuals_of(network, lights.draw(settings.batch), settings, step * settings.batch)["scene"]
                for step in range(max(GROUP_BATCHES, batches))
            ]
            seen = joined(parts)
            if len(seen.tile) and int(torch.bincount(seen.tile).max()) >= MIN_HIDDEN:
                found[group] = seen
    return found


def correction_tables(residuals: Residuals, before: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Variance factors and mean shifts (levels + 2, scales + 1), near those of `before` where pixels are few.

    Shifts are in units of the corrected standard deviation, factors those of the residuals that they leave. Without
    tables `before` factors are near one and shifts near zero. With them the mean is not moved again: real microscopy
    is mostly light on dark ground, and what it would add there would be wrong where the ground is bright.
    """
    shape = (len(LEVEL_EDGES) + 2, len(SCALE_EDGES) + 1)
    bins = residuals.row * shape[1] + residuals.col
    factor, shift = before or (torch.ones(shape), torch.zeros(shape))

    def totals(values: Tensor) -> Tensor:
        return torch.zeros(shape[0] * shape[1]).index_add_(0, bins, values)

    total = residuals.total
    share = residuals.var / total
    z = (residuals.error / total.sqrt()).clamp(-(OUTLIER**0.5), OUTLIER**0.5)
    moved = totals(z) / (totals(share.sqrt()) + SHIFT_SHRINK) if before is None else (shift * factor.sqrt()).flatten()
    left = ((z - moved[bins] * share.sqrt()) ** 2).clamp(max=OUTLIER) - residuals.own / total
    factors = (totals(left) + SHRINK * factor.flatten()) / (totals(share) + SHRINK)
    factors = factors.clamp(FACTOR_LOW, FACTOR_HIGH)
    return factors.view(shape), (moved / factors.sqrt()).view(shape)


def interval_multipliers(residuals: Residuals, factors: Tensor, shifts: Tensor) -> dict[str, float]:
    """Quantiles of ``|x - D| / sqrt(V)`` over the pixels of a tile that were asked for, after the tables: the median's.

    Tile by tile, because a promise is kept or broken image by image; a few tiles full of holes would set a pooled one.
    """
    asked = residuals.asked
    bins = residuals.row[asked], residuals.col[asked]
    var = (residuals.var[asked] * factors[bins]).clamp(min=1e-12)
    z = ((residuals.error[asked] - shifts[bins] * var.sqrt()) / (var + residuals.own[asked]).sqrt()).abs()
    # pixels come tile by tile, so equal numbers stand together
    numbers = residuals.tile[asked]
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
    """Interval multipliers of large real frames, those of groups with wide ones; empty where there are none.

    Stamps centred on an object and simulated crowds have other tails than users' frames, and a user's instrument is
    none of the training's: what holds for nearly all of these has a good chance to hold there.
    """
    large = [frame for frame in frames if min(frame.flux.shape) >= settings.tile]
    groups = sorted({frame.group for frame in large})
    real = replace(settings, real_share=1.0)
    found = []
    for group in groups:
        mine = [frame for frame in large if frame.group == group]
        seen = collect(network, mine, real, max(GROUP_BATCHES, batches // len(groups)), plain=True)["frame"]
        if int(seen.asked.sum()) >= MIN_HIDDEN * settings.batch:
            found.append(interval_multipliers(seen, *tables))
    return wide(found)


def wide(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of every multiplier what one group in ten exceeds: the largest of few; of many it would be chance."""
    names = found[0] if found else ()
    return {name: float(torch.tensor([each[name] for each in found]).quantile(WIDE)) for name in names}


def calibrate(
    network: DenoiserNetwork, frames: Sequence[Frame], settings: Settings, weights_sha256: str, batches: int = 300
) -> Calibration:
    """Measure a calibration on validation frames (and simulated tiles of another seed)."""
    residuals = collect(network.eval(), frames, settings, batches)
    tables = {world: correction_tables(r) for world, r in residuals.items()}
    quantiles = {world: interval_multipliers(residuals[world], *tables[world]) for world in tables}
    real = group_multipliers(network, frames, settings, tables["frame"], batches // 3)
    quantiles["frame"] = real or quantiles["frame"]
    # of the sky, frames of which nothing is known but the noise of their ground cannot stand for the scene
    lights = {} if settings.simulator == "sky" else collect_lights(network, frames, settings, batches // 12)
    if lights:
        tables["scene"] = correction_tables(joined(list(lights.values())), tables["scene"])
        quantiles["scene"] = wide([interval_multipliers(seen, *tables["scene"]) for seen in lights.values()])
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
