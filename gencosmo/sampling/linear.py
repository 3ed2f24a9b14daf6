"""Posterior of a scene that was measured through a linear operator: ``y = A x + n``.

The state ``z = x + t n`` comes down level by level, as in `gencosmo.sampling.posterior`. At each level the denoiser
gives the mean D and the variance V of the scene given the state; with a covariance C around them (diagonal V,
`gencosmo.sampling.lowpass`) the measurement is put in by drawing, not only solving,

    u = D' + C A^T S (I + S A C A^T S)^-1 (S (y - A D') + n),   D' ~ N(D, C),  n ~ N(0, I),  S = ivar^(1/2),

which is an exact draw of the scene given state and data when C is exact (perturb and solve: Papandreou & Yuille
2010; Orieux et al. 2012). Then the state moves on by the reverse transition of the diffusion,

    z' = r z + (1 - r) u + sqrt(t'^2 (1 - r)) n,   r = t'^2 / t^2.

A pixel of the measurement that is masked has S = 0. The system is solved by conjugate gradients with a fixed number
of iterations, so that equal inputs take equal work on every device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.errors import Cancelled, UsageError
from gencosmo.ops.moments import moments_
from gencosmo.ops.normal import STREAM_STEP, normal_
from gencosmo.priors.base import Denoiser, World
from gencosmo.sampling.around import PER_DRAW, TAUS, Open, deviations, wide
from gencosmo.sampling.clocks import set_clocks_
from gencosmo.sampling.loop import Progress
from gencosmo.sampling.lowpass import NODES, Doubt, LowPass
from gencosmo.sampling.solve import Measurement, Slope, solve, views
from gencosmo.schedules import levels, start_factor
from gencosmo.windows import Canvas

__all__ = ["EVALUATIONS", "ITERATIONS", "LinearPosterior", "Mode", "sample_linear"]

Mode = Literal["fast", "quality"]
EVALUATIONS = 16
"""Default number of denoiser evaluations per sample (quality mode: steps, each with further evaluations)."""
ITERATIONS = 12
"""Iterations of conjugate gradients in each solve of the fast mode."""
SLOPES = 6
"""Iterations of conjugate gradients with the denoiser's Jacobian in each solve of the quality mode."""
STREAM_SCENE = 4
"""Noise of the draws D'; streams 0 to 3 are those of `gencosmo.ops.normal`."""
CHUNK_PIXELS = 1 << 22
"""Pixels of the samples that are in work at the same time."""
NEIGHBOURS = 5
"""Side of the box over which variances are averaged for the prior share."""
PROBES = 16
"""Fewest draws of the linearised posterior from which its spread and prior share are taken."""
GRAIN = 3
"""Side of the box over which the variance of these draws is averaged, and those that the denoiser told for them: a
state's noise leaves grain in them, and draws with a grainy amplitude have dots."""
LATE = 1 << 16
"""Steps from which noise is counted that belongs to no step of the walk."""


@dataclass(frozen=True, eq=False)
class LinearPosterior:
    """What is known of every pixel of the scene's canvas, flat and in its layout.

    Attributes
    ----------
    mean, std : Tensor (N,)
        Posterior mean and standard deviation (flux).
    prior_share : Tensor (N,)
        Posterior variance over prior variance, 0 to 1: how much of the pixel is the prior's; both averaged over
        `NEIGHBOURS` pixels. The prior variance is the denoiser's at the start level, where only the coarsest structure
        is known.
    samples : Tensor (S, N) or None
    evaluations : int
        Denoiser evaluations per sample.
    residual : float
        Largest relative residual of the solves in the last step.
    """

    mean: Tensor
    std: Tensor
    prior_share: Tensor
    samples: Tensor | None
    evaluations: int
    residual: float


def sample_linear(
    denoiser: Denoiser,
    canvas: Canvas,
    measured: Measurement,
    *,
    samples: int,
    evaluations: int = EVALUATIONS,
    mode: Mode = "fast",
    world: World = "scene",
    iterations: int | None = None,
    doubt: Doubt | None = None,
    around: bool = False,
    keep: bool = True,
    chunk: int | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> LinearPosterior:
    """Posterior of the scenes on a canvas given their measurements.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        One plane per scene, all of one shape. Its state and levels are what the first evaluation sees: unknown
        everywhere (level inf), or a rough guess with honest levels, which saves the sampler the way from there; the
        guess is not counted as data. ``mean``, ``var`` and ``clock`` are written.
    measured : Measurement
        Operator, values and inverse variances (P, h, w) in the canvas' flux.
    samples : int
        0: mean by the deterministic walk; spread and prior share of the posterior linearised there, with the local
        spectrum of `gencosmo.sampling.spectrum`, four further evaluations. More: each a walk of its own with noise.
    evaluations : int
        Levels, at least 2; one denoiser evaluation each in the fast mode.
    mode : {"fast", "quality"}
        ``quality`` takes the mean by moment matching with the denoiser's own Jacobian (`gencosmo.sampling.solve`)
        instead of the low-pass model: `SLOPES` further evaluations per level.
    world : {"frame", "scene"}
    iterations : int, optional
        Of conjugate gradients in each solve.
    doubt : Doubt, optional
        For denoisers whose errors hang together more than the low-pass model says; None for exact ones.
    around : bool
        Mean and spread as without samples, and the samples drawn from the posterior linearised there
        (`gencosmo.sampling.around`) instead of walks of their own: what networks that err together need, and one walk
        for all samples.
    keep : bool
        Return the samples.
    chunk : int, optional
        Samples in work at the same time: memory and speed only.
    progress, cancel
        As in :func:`gencosmo.sampling.sample`.

    Raises
    ------
    UsageError
        For impossible numbers, or planes that do not fit the operator.
    Cancelled
    """
    _check(canvas, measured, samples, mode, chunk)
    taus = levels(evaluations)
    everything = canvas.pixels()
    denoiser.denoise_(canvas, denoiser.plan(canvas, everything), world)
    set_clocks_(canvas, everything, denoiser, start_factor(evaluations))
    spent = evaluations * (1 + SLOPES * (mode == "quality"))
    if around or not samples:
        walk = _Walk(denoiser, canvas, canvas.repeat(1), measured, mode, world, iterations, doubt, False)
        walk.run(taus, _ticker(progress, evaluations), cancel)
        return walk.posterior(samples if keep else 0, spent)
    size = min(samples, chunk or max(1, CHUNK_PIXELS // max(1, canvas.size)))
    starts = range(0, samples, size)
    report = _ticker(progress, len(starts) * evaluations)
    total = _Total(canvas, samples if keep else 0)
    for start in starts:
        count = min(size, samples - start)
        work = canvas.repeat(count, first=start)
        walk = _Walk(denoiser, canvas, work, measured.repeat(count), mode, world, iterations, doubt, True)
        walk.run(taus, report, cancel)
        total.add(work.fields[0].view(count, canvas.size), start)
        total.prior += walk.start_var.view(count, canvas.size).sum(0)
    return total.posterior(walk, samples, spent)


class _Total:
    """Running mean, spread and prior variance over samples."""

    def __init__(self, canvas: Canvas, keep: int) -> None:
        self.seen = torch.zeros(1, dtype=torch.int64, device=canvas.device)
        self.mean, self.m2 = torch.zeros_like(canvas.mean), torch.zeros_like(canvas.mean)
        self.prior = torch.zeros_like(canvas.mean)
        self.kept = torch.empty(keep, canvas.size, device=canvas.device) if keep else None

    def add(self, drawn: Tensor, start: int) -> None:
        for number, one in enumerate(drawn):
            moments_(self.seen, self.mean, self.m2, one.contiguous())
            if self.kept is not None:
                self.kept[start + number] = one

    def posterior(self, walk: _Walk, samples: int, evaluations: int) -> LinearPosterior:
        var = self.m2 / (samples - 1) if samples > 1 else walk.linearised(0)[0]
        share = walk.share(var, self.prior / samples)
        return LinearPosterior(self.mean, var.sqrt(), share, self.kept, evaluations, walk.residual)


class _Walk:
    """The samples of one chunk, from the first evaluation to the end."""

    def __init__(
        self,
        denoiser: Denoiser,
        canvas: Canvas,
        work: Canvas,
        measured: Measurement,
        mode: Mode,
        world: World,
        iterations: int | None,
        doubt: Doubt | None,
        drawing: bool,
    ) -> None:
        self.denoiser, self.canvas, self.work, self.measured, self.world = denoiser, canvas, work, measured, world
        self.plan = denoiser.plan(work, work.pixels())
        self.mode, self.iterations, self.doubt, self.drawing = mode, iterations, doubt, drawing
        self.residual = 0.0
        self.start_var = work.var.clone()

    def run(self, taus: list[float], report: Callable[[], None], cancel: threading.Event | None) -> None:
        """All levels; the state ends at level 0."""
        work, clock = self.work, self.planes(self.work.clock)
        level = clock * taus[0]
        for k, tau in enumerate(taus):
            if cancel is not None and cancel.is_set():
                raise Cancelled(f"sampling was cancelled before step {k + 1} of {len(taus)}")
            if k:
                self.denoiser.denoise_(work, self.plan, self.world)
            scene = self._informed(level, k)
            r = (tau / taus[k - 1]) ** 2 if k else 0.0
            state, spread = scene, tau * (1 - r) ** 0.5
            if self.drawing and spread > 0:
                state = (1 - r) * scene + spread * clock * self.noise(STREAM_STEP, k)
                state = state + r * self.planes(work.fields[0]) if k else state
            level = clock * tau
            self.planes(work.fields[0]).copy_(state)
            self.planes(work.fields[1]).copy_(level)
            report()
        if not self.drawing and self.doubt is not None:
            self._settle(self.doubt.pedestal)

    def _settle(self, pedestal: float) -> None:
        """Let the data say the pedestal of the result once more: the levels at which they were heard are gone."""
        state = self.planes(self.work.fields[0])
        cov = wide(state, pedestal)
        if cov is not None:
            state += solve(self.measured, cov.__matmul__, state, None, ITERATIONS)[0]

    def _informed(self, level: Tensor, k: int) -> Tensor:
        """A draw (or, without drawing, the mean) of the scene given the state and the measurement."""
        mean, cov = self.planes(self.work.mean), self._covariance(level, self.doubt)
        if k == 1:
            self.start_var = self.flat(self._covariance(level, None).var)
        drawn = mean
        extra = None
        if self.drawing:
            drawn = mean + cov.draw(partial(self._white, k))
            extra = self.measured.noise(self.work, k)
        if self.mode == "fast" or k == 0:
            step, self.residual = solve(self.measured, cov.__matmul__, drawn, extra, self.iterations or ITERATIONS)
            return drawn + step
        slope = Slope(self.denoiser, self.work, self.plan, self.world, level)
        step, self.residual = solve(self.measured, slope, mean, None, self.iterations or SLOPES, model=cov.__matmul__)
        if not self.drawing:
            return mean + step
        around, _ = solve(self.measured, cov.__matmul__, drawn - mean, extra, ITERATIONS, blank=True)
        return mean + step + (drawn - mean) + around

    def _covariance(self, level: Tensor, doubt: Doubt | None) -> LowPass:
        """What is assumed of the scene around the denoiser's mean."""
        var = self.planes(self.work.var).clamp(min=0)
        level2 = level.clamp(min=1e-30) ** 2
        share, length = (var / level2).clamp(0, 1), self.denoiser.correlation_length
        if doubt is None:
            return LowPass(var, share, length)
        return LowPass(var * doubt.spread, share, length, doubt.drift * level2)

    def posterior(self, samples: int, evaluations: int) -> LinearPosterior:
        """Of a walk without noise: the result, and what is open around it."""
        mean = self.work.fields[0].clone()
        var, drawn = self.linearised(samples)
        share = self.share(var, self.start_var)
        return LinearPosterior(mean, var.sqrt(), share, drawn, evaluations, self.residual)

    def linearised(self, samples: int) -> tuple[Tensor, Tensor | None]:
        """Variance (N,) of the posterior that is linearised at the end of the walk, and samples (S, N) of it."""
        mean, cov = self.work.fields[0].clone(), self._open()
        total, drawn = torch.zeros_like(mean), []
        draws = deviations(
            cov,
            self.measured,
            lambda n: self.noise(STREAM_SCENE, LATE * PER_DRAW + n),
            lambda n: self.measured.noise(self.work, LATE + n),
            max(PROBES, samples),
        )
        for number, draw in enumerate(draws):
            flat = self.flat(draw)
            total += flat * flat
            if number < samples:
                drawn.append(flat)
        std = self.around(total / max(PROBES, samples), GRAIN).sqrt()
        factor = torch.ones_like(std) if self.doubt is None else self.doubt.honest.factor(self.around(mean), std)
        kept = torch.stack(drawn).mul_(factor).add_(mean) if samples else None
        return (factor * std) ** 2, kept

    def _open(self) -> Open:
        """What the denoiser says is open around the result, which is told with fresh noise: the state stays."""
        work, result = self.work, self.work.fields[0].clone()
        clock = self.planes(work.clock)
        levels, variances = [tau * clock for tau in TAUS], []
        for j, level in enumerate(levels):
            self.planes(work.fields[0]).copy_(self.planes(result) + level * self.noise(STREAM_STEP, LATE + j))
            self.planes(work.fields[1]).copy_(level)
            self.denoiser.denoise_(work, self.plan, self.world)
            variances.append(self.planes(self.around(work.var.clamp(min=0), GRAIN)))
        work.fields[0].copy_(result)
        return Open(levels, variances, clock, 0.0 if self.doubt is None else self.doubt.pedestal)

    def share(self, var: Tensor, prior: Tensor) -> Tensor:
        """Posterior over prior variance (N,), both averaged over the neighbourhood."""
        return (self.around(var) / self.around(prior).clamp(min=1e-30)).clamp(0, 1)

    def _white(self, step: int, node: int) -> Tensor:
        return self.noise(STREAM_SCENE, step * len(NODES) + node)

    def noise(self, stream: int, step: int) -> Tensor:
        """Standard normal noise of every plane (B, H, W)."""
        flat = torch.zeros_like(self.work.mean)
        numbers = (torch.tensor([n], device=flat.device) for n in (step, stream))
        normal_(flat, self.work.layout, self.work.seed, *numbers)
        return self.planes(flat)

    def around(self, flat: Tensor, side: int = NEIGHBOURS) -> Tensor:
        """Means (N,) over the neighbourhood of each pixel of one sample's canvas."""
        one = self.canvas
        planes = views(one, flat)[:, None]
        out = torch.zeros_like(flat)
        views(one, out).copy_(F.avg_pool2d(planes, side, 1, side // 2, count_include_pad=False)[:, 0])
        return out

    def planes(self, flat: Tensor) -> Tensor:
        """Planes (B, H, W) of a flat tensor."""
        return views(self.work, flat)

    def flat(self, planes: Tensor) -> Tensor:
        """A flat tensor of planes, 0 between them."""
        flat = torch.zeros_like(self.work.mean)
        views(self.work, flat).copy_(planes)
        return flat


def _check(canvas: Canvas, measured: Measurement, samples: int, mode: str, chunk: int | None) -> None:
    if samples < 0 or (chunk is not None and chunk < 1):
        raise UsageError(f"samples is {samples}, chunk is {chunk}; expected samples >= 0 and chunk >= 1")
    if mode not in ("fast", "quality"):
        raise UsageError(f"mode is {mode!r}; expected fast or quality")
    shapes = {tuple(shape) for shape in canvas.layout[:, 1:3].tolist()}
    count = canvas.layout.shape[0]
    if shapes != {tuple(measured.operator.shape_in)} or measured.values.shape[0] != count:
        raise UsageError(
            f"canvas has {count} planes of shapes {sorted(shapes)}, the operator takes "
            f"{measured.operator.shape_in} and there are {measured.values.shape[0]} measurements; expected one each"
        )


def _ticker(progress: Progress | None, total: int) -> Callable[[], Any]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return tick
