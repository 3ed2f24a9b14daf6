"""Known-answer cases: fields whose posterior is known exactly, and how far samples are from it.

``build(name)`` gives truths, observations (a canvas) and the exact posterior; ``evaluate(case, ...)`` draws
samples with the case's own exact denoiser, or with any other one that was trained on the same field, and
compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.priors.base import Denoiser
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling import predict, sample
from gencosmo.sampling.clocks import set_clocks_
from gencosmo.sampling.steps import Method
from gencosmo.schedules import start_factor
from gencosmo.windows import Canvas
from tests.sampling.mixture import MixturePrior

Array = NDArray[np.float64]

SIDE = 16
NAMES = ("inpaint", "decades", "levels", "noisy", "mixture")
MODES = 6
PROBABILITY = 0.3


@dataclass(frozen=True, eq=False)
class Case:
    """One problem for many truths.

    Attributes
    ----------
    denoiser : Denoiser
        The exact one.
    canvas : Canvas
        One plane per truth, all with the same levels.
    truths, mean : ndarray (T, n)
        The images, and the exact posterior means of the pixels.
    std : ndarray (T, n)
        Exact posterior standard deviations.
    modes, spread : ndarray (n, MODES), (MODES,)
        Widest eigenmodes of the posterior covariance (of the field without the source) and their variances.
    probability : ndarray (T,) or None
        Exact posterior probability of the source.
    """

    name: str
    denoiser: Denoiser
    canvas: Canvas
    truths: Array
    mean: Array
    std: Array
    modes: Array
    spread: Array
    probability: Array | None


@dataclass(frozen=True)
class Scores:
    """Distance of samples from the exact posterior.

    Attributes
    ----------
    coverage68, coverage95 : float
        Share (per cent) of true pixel values within 1 and 1.96 sample standard deviations of the sample mean.
    std_ratio : float
        Mean sample standard deviation over mean exact one.
    mean_error : float
        rms of (sample mean - exact mean) over rms exact standard deviation; 1/sqrt(samples) for perfect
        samples.
    modes : tuple of float
        Variance of the samples along the widest modes over the exact one, narrowest first; empty for
        mixtures.
    probability_error : float or None
        Mean over truths of the source's share among the samples minus its exact probability.
    evaluations : int
        Network evaluations per sample.
    """

    coverage68: float
    coverage95: float
    std_ratio: float
    mean_error: float
    modes: tuple[float, ...]
    probability_error: float | None
    evaluations: int


def levels(name: str) -> Array:
    """Levels (16, 16): a 7x7 hole, a dead column, 10 % of the pixels missing; what noise the others have is
    the case's.
    """
    rng = np.random.default_rng(1)
    known = np.ones((SIDE, SIDE), bool)
    known[4:11, 5:12] = False
    known[:, 2] = False
    known[rng.random((SIDE, SIDE)) < 0.1] = False
    uniform = rng.random((SIDE, SIDE))
    noise = {
        "inpaint": np.full_like(uniform, 0.3),
        "mixture": np.full_like(uniform, 0.3),
        "decades": 10 ** (uniform - 1.25),  # variance over two decades
        "noisy": np.full_like(uniform, 3.0),
        "levels": 10 ** (uniform * np.log10(300) - 1),  # 0.1 to 30
    }[name]
    return noise if name == "noisy" else np.where(known, noise, np.inf)


def source() -> Array:
    """A source of peak 4 and width 2 in the middle of the hole (16, 16)."""
    row, col = np.mgrid[:SIDE, :SIDE]
    values: Array = 4.0 * np.exp(-((row - 7) ** 2 + (col - 8) ** 2) / 8.0)
    return values


def build(name: str, *, truths: int = 64, seed: int = 3) -> Case:
    """Truths, canvas and exact posterior of a case; `name` is one of `NAMES`."""
    field = GaussianPrior.exponential()
    sigma = levels(name)
    rng = np.random.default_rng(seed)
    images = draw_fields(field, truths, rng)
    if name == "mixture":
        images += (rng.random(truths) < PROBABILITY)[:, None] * source().ravel()
    known = np.isfinite(sigma).ravel()
    noise = np.where(known, sigma.ravel(), 0.0) * rng.normal(size=images.shape)
    observed = np.where(known, images + noise, 0.0)
    planes = [torch.from_numpy(plane).float() for plane in observed.reshape(-1, SIDE, SIDE)]
    level = torch.from_numpy(sigma).float()
    canvas = Canvas.from_planes(planes, [level] * truths, seeds=[1000 * seed + t for t in range(truths)])
    cov = field.posterior_covariance(level).numpy()
    spread, modes = np.linalg.eigh(cov)
    exact = np.stack([canvas.plane("z", t).double().numpy().ravel() for t in range(truths)])
    denoiser: Denoiser = field
    probability = None
    if name == "mixture":
        denoiser = MixturePrior(field, source(), PROBABILITY)
        plain, var, shift, chance = denoiser.solve(exact, level.double().numpy().ravel())
        mean, std = plain + chance * shift, np.sqrt(var + chance * (1 - chance) * shift**2)
        probability = chance[:, 0]
    else:
        solved = field.solve(level)
        mean = exact[:, solved.known] @ solved.gain
        std = np.broadcast_to(np.sqrt(solved.var), mean.shape)
    return Case(name, denoiser, canvas, images, mean, std, modes[:, -MODES:], spread[-MODES:], probability)


def draw_fields(field: GaussianPrior, count: int, rng: np.random.Generator) -> Array:
    """Exact draws (count, n) of the field."""
    unknown = torch.full((SIDE, SIDE), torch.inf)
    lower = np.linalg.cholesky(field.posterior_covariance(unknown).numpy())
    draws: Array = rng.normal(size=(count, SIDE * SIDE)) @ lower.T
    return draws


def evaluate(
    case: Case,
    denoiser: Denoiser | None = None,
    *,
    evaluations: int,
    samples: int = 64,
    method: Method = "flow",
) -> Scores:
    """Draw samples for every truth of a case and compare them with the exact posterior.

    Parameters
    ----------
    case : Case
    denoiser : Denoiser, optional
        The case's exact one when left out.
    evaluations, samples, method
        As in `gencosmo.sampling.sample`.
    """
    used = denoiser or case.denoiser
    result = sample(
        used,
        case.canvas,
        samples=samples,
        world="scene",
        evaluations=evaluations,
        method=method,
        clock=common_clock(case, used, evaluations),
    )
    assert result.samples is not None
    planes = [case.canvas.view(result.samples, t).flatten(1) for t in range(len(case.truths))]
    drawn = torch.stack(planes).double().numpy()
    mean, std = drawn.mean(1), drawn.std(1, ddof=1)
    wide = case.std > 1e-2
    pull = (np.abs(case.truths - mean) / np.maximum(std, 1e-12))[wide]
    along = (drawn - case.mean[:, None]) @ case.modes
    error = None
    if isinstance(case.denoiser, MixturePrior) and case.probability is not None:
        error = float(np.mean(shares(case.denoiser, drawn) - case.probability))
    return Scores(
        coverage68=100 * float((pull < 1).mean()),
        coverage95=100 * float((pull < 1.96).mean()),
        std_ratio=float(std[wide].mean() / case.std[wide].mean()),
        mean_error=float(np.sqrt(((mean - case.mean)[wide] ** 2).mean() / (case.std[wide] ** 2).mean())),
        modes=tuple((along**2).mean((0, 1)) / case.spread) if error is None else (),
        probability_error=error,
        evaluations=result.evaluations,
    )


def common_clock(case: Case, denoiser: Denoiser, evaluations: int) -> Tensor:
    """The rule's start levels, the highest of all truths on every pixel.

    With the same levels everywhere an exact denoiser solves once per step, and all truths are equally hard.
    """
    predict(denoiser, case.canvas, world="scene")
    set_clocks_(case.canvas, case.canvas.sigma_obs > 0, denoiser, start_factor(evaluations))
    planes = [case.canvas.plane("clock", t) for t in range(len(case.truths))]
    highest = torch.stack(planes).amax(0)
    for plane in planes:
        plane.copy_(highest)
    return case.canvas.clock.clone()


def shares(prior: MixturePrior, drawn: Array) -> Array:
    """Share of the source among the samples (T, S, n) of each truth: mean probability given the whole
    sample.
    """
    flat = drawn.reshape(-1, drawn.shape[-1])
    chance = prior.solve(flat, np.full(flat.shape[1], 0.05))[3]
    values: Array = chance.reshape(drawn.shape[:2]).mean(1)
    return values
