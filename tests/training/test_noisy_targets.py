"""Noise of training frames: correlated in simulated ones, known and white in real ones that stand for the scene."""

from __future__ import annotations

import numpy as np
import torch

from gencosmo.training.data import FINEST, TileSource, is_white, turned
from gencosmo.training.grain import correlated_noise
from gencosmo.training.levels import KINDS, make_task
from gencosmo.training.loss import observed_moments
from gencosmo.training.pack import Frame


def test_correlated_noise_keeps_its_variance() -> None:
    noise = correlated_noise((300, 48, 48), 1.0, torch.Generator().manual_seed(0))
    assert abs(float(noise.var()) - 1) < 0.02
    neighbours = (noise[:, :, 1:] * noise[:, :, :-1]).mean((1, 2))
    assert float(neighbours.mean()) > 0.2
    far = (noise[:, :, 6:] * noise[:, :, :-6]).mean()
    assert abs(float(far)) < 0.01


def test_no_share_is_white_noise() -> None:
    noise = correlated_noise((50, 48, 48), 0.0, torch.Generator().manual_seed(1))
    assert abs(float((noise[:, :, 1:] * noise[:, :, :-1]).mean())) < 0.01


def test_moments_of_a_noisy_target_are_those_of_conjugate_gaussians() -> None:
    """x ~ N(0, 4), y = x + 0.7 n, z = y + extra noise up to level 1.5: E[y|z] and Var[y|z] have closed forms."""
    prior, noise, level = 4.0, 0.7, 1.5
    z = torch.linspace(-5, 5, 11).view(1, 1, 11)
    gain = prior / (prior + level**2)
    mean, var = gain * z, torch.full_like(z, prior * level**2 / (prior + level**2))
    got_mean, got_var = observed_moments(mean, var, z, torch.full_like(z, level), torch.full_like(z, noise))
    of_target = (prior + noise**2) / (prior + level**2)
    torch.testing.assert_close(got_mean, of_target * z)
    torch.testing.assert_close(got_var, torch.full_like(z, (prior + noise**2) * (1 - of_target)))


def test_moments_of_a_hidden_noisy_pixel_add_its_noise() -> None:
    one = torch.ones(1, 1, 3)
    mean, var = observed_moments(2 * one, 3 * one, 0 * one, torch.inf * one, 0.5 * one)
    assert bool((mean == 2).all())
    assert bool((var == 3.25).all())


def test_a_noisy_target_is_asked_for_at_levels_above_its_noise_only() -> None:
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(400, 16, 16, generator=generator)
    holes = torch.zeros(400, 16, 16, dtype=torch.bool)
    holes[:, 4:8, 4:8] = True
    noise = torch.ones(400, 16, 16)
    task = make_task(target, noise, holes, torch.ones_like(holes), torch.ones(400), noise, generator)
    assert bool((task.sigma >= 1).all())
    assert not bool((task.supervised & (task.sigma <= 1)).any())
    assert bool(task.supervised[:, 5, 5].any())
    added = (task.z - task.target)[torch.isfinite(task.sigma) & (task.sigma > 2) & (task.sigma < 4)]
    wanted = task.sigma[torch.isfinite(task.sigma) & (task.sigma > 2) & (task.sigma < 4)]
    assert abs(float((added**2 / (wanted**2 - 1)).mean()) - 1) < 0.05


def test_shares_of_levels_sum_to_one() -> None:
    assert np.allclose(np.array(list(KINDS.values())).sum(0), 1)


def test_white_frames_are_told_from_resampled_ones() -> None:
    white = np.random.default_rng(0).standard_normal((200, 200)).astype(np.float32)
    assert is_white(white)
    smooth = (white[:, 1:] + white[:, :-1])[1:] / np.float32(2)
    assert not is_white(smooth)
    assert not is_white(white[:20, :20])


def test_a_turned_tile_keeps_a_plane() -> None:
    rows, cols = np.mgrid[:128, :128].astype(np.float32)
    tile = turned(rows + 2 * cols, 64, np.random.default_rng(4))
    steps = np.hypot(np.diff(tile, axis=0)[:, :-1], np.diff(tile, axis=1)[:-1])
    assert tile.shape == (64, 64)
    assert np.ptp(steps) < 1e-2
    assert np.sqrt(5) / FINEST - 1e-3 < steps.mean() <= np.sqrt(5) + 1e-3


def test_tiles_of_white_frames_tell_their_noise() -> None:
    white = np.random.default_rng(1).standard_normal((200, 200)).astype(np.float32)
    tiles, good, noise = TileSource([Frame(white, "a")], 64, seed=0).draw(60)
    assert good.all()
    assert (noise > 0).any()
    told = noise > 0
    assert abs(np.median(tiles[told].std((1, 2)) / noise[told]) - 1) < 0.05
