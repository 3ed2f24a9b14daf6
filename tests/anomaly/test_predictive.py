"""The predictive map against the prior whose answers are known: the laws of z, of levels, of the second look."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gencosmo.anomaly.passes import MAX_PASSES, SCALES, Scale, hidden_pixels
from gencosmo.anomaly.predictive import predictive
from gencosmo.errors import UsageError
from gencosmo.priors import load_prior
from gencosmo.priors.base import World
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.windows import Canvas

SIDE = 24


@pytest.fixture(scope="module")
def prior() -> GaussianPrior:
    return GaussianPrior.exponential(variance=4.0, length=2.0, nugget=0.05, white=1.0)


def observed(prior: GaussianPrior, planes: int, level: float, side: int = SIDE) -> Canvas:
    empty = [torch.zeros(side, side)] * planes
    canvas = Canvas.from_planes(empty, empty, seeds=list(range(planes)))
    prior.generate_(canvas, "frame")
    drawn = [canvas.plane("z", p).clone() for p in range(planes)]
    return Canvas.from_planes(drawn, [torch.full((side, side), level)] * planes, seeds=list(range(planes)))


@pytest.mark.parametrize(("world", "level"), [("frame", 0.0), ("scene", 1.0)])
def test_deviations_of_clean_samples_are_standard_normal(prior: GaussianPrior, world: World, level: float) -> None:
    """Mean, width and tails; the bounds are five standard errors of this many images with few independent pixels."""
    planes = 160
    scales = SCALES if world == "frame" else SCALES[:-1]
    found = predictive(prior, observed(prior, planes, level), world=world, scales=scales, second_look=False)
    for k, scale in enumerate(found.scales):
        z = found.z[k][found.scored].double().view(planes, -1).numpy()
        assert abs(z.mean()) < 5 * z.mean(1).std() / math.sqrt(planes), scale
        assert abs((z**2).mean() - 1) < 5 * (z**2).mean(1).std() / math.sqrt(planes), scale
        for limit in (2.0, 3.0):
            share = (np.abs(z) > limit).mean(1)
            assert abs(share.mean() - 2 * stats.norm.sf(limit)) < 5 * share.std() / math.sqrt(planes), (scale, limit)
        assert stats.kstest(z[:, ::97].ravel()[:600], "norm").pvalue > 1e-3, scale


def test_log_densities_are_those_of_the_prediction(prior: GaussianPrior) -> None:
    found = predictive(prior, observed(prior, 2, 0.0), scales=[Scale(1, math.inf)], second_look=False)
    z, var = found.z[0].double(), found.var[0].double()
    expected = -0.5 * (z * z + (2 * math.pi * var).log())
    assert torch.allclose(found.log_prob[0].double(), expected, atol=1e-4)


def test_student_t_has_heavier_tails(prior: GaussianPrior) -> None:
    canvas = observed(prior, 1, 0.0)
    canvas.plane("z", 0)[12, 12] += 40
    one, other = (
        predictive(prior, canvas, scales=[Scale(1, math.inf)], family=family, parameter=3.0, second_look=False)
        for family in ("gaussian", "student_t")
    )
    at = 12 * SIDE + 12
    assert one.log_prob[0, at] < other.log_prob[0, at] - 50


def test_every_pixel_is_hidden_once_and_blocks_lie_on_the_sky() -> None:
    plane = [torch.zeros(13, 21)]
    whole = Canvas.from_planes(plane, plane, seeds=[0])
    for block in (1, 3, 4):
        both = [hidden_pixels(whole, block, phase) & whole.pixels() for phase in (0, 1)]
        assert torch.equal(both[0] ^ both[1], whole.pixels())
    cut = Canvas.from_planes([torch.zeros(5, 6)], [torch.zeros(5, 6)], seeds=[0], origins=[(4, 7)])
    seen = whole.view(hidden_pixels(whole, 3, 0), 0)[4:9, 7:13]
    assert torch.equal(cut.view(hidden_pixels(cut, 3, 0), 0), seen)


def test_masked_pixels_are_neither_scored_nor_seen(prior: GaussianPrior) -> None:
    canvas = observed(prior, 1, 0.0)
    level = torch.zeros(SIDE, SIDE)
    level[5:9, 5:9] = math.inf
    value = canvas.plane("z", 0).clone()
    answers = []
    for wrong in (0.0, 1e6):
        value[5:9, 5:9] = wrong
        found = predictive(prior, Canvas.from_planes([value], [level], seeds=[0]))
        answers.append(found.z)
        assert (found.z[:, ~found.scored] == 0).all()
        assert not found.scored.view(SIDE, SIDE)[5:9, 5:9].any()
    assert torch.equal(answers[0], answers[1])


def test_the_second_look_clears_the_neighbours(prior: GaussianPrior) -> None:
    """A hit of three pixels: looked at once it hides itself in part and accuses its neighbours."""
    canvas = observed(prior, 1, 0.0)
    hit = [(12, 11), (12, 12), (13, 13)]
    for row, col in hit:
        canvas.plane("z", 0)[row, col] += 30
    clean = predictive(prior, observed(prior, 1, 0.0), scales=[Scale(1, math.inf)], second_look=False)
    once, twice = (
        predictive(prior, canvas, scales=[Scale(1, math.inf)], second_look=second) for second in (False, True)
    )
    assert (once.passes, twice.passes) == (2, 4)
    places = torch.tensor([row * SIDE + col for row, col in hit])
    assert twice.z[0, places].abs().min() > 10
    others = torch.ones(SIDE * SIDE, dtype=torch.bool)
    others[places] = False
    harm = [(found.z[0, others] - clean.z[0, others]).abs().max() for found in (once, twice)]
    assert harm[0] > 4 and harm[1] < 0.5 * harm[0]


def test_the_canvas_comes_back_as_it_was(prior: GaussianPrior) -> None:
    canvas = observed(prior, 2, 1.0)
    before = canvas.fields[:2].clone()
    predictive(prior, canvas, world="scene", scales=SCALES[:-1])
    assert torch.equal(canvas.fields[:2], before)


def test_same_seed_same_map_whatever_else_is_there(prior: GaussianPrior) -> None:
    many, one = observed(prior, 3, 0.0), observed(prior, 1, 0.0)
    assert torch.equal(many.view(predictive(prior, many).z, 0), one.view(predictive(prior, one).z, 0))


def test_default_scales_stay_within_the_passes() -> None:
    prior = load_prior("sky", "cpu")
    noise = torch.randn(40, 40, generator=torch.Generator().manual_seed(0))
    noise[20, 20] = 50
    found = predictive(prior, Canvas.from_planes([noise], [torch.zeros(40, 40)], seeds=[0]))
    assert found.passes <= MAX_PASSES
    assert found.z[0].argmax() == 20 * 40 + 20


@pytest.mark.parametrize(
    "scales",
    [[], [Scale(1, math.inf)] * 2, [Scale(b, math.inf) for b in range(1, 7)]],
)
def test_impossible_lists_of_scales(prior: GaussianPrior, scales: list[Scale]) -> None:
    with pytest.raises(UsageError, match="scales"):
        predictive(prior, observed(prior, 1, 0.0), scales=scales)


def test_impossible_scales() -> None:
    with pytest.raises(UsageError, match="block 0"):
        Scale(0, math.inf)
    with pytest.raises(UsageError, match="block is -1"):
        Scale(-1, math.inf)


def test_a_level_below_the_noise_says_nothing_of_the_scene(prior: GaussianPrior) -> None:
    with pytest.raises(UsageError, match="above 1"):
        predictive(prior, observed(prior, 1, 1.0), world="scene", scales=[Scale(0, 1.0)])
