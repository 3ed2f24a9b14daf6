"""The table of steps that the loop walks down and the step op reads."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops.normal import STREAM_STEP, STREAM_WARM
from gencosmo.ops.step import MODE_FLOW, MODE_STOCHASTIC
from gencosmo.schedules import extrapolations, levels

__all__ = ["METHODS", "Method", "step_table"]

Method = Literal["flow", "stochastic"]
METHODS: tuple[Method, ...] = ("flow", "stochastic")


def step_table(evaluations: int, method: Method = "flow") -> Tensor:
    """Rows ``tau_next, mode, extrapolate, stream, rng_step``, one per network evaluation: float32
    (evaluations, 5).

    Row 0 is the warm start: one stochastic step from the observation's own levels, exact in its own mean and
    variance, to the start. The last row ends at level 0 and draws what is left, ``D + sqrt(V) n``.

    Parameters
    ----------
    evaluations : int
        At least 2.
    method : {"flow", "stochastic"}
        How unobserved pixels come down: along the probability flow, or by stochastic steps like all others.

    Raises
    ------
    UsageError
        For an unknown method or fewer than two evaluations.
    """
    if method not in METHODS:
        raise UsageError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    taus = levels(evaluations)
    rows = []
    for k, (tau, weight) in enumerate(zip(taus, extrapolations(taus), strict=True)):
        flows = method == "flow" and 0 < k < len(taus) - 1
        mode = MODE_FLOW if flows else MODE_STOCHASTIC
        rows.append([tau, mode, weight if flows else 0.0, STREAM_STEP if k else STREAM_WARM, k])
    return torch.tensor(rows, dtype=torch.float32)
