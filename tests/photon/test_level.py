"""Inverse variance of the light and not of the counts; the background of a lamp."""

from __future__ import annotations

import numpy as np
import pytest

from gencosmo.errors import InputError, UsageError
from gencosmo.image import Image
from gencosmo.photon import PhotonNoise, estimate_illumination, smooth_level, with_illumination, with_noise
from tests.photon.scenes import cells, counted

LAW = PhotonNoise.of_camera(1.0, 1.5, 20.0)


def test_weights_follow_the_light_and_a_weighted_mean_has_no_bias() -> None:
    rng = np.random.default_rng(0)
    image = (rng.poisson(6.0, (200, 200)) + 1.5 * rng.normal(size=(200, 200)) + 20).astype(np.float32)
    seen = with_noise(image, LAW)
    assert seen.ivar is not None
    ours = float(np.average(seen.data, weights=seen.ivar)) - 20
    counts = float(np.average(image, weights=1 / LAW.variance(image))) - 20
    assert counts < 5.4
    assert ours == pytest.approx(6, abs=0.06)
    assert seen.gain == 1.0 and seen.read_noise == 1.5 and seen.meta["offset"] == (20.0,)


def test_variance_map_on_cells() -> None:
    truth = cells(200, peak=200)
    seen = with_noise(counted(truth, 1.0, 1.5, 20.0), LAW)
    assert seen.ivar is not None
    ratio = 1 / (seen.ivar[0] * LAW.variance(truth + 20))
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert np.quantile(np.abs(ratio - 1), 0.9) < 0.2


def test_darkness_is_not_exact() -> None:
    law = PhotonNoise.of_camera(4.0, 0.0)
    seen = with_noise(np.zeros((32, 32), np.float32) + np.eye(32, dtype=np.float32), law)
    assert seen.ivar is not None
    assert np.isfinite(seen.ivar).all() and seen.ivar.max() <= 64


def test_holes_get_the_level_around_them() -> None:
    truth = cells(120)
    image = counted(truth, 1.0, 1.5, 20.0)
    good = np.ones(image.shape, bool)
    good[40:46, 40:46] = False
    wild = np.where(good, image, 1e6)
    level = smooth_level(wild, good, LAW)
    assert np.abs(level[43, 43] - (truth[43, 43] + 20)) < 0.3 * truth[43, 43]
    assert np.isfinite(smooth_level(wild, np.zeros_like(good), LAW)).all()


def test_a_better_level_can_be_told() -> None:
    truth = cells(64)
    image = counted(truth, 1.0, 1.5, 20.0)
    seen = with_noise(image, LAW, level=truth + 20)
    assert seen.ivar is not None
    np.testing.assert_allclose(seen.ivar[0], 1 / LAW.variance(truth + 20), rtol=1e-5)
    with pytest.raises(InputError, match="level is"):
        with_noise(image, LAW, level=truth[:3])
    with pytest.raises(InputError, match="2 noises for 1 channels"):
        with_noise(image, [LAW, LAW])
    both = with_noise(np.stack([image, image]), [LAW, PhotonNoise.of_camera(2.0, 1.0)])
    assert both.gain is None and both.shape == (2, 64, 64)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_falloff_under_objects(sign: float) -> None:
    rows, cols = np.mgrid[:240, :300] / 150 - 1
    lamp = 300 * (1 - 0.25 * rows**2 - 0.2 * cols**2 + 0.1 * cols)
    rng = np.random.default_rng(4)
    objects = np.zeros(lamp.shape)
    for _ in range(60):
        row, col = rng.integers(0, 230), rng.integers(0, 290)
        objects[row : row + 10, col : col + 10] = 150 * sign
    image = Image((lamp + objects + 5 * rng.normal(size=lamp.shape)).astype(np.float32)[None])
    surface = estimate_illumination(image)[0]
    assert np.sqrt(np.mean((surface - lamp) ** 2)) < 1.5
    carried = with_illumination(image)
    np.testing.assert_array_equal(carried.data, image.data)
    twice = with_illumination(carried)
    assert carried.background is not None and twice.background is not None
    assert np.abs(np.asarray(twice.background) - np.asarray(carried.background)).max() < 0.5


def test_surfaces_need_pixels() -> None:
    with pytest.raises(InputError, match="a surface of order 6 needs 56"):
        estimate_illumination(np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32), order=6)
    with pytest.raises(UsageError, match="order is 9"):
        estimate_illumination(np.ones((40, 40), np.float32), order=9)
