"""Deepened tiles: only whole ones with something to see; more structure over the same noise."""

from __future__ import annotations

import numpy as np
import pytest

from gencosmo.scaling import difference_noise
from gencosmo.training.deepened import LEAST, deepen

SIDE = 64


@pytest.fixture
def tiles() -> np.ndarray:
    """A galaxy, blank sky, the galaxy again; noise of one unit."""
    rng = np.random.default_rng(1)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    galaxy = 60 * np.exp(-np.hypot(rows - 30, cols - 33) / 6)
    truth = np.stack([galaxy, 0 * galaxy, galaxy])
    return (truth + rng.standard_normal(truth.shape)).astype(np.float32)


def test_galaxies_rise_over_noise_that_stays_one(tiles: np.ndarray) -> None:
    before, good = tiles.copy(), np.ones(tiles.shape, bool)
    chosen = deepen(tiles, good, np.random.default_rng(2), 1.0)
    assert chosen.tolist() == [True, False, True]
    assert np.array_equal(tiles[1], before[1])
    for index in (0, 2):
        # smoothing takes a part of the peak, the gain is at least two
        assert np.quantile(tiles[index], 0.99) > 1.2 * np.quantile(before[index], 0.99)
        # at most one unit is left of the old noise, and it is smooth: neighbours differ by little more than the new one
        assert 0.9 < difference_noise(tiles[index], good[index], 1) < 1.5
    assert not np.allclose(tiles[0], tiles[2], atol=5), "each tile has a gain and noise of its own"


def test_tiles_with_holes_and_faint_ones_stay(tiles: np.ndarray) -> None:
    tiles[2] *= 0.5 * LEAST / (np.quantile(tiles[2], 0.99) - np.median(tiles[2]))
    before, good = tiles.copy(), np.ones(tiles.shape, bool)
    good[0, 5, 5] = False
    assert not deepen(tiles, good, np.random.default_rng(3), 1.0).any()
    assert np.array_equal(tiles, before)


def test_the_share_is_kept(tiles: np.ndarray) -> None:
    many = np.repeat(tiles[:1], 400, axis=0)
    chosen = deepen(many, np.ones(many.shape, bool), np.random.default_rng(4), 0.25)
    assert 70 <= chosen.sum() <= 130
