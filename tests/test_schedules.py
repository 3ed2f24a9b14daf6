"""Levels and extrapolation weights of the sampler."""

from __future__ import annotations

import itertools
import math

import pytest

from gencosmo.errors import UsageError
from gencosmo.schedules import extrapolations, levels, start_factor


@pytest.mark.parametrize("evaluations", [2, 3, 9, 17, 32, 200])
def test_levels_fall_from_one_to_zero(evaluations: int) -> None:
    taus = levels(evaluations)
    assert len(taus) == evaluations
    assert taus[0] == 1
    assert taus[-1] == 0
    assert all(a > b for a, b in itertools.pairwise(taus))


def test_last_level_does_not_depend_on_the_start() -> None:
    """A higher start reaches further down in relative terms, so that the last absolute level stays."""
    last = [levels(n)[-2] * math.sqrt(start_factor(n)) for n in (4, 9, 17, 32, 64)]
    assert max(last) == pytest.approx(min(last), rel=1e-9)


def test_levels_refuse_fewer_than_two() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        levels(1)


def test_extrapolation_is_exact_for_a_mean_linear_in_log_level() -> None:
    """With D = a + b log(tau) the second-order weight gives the exact integral up to third order."""
    errors = []
    for n in (9, 17, 33):
        taus = [math.exp(-4 * k / (n - 1)) for k in range(n)]
        z, previous = 1.0, None
        for k, weight in enumerate(extrapolations(taus)):
            if k == 0:
                continue
            mean = math.log(taus[k - 1])
            guess = mean + (weight * (mean - previous) if previous is not None else 0.0)
            z, previous = z * taus[k] / taus[k - 1] + (1 - taus[k] / taus[k - 1]) * guess, mean
        # dz/dtau = (z - log tau)/tau has the solution z = 1 + log tau (through z(1) = 1)
        errors.append(abs(z - (1 + math.log(taus[-1]))))
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


def test_extrapolation_starts_and_ends_at_first_order() -> None:
    weights = extrapolations(levels(9))
    assert weights[0] == weights[1] == weights[-1] == 0
    assert all(weight > 0 for weight in weights[2:-1])
