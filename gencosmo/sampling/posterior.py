"""Posterior of the pixels of a canvas: mean and spread of one pass, or samples.

The first pass, at the observation's own levels, gives the mean and the variance; one stochastic step from
there is the warm start of all samples, and a few steps bring them down. What was observed takes part in every
step as a second measurement of its pixel (`gencosmo.sampling.observed`), so that the state always stands for
the posterior: there is no guidance term and nothing to tune.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops.moments import moments_
from gencosmo.priors.base import Denoiser, World
from gencosmo.sampling.clocks import set_clocks_
from gencosmo.sampling.loop import Progress, walk_
from gencosmo.sampling.steps import Method, step_table
from gencosmo.schedules import start_factor
from gencosmo.windows import Canvas

__all__ = ["EVALUATIONS", "Posterior", "predict", "sample"]

EVALUATIONS = 16
"""Default number of network evaluations per sample."""
CHUNK_PIXELS = 1 << 22
"""Pixels of the samples that are in work at the same time, unless the caller says how many samples."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known of every pixel of a canvas, flat and in its layout (read planes with ``canvas.view``).

    Parameters
    ----------
    mean, std : Tensor (N,) float32
        Posterior mean and standard deviation (flux); the value itself and 0 where nothing was to be sampled.
        Of the samples; with one sample the standard deviation, and without samples both are of one pass.
    samples : Tensor (S, N) float32 or None
        Posterior samples.
    evaluations : int
        Network evaluations that one sample took (1 without samples).
    """

    mean: Tensor
    std: Tensor
    samples: Tensor | None
    evaluations: int


def predict(
    denoiser: Denoiser, canvas: Canvas, *, world: World, moving: Tensor | None = None, plan: Any = None
) -> Posterior:
    """Posterior mean and standard deviation from one evaluation; deterministic.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; ``mean`` and ``var`` are written.
    world : {"frame", "scene"}
        Which image is asked for.
    moving : Tensor (N,) bool, optional
        The pixels that are asked for; all that are not exact when left out. Others keep value and level.
    plan : object, optional
        The denoiser's plan for these pixels, where the caller has made one.
    """
    moving = _moving(canvas, moving)
    denoiser.denoise_(canvas, denoiser.plan(canvas, moving) if plan is None else plan, world)
    mean = torch.where(moving, canvas.mean, canvas.fields[0])
    std = torch.where(moving, canvas.var.clamp(min=0).sqrt(), torch.zeros_like(canvas.var))
    return Posterior(mean, std, None, 1)


def sample(
    denoiser: Denoiser,
    canvas: Canvas,
    *,
    samples: int,
    world: World,
    evaluations: int = EVALUATIONS,
    method: Method = "flow",
    moving: Tensor | None = None,
    clock: Tensor | None = None,
    keep: bool = True,
    chunk: int | None = None,
    first: Posterior | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Posterior:
    """Posterior samples of every moving pixel, jointly.

    The noise is a function of the plane's seed and key, the sample's number and the pixel's absolute place:
    neither the chunk, nor what else is on the canvas, nor the number of threads changes a bit of a sample.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; ``mean``, ``var`` and ``clock`` are written, the state is left as it is.
    samples : int
        Number of samples; 0 gives :func:`predict`.
    world : {"frame", "scene"}
        Which image is asked for.
    evaluations : int
        Network evaluations per sample, at least 2; the first is shared by all samples.
    method : {"flow", "stochastic"}
        How unobserved pixels come down.
    moving : Tensor (N,) bool, optional
        The pixels to be sampled; all that are not exact when left out. Others are held at their level.
    clock : Tensor (N,), optional
        Start level (flux) of every pixel; from the first pass' variance when left out
        (`gencosmo.sampling.clocks`).
    keep : bool
        Return the samples, not only their mean and standard deviation.
    chunk : int, optional
        Samples that are computed at the same time: memory and speed, nothing else.
    first : Posterior, optional
        What :func:`predict` has just said of these pixels of the canvas, where the caller has asked.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    cancel : threading.Event, optional
        Checked before every step.

    Raises
    ------
    UsageError
        For impossible numbers.
    Cancelled
        When `cancel` was set.
    """
    if samples < 0 or (chunk is not None and chunk < 1):
        raise UsageError(f"samples is {samples}, chunk is {chunk}; expected samples >= 0 and chunk >= 1")
    first = predict(denoiser, canvas, world=world, moving=moving) if first is None else first
    if samples == 0:
        return first
    moving = _moving(canvas, moving)
    table = step_table(evaluations, method)
    if clock is None:
        set_clocks_(canvas, moving, denoiser, start_factor(evaluations))
    else:
        canvas.clock.copy_(torch.where(moving, clock, 0.0).clamp(0, denoiser.sigma_max))
    size = min(samples, chunk or max(1, CHUNK_PIXELS // max(1, canvas.size)))
    starts = range(0, samples, size)
    seen = torch.zeros(1, dtype=torch.int64, device=canvas.device)
    mean, m2 = torch.zeros_like(canvas.mean), torch.zeros_like(canvas.mean)
    kept = torch.empty(samples, canvas.size, device=canvas.device) if keep else None
    tick = _ticker(progress, len(starts) * evaluations)
    for start in starts:
        count = min(size, samples - start)
        work = canvas.repeat(count, first=start)
        plan = denoiser.plan(work, moving.repeat(count))
        walk_(denoiser, work, table, plan=plan, world=world, tick=tick, cancel=cancel)
        drawn = work.fields[0].view(count, canvas.size)
        for one in drawn:
            moments_(seen, mean, m2, one)
        if kept is not None:
            kept[start : start + count] = drawn
    std = (m2 / (samples - 1)).sqrt() if samples > 1 else first.std
    return Posterior(mean, std, kept, evaluations)


def _moving(canvas: Canvas, moving: Tensor | None) -> Tensor:
    """The pixels to be sampled, checked; never the padding."""
    if moving is None:
        return canvas.sigma_obs > 0
    if moving.shape != canvas.sigma_obs.shape or moving.dtype != torch.bool:
        raise UsageError(
            f"moving: got {moving.dtype} {tuple(moving.shape)}; expected torch.bool of shape ({canvas.size},)"
        )
    return moving & canvas.pixels()


def _ticker(progress: Progress | None, total: int) -> Callable[[], None] | None:
    """A callable that counts the steps of all chunks for `progress`."""
    if progress is None:
        return None
    done = itertools.count(1)
    return lambda: progress(next(done), total)
