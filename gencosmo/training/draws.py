"""Where a training batch comes from: real tiles and simulated sky, holes, levels, one question per tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from gencosmo.training.artifacts import add_artifacts
from gencosmo.training.cells import simulate_cells
from gencosmo.training.data import TileSource
from gencosmo.training.deepened import deepen
from gencosmo.training.grain import correlated_noise
from gencosmo.training.levels import Task, make_task, noise_map
from gencosmo.training.masks import draw_holes
from gencosmo.training.pack import Frame
from gencosmo.training.simulate import Sky, simulate_sky

__all__ = ["SIMULATORS", "Draws", "SkyDraws"]

SIMULATORS: dict[str, Callable[[int, int, Generator, torch.device | str], Sky]] = {
    "sky": simulate_sky,
    "cells": simulate_cells,
}
"""Name of a simulator and ``(batch, size, generator, device) -> truth and variance``."""


ARTIFACT_SHARE = 0.2
"""Share of the tiles in the frame world that carry a defect which is not masked."""
GRAIN_SHARE = 0.5
"""Share of the simulated frames with correlated noise."""
DEEP_SHARE = 0.25
"""Share of the real tiles with something to see that are made deeper, `gencosmo.training.deepened`."""
REAL_SCENE_SHARE = 0.3
"""Share of the real tiles with white noise that stand for the scene behind them."""


class Draws(Protocol):
    """A source of questions; the trainer asks for one batch per step."""

    def draw(self) -> Task:
        """One batch."""
        ...

    def reseed(self, seed: int) -> None:
        """Start another sequence of draws, after a resumed run."""
        ...


class SkyDraws:
    """Questions about real and simulated sky.

    Parameters
    ----------
    frames : sequence of Frame
        Real frames; may be empty, then everything is simulated.
    batch, tile : int
        Tiles per batch and their side.
    real_share : float
        Share of real tiles in a batch (only with frames).
    scene_share : float
        Share of simulated tiles that ask for the noise-free scene.
    simulator : str
        A name of :data:`SIMULATORS`.
    pool, uses : int
        Simulated tiles are drawn from a pool of this size, renewed when each has been used about `uses` times.
    seed : int
    device : str
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        *,
        batch: int,
        tile: int,
        real_share: float,
        scene_share: float,
        simulator: str,
        pool: int,
        uses: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.batch, self.tile, self.device = batch, tile, device
        self.real = round(batch * real_share) if frames else 0
        self.simulate = SIMULATORS[simulator]
        # the one level of a real tile is not what photon noise has
        self.scene_of_real = REAL_SCENE_SHARE if simulator == "sky" else 0.0
        self.scene_share, self.pool_size, self.uses = scene_share, pool, uses
        self.source = TileSource(frames, tile, seed) if frames else None
        self.generator, self.choices = Generator(device), Generator()
        self.artifacts = ARTIFACT_SHARE
        self.reseed(seed)
        self._pool: tuple[Tensor, Tensor] | None = None
        self._used = 0

    def reseed(self, seed: int) -> None:
        """Start another sequence of draws."""
        self.generator.manual_seed(seed)
        self.choices.manual_seed(seed + 1)
        if self.source is not None:
            self.source.rng = np.random.default_rng(seed)

    def draw(self) -> Task:
        """One batch of questions."""
        truth, variance = self._simulated(self.batch - self.real)
        noise, count = noise_map(variance, self.generator), truth.shape[0]
        scene = torch.rand(count, generator=self.generator, device=self.device) < self.scene_share
        batch, height, width = truth.shape
        frame = truth + noise * correlated_noise((batch, height, width), GRAIN_SHARE, self.generator)
        target = torch.where(scene[:, None, None], truth, frame)
        observed = torch.where(scene[:, None, None], noise, torch.zeros_like(noise))
        good = torch.ones_like(target, dtype=torch.bool)
        own = torch.zeros_like(target)
        if self.source is not None:
            drawn = self.source.draw(self.real)
            if self.simulate is simulate_sky:
                # what was smoothed is no scene: its old noise is in it
                drawn[2][deepen(*drawn[:2], self.source.rng, DEEP_SHARE)] = 0
            tiles, usable, white = (torch.from_numpy(x).to(self.device) for x in drawn)
            behind = torch.rand(self.real, generator=self.generator, device=self.device) < self.scene_of_real
            behind &= white > 0
            level = torch.where(behind, white, torch.zeros_like(white))[:, None, None].expand_as(tiles)
            target, good = torch.cat([target, tiles]), torch.cat([good, usable])
            observed, own = torch.cat([observed, level]), torch.cat([own, level])
            scene = torch.cat([scene, behind])
        rng = np.random.default_rng(int(torch.randint(0, 2**31, (1,), generator=self.choices)))
        frames = ~scene
        target[frames] = torch.from_numpy(add_artifacts(target[frames].cpu().numpy(), rng, self.artifacts)).to(
            self.device
        )
        holes = torch.from_numpy(draw_holes(target.cpu().numpy(), rng)).to(self.device)
        return make_task(target, observed, holes, good, scene.float(), own, self.generator)

    def _simulated(self, count: int) -> tuple[Tensor, Tensor]:
        """Noise-free truth and variance of `count` simulated tiles, turned at random."""
        if self._pool is None or self._used >= self.pool_size * self.uses:
            sky = self.simulate(self.pool_size, self.tile, self.generator, self.device)
            self._pool, self._used = (sky.truth, sky.variance), 0
        self._used += count
        pick = torch.randperm(self.pool_size, generator=self.choices)[:count].to(self.device)
        turns = int(torch.randint(0, 4, (1,), generator=self.choices))
        truth, variance = (x[pick].rot90(turns, (1, 2)) for x in self._pool)
        return truth, variance
