"""The study of heads compares with what is shipped, not with a likeness of it."""

from dataclasses import replace

import pytest
import torch

from benchmarks.heads import ARMS, asinh, asinh_moments, both_bases, build, own_box, predict, slope, taps
from gencosmo.ops.apply_kernels import apply_kernels_reference
from gencosmo.priors.bases import tile_windows
from gencosmo.training.levels import Task
from gencosmo.training.trainer import Settings, sky_draws


@pytest.fixture(scope="module")
def task() -> Task:
    torch.set_num_threads(1)
    return sky_draws([], Settings(batch=4, tile=32, simulated_pool=4), 3).draw()


def windows(task: Task) -> torch.Tensor:
    return tile_windows(task.z, task.sigma, Settings.prior_var)


def test_the_shipped_arm_is_the_shipped_head(task):
    arm, view = ARMS["shipped"], both_bases(task, windows(task))
    network = build(arm)
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(0, 0.05)
        mean, var = predict(arm, network, view)
        expected, spread = apply_kernels_reference(network(view.features), view.win, view.local)
    known = spread[:, 0] > 0
    assert float(((mean - expected[:, 0]).abs()[known] / spread[:, 0][known].sqrt()).max()) < 1e-3
    torch.testing.assert_close(var, spread[:, 0])


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_returns_exact_pixels_and_learns(task, name):
    arm = ARMS[name]
    view, network = arm.view(task, windows(task)), build(arm)
    mean, var = predict(arm, network, view)
    exact = view.win[:, 1] == 0
    assert torch.equal(mean[exact], view.win[:, 0][exact])
    (mean.square().mean() + var.clamp(max=1e6).mean()).backward()
    assert all(float(part.abs().max()) > 0 for part in network.exit.weight.grad.split([4 * k for k in arm.raw]))


def test_distant_taps_reach_six_pixels(task):
    view = both_bases(task, windows(task))
    # a mean of 0 and spreads of 1, or the bound on neighbours has its say
    view = replace(view, local=torch.ones_like(view.local))
    view.local[:, 1] = 0
    x = torch.zeros_like(view.win[:, 0])
    x[:, 16, 16] = 1
    weights = torch.zeros(x.shape[0], 25, *x.shape[1:])
    weights[:, 0] = 1
    assert int(taps(weights, x, view, 3)[0].argmax()) == 22 * 32 + 22


def test_own_box_is_rougher_beside_a_defect_only():
    z = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(1))
    z[:, :, 20] = 5000.0
    zero = torch.zeros_like(z)
    task = Task(z, zero, z, zero.bool(), torch.zeros(1), zero)
    win = windows(task)
    ratio = own_box(task, win).local[:, 3] / both_bases(task, win).local[:, 3]
    assert float(ratio[0, :, 22].min()) > 10
    assert float((ratio[0, :, :12] - 1).abs().max()) < 1e-5


def test_moments_of_the_asinh_state_are_those_of_its_samples():
    draws = torch.randn(400_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.7 + 2
    flux = 3 * torch.sinh(draws / 3)
    mean, var = asinh_moments(torch.tensor(2.0), torch.tensor(0.49))
    assert float(mean) == pytest.approx(float(flux.mean()), abs=0.01)
    assert float(var) == pytest.approx(float(flux.var()), abs=0.02)


def test_slope_is_the_derivative():
    flux = torch.linspace(-20, 50, 8, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(asinh(flux).sum(), flux)
    torch.testing.assert_close(slope(flux.detach()), derivative)
