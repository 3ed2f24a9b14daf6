"""Samples against posteriors that are known exactly: 64 truths x 64 samples, fixed seeds.

With 64 x 64 samples a variance ratio of one mode scatters by 0.02 and a perfect sampler's mean error is
0.125. The bounds are the house's promise (DESIGN section 3), not what happens to come out.
"""

from __future__ import annotations

import functools

import pytest

from tests.sampling.cases import Case, Scores, build, evaluate

FIELDS = ("inpaint", "decades", "levels")


@functools.cache
def case_of(name: str) -> Case:
    return build(name)


@functools.cache
def scores_of(name: str, evaluations: int, method: str = "flow") -> Scores:
    return evaluate(case_of(name), evaluations=evaluations, method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize("evaluations", [9, 32])
@pytest.mark.parametrize("name", FIELDS)
def test_marginals(name: str, evaluations: int) -> None:
    scores = scores_of(name, evaluations)
    assert scores.evaluations == evaluations
    assert 65 <= scores.coverage68 <= 70
    assert 93 <= scores.coverage95 <= 96
    assert 0.95 <= scores.std_ratio <= 1.05
    assert scores.mean_error <= 0.14


@pytest.mark.parametrize("name", FIELDS)
def test_widest_modes(name: str) -> None:
    """Joint, not only marginal: every one of the six widest modes keeps its variance."""
    assert all(0.95 <= ratio <= 1.08 for ratio in scores_of(name, 32).modes)


@pytest.mark.parametrize("name", [*FIELDS, "noisy"])
def test_few_evaluations_keep_the_widest_modes(name: str) -> None:
    """Also where nothing but noisy pixels is known, 9 evaluations are enough."""
    assert all(0.9 <= ratio <= 1.12 for ratio in scores_of(name, 9).modes)
    assert 0.95 <= scores_of(name, 9).std_ratio <= 1.05


def test_stochastic_steps_have_the_marginals_only() -> None:
    """Why the flow is the default: the marginals are right, the widest modes are too narrow."""
    stochastic = scores_of("inpaint", 9, "stochastic")
    assert 65 <= stochastic.coverage68 <= 70
    assert 93 <= stochastic.coverage95 <= 96
    assert stochastic.mean_error <= 0.14
    assert max(stochastic.modes) < 0.95


@pytest.mark.parametrize("evaluations", [9, 32])
def test_choice_between_two_explanations(evaluations: int) -> None:
    """The source appears in as many samples as it should."""
    scores = scores_of("mixture", evaluations)
    assert scores.probability_error is not None
    assert abs(scores.probability_error) < 0.03
    assert 0.95 <= scores.std_ratio <= 1.05
    assert scores.mean_error <= 0.2


def test_the_measures_see_a_wrong_posterior() -> None:
    """A denoiser with half the variance, or a bias of half a standard deviation, must fail these tests."""

    class Narrow:
        def __init__(self, bias: float, shrink: float) -> None:
            self.exact, self.bias, self.shrink = case_of("inpaint").denoiser, bias, shrink
            self.correlation_length, self.sigma_max = self.exact.correlation_length, self.exact.sigma_max
            self.plan = self.exact.plan

        def denoise_(self, canvas, plan, world):  # type: ignore[no-untyped-def]
            self.exact.denoise_(canvas, plan, world)
            canvas.mean.add_(self.bias * canvas.var.sqrt())
            canvas.var.mul_(self.shrink)

    narrow = evaluate(case_of("inpaint"), Narrow(0.0, 0.25), evaluations=5, samples=32, method="stochastic")
    assert narrow.std_ratio < 0.95
    biased = evaluate(case_of("inpaint"), Narrow(0.3, 1.0), evaluations=5, samples=32)
    assert biased.mean_error > 0.3
