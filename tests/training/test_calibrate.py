"""Calibration: what is measured off residuals corrects them, and few pixels correct nothing."""

from __future__ import annotations

import math

import pytest
import torch

from gencosmo.errors import InputError
from gencosmo.training.calibrate import Residuals, correction_tables, interval_multipliers

PIXELS = 200_000


def residuals(bias: float, width: float, pixels: int = PIXELS) -> Residuals:
    """Errors of mean `bias` and spread `width` where a variance of 4 was predicted; all in one bin, in ten tiles."""
    g = torch.Generator().manual_seed(0)
    error = bias + width * torch.randn(pixels, generator=g)
    place = torch.full((pixels,), 3)
    return Residuals(
        error, torch.full((pixels,), 4.0), torch.ones(pixels, dtype=torch.bool), place, place,
        torch.arange(pixels) * 10 // pixels,
    )  # fmt: skip


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
