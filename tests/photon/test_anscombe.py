"""Even noise, and means that come back without bias, also from few electrons."""

from __future__ import annotations

import numpy as np
import pytest

from gencosmo.photon import PhotonNoise
from gencosmo.photon.anscombe import stabilise, unstabilise

DRAWS = 400_000


@pytest.mark.parametrize("read_noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0, 20.0, 90.0, 99.5, 300.0])
def test_the_inverse_has_no_bias(signal: float, read_noise: float) -> None:
    law = PhotonNoise.of_camera(0.5, read_noise, 10.0)
    rng = np.random.default_rng(int(10 * signal + read_noise))
    seen = (rng.poisson(signal, DRAWS) + read_noise * rng.normal(size=DRAWS)) / 0.5 + 10.0
    back = (unstabilise(stabilise(seen, law).mean(), law) - 10.0) * 0.5
    chance = np.sqrt((signal + read_noise**2 + 0.1) / DRAWS)
    assert abs(back - signal) < 5 * chance + 0.02 * (signal > 99)
    if signal >= 20:
        assert stabilise(seen, law).std() == pytest.approx(1, abs=0.03)


def test_the_algebraic_inverse_is_what_it_is_for() -> None:
    law = PhotonNoise.of_camera(1.0, 0.5)
    rng = np.random.default_rng(0)
    mean = stabilise(rng.poisson(1.0, DRAWS) + 0.5 * rng.normal(size=DRAWS), law).mean()
    naive = mean**2 / 4 - 0.375 - 0.25
    assert abs(naive - 1) > 0.1 and abs(unstabilise(mean, law) - 1) < 0.01


def test_table_and_closed_form_meet_and_rise() -> None:
    law = PhotonNoise.of_camera(1.0, 2.0)
    values = unstabilise(np.linspace(0, 40, 4001), law)
    assert (np.diff(values) >= 0).all()
    near = np.linspace(95, 105, 101)
    back = unstabilise(stabilise(near, law), law)
    assert np.abs(np.diff(back) - np.diff(near)).max() < 0.02


def test_an_uncertain_signal_is_convexly_larger() -> None:
    law = PhotonNoise.of_camera(1.0, 1.0)
    rng = np.random.default_rng(3)
    signal = rng.gamma(16.0, 5.0, DRAWS)
    seen = stabilise(rng.poisson(signal) + rng.normal(size=DRAWS), law)
    plain, told = unstabilise(seen.mean(), law), unstabilise(seen.mean(), law, seen.std())
    assert plain < signal.mean() - 1
    assert float(told) == pytest.approx(signal.mean(), rel=0.01)


def test_without_photon_noise_it_is_a_scale() -> None:
    law = PhotonNoise(0.0, 4.0, 5.0)
    values = np.array([3.0, 5.0, 9.0])
    np.testing.assert_allclose(stabilise(values, law), [-1, 0, 2])
    np.testing.assert_allclose(unstabilise(stabilise(values, law), law), values)
