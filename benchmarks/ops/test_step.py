"""`step` on 64 planes of 64 x 64, all pixels moving: with noise (stochastic) and without (flow)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.ops.measure import TILES, at_origin, checked
from gencosmo.ops.step import step_
from tests.ops.cases import make_step


def eager_step(z: Tensor, sigma: Tensor, mean: Tensor, var: Tensor, observed: Tensor, clock: Tensor, tau: Tensor):
    """The stochastic update as one writes it in torch, noise from torch."""
    target = torch.minimum(observed, tau * clock)
    moves = (clock > 0) & (target < sigma)
    a = torch.where(torch.isinf(sigma), 0.0, target / sigma)
    r, q = a * a, (1 - a) * (1 + a)
    spread = torch.sqrt(target * target * q + q * q * var.clamp(min=0))
    new = r * z + q * mean + spread * torch.randn_like(z)
    return torch.where(moves, new, z), torch.where(moves, target, sigma)


def eager_flow(z: Tensor, sigma: Tensor, mean: Tensor, previous: Tensor, observed: Tensor, clock: Tensor, tau: Tensor):
    """The flow as one writes it in torch."""
    target = torch.minimum(observed, tau * clock)
    moves = (clock > 0) & (target < sigma)
    a = target / sigma
    new = a * z + (1 - a) * (mean + 0.4 * (mean - previous))
    return torch.where(moves, new, z), torch.where(moves, target, sigma), torch.where(clock > 0, mean, previous)


@pytest.mark.parametrize("mode", ["noise", "flow"])
def test_step(race, mode: str) -> None:
    made = at_origin(make_step(torch.Generator().manual_seed(0), TILES))
    checked("step_", made)
    n = made["mean"].numel()
    g = torch.Generator().manual_seed(1)
    made["clock"], made["sigma_obs"] = torch.full((n,), 8.0), torch.full((n,), torch.inf)
    made["index"] = torch.tensor([0])
    made["fields"][1] = 6 + torch.rand(n, generator=g)
    made["coef"] = torch.tensor([[0.5, float(mode == "flow"), 0.4, 1, 2]])
    sigma = made["fields"][1].clone()
    tau = torch.tensor(0.5)
    z = made["fields"][0].clone()
    if mode == "noise":
        inputs, function = (z, sigma, made["mean"], made["var"], made["sigma_obs"], made["clock"], tau), eager_step
    else:
        inputs = (z, sigma, made["mean"], made["previous"], made["sigma_obs"], made["clock"], tau)
        function = eager_flow
    rivals = {"eager": lambda: function(*inputs)}

    def op() -> None:
        """Levels must fall for pixels to move: the table's row is lowered by a hair each time."""
        made["coef"][0, 0] *= 0.9999
        step_(**made)

    # reads z, sigma, mean, observed, clock and var or previous; writes z, sigma, previous
    race(f"step, {mode}", op, rivals, n, 36)
