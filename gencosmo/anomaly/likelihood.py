"""How probable a canvas is: the probability-flow ODE, and the chain of predictions.

With noise of variance ``t^2`` added to what was observed at levels ``s``, the state at levels ``sigma^2 = s^2 + t^2``
moves along ``dz/dt = t (z - D) / sigma^2`` without changing its probability's flow (Song et al. 2021, eq. 13, in the
variance-exploding form), and

    log p(y) = log p_T(z_T) + integral of  sum_i (1 - dD_i/dz_i) t^2 / sigma_i^2  over log t.

The trace of the Jacobian comes from random signs (Hutchinson 1989), from every pixel by itself (``exact``, small
planes), or from the denoiser's own variance, ``dD_i/dz_i = V_i / sigma_i^2``, which holds for a perfect denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops.hutchinson import CHUNKS, hutchinson_, probe_
from gencosmo.priors.base import Denoiser, World
from gencosmo.windows import Canvas

__all__ = ["TRACES", "Trace", "chain_log_prob", "ode_log_prob"]

Trace = Literal["hutchinson", "exact", "variance"]
TRACES = ("hutchinson", "exact", "variance")
EXACT_PIXELS = 1024
"""Planes up to this many pixels may have their trace pixel by pixel."""
NUDGE = 0.1
"""Finite differences move a pixel by this share of its level."""
FIRST_LEVEL = 1e-3
"""Where the integral starts, in flux: a plane without noise is taken at this level."""
CHUNK_PIXELS = 1 << 20


class _Flow:
    """Velocity and divergence of a canvas' known pixels."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas, world: World, trace: Trace, probes: int) -> None:
        self.denoiser, self.canvas, self.world, self.trace, self.probes = denoiser, canvas, world, trace, probes
        self.known = torch.isfinite(canvas.sigma_obs) & canvas.pixels()
        self.plan = denoiser.plan(canvas, self.known)
        self.planes = [slice(o, o + h * w) for o, h, w in canvas.layout[:, :3].tolist()]
        self.evaluations = 0

    def levels(self, t: float) -> Tensor:
        return torch.where(self.known, (self.canvas.sigma_obs**2 + t * t).sqrt(), self.canvas.sigma_obs)

    def denoised(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance at a state, float64."""
        self.canvas.fields[0] = torch.where(self.known, z.float(), 0.0)
        self.canvas.fields[1] = sigma.float()
        self.denoiser.denoise_(self.canvas, self.plan, self.world)
        self.evaluations += 1
        return self.canvas.mean.double(), self.canvas.var.double()

    def __call__(self, z: Tensor, log_t: float, step: int) -> tuple[Tensor, Tensor]:
        """``dz / dlog t`` (N,) and its divergence (P,)."""
        t = math.exp(log_t)
        sigma = self.levels(t).double()
        mean, var = self.denoised(z, sigma)
        share = torch.where(self.known, t * t / (sigma * sigma), 0.0)
        velocity = torch.where(self.known, share * (z - mean), 0.0)
        if self.trace == "variance":
            slope = torch.where(self.known, share * var / (sigma * sigma), 0.0)
            pulled = self.sums(slope)
        elif self.trace == "hutchinson":
            pulled = self.hutchinson(z, sigma, share, step)
        else:
            pulled = self.sums(self.slopes(z, sigma) * share)
        return velocity, self.sums(share) - pulled

    def sums(self, flat: Tensor) -> Tensor:
        """Sum over each plane (P,)."""
        return torch.stack([flat[part].sum() for part in self.planes])

    def hutchinson(self, z: Tensor, sigma: Tensor, share: Tensor, step: int) -> Tensor:
        """Trace of ``share * dD/dz`` by central differences along random signs."""
        canvas, total = self.canvas, torch.zeros(len(self.planes), dtype=torch.float64)
        room = torch.zeros(len(self.planes), CHUNKS, dtype=torch.float64, device=canvas.device)
        trace = torch.zeros(len(self.planes), dtype=torch.float64, device=canvas.device)
        signs = torch.zeros(canvas.size, device=canvas.device)
        for probe in range(self.probes):
            number = torch.tensor(step * self.probes + probe, device=canvas.device)
            probe_(signs, canvas.layout, canvas.seed, number)
            move = torch.where(self.known, NUDGE * sigma * signs, 0.0)
            above, _ = self.denoised(z + move, sigma)
            below, _ = self.denoised(z - move, sigma)
            # both sides are scaled by the level, which leaves the trace as it is
            product = torch.where(self.known, share * (above - below) / (2 * NUDGE * sigma), 0.0)
            hutchinson_(trace, product.float(), canvas.layout, canvas.seed, number, room)
            total += trace.cpu() / self.probes
        return total.to(canvas.device)

    def slopes(self, z: Tensor, sigma: Tensor) -> Tensor:
        """``dD_i/dz_i`` of every known pixel, each moved by itself."""
        slope = torch.zeros_like(z)
        for p, part in enumerate(self.planes):
            pixels = self.known[part].nonzero()[:, 0]
            for some in torch.split(pixels, max(1, CHUNK_PIXELS // (2 * (part.stop - part.start)))):
                slope[part][some] = self._own(p, part, some, z, sigma)
        return slope

    def _own(self, p: int, part: slice, pixels: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
        count = len(pixels)
        _, height, width, row0, col0, _key = self.canvas.layout[p].tolist()
        levels = [sigma[part].float().view(height, width)] * (2 * count)
        states = torch.where(self.known, z, 0.0)[part].repeat(2 * count, 1)
        move, each = NUDGE * sigma[part][pixels], torch.arange(count)
        states[each, pixels] += move
        states[count + each, pixels] -= move
        work = Canvas.from_planes(
            list(states.float().view(-1, height, width)),
            levels,
            seeds=[0] * (2 * count),
            origins=[(row0, col0)] * (2 * count),
            device=self.canvas.device,
        )
        wanted = torch.zeros(work.size, dtype=torch.bool, device=work.device)
        for one in range(2 * count):
            work.view(wanted, one).view(-1)[pixels[one % count]] = True
        self.denoiser.denoise_(work, self.denoiser.plan(work, wanted), self.world)
        self.evaluations += 2
        found = torch.stack([work.plane("mean", k).reshape(-1)[pixels[k % count]] for k in range(2 * count)]).double()
        moved = torch.stack([states.float()[k, pixels[k % count]] for k in range(2 * count)]).double()
        slope: Tensor = (found[:count] - found[count:]) / (moved[:count] - moved[count:])
        return slope


@torch.no_grad()
def ode_log_prob(
    denoiser: Denoiser,
    canvas: Canvas,
    *,
    world: World = "frame",
    trace: Trace = "hutchinson",
    probes: int = 4,
    steps: int = 48,
) -> Tensor:
    """Log-probability of every plane's known pixels, float64 (P,), in network flux, by the probability-flow ODE.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; left as it came.
    world : {"frame", "scene"}
    trace : {"hutchinson", "exact", "variance"}
    probes : int
        Random sign vectors per evaluation.
    steps : int
        Runge-Kutta steps (four evaluations each) from `FIRST_LEVEL` to a level at which the prior is a Gaussian.

    Raises
    ------
    UsageError
        Options out of range; ``exact`` on planes of more than `EXACT_PIXELS` pixels.
    """
    if trace not in TRACES or probes < 1 or steps < 2:
        raise UsageError(
            f"log_prob: trace {trace!r}, probes {probes}, steps {steps}; expected one of "
            f"{', '.join(TRACES)}, at least 1 and at least 2"
        )
    largest = int((canvas.layout[:, 1] * canvas.layout[:, 2]).max())
    if trace == "exact" and largest > EXACT_PIXELS:
        raise UsageError(
            f"log_prob: the exact trace is for planes up to {EXACT_PIXELS} pixels, this one has {largest}",
            hint="trace='hutchinson'",
        )
    before = canvas.fields[:2].clone()
    flow = _Flow(denoiser, canvas, world, trace, probes)
    mean, var = _prior_moments(flow)
    top = min(denoiser.sigma_max, 10 * math.sqrt(float(var.max())) * max(1.0, 2.5 * denoiser.correlation_length))
    first, last = math.log(FIRST_LEVEL), math.log(top)
    z = torch.where(flow.known, before[0], 0.0).double()
    z, gained = _integrate(flow, z, first, last, steps)
    spread = var + flow.levels(top).double() ** 2
    density = -0.5 * ((z - mean) ** 2 / spread + spread.log() + math.log(2 * math.pi))
    result = flow.sums(torch.where(flow.known, density, 0.0)) + gained
    canvas.fields[:2] = before
    return result


def _integrate(flow: _Flow, z: Tensor, first: float, last: float, steps: int) -> tuple[Tensor, Tensor]:
    """Runge-Kutta of fourth order in log t, state and divergence together."""
    h = (last - first) / steps
    gained = torch.zeros(len(flow.planes), dtype=torch.float64, device=z.device)
    for step in range(steps):
        at = first + step * h
        k1, d1 = flow(z, at, 3 * step)
        k2, d2 = flow(z + 0.5 * h * k1, at + 0.5 * h, 3 * step + 1)
        k3, d3 = flow(z + 0.5 * h * k2, at + 0.5 * h, 3 * step + 1)
        k4, d4 = flow(z + h * k3, at + h, 3 * step + 2)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        gained = gained + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return z, gained


def _prior_moments(flow: _Flow) -> tuple[Tensor, Tensor]:
    """Mean and variance of every pixel when nothing is known."""
    mean, var = flow.denoised(torch.zeros_like(flow.canvas.mean), torch.full_like(flow.canvas.mean, math.inf))
    return mean, torch.where(flow.known, var, 0.0)


@torch.no_grad()
def chain_log_prob(denoiser: Denoiser, canvas: Canvas, *, world: World = "frame", block: int = 1) -> Tensor:
    """Sum of the log densities of blocks, each predicted from those before it, float64 (P,), in network flux.

    With ``block=1`` this is the chain rule, the log-probability for a denoiser that is exact. Larger blocks are cheaper
    and treat the pixels of a block as independent of each other: that is a *pseudo* log-probability.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; left as it came.
    world : {"frame", "scene"}
        In the scene world a value has the noise of its level on top of the prediction.
    block : int
        Side of the blocks in pixels.
    """
    if block < 1:
        raise UsageError(f"log_prob: block is {block}, expected at least 1 pixel")
    result = torch.zeros(canvas.layout.shape[0], dtype=torch.float64)
    for p, (_, height, width, row0, col0, _key) in enumerate(canvas.layout.tolist()):
        value, sigma = canvas.plane("z", p), canvas.plane("sigma_obs", p)
        known = torch.isfinite(sigma)
        order = _block_order(height, width, block, value.device)
        numbers = torch.unique(order[known])
        for some in torch.split(numbers, max(1, CHUNK_PIXELS // (height * width))):
            levels = [torch.where(order < n, sigma, math.inf) for n in some.tolist()]
            count = len(levels)
            work = Canvas.from_planes(
                [value] * count,
                levels,
                seeds=[0] * count,
                origins=[(row0, col0)] * count,
                device=canvas.device,
            )
            asked = [(order == n) & known for n in some.tolist()]
            for found in _answers(denoiser, work, asked, world):
                own = 0.0 if world == "frame" else sigma[found[0]].double() ** 2
                spread = found[2] + own
                density = (value[found[0]].double() - found[1]) ** 2 / spread + (2 * math.pi * spread).log()
                result[p] -= 0.5 * float(density.sum())
    return result


def _block_order(height: int, width: int, block: int, device: Any) -> Tensor:
    """Number of each pixel's block in reading order (H, W)."""
    rows, cols = torch.arange(height, device=device) // block, torch.arange(width, device=device) // block
    return rows[:, None] * (-(-width // block)) + cols[None, :]


def _answers(
    denoiser: Denoiser, work: Canvas, asked: list[Tensor], world: World
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pixels, mean and variance of what is asked of each plane."""
    wanted = torch.zeros(work.size, dtype=torch.bool, device=work.device)
    for k, pixels in enumerate(asked):
        work.view(wanted, k).copy_(pixels)
    denoiser.denoise_(work, denoiser.plan(work, wanted), world)
    for k, pixels in enumerate(asked):
        mean, var = work.plane("mean", k)[pixels].double(), work.plane("var", k)[pixels].double()
        yield pixels, mean, var.clamp(min=1e-30)
