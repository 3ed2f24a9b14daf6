"""The Gaussian prior against linear algebra that is written differently, and against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gencosmo.errors import UsageError
from gencosmo.priors import gaussian, stationary
from gencosmo.priors.base import Denoiser, Density, Generator
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.windows import Canvas

RNG = np.random.default_rng(5)


def levels(height: int, width: int) -> torch.Tensor:
    """Exact pixels, pixels at levels over four decades, and a quarter of them unknown."""
    sigma = 10 ** RNG.uniform(-2, 2, (height, width))
    sigma[RNG.random((height, width)) < 0.1] = 0.0
    sigma[RNG.random((height, width)) < 0.25] = np.inf
    return torch.from_numpy(sigma).float()


def canvas_of(height: int, width: int, planes: int = 1) -> Canvas:
    sigma = levels(height, width)
    values = [torch.from_numpy(RNG.normal(2.0, 1.0, (height, width))).float() for _ in range(planes)]
    return Canvas.from_planes(values, [sigma] * planes, seeds=list(range(planes)))


def everything(canvas: Canvas) -> torch.Tensor:
    return canvas.pixels()


def denoise(prior: GaussianPrior, canvas: Canvas, world: str = "scene") -> None:
    prior.denoise_(canvas, prior.plan(canvas, everything(canvas)), world)  # type: ignore[arg-type]


def precision_form(prior: GaussianPrior, canvas: Canvas, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior from the precision matrix ``K^-1 + diag(1/sigma^2)``, an independent way to the same
    answer.
    """
    sigma = canvas.plane("sigma", p).double().numpy()
    matrix = stationary.dense(prior.covariance, *sigma.shape)
    weight = 1.0 / np.maximum(sigma.ravel(), 1e-5) ** 2
    cov = np.linalg.inv(np.linalg.inv(matrix) + np.diag(weight))
    data = canvas.plane("z", p).double().numpy().ravel() - prior.mean
    return prior.mean + cov @ (weight * data), np.diagonal(cov)


def test_is_what_it_claims_to_be() -> None:
    prior = GaussianPrior.exponential()
    assert isinstance(prior, Denoiser)
    assert isinstance(prior, Density)
    assert isinstance(prior, Generator)
    assert prior.correlation_length == pytest.approx(3.0, rel=0.05)


def test_posterior_agrees_with_the_precision_form() -> None:
    prior = GaussianPrior.exponential(variance=2.0, mean=2.0)
    canvas = canvas_of(9, 11, planes=3)
    denoise(prior, canvas)
    for p in range(3):
        mean, var = precision_form(prior, canvas, p)
        assert canvas.plane("mean", p).numpy().ravel() == pytest.approx(mean, rel=1e-5, abs=1e-5)
        assert canvas.plane("var", p).numpy().ravel() == pytest.approx(var, rel=1e-4, abs=1e-7)


def test_limits() -> None:
    """Exact pixels come back exactly; with everything unknown the prior comes back."""
    prior = GaussianPrior.exponential(variance=3.0, mean=-1.0)
    canvas = canvas_of(8, 8)
    canvas.fields[1].zero_()
    denoise(prior, canvas)
    assert canvas.mean.numpy() == pytest.approx(canvas.fields[0].numpy(), abs=1e-6)
    assert float(canvas.var.max()) < 1e-6
    canvas.fields[1].fill_(math.inf)
    denoise(prior, canvas)
    assert (canvas.mean == -1.0).all()
    assert canvas.var.numpy() == pytest.approx(3.0)


def test_frame_world_adds_the_noise() -> None:
    """A frame's unknown pixel scatters by the scene's variance plus the noise's."""
    prior = GaussianPrior.exponential(variance=2.0, white=0.5)
    canvas = canvas_of(6, 6)
    canvas.fields[1].fill_(math.inf)
    denoise(prior, canvas, "frame")
    assert canvas.plane("var", 0).numpy() == pytest.approx(2.5)
    denoise(prior, canvas, "scene")
    assert canvas.plane("var", 0).numpy() == pytest.approx(2.0)


def test_log_prob_is_the_multivariate_normal() -> None:
    prior = GaussianPrior.exponential(variance=2.0, mean=2.0)
    canvas = canvas_of(7, 6, planes=2)
    got = prior.log_prob(canvas, "scene")
    matrix = stationary.dense(prior.covariance, 7, 6)
    for p in range(2):
        sigma = canvas.plane("sigma", p).double().numpy().ravel()
        known = np.isfinite(sigma)
        cov = matrix[np.ix_(known, known)] + np.diag(sigma[known] ** 2)
        z = canvas.plane("z", p).double().numpy().ravel()[known]
        want = stats.multivariate_normal(np.full(known.sum(), 2.0), cov).logpdf(z)
        assert float(got[p]) == pytest.approx(want, rel=1e-7)


def test_log_prob_is_the_chain_of_one_pixel_predictions() -> None:
    """p(all) = product of p(pixel | pixels before it): ties the Density to the Denoiser."""
    prior = GaussianPrior.exponential(variance=1.5)
    canvas = canvas_of(4, 5)
    observed = canvas.fields.clone()
    total = 0.0
    canvas.fields[1].fill_(math.inf)
    for i in range(20):
        denoise(prior, canvas)
        if torch.isfinite(observed[1, i]):
            scale = math.sqrt(float(canvas.var[i]) + float(observed[1, i]) ** 2)
            total += stats.norm(float(canvas.mean[i]), scale).logpdf(float(observed[0, i]))
        canvas.fields[1, i] = observed[1, i]
    canvas.fields.copy_(observed)
    assert float(prior.log_prob(canvas, "scene")[0]) == pytest.approx(total, rel=1e-5)


def test_spectrum_and_exponential_agree() -> None:
    """The same field given as a covariance and as its power spectrum has the same posterior."""
    direct = stationary.exponential(1.0, 2.0)
    lag = np.minimum(np.arange(128), 128 - np.arange(128)).astype(float)
    table = direct(lag[:, None] + 0 * lag, 0 * lag[:, None] + lag)
    power = np.maximum(np.real(np.fft.fft2(table)), 0)
    freq = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    spectral = stationary.from_spectrum(
        lambda k: np.interp(k, np.sort(freq, None), power.ravel()[np.argsort(freq, None)]), size=128
    )
    a, b = canvas_of(8, 8), canvas_of(8, 8)
    b.fields.copy_(a.fields)
    denoise(GaussianPrior(direct), a)
    denoise(GaussianPrior(spectral), b)
    assert b.mean.numpy() == pytest.approx(a.mean.numpy(), abs=0.03)
    with pytest.raises(UsageError, match="power >= 0"):
        stationary.from_spectrum(lambda k: 0.1 - k)
    with pytest.raises(UsageError, match="lags beyond"):
        spectral(np.array([65.0]), np.array([0.0]))


def test_large_planes_agree_with_the_exact_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conjugate gradients give the exact mean; the local variance is above the exact one, by little."""
    prior = GaussianPrior.exponential(length=2.0)
    exact, large = canvas_of(30, 23), canvas_of(30, 23)
    large.fields.copy_(exact.fields)
    denoise(prior, exact)
    monkeypatch.setattr(gaussian, "DENSE_PIXELS", 100)
    unknown = torch.isinf(large.fields[1])
    prior.denoise_(large, prior.plan(large, unknown), "scene")
    assert large.mean.numpy() == pytest.approx(exact.mean.numpy(), abs=2e-4)
    ratio = large.var[unknown] / exact.var[unknown]
    assert float(ratio.min()) > 0.9999
    assert float(ratio.max()) < 1.05


def test_draws_have_the_covariance() -> None:
    prior = GaussianPrior.exponential(variance=4.0, length=2.0, mean=1.0)
    canvas = Canvas.from_planes([torch.zeros(24, 24)] * 300, [torch.zeros(24, 24)] * 300, seeds=list(range(300)))
    prior.generate_(canvas, "scene")
    draws = torch.stack([canvas.plane("z", p) for p in range(300)]) - 1.0
    assert abs(float(draws.mean())) < 0.1
    for row, col in ((0, 0), (0, 1), (2, 1)):
        got = float((draws[:, : 24 - row, : 24 - col] * draws[:, row:, col:]).mean())
        want = float(prior.covariance(np.array([float(row)]), np.array([float(col)]))[0])
        assert got == pytest.approx(want, abs=0.15)


def test_a_plane_does_not_depend_on_its_neighbours() -> None:
    """Alone, among others, in another order: the same bits."""
    prior = GaussianPrior.exponential()
    sigma = levels(12, 12)
    values = [torch.from_numpy(RNG.normal(size=(12, 12))).float() for _ in range(37)]
    together = Canvas.from_planes(values, [sigma] * 37, seeds=[0] * 37)
    denoise(prior, together)
    for p in (0, 9, 36):
        alone = Canvas.from_planes([values[p]], [sigma], seeds=[0])
        denoise(prior, alone)
        assert torch.equal(alone.plane("mean", 0), together.plane("mean", p))
    turned = Canvas.from_planes(values[::-1], [sigma] * 37, seeds=[0] * 37)
    denoise(prior, turned)
    assert all(torch.equal(turned.plane("mean", 36 - p), together.plane("mean", p)) for p in range(37))


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="positive variance"):
        GaussianPrior.exponential(variance=0.0)
    with pytest.raises(UsageError, match="white"):
        GaussianPrior.exponential(white=-1.0)
    with pytest.raises(UsageError, match="log_prob"):
        GaussianPrior.exponential().log_prob(canvas_of(60, 60), "scene")
