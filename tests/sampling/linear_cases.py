"""A field seen through a PSF and 2x2 binning: truths, measurements and the exact posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gencosmo.operators import Binning, Composed, LinearOperator, Psf
from gencosmo.operators.profiles import gaussian_psf
from gencosmo.priors.base import Denoiser
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling.linear import Mode, sample_linear
from gencosmo.sampling.solve import Measurement
from gencosmo.windows import Canvas

Array = NDArray[np.float64]

SIDE = 16
FWHM = 1.2 * 2.3548
MODES = 6
SOLVES = {"fast": 8, "quality": 4}
"""Iterations of conjugate gradients; fewer than the default, for planes of 64 measured pixels."""


@dataclass(frozen=True, eq=False)
class Case:
    """One measurement of many truths; ``gain`` and ``cov`` make the exact posterior of any values."""

    field: GaussianPrior
    canvas: Canvas
    measured: Measurement
    truths: Array
    gain: Array
    cov: Array

    @property
    def mean(self) -> Array:
        """Exact posterior means (T, n)."""
        values: Array = self.measured.values.double().numpy().reshape(len(self.truths), -1) @ self.gain.T
        return values


@dataclass(frozen=True)
class Scores:
    """Distance of samples from the exact posterior, as in `tests/sampling/cases.py`."""

    coverage68: float
    coverage95: float
    std_ratio: float
    mean_error: float  # without the part that the number of samples alone makes
    modes: tuple[float, ...]
    evaluations: int
    share_error: float


def matrix(operator: LinearOperator) -> Array:
    """The operator as a matrix, column by column."""
    count = operator.shape_in[0] * operator.shape_in[1]
    columns = operator.forward(torch.eye(count).view(count, *operator.shape_in))
    values: Array = columns.reshape(count, -1).T.double().numpy()
    return values


def blank(count: int, side: int = SIDE, seed: int = 3) -> Canvas:
    """Planes of which nothing is known."""
    unknown = [torch.full((side, side), torch.inf)] * count
    return Canvas.from_planes([torch.zeros(side, side)] * count, unknown, seeds=[1000 * seed + t for t in range(count)])


def operator(scale: int = 2) -> LinearOperator:
    """PSF of 1.2 pixels (standard deviation), and binning."""
    psf = Psf(torch.from_numpy(gaussian_psf(FWHM, size=9)), (SIDE, SIDE))
    return Composed(psf, Binning((SIDE // scale, SIDE // scale), (scale, scale), mean=True))


def build(noise: float = 0.05, *, truths: int = 64, masked: bool = False, seed: int = 3) -> Case:
    """Truths, measurements and exact posterior; with `masked`, a 3x3 hole and a dead column."""
    field, a = GaussianPrior.exponential(), operator()
    dense, rng = matrix(a), np.random.default_rng(seed)
    prior = field.posterior_covariance(torch.full((SIDE, SIDE), torch.inf)).numpy()
    images = rng.normal(size=(truths, SIDE * SIDE)) @ np.linalg.cholesky(prior).T
    seen = images @ dense.T + noise * rng.normal(size=(truths, dense.shape[0]))
    good = np.ones(a.shape_out, bool)
    if masked:
        good[2:5, 3:6], good[:, 1] = False, False
    kept = dense[good.ravel()]
    inner = np.linalg.inv(kept @ prior @ kept.T + noise**2 * np.eye(len(kept)))
    gain = np.zeros((SIDE * SIDE, dense.shape[0]))
    gain[:, good.ravel()] = prior @ kept.T @ inner
    cov = prior - gain[:, good.ravel()] @ kept @ prior
    values = torch.from_numpy(np.where(good.ravel(), seen, 0.0)).float().view(truths, *a.shape_out)
    ivar = torch.from_numpy(good / noise**2).float().expand(truths, -1, -1).contiguous()
    return Case(field, blank(truths, seed=seed), Measurement(a, values, ivar), images, gain, cov)


def evaluate(
    case: Case, *, evaluations: int, samples: int = 64, mode: Mode = "fast", denoiser: Denoiser | None = None
) -> Scores:
    """Draw samples for every truth and compare them with the exact posterior."""
    found = sample_linear(
        denoiser or case.field,
        case.canvas,
        case.measured,
        samples=samples,
        evaluations=evaluations,
        mode=mode,
        iterations=SOLVES[mode],
    )
    assert found.samples is not None
    count = len(case.truths)
    drawn = torch.stack([case.canvas.view(found.samples, t).flatten(1) for t in range(count)]).double().numpy()
    mean, std, exact = drawn.mean(1), drawn.std(1, ddof=1), np.sqrt(np.diagonal(case.cov))
    pull = np.abs(case.truths - mean) / (std * np.sqrt(1 + 1 / samples))
    spread, vectors = np.linalg.eigh(case.cov)
    along = (drawn - case.mean[:, None]) @ vectors[:, -MODES:]
    share = np.stack([case.canvas.view(found.prior_share, t).numpy().ravel() for t in range(count)])
    return Scores(
        100 * float((pull < 1).mean()),
        100 * float((pull < 1.96).mean()),
        float(std.mean() / exact.mean()),
        float(np.sqrt(max(((mean - case.mean) ** 2).mean() / (exact**2).mean() - 1 / samples, 0))),
        tuple(float(v) for v in along.var(1, ddof=1).mean(0) / spread[-MODES:]),
        found.evaluations,
        float(np.abs(share.mean(0) - exact**2).max()),
    )


def scaled(case: Case, factor: float) -> Case:
    """The same case with all fluxes times a factor."""
    measured = Measurement(case.measured.operator, case.measured.values * factor, case.measured.ivar / factor**2)
    return replace(case, field=GaussianPrior.exponential(variance=factor**2), measured=measured)
