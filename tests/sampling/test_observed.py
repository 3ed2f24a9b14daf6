"""An observation and a diffusion state are two measurements of one value."""

from __future__ import annotations

import numpy as np
import torch

from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling.observed import Observed, combine
from gencosmo.windows import Canvas


def test_combination_is_the_precision_weighted_mean() -> None:
    rng = np.random.default_rng(2)
    u, y = torch.from_numpy(rng.normal(size=(2, 1000)))
    tau, noise = torch.from_numpy(10 ** rng.uniform(-3, 3, (2, 1000)))
    z, sigma = combine(u, tau, y, noise)
    precision = 1 / tau**2 + 1 / noise**2
    assert torch.allclose(sigma, precision**-0.5, rtol=1e-12)
    assert torch.allclose(z, (u / tau**2 + y / noise**2) / precision, rtol=1e-9)


def test_extremes_in_float32() -> None:
    """A state that says nothing leaves the observation; an exact state replaces it."""
    u, y, noise = torch.tensor([5.0]), torch.tensor([-1.0]), torch.tensor([0.25])
    z, sigma = combine(u, torch.tensor([torch.inf]), y, noise)
    assert (z, sigma) == (y, noise)
    z, sigma = combine(u, torch.tensor([1e-12]), y, noise)
    assert z == u
    assert 0 < float(sigma) < 2e-12


def test_two_measurements_give_the_posterior_of_both() -> None:
    """The denoiser at the combined state = conditioning on the two measurements one after the other."""
    prior = GaussianPrior.exponential(nugget=0.0)
    rng = np.random.default_rng(3)
    y, u = torch.from_numpy(rng.normal(size=(2, 6, 6))).float()
    noise, tau = torch.from_numpy(10 ** rng.uniform(-0.5, 0.5, (2, 6, 6))).float()
    z, sigma = combine(u, tau, y, noise)
    canvas = Canvas.from_planes([z], [sigma], seeds=[0])
    prior.denoise_(canvas, prior.plan(canvas, canvas.pixels()), "scene")
    unknown = torch.full((6, 6), torch.inf)
    cov = prior.posterior_covariance(unknown)
    both = torch.cat([torch.eye(36), torch.eye(36)]).double()
    inner = both @ cov @ both.T + torch.diag(torch.cat([noise.flatten(), tau.flatten()]).double() ** 2)
    want = cov @ both.T @ torch.linalg.solve(inner, torch.cat([y.flatten(), u.flatten()]).double())
    assert torch.allclose(canvas.plane("mean", 0).flatten().double(), want, atol=1e-5)


def test_taken_out_and_put_back() -> None:
    sigma = torch.tensor([[0.5, torch.inf, 0.0, 2.0]])
    canvas = Canvas.from_planes([torch.tensor([[1.0, 9.0, 3.0, 4.0]])], [sigma], seeds=[0])
    canvas.clock[:4] = torch.tensor([1.0, 1.0, 0.0, 0.0])
    observed = Observed(canvas)
    assert observed.levels[:4].tolist() == [torch.inf, torch.inf, 0.0, 2.0]
    assert canvas.fields[1, :4].tolist() == [torch.inf, torch.inf, 0.0, 2.0]
    canvas.fields[:2, 0] = torch.tensor([3.0, 0.5])
    before = canvas.fields.clone()
    observed.put_in_(canvas)
    assert canvas.fields[0, :4].tolist() == [2.0, 0.0, 3.0, 4.0]
    assert float(canvas.fields[1, 0]) == np.float32(0.5 / np.sqrt(2))
    observed.take_out_(canvas)
    assert torch.equal(canvas.fields, before)
