"""Simulated microscopy: every modality alone, the variance's law, and a training that draws from it."""

from __future__ import annotations

import pytest
import torch

from gencosmo.training import cells
from gencosmo.training.draws import SIMULATORS
from gencosmo.training.shapes import blur, field
from gencosmo.training.simulate import Dice
from gencosmo.training.trainer import Settings, sky_draws


def dice(seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), "cpu")


@pytest.mark.parametrize("name", list(cells.MODALITIES))
def test_a_modality_has_structure_on_every_scale_it_claims(name: str) -> None:
    draw = cells.MODALITIES[name][0]
    scene = draw(dice(), 12, 48)
    assert scene.shape == (12, 48, 48) and torch.isfinite(scene).all()
    spread = scene.std((1, 2))
    assert (spread > 1e-3).float().mean() > 0.8
    # neighbours are alike: structure, not noise
    step = (scene[:, :, 1:] - scene[:, :, :-1]).std((1, 2))
    assert (step / spread.clamp(min=1e-3)).median() < 1.0
    assert not torch.equal(scene, draw(dice(1), 12, 48))


def test_shadow_is_quiet_and_light_is_noisy() -> None:
    drawn = cells.simulate_cells(24, 48, torch.Generator().manual_seed(0))
    again = cells.simulate_cells(24, 48, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.truth, again.truth)
    assert (drawn.variance > 0).all()
    # one gain per tile: variance is a straight line of the light, at most 1 at the background
    for truth, variance in zip(drawn.truth.flatten(1).double(), drawn.variance.flatten(1).double(), strict=True):
        design = torch.stack([truth, torch.ones_like(truth)], 1)
        slope, ground = torch.linalg.lstsq(design, variance[:, None]).solution[:, 0]
        assert slope > 0 and 0.005 < ground < 1.001
        assert (design @ torch.stack([slope, ground]) - variance).abs().max() < 1e-3 * variance.max()


def test_smooth_has_nothing_as_fine_as_a_pixel_and_a_fractal_has_all_scales() -> None:
    def steps(image: torch.Tensor, lag: int) -> torch.Tensor:
        return (image[:, :, lag:] - image[:, :, :-lag]).square().mean((1, 2)).sqrt()

    soft, rough = cells.smooth(dice(), 24, 64), cells.fractal(dice(), 24, 64)
    assert float((steps(soft, 1) / steps(soft, 16)).quantile(0.9)) < 0.15
    growth = (steps(rough, 8) / steps(rough, 1)).log2() / 3
    # fields of spectra k^-2.2 to k^-4 grow with the lag, some hardly, some in proportion to it
    assert -0.05 < float(growth.min()) < 0.35 and 0.6 < float(growth.max()) < 1.05


def test_some_tiles_are_all_structure_and_others_all_noise() -> None:
    drawn = cells.simulate_cells(96, 48, torch.Generator().manual_seed(5))
    ratio = (drawn.truth.var((1, 2)) / drawn.variance.mean((1, 2))).sqrt()
    assert 0.2 < (ratio > 15).float().mean() < 0.5 and 0.1 < (ratio < 2).float().mean() < 0.5


def test_contrast_goes_both_ways() -> None:
    truth = cells.simulate_cells(64, 48, torch.Generator().manual_seed(3)).truth.flatten(1)
    middle = truth.median(1).values
    up, down = truth.amax(1) - middle, middle - truth.amin(1)
    assert 0.1 < (down > up).float().mean() < 0.7


def test_a_field_has_its_correlation_length_and_a_blur_its_width() -> None:
    rough, smooth = (field(dice(), 8, 64, length, length) for length in (1.0, 8.0))
    assert abs(float(smooth.std()) - 1) < 0.3
    lag = [float((f[:, :, 4:] * f[:, :, :-4]).mean()) for f in (rough, smooth)]
    assert lag[0] < 0.3 < 0.7 < lag[1]
    point = torch.zeros(1, 33, 33)
    point[0, 16, 16] = 1
    out = blur(point, torch.tensor([2.0]))
    away = torch.arange(33.0) - 16
    assert abs(float((out.sum(1) * away**2).sum()) - 4) < 0.05
    assert abs(float(out.sum()) - 1) < 1e-4


def test_a_training_draws_from_the_named_simulator() -> None:
    settings = Settings(batch=4, tile=32, simulator="cells", simulated_pool=6)
    assert sky_draws([], settings, 0).simulate is SIMULATORS["cells"] is cells.simulate_cells
    task = sky_draws([], settings, 0).draw()
    assert task.z.shape == (4, 32, 32) and torch.isfinite(task.target).all()
    with pytest.raises(KeyError):
        sky_draws([], Settings(simulator="clouds"), 0)
