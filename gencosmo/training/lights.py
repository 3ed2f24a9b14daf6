"""Real frames as the light that falls on a simulated camera: questions about the scene with photon noise.

Nobody has noise-free frames. But a frame whose own noise is known can stand for the light behind it, when a camera
with a worse law takes a picture of it: what the prior says of the scene is compared with the frame, whose own noise is
taken into account pixel by pixel (:func:`gencosmo.training.loss.observed_moments`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.photon import estimate_noise, smooth_level
from gencosmo.training.data import FLUX_LIMIT, binned, frame_shares
from gencosmo.training.levels import Task
from gencosmo.training.masks import Rng, draw_holes
from gencosmo.training.pack import Frame

__all__ = ["Lights", "own_noise"]

Float = NDArray[np.float32]
PHOTONS = (20.0, 1000.0)
"""Electrons at the brightest of a tile above its darkest, log-uniform."""
READ = (1.0, 4.0)
"""Read noise in electrons, log-uniform."""
HOLED_SHARE = 0.3
"""Share of the tiles with holes."""
OWN_SHARE = 0.2
"""A pixel tells nothing of the scene where more of its variance than this is the target's own."""


def own_noise(flux: Float) -> Float | None:
    """Standard deviation of a frame's own noise, pixel by pixel (H, W), by the law it shows; None without a law."""
    good = np.isfinite(flux)
    values = np.where(good, flux, 0).astype(np.float32)
    with warnings.catch_warnings():
        # an estimate that is too small matters little beside the noise that the camera adds
        warnings.simplefilter("ignore")
        try:
            (law,) = estimate_noise(values, ~good)
        except InputError:
            return None
    return np.sqrt(law.variance(smooth_level(values, good, law))).astype(np.float32)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def camera_noise(light: Float, rng: Rng) -> Float:
    """Standard deviation (H, W) of a camera's picture of `light`, in its units: shot noise over a read-noise floor."""
    low, high = np.quantile(light, (0.001, 0.999))
    electron = max(float(high - low), 1e-3) / _log_uniform(rng, *PHOTONS)
    counts = np.maximum(light - low, 0) / electron
    return np.asarray(electron * np.sqrt(counts + _log_uniform(rng, *READ) ** 2), np.float32)


class Lights:
    """Draws questions about the scene behind real frames.

    Parameters
    ----------
    frames : sequence of Frame
        Those with a side below `size`, or without a law of their noise, are left out.
    size : int
        Side of a tile.
    seed : int

    Attributes
    ----------
    frames : list of Frame
        What is drawn from; may be empty.
    """

    def __init__(self, frames: Sequence[Frame], size: int, seed: int) -> None:
        self.size, self.rng = size, np.random.default_rng(seed)
        self.frames, self.own = [], []
        for frame in frames:
            own = own_noise(frame.flux) if min(frame.flux.shape) >= size else None
            if own is not None:
                self.frames.append(frame)
                self.own.append(own)
        self.shares = frame_shares(self.frames) if self.frames else np.empty(0)

    def draw(self, batch: int) -> Task:
        """One batch of scenes: levels are the camera's noise and the frame's own, infinite in holes."""
        chosen = self.rng.choice(len(self.frames), batch, p=self.shares)
        pairs = [self._tile(index) for index in chosen]
        light, own = (np.stack(parts) for parts in zip(*pairs, strict=True))
        good = np.isfinite(light)
        light = np.where(good, np.clip(light, -1e3, FLUX_LIMIT), 0).astype(np.float32)
        added = np.stack([camera_noise(tile, self.rng) for tile in light])
        level = np.hypot(added, own)
        holed = (self.rng.random(batch) < HOLED_SHARE)[:, None, None] & draw_holes(light, self.rng)
        known = good & ~holed
        z = np.where(known, light + added * self.rng.standard_normal(light.shape), 0)
        told = good & (holed | (own**2 < OWN_SHARE * level**2))
        parts = (z, np.where(known, level, np.inf), light, told, np.ones(batch), own)
        z_, sigma, target, supervised, world, noise = (torch.from_numpy(np.asarray(x)) for x in parts)
        return Task(z_.float(), sigma.float(), target, supervised, world.float(), noise)

    def _tile(self, index: int) -> tuple[Float, Float]:
        """A tile and its own noise, summed 2x2 where the frame is large enough: quieter, and other structure."""
        flux, own, size = self.frames[index].flux, self.own[index], self.size
        wide = 2 * size if min(flux.shape) >= 2 * size and self.rng.random() < 0.5 else size
        row, col = (int(self.rng.integers(0, side - wide + 1)) for side in flux.shape)
        cut = np.s_[row : row + wide, col : col + wide]
        tile, noise = flux[cut], own[cut]
        if wide > size:
            # binned() keeps white noise at its level: half the sum of four
            tile, noise = binned(tile), np.sqrt(binned(noise**2) / 2)
        turns = int(self.rng.integers(4))
        return np.rot90(tile, turns).copy(), np.rot90(noise, turns).astype(np.float32)
