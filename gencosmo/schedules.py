"""Noise levels of the sampler: how far each step goes, and how much it may extrapolate.

A schedule is relative: ``tau`` runs from 1 at the start to 0 at the end, and every pixel multiplies it with
its own clock. Everything here is plain numbers, so that it can be read, printed and tested without a network.
"""

from __future__ import annotations

import math

from gencosmo.errors import UsageError

__all__ = ["extrapolations", "levels", "start_factor"]

RHO = 7.0
"""Exponent of the spacing: 1 is linear, large is geometric (Karras et al. 2022, eq. 5)."""
SPAN = 50.0
"""First level over last level, at `START_FACTOR`."""
START_FACTOR = 10.0
"""Smallest ratio of the squared start level to the variance of the widest mode."""
START_FACTOR_MAX = 40.0
"""Where raising the start level stops paying."""


def start_factor(evaluations: int) -> float:
    """Squared start level over the variance of the widest mode, for so many network evaluations.

    A start at level t forgets about ``lambda / (lambda + t^2)`` of the variance of a mode, so that 10 costs 9
    % and 40 costs 2 %; but a higher start needs more steps on the way down. Measured by propagating the exact
    covariance of a Gaussian field (docs/decisions/0001): 10 is best at 9 evaluations, 20 at 17, 40 at 32.
    """
    return min(START_FACTOR_MAX, max(START_FACTOR, 1.25 * evaluations))


def levels(evaluations: int, *, rho: float = RHO) -> list[float]:
    """Relative levels ``1 = tau_0 > tau_1 > ... > tau_n = 0`` for a number of network evaluations.

    The first evaluation is at the observation's own levels and starts at ``tau_0``; each further one stands
    at one of the levels above 0, so that there are ``evaluations`` levels in all. The last level above 0 does
    not depend on how high the start is.

    Parameters
    ----------
    evaluations : int
        At least 2.
    rho : float
        Exponent of the spacing.

    Raises
    ------
    UsageError
        With fewer than two evaluations.
    """
    if evaluations < 2:
        raise UsageError(
            f"evaluations is {evaluations}; samples need at least 2 (use samples=0 for the mean of one pass)"
        )
    steps = evaluations - 1
    last = (math.sqrt(START_FACTOR / start_factor(evaluations)) / SPAN) ** (1 / rho)
    if steps == 1:
        return [1.0, 0.0]
    return [(1 + k / (steps - 1) * (last - 1)) ** rho for k in range(steps)] + [0.0]


def extrapolations(taus: list[float]) -> list[float]:
    """Weight of ``D - D_previous`` for the step that ends at each level of ``taus`` (0 for the first two and
    the last).

    Second-order multistep in ``log tau``: half the step over the step before (Lu et al. 2022,
    DPM-Solver++(2M)).
    """
    weights = [0.0] * len(taus)
    for k in range(2, len(taus)):
        if taus[k] > 0:
            weights[k] = 0.5 * math.log(taus[k - 1] / taus[k]) / math.log(taus[k - 2] / taus[k - 1])
    return weights
