"""Laws of the step: what one update must do to pixels whose posterior is known."""

from __future__ import annotations

import math

import pytest
import torch

from gencosmo.errors import UsageError
from gencosmo.ops.step import step_reference_
from gencosmo.sampling.steps import step_table
from gencosmo.windows import Canvas

SIDE = 200
VAR = 2.0


def independent(level: float, tau_next: float, mode: float, sigma_obs: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One exact update of independent N(0, VAR) pixels at a level: z before and after, float64."""
    shape = (SIDE, SIDE)
    generator = torch.Generator().manual_seed(4)
    spread = math.sqrt(VAR + level**2) if math.isfinite(level) else 0.0
    z = spread * torch.randn(shape, generator=generator)
    canvas = Canvas.from_planes([z], [torch.full(shape, level)], seeds=[9])
    canvas.sigma_obs.fill_(sigma_obs)
    canvas.clock.fill_(1.0)
    fields = canvas.fields.double()
    before = fields[0].clone()
    gain = VAR / (VAR + level**2) if math.isfinite(level) else 0.0
    mean = gain * fields[0]
    var = torch.full_like(mean, VAR * (1 - gain))
    coef = torch.tensor([[tau_next, mode, 0.0, 1.0, 1.0]])
    step_reference_(
        fields,
        mean,
        var,
        canvas.sigma_obs.double(),
        canvas.clock.double(),
        torch.zeros_like(mean),
        canvas.layout,
        canvas.seed,
        coef,
        torch.zeros(1, dtype=torch.int64),
    )
    return before, fields[0]


@pytest.mark.parametrize("level", [0.5, 3.0, math.inf])
@pytest.mark.parametrize("target", [0.0, 0.2])
def test_stochastic_step_is_the_reverse_transition(level: float, target: float) -> None:
    """From the exact marginal at `level` to the exact marginal at `target`, and the exact correlation between
    the two.
    """
    before, after = independent(level, target, 0, math.inf)
    assert float(after.var()) == pytest.approx(VAR + target**2, rel=0.03)
    if math.isfinite(level):
        assert float((before * after).mean()) == pytest.approx(VAR + target**2, rel=0.05)


def test_flow_draws_no_noise_and_observed_pixels_do() -> None:
    before, after = independent(3.0, 2.0, 1, math.inf)
    slope = after / before
    assert float(slope.std()) < 1e-12
    before, after = independent(3.0, 2.0, 1, 3.0)
    assert float((after / before).std()) > 0.1


def test_pixels_wait_until_their_clock_passes() -> None:
    before, after = independent(0.5, 0.7, 0, 0.5)
    assert torch.equal(before, after)


def test_table_walks_from_the_warm_start_to_zero() -> None:
    table = step_table(9)
    assert table.shape == (9, 5)
    assert table[0].tolist() == [1, 0, 0, 0, 0]
    assert table[-1, :3].tolist() == [0, 0, 0]
    assert (table[1:-1, 1] == 1).all()
    assert (table[1:, 3] == 1).all()
    assert table[:, 4].tolist() == list(range(9))
    assert (step_table(9, "stochastic")[:, 1:3] == 0).all()
    with pytest.raises(UsageError, match="flow, stochastic"):
        step_table(9, "heun")  # type: ignore[arg-type]
