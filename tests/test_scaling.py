"""Background and noise of a plane, where neighbours tell little of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gencosmo.scaling import Scaling, digitiser_step, grey_step, measure_scaling, neighbour_noise

SIDE = 64
ROWS, COLS = np.mgrid[:SIDE, :SIDE].astype(np.float64)
STAR = np.exp(-((ROWS - 20) ** 2 + (COLS - 30) ** 2) / (2 * 2.5**2))


def coarse() -> NDArray[np.float64]:
    """Grey levels from 9 to 11, nearly all of them 10."""
    return np.round(np.random.default_rng(1).normal(10.0, 0.2, (SIDE, SIDE)))


def measured(plane: NDArray[np.float64]) -> Scaling:
    values = plane.astype(np.float32)
    return measure_scaling(values, np.isfinite(values))


@pytest.mark.parametrize("unit", [1e-30, 1e-3, 1.0, 1e30])
def test_noise_and_background_in_any_unit(unit: float) -> None:
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE))
    found = measured(unit * (100.0 + 3.0 * noise + 500.0 * STAR))
    assert 2.8 < found.noise / unit < 3.2 and abs(found.background / unit - 100.0) < 0.5


@pytest.mark.parametrize(
    "under",
    [
        np.zeros((SIDE, SIDE)),
        1e-41 * ROWS,  # the far end of a simulated line, in numbers that float32 hardly has
        1e-7 * ROWS,  # a model of the sky, taken off
    ],
)
def test_grey_levels_over_something_minute_have_the_noise_of_a_step(under: NDArray[np.float64]) -> None:
    values = (coarse() - 10.0 + under).astype(np.float32)
    step, swallowed = neighbour_noise(values, np.ones(values.shape, np.bool_))
    assert swallowed and step == pytest.approx(1.0, abs=1e-3)
    assert measured(coarse() - 10.0 + under).noise == pytest.approx(1.0, abs=1e-3)


def test_rounding_after_a_flat_field_is_no_noise() -> None:
    assert measured(coarse() * (1 + 1e-7 * ROWS)).noise == pytest.approx(1.0, abs=1e-3)


def test_a_simulated_star_without_noise_keeps_its_flux_finite() -> None:
    found = measured(STAR)
    flux = found.to_flux(STAR.astype(np.float32))
    assert 1e-6 < found.noise < 1e-2 and np.isfinite(flux).all() and flux.max() < 1e6


def test_values_that_are_all_coarse_for_float32_still_have_a_step() -> None:
    plane = (1e8 + 3 * np.random.default_rng(0).standard_normal((SIDE, SIDE))).astype(np.float32)
    assert digitiser_step(plane, np.ones(plane.shape, np.bool_)) == 8.0


def test_a_constant_plane_has_the_noise_1() -> None:
    assert measured(np.full((SIDE, SIDE), 3.0)) == Scaling(3.0, 1.0)


def test_nothing_good() -> None:
    assert measured(np.full((SIDE, SIDE), np.nan)) == Scaling(0.0, 1.0)


@pytest.mark.parametrize(("noise", "step"), [(0.3, 1.0), (1.0, 1.0), (3.0, 1 / 3)])
def test_the_step_of_grey_levels_in_noises(noise: float, step: float) -> None:
    levels = np.round(np.random.default_rng(2).normal(20.0, noise, (SIDE, SIDE)))
    flux = ((levels - 20.0) / max(noise, 1.0)).astype(np.float32)
    good = np.ones(flux.shape, np.bool_)
    assert grey_step(flux, good) == pytest.approx(step, abs=1e-3)


@pytest.mark.parametrize(
    "plane",
    [
        np.random.default_rng(0).standard_normal((SIDE, SIDE)),
        np.random.default_rng(0).standard_normal((6, 6)),  # few values, and no levels
        np.round(50 * np.random.default_rng(0).standard_normal((SIDE, SIDE))) / 50,  # levels that are fine
        coarse() / (1 + 1e-2 * ROWS),
        np.zeros((SIDE, SIDE)),
    ],
)
def test_what_has_no_step_that_matters(plane: NDArray[np.float64]) -> None:
    flux = plane.astype(np.float32)
    assert grey_step(flux, np.ones(flux.shape, np.bool_)) == 0.0


def test_a_few_pixels_between_the_levels_do_not_hide_them() -> None:
    flux = np.round(np.random.default_rng(2).normal(0.0, 1.0, (SIDE, SIDE))).astype(np.float32)
    good = np.ones(flux.shape, np.bool_)
    flux[10:20, 10:30] = np.random.default_rng(3).standard_normal((10, 20))
    assert grey_step(flux, good) == 1.0
    flux[:40] += 0.1 * np.random.default_rng(4).standard_normal((40, SIDE)).astype(np.float32)
    assert grey_step(flux, good) == 0.0
