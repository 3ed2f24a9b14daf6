"""Gain and read noise from one image; the law told by a data sheet; what is not noise."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.image import Image
from gencosmo.photon import PhotonNoise, estimate_noise
from tests.photon.scenes import cells, counted


@pytest.mark.parametrize(
    ("gain", "read_noise", "offset", "peak"),
    [(0.5, 2.0, 100.0, 400.0), (2.0, 1.5, 0.0, 150.0), (0.1, 6.0, 500.0, 2000.0), (1.0, 3.0, 0.0, 60.0)],
)
def test_gain_and_read_noise_of_one_exposure(gain: float, read_noise: float, offset: float, peak: float) -> None:
    truth = cells(peak=peak)
    (found,) = estimate_noise(counted(truth, gain, read_noise, offset), offset=offset)
    assert found.gain == pytest.approx(gain, rel=0.15)
    # the law itself, at every level that the image has
    real = PhotonNoise.of_camera(gain, read_noise, offset)
    levels = np.quantile(truth, (0.02, 0.5, 0.9, 0.99)) / gain + offset
    np.testing.assert_allclose(found.variance(levels), real.variance(levels), rtol=0.15)


def test_an_unknown_offset_changes_the_words_and_not_the_law() -> None:
    truth = cells()
    image = counted(truth, 0.5, 2.0, 100.0)
    (told,), (guessed,) = estimate_noise(image, offset=100.0), estimate_noise(image)
    assert guessed.offset > 110
    levels = np.linspace(125, 700, 8)
    np.testing.assert_allclose(guessed.variance(levels), told.variance(levels), rtol=0.05)
    assert guessed.read_noise > told.read_noise


def test_channels_have_their_own_laws_and_masked_pixels_do_not_count() -> None:
    planes = np.stack([counted(cells(200), 1.0, 2.0, 0.0, 3), counted(cells(200), 0.25, 2.0, 0.0, 4)])
    mask = np.zeros(planes.shape, bool)
    mask[:, 50:80] = True
    wild = np.where(mask, 1e4 * np.random.default_rng(0).random(planes.shape), planes).astype(np.float32)
    first, second = estimate_noise(wild, mask, offset=0.0)
    assert first.gain == pytest.approx(1.0, rel=0.25) and second.gain == pytest.approx(0.25, rel=0.25)


def test_even_noise_has_no_slope_worth_the_name() -> None:
    rng = np.random.default_rng(2)
    truth = cells(peak=400.0)
    (found,) = estimate_noise((truth + 7 * rng.normal(size=truth.shape)).astype(np.float32))
    np.testing.assert_allclose(found.variance(np.quantile(truth, (0.1, 0.9))), 49, rtol=0.12)


def test_eight_bits_and_clipped_pixels() -> None:
    truth = cells(peak=700.0)
    image = np.clip(np.rint(counted(truth, 3.0, 2.0, 0.0)), 0, 255).astype(np.uint8)
    assert (image == 255).mean() > 0.002
    (found,) = estimate_noise(image, offset=0.0)
    levels = np.array([20.0, 80.0, 180.0])
    real = PhotonNoise.of_camera(3.0, 2.0).variance(levels) + 1 / 12
    np.testing.assert_allclose(found.variance(levels), real, rtol=0.2)


def test_dark_ground_of_eight_bits_is_known_to_a_step() -> None:
    truth = cells(200, peak=2000.0, ground=0.0)
    image = np.clip(np.rint(counted(truth, 20.0, 2.0, 3.0)), 0, 255).astype(np.uint8)
    (found,) = estimate_noise(image)
    assert found.floor >= 1 / 12
    assert found.gain == pytest.approx(20.0, rel=0.25)


def test_correlated_noise_is_told() -> None:
    rng = np.random.default_rng(5)
    rough = gaussian_filter(rng.normal(size=(200, 200)), 1.0).astype(np.float32) + 100
    with pytest.warns(GencosmoWarning, match="not white"):
        estimate_noise(rough)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate_noise(counted(cells(200), 1.0, 2.0, 0.0))


def test_images_without_noise_are_refused() -> None:
    rows, cols = np.mgrid[:90, :90].astype(np.float32)
    with pytest.raises(InputError, match="no noise"):
        estimate_noise(rows + cols)
    with pytest.raises(InputError, match="neither masked nor clipped"):
        estimate_noise(np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32))


def test_a_law_is_checked_and_says_what_it_is() -> None:
    law = PhotonNoise.of_camera(0.5, 4.0, 100.0)
    assert (law.gain, law.read_noise) == (0.5, 4.0)
    np.testing.assert_allclose(law.variance([50.0, 100.0, 200.0]), [64, 64, 264])
    assert PhotonNoise(0.0, 9.0).read_noise == 3.0
    assert "gain=0.5" in repr(law)
    for wrong in ((-1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(InputError, match="not both zero"):
            PhotonNoise(*wrong)
    with pytest.raises(InputError, match="gain is 0"):
        PhotonNoise.of_camera(0.0, 1.0)
    assert isinstance(estimate_noise(Image(counted(cells(120), 1, 2, 0)[None]))[0], PhotonNoise)
