"""Real frames as light: their own noise is known, a camera's is added, and pixels that tell nothing are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gencosmo.training.lights import HOLED_SHARE, OWN_SHARE, Lights, camera_noise, own_noise
from gencosmo.training.pack import Frame

GAIN, READ = 0.5, 3.0


def light(side: int = 160) -> np.ndarray:
    """Soft bodies on dark ground."""
    rows, cols = np.mgrid[:side, :side]
    return 200 * (1 + np.sin(rows / 17) * np.cos(cols / 13)) ** 2


def picture(seed: int = 0) -> np.ndarray:
    """Of that light, by a camera with gain and read noise."""
    rng = np.random.default_rng(seed)
    return ((rng.poisson(light() * GAIN) + READ * rng.normal(size=light().shape)) / GAIN).astype(np.float32)


def test_the_own_noise_follows_the_light() -> None:
    found = own_noise(picture())
    assert found is not None
    truth = np.sqrt(light() * GAIN + READ**2) / GAIN
    for part in (truth < np.quantile(truth, 0.2), truth > np.quantile(truth, 0.8)):
        assert float(found[part].mean() / truth[part].mean()) == pytest.approx(1, abs=0.15)
    assert own_noise(np.zeros((80, 80), np.float32)) is None


def test_a_camera_counts_electrons_over_a_floor() -> None:
    tile = light(64).astype(np.float32)
    noise = camera_noise(tile, np.random.default_rng(3)).astype(float)
    slope, floor = np.polyfit(tile.ravel(), noise.ravel() ** 2, 1)
    assert slope > 0 and floor > 0
    assert np.allclose(noise**2, slope * tile + floor, rtol=0.02)
    electrons = (tile.max() - tile.min()) / slope
    assert 15 < electrons < 1100


def test_a_question_is_the_frame_and_the_camera_s_noise_on_top() -> None:
    frames = [Frame(picture(seed), "a") for seed in (1, 2)] + [Frame(picture(3)[:40], "small")]
    source = Lights(frames, 48, 5)
    assert [frame.group for frame in source.frames] == ["a", "a"]
    task, again = source.draw(32), Lights(frames, 48, 5).draw(32)
    assert all(torch.equal(getattr(task, name), getattr(again, name)) for name in ("z", "sigma", "target", "noise"))
    assert (task.world == 1).all()
    holes = torch.isinf(task.sigma)
    assert 0 < holes.flatten(1).any(1).float().mean() < 2 * HOLED_SHARE
    assert (task.z[holes] == 0).all() and task.supervised[holes].all()
    known = ~holes
    added = (task.sigma**2 - task.noise**2)[known].sqrt()
    pull = (task.z - task.target)[known] / added
    assert abs(float(pull.mean())) < 0.02 and float(pull.std()) == pytest.approx(1, abs=0.02)
    told = task.supervised[known]
    share = (task.noise / task.sigma)[known] ** 2
    assert told.any() and (share[told] < OWN_SHARE).all() and (share[~told] >= OWN_SHARE).all()


def test_sums_of_four_keep_white_noise_at_its_level() -> None:
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 4000, 256)[None] * np.ones((256, 1))
    frame = Frame((ramp + rng.normal(size=(256, 256))).astype(np.float32), "a")
    noise = Lights([frame], 64, 0).draw(40).noise
    assert float(noise.mean()) == pytest.approx(1, abs=0.1)
