"""Training: the loss knows a mean, draws are what they say, a killed run resumes, a prior can be exported."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gencosmo.errors import InputError
from gencosmo.priors import load_prior
from gencosmo.priors.network import DenoiserNetwork, NetworkShape, count_weights
from gencosmo.training import trainer as trainer_module
from gencosmo.training.artifacts import add_artifacts, saturation
from gencosmo.training.data import TileSource, binned, hold_out
from gencosmo.training.export import export_prior, recalibrate
from gencosmo.training.levels import draw_levels
from gencosmo.training.loss import denoising_loss
from gencosmo.training.masks import SHAPES, bright_cores, draw_holes
from gencosmo.training.pack import Frame, read_packed, write_packed
from gencosmo.training.simulate import OVERSAMPLE, Blur, Dice, crowd, simulate_sky
from gencosmo.training.trainer import Settings, Trainer, predict, sky_draws

SMALL = NetworkShape((8, 12), (1, 1))


def frames(count: int = 9, side: int = 70) -> list[Frame]:
    rng = np.random.default_rng(0)
    made = [Frame(rng.normal(0, 1, (side, side)).astype(np.float32), "noise") for _ in range(count)]
    made[0].flux[3, 4] = np.nan
    return made


def test_packed_files_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert write_packed(path, frames()) == 9
    back = read_packed([path])
    assert all(np.array_equal(a.flux, b.flux, equal_nan=True) for a, b in zip(back, frames(), strict=True))
    np.savez(tmp_path / "b.npz", pixels=np.zeros(3))
    with pytest.raises(InputError, match="not a packed file"):
        read_packed([tmp_path / "b.npz"])
    with pytest.raises(InputError, match="nothing to pack"):
        write_packed(path, [Frame(np.zeros((4, 4), np.float32), "x")])


def test_hold_out_never_shares_a_pixel() -> None:
    made = [*frames(), Frame(np.arange(400 * 50, dtype=np.float32).reshape(400, 50), "large")]
    train, validation = hold_out(made)
    assert sum(f.flux.size for f in train + validation) == sum(f.flux.size for f in made)
    strips = [f.flux for f in train + validation if f.group == "large"]
    assert len(strips) == 2 and not set(strips[0].ravel()) & set(strips[1].ravel())
    assert len([f for f in validation if f.group == "noise"]) == 2


def test_binning_keeps_white_noise_at_its_level() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (401, 400)).astype(np.float32)
    assert binned(noise).shape == (200, 200)
    assert abs(binned(noise).std() - 1) < 0.02


def test_tiles_carry_bad_pixels_along() -> None:
    source = TileSource([Frame(np.full((20, 90), np.nan, np.float32), "x"), *frames()], 64, seed=2)
    tiles, good, _noise = source.draw(40)
    assert tiles.shape == good.shape == (40, 64, 64)
    assert np.isfinite(tiles).all() and (tiles[~good] == 0).all() and not good.all()


@pytest.mark.parametrize("shape", list(SHAPES), ids=lambda f: f.__name__)
def test_hole_shapes_hide_some_but_not_all(shape) -> None:  # type: ignore[no-untyped-def]
    shares = [shape(np.random.default_rng(seed), 48).mean() for seed in range(12)]
    assert max(shares) > 0 and np.mean(shares) < 0.6
    assert shape(np.random.default_rng(0), 48).shape == (48, 48)


def test_value_dependent_holes_sit_on_bright_pixels() -> None:
    image = np.zeros((48, 48), np.float32)
    image[20:24, 20:24] = 900
    mask = bright_cores(image, np.random.default_rng(0))
    assert mask[20:24, 20:24].all() and mask.mean() < 0.3
    assert draw_holes(np.stack([image] * 5), np.random.default_rng(1)).shape == (5, 48, 48)


def test_artifacts_touch_only_their_share() -> None:
    tiles = np.repeat(_star()[None], 400, axis=0)
    before = tiles.copy()
    changed = add_artifacts(tiles, np.random.default_rng(0), 0.25)
    share = (changed != before).any((1, 2)).mean()
    assert 0.19 < share < 0.31 and np.array_equal(tiles, before)


def _star(side: int = 32, height: float = 5000.0) -> np.ndarray:
    rows, cols = np.mgrid[:side, :side]
    return (height * np.exp(-np.hypot(rows - 14, cols - 17) / 2)).astype(np.float32)


def test_a_saturated_star_has_a_plateau_and_trails() -> None:
    lengths = []
    for seed in range(40):
        tile, before = _star(), _star()
        saturation(tile, np.random.default_rng(seed))
        changed = tile != before
        level = tile[changed].mean()
        assert tile.max() <= 1.2 * level, "nothing is brighter than the plateau"
        assert np.allclose(tile[changed], level, rtol=0.2)
        lengths.append(max(changed.sum(0).max(), changed.sum(1).max()))
    assert min(lengths) < 8 and max(lengths) > 16, "some bleed, some do not"


def test_a_blank_tile_does_not_saturate() -> None:
    tile = np.random.default_rng(0).normal(0, 1, (32, 32)).astype(np.float32)
    before = tile.copy()
    saturation(tile, np.random.default_rng(1))
    assert np.array_equal(tile, before)


def test_simulated_sky_has_its_variance() -> None:
    sky = simulate_sky(6, 48, torch.Generator().manual_seed(0))
    again = simulate_sky(6, 48, torch.Generator().manual_seed(0))
    assert torch.equal(sky.truth, again.truth)
    assert bool(torch.isfinite(sky.truth).all()) and bool((sky.variance >= 1).all())


def test_a_point_spread_function_keeps_light_and_shape() -> None:
    """A point seen through it has a star's profile; light that stays in the frame is all there; a flat sky stays."""
    dice = Dice(torch.Generator().manual_seed(1), "cpu")
    blur = Blur.draw(dice, 4)
    side = 64 * OVERSAMPLE
    point = torch.zeros(4, side, side)
    point[:, side // 2, side // 2] = 1.0
    seen = blur.of(point)
    away = (torch.arange(side) - side // 2) / OVERSAMPLE
    wanted = blur.profile(away[None, None, :, None], away[None, None, None, :])[:, 0]
    # the kernel is cut off where the padded frame ends, and made to sum to one
    torch.testing.assert_close(seen / seen.amax((1, 2), True), wanted / wanted.amax((1, 2), True), atol=1e-3, rtol=0.02)
    assert bool((seen.sum((1, 2)) < 1 + 1e-4).all()) and bool((seen.sum((1, 2)) > 0.5).all())
    flat = torch.full((4, side, side), 3.0)
    torch.testing.assert_close(blur.of(flat), flat, rtol=1e-4, atol=0)


def test_some_fields_are_crowded() -> None:
    points = crowd(Dice(torch.Generator().manual_seed(2), "cpu"), 300, 16)
    busy = (points > 0).any(2).any(1)
    assert 0.08 < float(busy.float().mean()) < 0.22
    assert bool((points >= 0).all()) and bool(torch.isfinite(points).all())


def test_levels_hold_known_pixels_and_open_holes() -> None:
    generator = torch.Generator().manual_seed(0)
    observed, holes = torch.full((200, 16, 16), 0.5), torch.zeros(200, 16, 16, dtype=torch.bool)
    holes[:, 4:8, 4:8] = True
    worlds = torch.arange(200).remainder(2).float()
    sigma = draw_levels(observed, holes, torch.randn(200, 16, 16, generator=generator), worlds, generator)
    assert bool((sigma > 0).all())
    posterior = torch.isinf(sigma[:, 5, 5]) & (sigma[:, 0, 0] == 0.5)
    assert 0.3 < posterior.float().mean() < 0.6
    everything = torch.isinf(sigma).all(2).all(1)
    assert 0 < everything.float().mean() < 0.1


def test_loss_is_least_at_the_mean_and_the_true_variance() -> None:
    generator = torch.Generator().manual_seed(1)
    target = 3 + 2 * torch.randn(4, 64, 64, generator=generator)
    on = torch.ones_like(target, dtype=torch.bool)
    rough, sigma = torch.ones_like(target), torch.full_like(target, math.inf)

    def loss(mean: float, var: float) -> float:
        made = denoising_loss(
            torch.full_like(target, mean), torch.full_like(target, var), target, sigma, rough, on, reach=30.0
        )
        return float(made.total)

    assert loss(3.0, 4.0) < min(loss(2.8, 4.0), loss(3.2, 4.0))
    by_variance = {var: float(denoising_loss(
        torch.full_like(target, 3.0), torch.full_like(target, var), target, sigma, rough, on, reach=30.0
    ).likelihood) for var in (2.0, 3.0, 4.0, 5.0, 8.0)}  # fmt: skip
    assert min(by_variance, key=by_variance.__getitem__) == 4.0


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    settings = Settings(minutes=0.03, batch=4, tile=32, checkpoint_seconds=0.0, simulated_pool=4)
    checkpoint = tmp_path / "c.pt"
    first = Trainer(sky_draws(frames(), settings, 0), SMALL, settings)
    for _ in range(3):
        first.update(first.draws.draw())
    first.elapsed = 0.5
    first.save(checkpoint)
    lines: list[str] = []
    second = Trainer(sky_draws(frames(), settings, 0), SMALL, settings)
    second.run(checkpoint, report=lines.append)
    assert lines[0].startswith("resumed at step 3")
    assert second.step > 3 and second.progress() == 1.0


def test_training_lowers_the_loss() -> None:
    settings = Settings(minutes=1e6, batch=6, tile=32, simulated_pool=6, rate=4e-3, bfloat16=False)
    trainer = Trainer(sky_draws(frames(), settings, 0), SMALL, settings)
    asked = sky_draws(frames(), settings, 99)
    tasks = [asked.draw() for _ in range(12)]

    def likelihood() -> float:
        found = []
        for task in tasks:
            mean, var, rough = predict(trainer.network, task, settings)
            of = denoising_loss(mean, var, task.target, task.sigma, rough, task.supervised, settings.reach)
            found.append(float(of.likelihood))
        return float(np.mean(found))

    before = likelihood()
    for _ in range(60):
        trainer.update(trainer.draws.draw())
    assert likelihood() < before - 0.05


def test_export_makes_a_prior_that_loads(tmp_path: Path) -> None:
    settings = Settings(minutes=1.0, batch=8, tile=32, simulated_pool=4)
    trainer = Trainer(sky_draws(frames(), settings, 0), SMALL, settings)
    trainer.update(trainer.draws.draw())
    trainer.save(tmp_path / "c.pt")
    facts = tmp_path / "facts.toml"
    facts.write_text(
        'name = "tiny"\ndescription = "test"\nlicence = "none"\npixel_scale = [0.1, 1.0]\nsigma_max = 10.0\n'
        "correlation_length = 2.0\nlargest_hole = 8\n"
    )
    card = export_prior(tmp_path / "c.pt", facts, frames(), tmp_path / "out", batches=6)
    prior = load_prior(card)
    prior.self_test()
    assert prior.card.training["tiles"] == 8 and prior.quantile("95", "frame") > prior.quantile("68", "frame")
    before = card.with_name("tiny.calibration.json").read_text()
    recalibrate(card, frames(), batches=6)
    assert '"weights_sha256"' in before and card.with_name("tiny.calibration.json").exists()


def test_network_shape_tells_its_reach() -> None:
    """The receptive field of the card's arithmetic is the one a perturbation finds."""
    network = DenoiserNetwork(SMALL)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    x = torch.zeros(1, 12, 96, 96)
    touched = x.clone()
    touched[0, 0, 48, 48] = 1.0
    with torch.no_grad():
        moved = (network(touched) - network(x)).abs().amax((0, 1)) > 0
    rows = moved.any(1).nonzero().flatten()
    reach = int(max(48 - rows.min(), rows.max() - 48))
    box_and_kernel = 5
    assert reach + box_and_kernel <= SMALL.receptive_field
    assert SMALL.receptive_field - (reach + box_and_kernel) <= SMALL.stride
    assert count_weights(network) > 1000


@pytest.mark.parametrize(
    ("known", "expected"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({}, False)]
)
def test_bfloat16_is_for_processors_that_multiply_it(monkeypatch, known: dict[str, bool], expected: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert trainer_module.multiplies_bfloat16(torch.device("cpu")) is expected
    assert trainer_module.multiplies_bfloat16(torch.device("cuda"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not trainer_module.multiplies_bfloat16(torch.device("cpu"))
