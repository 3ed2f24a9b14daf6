"""Log-probabilities against the closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gencosmo.anomaly.likelihood import TRACES, Trace, chain_log_prob, ode_log_prob
from gencosmo.errors import UsageError
from gencosmo.priors.base import World
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.tasks.likelihood import log_prob, pseudo_log_prob
from gencosmo.windows import Canvas

SIDE, PLANES, HOLE = 6, 2, 6
NATS = 1e-3
"""Bound per pixel of the issue."""


@pytest.fixture(scope="module")
def prior() -> GaussianPrior:
    return GaussianPrior.exponential(variance=4.0, length=2.0, nugget=0.05, white=1.0)


def observed(prior: GaussianPrior, level: float, side: int = SIDE) -> Canvas:
    """Draws of the prior at one level, with a hole."""
    empty = [torch.zeros(side, side)] * PLANES
    canvas = Canvas.from_planes(empty, empty, seeds=[3, 4])
    prior.generate_(canvas, "frame")
    levels = torch.full((side, side), level)
    levels[2:4, 3:6] = math.inf
    drawn = [canvas.plane("z", p).clone() for p in range(PLANES)]
    return Canvas.from_planes(drawn, [levels] * PLANES, seeds=[3, 4])


@pytest.mark.parametrize(("world", "level"), [("frame", 0.0), ("scene", 1.0)])
def test_the_chain_is_exact(prior: GaussianPrior, world: World, level: float) -> None:
    canvas = observed(prior, level)
    found, truth = chain_log_prob(prior, canvas, world=world), prior.log_prob(canvas, world)
    assert (found - truth).abs().max() / (SIDE * SIDE - HOLE) < 1e-5


@pytest.mark.parametrize(("world", "level"), [("frame", 0.0), ("scene", 1.0)])
@pytest.mark.parametrize("trace", ["exact", "variance"])
def test_the_flow_is_exact(prior: GaussianPrior, world: World, level: float, trace: Trace) -> None:
    canvas = observed(prior, level)
    before = canvas.fields[:2].clone()
    truth = prior.log_prob(canvas, world)
    found = ode_log_prob(prior, canvas, world=world, trace=trace, steps=32)
    assert (found - truth).abs().max() / (SIDE * SIDE - HOLE) < NATS
    assert torch.equal(canvas.fields[:2], before)


def test_random_signs_give_the_trace_on_average(prior: GaussianPrior) -> None:
    canvas = observed(prior, 0.0, side=8)
    known = ode_log_prob(prior, canvas, trace="variance", steps=12)
    few, many = ((ode_log_prob(prior, canvas, trace="hutchinson", probes=n, steps=12) - known) for n in (1, 12))
    assert many.abs().max() / (64 - HOLE) < 0.03
    assert many.square().mean() < few.square().mean()


def test_blocks_are_not_a_log_probability(prior: GaussianPrior) -> None:
    canvas = observed(prior, 0.0)
    truth = prior.log_prob(canvas, "frame")
    off = [float((chain_log_prob(prior, canvas, block=b) - truth).abs().mean()) for b in (1, 2, 4)]
    assert off[0] < 1e-3 and off[1] > 0.5 and off[2] > off[1]


def test_exact_traces_and_long_chains_are_for_small_images(prior: GaussianPrior) -> None:
    image = np.zeros((40, 40), np.float32)
    with pytest.raises(UsageError, match="1024"):
        log_prob(image, prior=prior, trace="exact")
    with pytest.raises(UsageError, match="passes"):
        log_prob(np.zeros((80, 80), np.float32), prior=prior, method="chain")
    with pytest.raises(UsageError, match="log_prob"):
        pseudo_log_prob(image, prior=prior, block=1)
    assert "hutchinson" in TRACES


def test_the_task_speaks_the_units_of_the_image(prior: GaussianPrior) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(10, 10)).astype(np.float32)
    one = log_prob(image, prior="sky", method="ode", trace="variance", steps=3)
    other = log_prob(1000 * image, prior="sky", method="ode", trace="variance", steps=3)
    assert other - one == pytest.approx(-100 * math.log(1000), abs=0.5)
    canvas = observed(prior, 0.0, side=8)
    plane, level = canvas.plane("z", 0).numpy(), canvas.plane("sigma", 0).numpy()
    task = log_prob(plane, np.isinf(level), prior=prior, method="chain")
    assert task == pytest.approx(float(prior.log_prob(canvas, "frame")[0]), abs=1e-2)
