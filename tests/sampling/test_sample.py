"""The loop and the posterior: what is left alone, what is counted, and which bits may not change."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from gencosmo.errors import Cancelled, UsageError
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling import predict, sample
from gencosmo.windows import Canvas

PRIOR = GaussianPrior.exponential()
SHAPES = [(12, 12), (9, 14), (12, 12), (1, 5)]
ORIGINS = [(0, 0), (-3, 1001), (64, 2), (7, 7)]


def image(p: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(p)
    shape = SHAPES[p]
    sigma = 10 ** rng.uniform(-1, 0.5, shape)
    sigma[rng.random(shape) < 0.3] = np.inf
    sigma[rng.random(shape) < 0.2] = 0.0
    return torch.from_numpy(rng.normal(size=shape)).float(), torch.from_numpy(sigma).float()


def canvas_of(*planes: int) -> Canvas:
    values, sigma = zip(*(image(p) for p in planes), strict=True)
    return Canvas.from_planes(
        values, sigma, seeds=[77 + p for p in planes], origins=[ORIGINS[p] for p in planes], keys=list(planes)
    )


def draw(canvas: Canvas, **options: object) -> torch.Tensor:
    settings: dict[str, object] = {"samples": 5, "evaluations": 6, "world": "scene"} | options
    result = sample(PRIOR, canvas, **settings)  # type: ignore[arg-type]
    assert result.samples is not None
    return result.samples


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_do_not_change_a_bit(chunk: int) -> None:
    canvas = canvas_of(0, 1)
    assert torch.equal(draw(canvas, chunk=chunk), draw(canvas))


def test_threads_do_not_change_a_bit() -> None:
    canvas, threads = canvas_of(0, 1, 2), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = draw(canvas)
        torch.set_num_threads(4)
        four = draw(canvas)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, four)


def test_other_images_and_their_order_do_not_change_a_bit() -> None:
    order = [2, 0, 3, 1]
    together = canvas_of(*order)
    drawn = draw(together)
    for place, p in enumerate(order):
        alone = canvas_of(p)
        assert torch.equal(together.view(drawn, place), alone.view(draw(alone), 0))


def test_more_samples_begin_with_the_same_ones() -> None:
    canvas = canvas_of(0)
    assert torch.equal(draw(canvas, samples=7)[:5], draw(canvas))


def test_seeds_planes_and_samples_differ() -> None:
    values, sigma = image(0)
    unknown = torch.full_like(sigma, torch.inf)
    canvas = Canvas.from_planes([values] * 3, [unknown] * 3, seeds=[1, 2, 1], keys=[0, 0, 1])
    drawn = draw(canvas)
    flat = torch.cat([canvas.view(drawn, p).flatten(1) for p in range(3)])
    correlation = torch.corrcoef(flat) - torch.eye(15)
    assert float(correlation.abs().max()) < 0.9


def test_what_does_not_move_is_left_alone() -> None:
    """Exact pixels and pixels outside `moving` keep their bits, in mean and samples, with no spread."""
    canvas = canvas_of(0, 1)
    before = canvas.fields.clone()
    holes = torch.isinf(canvas.sigma_obs)
    result = sample(PRIOR, canvas, samples=3, evaluations=4, world="scene", moving=holes)
    assert torch.equal(canvas.fields, before)
    assert result.samples is not None
    assert (result.samples[:, ~holes] == before[0, ~holes]).all()
    assert torch.equal(result.mean[~holes], before[0, ~holes])
    assert (result.std[~holes] == 0).all()
    assert (result.std[holes] > 0).all()
    everything = sample(PRIOR, canvas, samples=3, evaluations=4, world="scene")
    exact = canvas.sigma_obs == 0
    assert torch.equal(everything.mean[exact], before[0, exact])
    assert (everything.std[exact] == 0).all()


def test_no_samples_is_one_pass() -> None:
    canvas = canvas_of(0)
    result = sample(PRIOR, canvas, samples=0, world="scene")
    once = predict(PRIOR, canvas, world="scene")
    assert result.evaluations == 1
    assert result.samples is None
    assert torch.equal(result.mean, once.mean)
    assert torch.equal(result.std, once.std)


class Counting:
    """The exact prior, counting its calls."""

    correlation_length, sigma_max = PRIOR.correlation_length, PRIOR.sigma_max

    def __init__(self) -> None:
        self.calls = 0
        self.highest = 0.0
        self.plan = PRIOR.plan

    def denoise_(self, canvas: Canvas, plan: object, world: str) -> None:
        self.calls += 1
        finite = canvas.fields[1][torch.isfinite(canvas.fields[1])]
        self.highest = max(self.highest, float(finite.max()) if finite.numel() else 0.0)
        PRIOR.denoise_(canvas, plan, world)  # type: ignore[arg-type]


def test_evaluations_are_counted_and_progress_reported() -> None:
    denoiser, seen = Counting(), []
    result = sample(
        denoiser,
        canvas_of(0),
        samples=4,
        chunk=2,
        evaluations=7,
        world="scene",
        progress=lambda *at: seen.append(at),
    )
    assert result.evaluations == 7
    assert denoiser.calls == 1 + 2 * 6  # the first pass is shared
    assert seen == [(k, 14) for k in range(1, 15)]


def test_cancel_stops_between_steps() -> None:
    cancel, denoiser = threading.Event(), Counting()

    def progress(done: int, total: int) -> None:
        if done == 3:
            cancel.set()

    with pytest.raises(Cancelled, match="before step 4 of 10"):
        sample(denoiser, canvas_of(0), samples=2, evaluations=10, world="scene", progress=progress, cancel=cancel)
    assert denoiser.calls == 3


def test_start_respects_the_denoisers_limit() -> None:
    denoiser = Counting()
    denoiser.sigma_max = 2.0
    values, _ = image(0)
    canvas = Canvas.from_planes([values], [torch.full_like(values, torch.inf)], seeds=[0])
    sample(denoiser, canvas, samples=1, evaluations=4, world="scene")
    assert denoiser.highest == 2.0


def test_mean_and_std_are_those_of_the_samples() -> None:
    canvas = canvas_of(1)
    result = sample(PRIOR, canvas, samples=6, evaluations=4, world="scene", chunk=4)
    assert result.samples is not None
    assert torch.allclose(result.mean, result.samples.mean(0), atol=1e-5)
    assert torch.allclose(result.std, result.samples.std(0), atol=1e-5)
    silent = sample(PRIOR, canvas, samples=6, evaluations=4, world="scene", keep=False)
    assert silent.samples is None
    assert torch.equal(silent.mean, result.mean)
    single = sample(PRIOR, canvas, samples=1, evaluations=4, world="scene")
    assert torch.equal(single.std, predict(PRIOR, canvas, world="scene").std)


@pytest.mark.parametrize(
    "options",
    [
        {"samples": -1},
        {"evaluations": 1},
        {"chunk": 0},
        {"method": "heun"},
        {"moving": torch.ones(3, dtype=torch.bool)},
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        draw(canvas_of(0), **options)
