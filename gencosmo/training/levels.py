"""Noise levels for training: the levels the sampler will ask for, not just one level per image.

The share of each kind of draw is :data:`KINDS`. Every draw is a batch of maps ``sigma`` (B, H, W); the state is then
``z = target + sigma * noise`` wherever the level is finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gencosmo.ops.precondition import box_mean

KINDS = {
    "posterior": (0.65, 0.3),
    "clock": (0.2, 0.22),
    "uniform": (0.09, 0.1),
    "mixed": (0.04, 0.04),
    "nothing": (0.02, 0.02),
    "state": (0.0, 0.32),
}
"""Shares in the frame and in the scene world. posterior: good pixels at their own noise, holes at inf. clock: min(that,
t * local scale), as inside the sampler. uniform: one level for all, holes on top in half of them. mixed: two decades of
levels pixel by pixel. nothing: all inf. state: t * local scale whatever the noise, as when a scene is sought on a grid
that nobody observed (super-resolution)."""
STATE_LOW, STATE_HIGH = 0.01, 10.0
NOISY_SHARE = 0.9
"""A pixel's level tells nothing about the scene behind a noisy target where more of its variance is the target's."""
FAINT = 20.0
"""Flux, averaged over a box, up to which a frame's noise is taken to be its sky's."""
CLOCK_LOW, CLOCK_HIGH = 0.02, 30.0
UNIFORM_LOW, UNIFORM_HIGH = 0.01, 80.0


@dataclass(frozen=True)
class Task:
    """What the network is asked in one batch; all (B, H, W) but `world` (B,).

    Attributes
    ----------
    z, sigma : Tensor
        State and its levels; z is 0 where sigma is inf.
    target : Tensor
        What the posterior mean should be: the observed frame, or the noise-free scene.
    supervised : Tensor of bool
        Pixels whose target is known and whose level leaves something to learn.
    world : Tensor (B,)
        0 frame, 1 scene.
    noise : Tensor
        Noise of `target` itself, where a real frame stands for the scene behind it; 0 where the target is what is
        asked for.
    """

    z: Tensor
    sigma: Tensor
    target: Tensor
    supervised: Tensor
    world: Tensor
    noise: Tensor


def _uniform(generator: Generator, batch: int, low: float, high: float) -> Tensor:
    """Log-uniform draws (B, 1, 1)."""
    draw = torch.rand(batch, 1, 1, generator=generator, device=generator.device)
    return torch.exp(math.log(low) + (math.log(high) - math.log(low)) * draw)


def noise_map(variance: Tensor, generator: Generator) -> Tensor:
    """Standard deviation per pixel of an observation: shot noise, and for half of the tiles steps and gradients."""
    batch, height, width = variance.shape
    device = variance.device
    half = (torch.rand(batch, 1, 1, generator=generator, device=device) < 0.5).float()
    position = torch.arange(width, device=device).view(1, 1, -1).expand(batch, height, width)
    edge = torch.randint(0, width, (batch, 1, 1), generator=generator, device=device)
    step = torch.where(position > edge, _uniform(generator, batch, 0.4, 4.0), torch.ones((), device=device))
    tilt = _uniform(generator, batch, 0.5, 2.0) ** (position / width - 0.5)
    return variance.sqrt() * (step * tilt) ** half


def draw_levels(observed: Tensor, holes: Tensor, target: Tensor, world: Tensor, generator: Generator) -> Tensor:
    """Levels (B, H, W) from the noise of good pixels `observed` (0 = exact), the holes and the world (B,)."""
    batch = observed.shape[0]
    infinite = torch.full_like(observed, math.inf)
    posterior = torch.where(holes, infinite, observed)
    scale = (box_mean((target - box_mean(target)) ** 2) + 0.05).sqrt()
    clock = torch.minimum(posterior, _uniform(generator, batch, CLOCK_LOW, CLOCK_HIGH) * box_mean(scale))
    level = _uniform(generator, batch, UNIFORM_LOW, UNIFORM_HIGH).expand_as(observed)
    punched = holes & (torch.rand(batch, 1, 1, generator=generator, device=observed.device) < 0.5)
    uniform = torch.where(punched, infinite, level)
    decades = torch.rand(observed.shape, generator=generator, device=observed.device) * 2 - 1
    mixed = torch.where(punched, infinite, level * 10**decades)
    state = _uniform(generator, batch, STATE_LOW, STATE_HIGH) * box_mean(scale)
    maps = torch.stack([posterior, clock, uniform, mixed, infinite, state])
    shares = torch.tensor(list(KINDS.values()), device=observed.device).T[world.long()]
    kind = torch.multinomial(shares, 1, generator=generator)[:, 0]
    return maps[kind, torch.arange(batch, device=observed.device)]


def make_task(
    target: Tensor, observed: Tensor, holes: Tensor, good: Tensor, world: Tensor, noise: Tensor, generator: Generator
) -> Task:
    """Draw levels and noise around `target`; pixels that are not `good` are unknown and not supervised.

    Where the target has `noise` of its own, no level lies below it, and only what is missing is added.
    """
    sigma = torch.maximum(draw_levels(observed, holes, target, world, generator), noise)
    sigma = torch.where(good, sigma, torch.full_like(sigma, math.inf))
    finite = torch.isfinite(sigma)
    draw = torch.randn(target.shape, generator=generator, device=target.device)
    added = torch.where(finite, (sigma * sigma - noise * noise).clamp(min=0).sqrt(), torch.zeros_like(sigma))
    z = torch.where(finite, target + added * draw, 0 * target)
    # the shot noise of a real frame's sources is not known
    faint = (noise == 0) | (box_mean(target) < FAINT)
    told = (noise * noise < NOISY_SHARE * sigma * sigma) & (sigma > 0) & faint
    return Task(z, sigma, target, good & told, world, noise)
