"""The only loop over noise levels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gencosmo.errors import Cancelled
from gencosmo.ops.step import step_
from gencosmo.priors.base import Denoiser, World
from gencosmo.sampling.observed import Observed
from gencosmo.windows import Canvas

__all__ = ["Progress", "walk_"]

Progress = Callable[[int, int], None]
"""Called with the number of steps done and of all steps."""


def walk_(
    denoiser: Denoiser,
    canvas: Canvas,
    table: Tensor,
    *,
    plan: Any,
    world: World,
    tick: Callable[[], None] | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Take the canvas from the observation's levels to 0, in place.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels, with the denoiser's answer there in ``mean`` and ``var`` and the clocks
        set.
    table : Tensor (S, 5)
        Steps of `gencosmo.sampling.steps.step_table`; the denoiser is called before each but the first.
    plan : object
        The denoiser's plan for this canvas.
    world : {"frame", "scene"}
    tick : callable, optional
        Called after each step.
    cancel : threading.Event, optional
        Checked before each step.

    Raises
    ------
    Cancelled
        When `cancel` was set.
    """
    coef = table.to(canvas.device)
    index = torch.zeros(1, dtype=torch.int64, device=canvas.device)
    canvas.previous.zero_()
    observed = Observed(canvas)
    for k in range(len(coef)):
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"sampling was cancelled before step {k + 1} of {len(coef)}")
        if k:
            observed.put_in_(canvas)
            denoiser.denoise_(canvas, plan, world)
            observed.take_out_(canvas)
        index.fill_(k)
        step_(
            canvas.fields,
            canvas.mean,
            canvas.var,
            observed.levels,
            canvas.clock,
            canvas.previous,
            canvas.layout,
            canvas.seed,
            coef,
            index,
        )
        if tick is not None:
            tick()
