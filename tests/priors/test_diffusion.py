"""Limits of the head, byte identity, cards: for the untrained network and for the shipped one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from gencosmo.errors import DeviceError, PriorError, UsageError
from gencosmo.priors import list_priors, load_prior
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.cards import SHIPPED, Calibration, Card
from gencosmo.priors.diffusion import DiffusionPrior, Plan
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.priors.turns import turned, turned_back
from gencosmo.training.calibrate import LEVEL_EDGES, SCALE_EDGES
from gencosmo.training.simulate import simulate_sky
from gencosmo.windows import Canvas

SIDE = 96


def untrained() -> DiffusionPrior:
    shape = NetworkShape((16, 24), (1, 1))
    card = replace(Card.read(SHIPPED / "sky.json"), name="untrained", shape=shape.to_dict(), core=64, halo=16)
    return DiffusionPrior(DenoiserNetwork(shape), card)


@pytest.fixture(scope="module", params=["untrained", "sky"])
def prior(request: pytest.FixtureRequest) -> DiffusionPrior:
    return untrained() if request.param == "untrained" else load_prior("sky", "cpu")


def sky(count: int = 3) -> Tensor:
    """Noise-free simulated sky (count, SIDE, SIDE)."""
    return simulate_sky(count, SIDE, Generator().manual_seed(5)).truth


def denoised(prior: DiffusionPrior, z: Tensor, sigma: Tensor, world: str = "scene") -> tuple[Tensor, Tensor]:
    """Mean and variance (B, H, W) of planes (B, H, W)."""
    canvas = Canvas.from_planes(list(z), list(sigma), seeds=[0] * len(z))
    prior.denoise_(canvas, prior.plan(canvas, torch.ones(canvas.size, dtype=torch.bool)), world)  # type: ignore[arg-type]
    planes = range(len(z))
    return tuple(torch.stack([canvas.plane(name, p) for p in planes]) for name in ("mean", "var"))  # type: ignore[return-value]


def test_exact_pixels_are_returned_exactly(prior: DiffusionPrior) -> None:
    z = sky()
    sigma = torch.zeros_like(z)
    sigma[:, 30:40, 20:31] = math.inf
    mean, var = denoised(prior, z, sigma, "frame")
    exact = sigma == 0
    # one rounding each in gather, head and blend
    assert torch.allclose(mean[exact], z[exact], rtol=1e-6, atol=1e-6)
    assert bool((var[exact] == 0).all())
    assert bool((var[~exact] > 0).all())


class Cramped(DiffusionPrior):
    """A prior on a device with room for `most` windows at once."""

    most = 2

    @property
    def _batch(self) -> int:
        return 16

    def predict_windows(self, fields: Tensor, layout: Tensor, windows: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
        if windows.shape[0] > self.most:
            raise torch.OutOfMemoryError("no room")
        return super().predict_windows(fields, layout, windows, *rest)  # type: ignore[arg-type]


def test_a_full_device_gets_fewer_windows_at_once() -> None:
    roomy, z = untrained(), sky()
    cramped = Cramped(roomy.network, roomy.card)
    sigma = torch.full_like(z, 0.5)
    for got, wanted in zip(denoised(cramped, z, sigma), denoised(roomy, z, sigma), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_device_without_room_for_one_window_is_told() -> None:
    roomy, z = untrained(), sky(1)
    cramped = Cramped(roomy.network, roomy.card)
    cramped.most = 0
    with pytest.raises(DeviceError, match="no memory for one window of 96x96") as told:
        denoised(cramped, z, torch.ones_like(z))
    assert told.value.code == "device_oom"


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0, 5.0, 20.0, 80.0])
def test_error_stays_below_the_level(prior: DiffusionPrior, level: float) -> None:
    z = sky()
    noisy = z + level * torch.randn(z.shape, generator=Generator().manual_seed(2))
    mean, var = denoised(prior, noisy, torch.full_like(z, level))
    rms = float((mean - z).square().mean().sqrt())
    # brighter tiles vary by more than the prior's spread; the level alone bounds those
    assert rms <= 1.2 * level
    assert float(var.max()) <= level**2 * (1 + 1e-5)


@pytest.mark.parametrize("level", [10.0, 30.0, 80.0])
def test_error_stays_below_the_spread_of_the_prior(prior: DiffusionPrior, level: float) -> None:
    """On faint sky, however high the level: the noise is not handed back."""
    z = sky().clamp(-20, 60)
    noisy = z + level * torch.randn(z.shape, generator=Generator().manual_seed(2))
    mean, _ = denoised(prior, noisy, torch.full_like(z, level))
    assert float((mean - z).square().mean().sqrt()) <= 1.2 * min(level, prior.card.prior_var**0.5)


def test_nothing_known_gives_the_prior_mean(prior: DiffusionPrior) -> None:
    z = torch.zeros(1, SIDE, SIDE)
    mean, var = denoised(prior, z, torch.full_like(z, math.inf), "frame")
    assert bool((mean == 0).all())
    assert bool((var > 0).all())


def test_result_does_not_depend_on_company_or_threads(prior: DiffusionPrior) -> None:
    z = sky()
    sigma = torch.where(torch.rand(z.shape, generator=Generator().manual_seed(3)) < 0.1, math.inf, 0.0)
    together, _ = denoised(prior, z, sigma)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        alone = torch.cat([denoised(prior, z[p : p + 1], sigma[p : p + 1])[0] for p in (2, 0, 1)])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together[[2, 0, 1]], alone)


def test_all_turns_of_a_window_give_the_turned_answer(prior: DiffusionPrior) -> None:
    """The mean over the eight orientations turns with the window, exactly but for the order of the sum."""
    z = sky(2)
    noisy = z + torch.randn(z.shape, generator=Generator().manual_seed(4))
    win = tile_windows(noisy, torch.ones_like(z), prior.card.prior_var)
    every = prior.with_turns(8)
    assert every.turns == 8 and prior.turns == 1 and every.network is prior.network
    here = every.answer(win, "scene")
    for number in range(8):
        there = every.answer(turned(win, number), "scene")
        for got, wanted in zip(there, here, strict=True):
            torch.testing.assert_close(turned_back(got, number), wanted, rtol=1e-4, atol=1e-4)


def test_turns_are_as_good_as_any_and_keep_what_is_exact(prior: DiffusionPrior) -> None:
    z = sky()
    noisy = z + torch.randn(z.shape, generator=Generator().manual_seed(6))
    sigma = torch.ones_like(z)
    sigma[:, 20:24] = 0
    noisy[:, 20:24] = z[:, 20:24]
    one, _ = denoised(prior, noisy, sigma)
    many, var = denoised(prior.with_turns(8), noisy, sigma)
    assert torch.allclose(many[:, 20:24], z[:, 20:24], rtol=1e-6, atol=1e-6)
    assert bool((var[:, 20:24] == 0).all())
    free = sigma > 0
    assert float((many - z)[free].square().mean()) <= float((one - z)[free].square().mean()) * (1 + 1e-6)


@pytest.mark.parametrize("turns", [0, 3, 16])
def test_other_turns_are_refused(turns: int) -> None:
    with pytest.raises(UsageError, match="expected one of 1, 2, 4, 8"):
        load_prior("sky", "cpu", turns=turns)


def test_windows_are_fixed_to_absolute_pixels(prior: DiffusionPrior) -> None:
    """A hole is filled alike in two sections that both hold the whole window around it (the bases see more)."""
    z = sky(1)[0]
    sigma = torch.zeros_like(z)
    sigma[50, 50:53] = math.inf
    canvas = Canvas.from_planes([z], [sigma], seeds=[0], origins=[(7, 13)])
    grid = prior.grid
    windows = prior.plan(canvas, canvas.sigma_obs > 0).windows
    assert bool(((windows[:, 1] + 7 + grid.halo) % grid.core == 0).all())
    assert bool(((windows[:, 2] + 13 + grid.halo) % grid.core == 0).all())


class Whole(DiffusionPrior):
    """A prior that computes its windows whole."""

    def plan(self, canvas: Canvas, unknown: Tensor, watch: object = None) -> Plan:
        plan = super().plan(canvas, unknown)
        plan.crops[:] = [0, self.grid.size, 0, self.grid.size]
        return plan


class Batched(DiffusionPrior):
    """A prior that takes windows as an accelerator does."""

    @property
    def _batch(self) -> int:
        return 3


def filled(prior: DiffusionPrior, planes: list[Tensor], sigma: list[Tensor]) -> tuple[Tensor, list[int]]:
    """Mean of the unknown pixels, and the pixels of every call of the network."""
    seen: list[int] = []
    hook = prior.network.register_forward_hook(lambda net, given, out: seen.append(out[:, 0].numel()))
    canvas = Canvas.from_planes(planes, sigma, seeds=[0] * len(planes))
    wanted = canvas.fields[1].isinf()
    try:
        prior.denoise_(canvas, prior.plan(canvas, wanted), "frame")
    finally:
        hook.remove()
    return canvas.mean[wanted], seen


def test_a_window_is_computed_where_it_is_wanted(prior: DiffusionPrior) -> None:
    """The same fill as from whole windows, but for rounding, at a fraction of the pixels."""
    z = sky(1)[0].repeat(5, 5)
    sigma = torch.zeros_like(z)
    sigma[200:205, 217] = math.inf  # far from the plane's edges, where nothing is cut off
    whole, all_pixels = filled(Whole(prior.network, prior.card, prior.calibration), [z], [sigma])
    part, few_pixels = filled(prior, [z], [sigma])
    assert torch.allclose(part, whole, rtol=1e-4, atol=1e-3)
    assert sum(few_pixels) < 0.5 * sum(all_pixels)


def test_batches_are_of_one_shape_and_change_nothing(prior: DiffusionPrior) -> None:
    """Planes of several sizes in an accelerator's batches: what each would be alone, whatever the company."""
    planes = [sky(1)[0], sky(1)[0][:40], sky(1)[0].repeat(4, 4), sky(1)[0][:40, 8:]]
    generator = Generator().manual_seed(3)
    sigma = [torch.where(torch.rand(plane.shape, generator=generator) < 0.05, math.inf, 0.0) for plane in planes]
    together, _ = filled(Batched(prior.network, prior.card, prior.calibration), planes, sigma)
    alone = torch.cat([filled(prior, [plane], [level])[0] for plane, level in zip(planes, sigma, strict=True)])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-3)


def test_a_calibration_corrects_variance_and_mean() -> None:
    """Factors scale the variance of what is unknown, shifts move its mean by corrected deviations; both by world."""
    plain, z = untrained(), sky(1)
    sigma = torch.zeros_like(z)
    sigma[:, 30:40, 20:31] = math.inf
    shape = (len(LEVEL_EDGES) + 2, len(SCALE_EDGES) + 1)
    factors = {world: [[factor] * shape[1]] * shape[0] for world, factor in (("frame", 4.0), ("scene", 9.0))}
    shifts = {"scene": [[0.5] * shape[1]] * shape[0]}
    measured = Calibration("", LEVEL_EDGES, SCALE_EDGES, factors, {}, shifts=shifts)
    corrected = DiffusionPrior(plain.network, plain.card, measured)
    hole = sigma > 0
    for world, factor, shift in (("frame", 4.0, 0.0), ("scene", 9.0, 0.5)):
        mean, var = denoised(plain, z, sigma, world)
        moved, scaled = denoised(corrected, z, sigma, world)
        torch.testing.assert_close(scaled[hole], factor * var[hole])
        # the gate is all but open in a hole among stars
        torch.testing.assert_close(moved[hole], mean[hole] + shift * scaled[hole].sqrt(), rtol=0.01, atol=0.02)
        assert torch.equal(moved[~hole], mean[~hole])


def test_self_test_passes_and_can_fail() -> None:
    prior = load_prior("sky", "cpu")
    prior.self_test()
    broken = DenoiserNetwork(prior.network.shape)
    broken.load_state_dict(prior.network.state_dict())
    with torch.no_grad():
        broken.exit.bias += 0.1
    with pytest.raises(PriorError, match="test vector gives"):
        DiffusionPrior(broken, prior.card, prior.calibration).self_test()


def test_other_weights_are_refused(tmp_path: Path) -> None:
    for suffix in (".json", ".safetensors", ".calibration.json"):
        (tmp_path / f"sky{suffix}").write_bytes((SHIPPED / f"sky{suffix}").read_bytes())
    weights = bytearray((tmp_path / "sky.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "sky.safetensors").write_bytes(bytes(weights))
    with pytest.raises(PriorError, match="sha256") as caught:
        load_prior(tmp_path / "sky.json")
    assert caught.value.code == "model_hash"


def test_calibration_of_other_weights_is_refused(tmp_path: Path) -> None:
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"sky{suffix}").write_bytes((SHIPPED / f"sky{suffix}").read_bytes())
    text = (SHIPPED / "sky.calibration.json").read_text()
    digest = Card.read(SHIPPED / "sky.json").weights_sha256
    (tmp_path / "sky.calibration.json").write_text(text.replace(digest, "0" * 64))
    with pytest.raises(PriorError, match="make calibrate"):
        load_prior(tmp_path / "sky.json")


def test_unknown_prior_names_the_known_ones() -> None:
    with pytest.raises(PriorError, match="sky") as caught:
        load_prior("no-such-prior")
    assert caught.value.code == "model_not_found"
    assert "sky" in list_priors()
