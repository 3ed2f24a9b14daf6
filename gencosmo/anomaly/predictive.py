"""The predictive map: every pixel hidden, predicted from the rest, and compared with what was seen.

For a pixel hidden at level ``t`` the prediction of the value ``y`` is Gaussian to second order:

- ``frame`` world (the value as it would be seen again): ``mean = D``, ``var = V``;
- ``scene`` world, ``rho = s^2 / t^2`` with the pixel's own noise ``s`` (Daras et al. 2024, ambient Tweedie):
  ``mean = rho z + (1 - rho) D``, ``var = (1 - rho)^2 V + s^2 (1 - rho)``; at ``t = inf`` that is ``V + s^2``.

A defect that no mask names spoils its neighbours. So pixels beyond `SURPRISE` are hidden together in a second look,
in the windows around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gencosmo.anomaly.passes import MAX_PASSES, SCALES, Scale, check_scales, hidden_pixels, soften_
from gencosmo.ops.predictive_score import predictive_score, score_sums_shape
from gencosmo.priors.base import Denoiser, World
from gencosmo.windows import Canvas

__all__ = ["SURPRISE", "Predictive", "predictive"]

SURPRISE = 4.0
"""Pixels with |z| above this are hidden together in the second look."""
MOST_SURPRISES = 0.2
"""With more of a plane's pixels beyond `SURPRISE` there is no second look: too little would be left to see."""
STEPS = 1000
"""Progress is told in this many parts of a pass."""
Watch = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Predictive:
    """Predictions of every pixel at every scale; tensors flat, in the canvas' layout.

    Attributes
    ----------
    scales : tuple of Scale
    z : Tensor (S, N)
        Standardised residuals, 0 where not scored.
    log_prob : Tensor (S, N)
        Log densities of the values, in network flux.
    mean : Tensor (S, N)
        Predicted values, in network flux.
    var : Tensor (S, N)
        Variances of the predictions, what was observed included.
    scored : Tensor (N,) bool
        Pixels with a value.
    passes : int
        Network passes over the whole canvas that were made (the second look counts whole).
    norms : mapping of float to Tensor (N,)
        ``(z - D) / sigma`` by level, for the soft scales and the levels asked for besides: the score times the level.
    """

    scales: tuple[Scale, ...]
    z: Tensor
    log_prob: Tensor
    mean: Tensor
    var: Tensor
    scored: Tensor
    passes: int
    norms: dict[float, Tensor]


class _Work:
    """The canvas, what was observed on it, and how to ask."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas, world: World, noise: Tensor, watch: Watch | None) -> None:
        self.denoiser, self.canvas, self.world, self.noise = denoiser, canvas, world, noise
        self.values = canvas.fields[0].clone()
        self.sigma = canvas.sigma_obs.clone()
        self.scored = torch.isfinite(self.sigma) & canvas.pixels()
        self.plan = denoiser.plan(canvas, self.scored)
        self.watch, self.done, self.total = watch, 0, 1

    def ask(self, plan: Any) -> None:
        """One pass over the planned windows."""
        self._tell(0, 1)
        if hasattr(plan, "watch"):
            plan.watch = self._tell
        self.denoiser.denoise_(self.canvas, plan, self.world)
        self.done += 1

    def _tell(self, done: int, total: int) -> None:
        """Say how far a pass has come, by its windows."""
        if self.watch is not None:
            self.watch(STEPS * self.done + STEPS * done // max(1, total), STEPS * self.total)

    def hide(self, scale: Scale, phase: int, more: Tensor | None, number: int) -> Tensor:
        """Set values and levels of one pass; gives back the pixels that it predicts."""
        canvas = self.canvas
        hidden = hidden_pixels(canvas, scale.block, phase) & self.scored
        canvas.fields[0], canvas.fields[1] = self.values, self.sigma
        if scale.hard:
            gone = hidden if more is None else hidden | more
            canvas.fields[0].masked_fill_(gone, 0.0)
            canvas.fields[1].masked_fill_(gone, math.inf)
            return hidden
        soften_(canvas, self.values, self.noise, scale.level, self.world, number)
        if scale.block:
            canvas.fields[0] = torch.where(hidden, canvas.fields[0], self.values)
            canvas.fields[1] = torch.where(hidden, canvas.fields[1], self.sigma)
        return hidden

    def norm(self, hidden: Tensor) -> Tensor:
        """The score times the level, 0 where nothing was hidden."""
        state, sigma = self.canvas.fields[0], self.canvas.fields[1].clamp(min=1e-30)
        return torch.where(hidden, (state - self.canvas.mean) / sigma, 0.0)

    def restore(self) -> None:
        """Leave the canvas as it came."""
        self.canvas.fields[0], self.canvas.fields[1] = self.values, self.sigma

    def predicted(self, scale: Scale) -> tuple[Tensor, Tensor]:
        """Mean and variance of the values, from the denoiser's answer at the levels of this pass."""
        mean, var = self.canvas.mean, self.canvas.var.clamp(min=0)
        if self.world == "frame":
            return mean, var
        own = self.noise * self.noise
        if scale.hard:
            return mean, var + own
        rho = 1.0 / scale.level**2
        return rho * self.canvas.fields[0] + (1 - rho) * mean, (1 - rho) ** 2 * var + own * (1 - rho)


@torch.no_grad()
def predictive(
    denoiser: Denoiser,
    canvas: Canvas,
    *,
    world: World = "frame",
    scales: Sequence[Scale] = SCALES,
    noise: Tensor | None = None,
    family: str = "gaussian",
    parameter: float = 0.0,
    second_look: bool = True,
    levels: Sequence[float] = (),
    after: Callable[[float], None] | None = None,
    watch: Watch | None = None,
) -> Predictive:
    """Predict every pixel of a canvas at every scale.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; left as it came.
    world : {"frame", "scene"}
    scales : sequence of Scale
    noise : Tensor (N,), optional
        Noise of every pixel in flux; 1 when left out, in the scene world the observation's levels.
    family, parameter : str, float
        Density of the log-likelihood, see `gencosmo.ops.predictive_score`.
    second_look : bool
        Predict once more with every surprising pixel hidden, at the first hard scale.
    levels : sequence of float
        More levels at which the score's norm is wanted, one pass each; they do not enter the map.
    after : callable, optional
        Called with the level after every pass (infinity for hard ones).
    watch : callable, optional
        Called with what is done and what there is to do, in `STEPS` of a pass; may raise to stop.

    Returns
    -------
    Predictive
    """
    chosen = check_scales(scales, world)
    if noise is None:
        known = torch.isfinite(canvas.sigma_obs)
        noise = torch.where(known, canvas.sigma_obs, 1.0) if world == "scene" else torch.ones_like(canvas.sigma_obs)
    work = _Work(denoiser, canvas, world, noise, watch)
    again = _second(chosen) if second_look else None
    work.total = sum(scale.passes for scale in chosen) + (0 if again is None else chosen[again].passes)
    soft = {scale.level for scale in chosen if scale.block == 0}
    extra = [level for level in levels if level not in soft]
    work.total += len(extra)
    mean, var = (torch.zeros(len(chosen), canvas.size, device=canvas.device) for _ in range(2))
    norms: dict[float, Tensor] = {}
    for k, scale in enumerate(chosen):
        for phase in range(scale.passes):
            hidden = work.hide(scale, phase, None, k)
            work.ask(work.plan)
            for out, found in zip((mean, var), work.predicted(scale), strict=True):
                out[k] = torch.where(hidden, found, out[k])
            if scale.block == 0:
                norms[scale.level] = work.norm(hidden)
            if after is not None:
                after(scale.level)
    for number, level in enumerate(extra, start=len(chosen)):
        hidden = work.hide(Scale(0, level), 0, None, number)
        work.ask(work.plan)
        norms[level] = work.norm(hidden)
        if after is not None:
            after(level)
    passes = work.done
    z, log_prob = _compare(work, mean, var, family, parameter)
    if again is not None and _look_again(work, chosen, again, z, mean, var):
        z[again], log_prob[again] = (
            t[0] for t in _compare(work, mean[again : again + 1], var[again : again + 1], family, parameter)
        )
        passes += chosen[again].passes
    work.restore()
    return Predictive(chosen, z, log_prob, mean, var, work.scored, passes, norms)


def _second(scales: Sequence[Scale]) -> int | None:
    """The hard scale with the smallest block, when two more passes are within the limit."""
    hard = [k for k, scale in enumerate(scales) if scale.hard]
    if not hard or sum(scale.passes for scale in scales) + 2 > MAX_PASSES:
        return None
    return min(hard, key=lambda k: scales[k].block)


def _look_again(work: _Work, scales: Sequence[Scale], k: int, z: Tensor, mean: Tensor, var: Tensor) -> bool:
    """Predict scale `k` again with all surprising pixels hidden, where they are; False when there are none."""
    hard = torch.tensor([scale.hard for scale in scales], device=z.device)
    odd = (z[hard].abs() > SURPRISE).any(0) & work.scored
    for p in range(work.canvas.layout.shape[0]):
        here = work.canvas.view(odd, p)
        if float(here.float().mean()) > MOST_SURPRISES:
            here.fill_(False)
    if not bool(odd.any()):
        return False
    plan = work.denoiser.plan(work.canvas, odd)
    for phase in range(scales[k].passes):
        hidden = work.hide(scales[k], phase, odd, k)
        work.canvas.var.zero_()
        work.ask(plan)
        found_mean, found_var = work.predicted(scales[k])
        answered = (hidden | odd) & (work.canvas.var > 0)
        mean[k] = torch.where(answered, found_mean, mean[k])
        var[k] = torch.where(answered, found_var, var[k])
    return True


def _compare(work: _Work, mean: Tensor, var: Tensor, family: str, parameter: float) -> tuple[Tensor, Tensor]:
    """Z and log density (S, N) of the observed values."""
    row = (1, 1, mean.shape[1])
    value, ivar = work.values.view(row), torch.where(work.scored, math.inf, 0.0).view(row)
    z, log_prob = torch.empty_like(mean), torch.empty_like(mean)
    sums = torch.zeros(score_sums_shape(*row, 1 << 20), dtype=torch.float64, device=mean.device)
    for scale in zip(mean, var, z, log_prob, strict=True):  # one after the other: all at once would copy the values
        expected, spread, residual, density = (plane.view(row) for plane in scale)
        predictive_score(value, expected, spread, ivar, family, parameter, 1 << 20, residual, density, sums)
    return z, log_prob
