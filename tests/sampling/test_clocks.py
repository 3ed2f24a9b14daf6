"""Start levels: high enough for the widest mode, and no higher than the hole asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling import predict
from gencosmo.sampling.clocks import set_clocks_, widest_mode
from gencosmo.windows import Canvas

PRIOR = GaussianPrior.exponential()
SIDE = 24


def canvas_with_hole(size: int, noise: float = 0.3) -> Canvas:
    sigma = torch.full((SIDE, SIDE), noise)
    sigma[4 : 4 + size, 5 : 5 + size] = torch.inf
    return Canvas.from_planes([torch.zeros(SIDE, SIDE)], [sigma], seeds=[0])


@pytest.mark.parametrize("size", [1, 2, 4, 7, 12])
def test_estimate_covers_the_widest_mode(size: int) -> None:
    """At least the exact largest eigenvalue of the hole's posterior, and at most four times that."""
    canvas = canvas_with_hole(size)
    predict(PRIOR, canvas, world="scene")
    sigma = canvas.plane("sigma", 0)
    hole = torch.isinf(sigma).flatten()
    exact = float(torch.linalg.eigvalsh(PRIOR.posterior_covariance(sigma)[hole][:, hole])[-1])
    var = canvas.plane("var", 0).double().numpy()
    estimate = widest_mode(var, torch.isinf(sigma).numpy(), PRIOR.correlation_length).max()
    assert exact <= estimate * 1.0001
    assert estimate < 4 * exact


def test_single_pixel_is_its_own_mode() -> None:
    var = np.ones((5, 5))
    lonely = np.zeros((5, 5), bool)
    lonely[2, 2] = True
    mode = widest_mode(var, lonely, 3.0)
    assert mode[2, 2] == pytest.approx(1.0)
    assert mode.min() == 1.0
    assert (widest_mode(var, np.ones((5, 5), bool), 3.0) > 4).all()


def test_clocks_follow_the_hole() -> None:
    """Larger holes start higher; the limit holds; pixels that do not move have no clock."""
    starts = []
    for size in (1, 4, 12):
        canvas = canvas_with_hole(size)
        predict(PRIOR, canvas, world="scene")
        moving = torch.isinf(canvas.sigma_obs)
        set_clocks_(canvas, moving, PRIOR, 10.0)
        assert (canvas.clock[~moving] == 0).all()
        assert (canvas.clock[moving] > 0).all()
        starts.append(float(canvas.clock[torch.isinf(canvas.sigma_obs)].max()))
        limited = GaussianPrior.exponential()
        limited.sigma_max = 1.5
        set_clocks_(canvas, moving, limited, 10.0)
        assert float(canvas.clock.max()) == 1.5
    assert starts[0] < starts[1] < starts[2]
    assert starts[0] < 3
    assert starts[2] > 10


def test_noise_bounds_the_start() -> None:
    """A field that is observed everywhere starts no higher than its noise asks for."""
    values = torch.zeros(SIDE, SIDE)
    for noise in (0.01, 0.3):
        canvas = Canvas.from_planes([values], [torch.full_like(values, noise)], seeds=[0])
        predict(PRIOR, canvas, world="scene")
        set_clocks_(canvas, canvas.sigma_obs > 0, PRIOR, 10.0)
        assert float(canvas.clock.max()) <= noise * 10**0.5 * 1.0001
