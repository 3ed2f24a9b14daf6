"""Calibration: what is measured off residuals corrects them, and few pixels correct nothing."""

from __future__ import annotations

import math

import pytest
import torch

from gencosmo.errors import InputError
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training import calibrate as module
from gencosmo.training.calibrate import (
    GROUP_BATCHES,
    Residuals,
    collect_lights,
    correction_tables,
    interval_multipliers,
    residuals_of,
    wide,
)
from gencosmo.training.levels import Task
from gencosmo.training.pack import Frame
from gencosmo.training.trainer import Settings

PIXELS = 200_000


def residuals(bias: float, width: float, pixels: int = PIXELS, own: float = 0.0) -> Residuals:
    """Errors of mean `bias` and spread `width` where a variance of 4 was predicted; all in one bin, in ten tiles.

    `own`: variance of the targets' own noise, on top.
    """
    g = torch.Generator().manual_seed(0)
    error = bias + math.hypot(width, math.sqrt(own)) * torch.randn(pixels, generator=g)
    place = torch.full((pixels,), 3)
    return Residuals(
        error=error,
        var=torch.full((pixels,), 4.0),
        own=torch.full((pixels,), own),
        asked=torch.ones(pixels, dtype=torch.bool),
        row=place,
        col=place,
        tile=torch.arange(pixels) * 10 // pixels,
    )


def test_tables_undo_bias_and_width() -> None:
    factors, shifts = correction_tables(residuals(0.3, 3.0))
    std = math.sqrt(4.0 * factors[3, 3])
    assert std == pytest.approx(3.0, rel=0.01)
    assert shifts[3, 3] * std == pytest.approx(0.3, rel=0.1)
    factors[3, 3] = shifts[3, 3] = 0
    assert (factors[factors != 0] == 1).all() and (shifts == 0).all()


def test_few_pixels_hardly_move_the_mean() -> None:
    _factors, shifts = correction_tables(residuals(3.0, 1.0, 30))
    assert abs(shifts[3, 3]) < 0.02


def test_outliers_are_bounded() -> None:
    seen = residuals(0.0, 2.0)
    seen.error[::1000] = 1e6
    factors, shifts = correction_tables(seen)
    assert factors[3, 3] == pytest.approx(1.0, abs=0.05) and abs(shifts[3, 3]) < 0.01


def test_intervals_are_those_of_the_corrected_residuals() -> None:
    seen = residuals(0.3, 3.0)
    wide = interval_multipliers(seen, *correction_tables(seen))
    assert wide["68"] == pytest.approx(1.0, rel=0.02) and wide["95"] == pytest.approx(1.96, rel=0.02)
    with pytest.raises(InputError, match="hidden pixels"):
        interval_multipliers(residuals(0.0, 1.0, 40), *correction_tables(seen))


@pytest.mark.parametrize("own", [1.0, 20.0])
def test_the_noise_of_a_target_is_not_the_network_s(own: float) -> None:
    seen = residuals(0.0, 3.0, own=own)
    tables = correction_tables(seen)
    assert 4 * float(tables[0][3, 3]) == pytest.approx(9.0, rel=0.05)
    wide = interval_multipliers(seen, *tables)
    assert wide["68"] == pytest.approx(1.0, rel=0.03) and wide["95"] == pytest.approx(1.96, rel=0.03)


def test_what_was_measured_before_stays_where_nothing_new_is() -> None:
    before = correction_tables(residuals(0.3, 3.0))
    before[0][5, 5] = 1.7
    seen = residuals(0.3, 3.2)
    factors, shifts = correction_tables(seen, before)
    assert float(factors[5, 5]) == pytest.approx(1.7)
    assert 4 * float(factors[3, 3]) == pytest.approx(3.2**2, rel=0.02)
    # the mean moves as far as before
    moved, then = (float(s[3, 3] * f[3, 3].sqrt()) for f, s in ((factors, shifts), before))
    assert moved == pytest.approx(then, rel=1e-4)


def test_wide_is_the_largest_of_few_and_no_chance_of_many() -> None:
    few = wide([{"68": 1.0, "95": 2.5}, {"68": 1.2, "95": 2.0}])
    assert 1.15 < few["68"] < 1.2
    assert 2.4 < few["95"] < 2.5
    many = wide([{"95": 1.9 + 0.01 * (k % 5)} for k in range(39)] + [{"95": 30.0}])
    assert 1.9 < many["95"] < 2.0
    assert wide([]) == {}


def task(world: int) -> Task:
    """Four tiles with a hole and noise of one, all in one world."""
    g = torch.Generator().manual_seed(1)
    target = torch.randn(4, 32, 32, generator=g)
    sigma = torch.ones(4, 32, 32)
    sigma[:, 8:14, 8:14] = math.inf
    z = torch.where(torch.isinf(sigma), torch.zeros_like(target), target)
    noise = torch.full_like(target, 0.5 if world else 0.0)
    return Task(z, sigma, target, torch.ones_like(target, dtype=torch.bool), torch.full((4,), float(world)), noise)


def test_intervals_of_the_frame_are_of_holes_and_those_of_the_scene_of_all_pixels() -> None:
    network, settings = DenoiserNetwork(NetworkShape((8, 12), (1, 1))).eval(), Settings(batch=4, tile=32)
    (frame, none), (_, scene) = (residuals_of(network, task(world), settings, 8).values() for world in (0, 1))
    assert int(frame.asked.sum()) == 4 * 36 and bool(scene.asked.all())
    assert int(scene.tile.min()) == 8 and int(scene.tile.max()) == 11
    assert (frame.own == 0).all()
    # r = 1/4: the own noise that z does not tell is noise^2 (1 - r), all of it in a hole
    assert sorted({round(float(v), 4) for v in scene.own.unique()}) == [0.1875, 0.25]
    assert len(none.error) == 0


def test_groups_of_lights_are_measured_apart_and_blank_ones_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_HIDDEN", 30)
    g = torch.Generator().manual_seed(2)
    rows = torch.arange(96.0)[:, None] + torch.arange(96.0)[None]
    lit = 400 * (1 + torch.sin(rows / 9)) + torch.randn(96, 96, generator=g)
    frames = [Frame(lit.numpy(), "lit"), Frame(torch.zeros(96, 96).numpy(), "blank"), Frame(lit[:16].numpy(), "small")]
    network = DenoiserNetwork(NetworkShape((8, 12), (1, 1))).eval()
    found = collect_lights(network, frames, Settings(batch=4, tile=32, simulator="cells"), 2)
    assert list(found) == ["lit"]
    assert int(found["lit"].tile.max()) == 4 * GROUP_BATCHES - 1 and torch.isfinite(found["lit"].error).all()
