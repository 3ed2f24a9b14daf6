"""The trainer: draws, steps, moving average, checkpoints; a killed run resumes where its last checkpoint was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from gencosmo.ops.apply_kernels import apply_kernels_reference
from gencosmo.ops.precondition import precondition_reference
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training.data import TileSource
from gencosmo.training.levels import Task, make_task, noise_map
from gencosmo.training.loss import Loss, denoising_loss
from gencosmo.training.masks import draw_holes
from gencosmo.training.pack import Frame
from gencosmo.training.simulate import simulate_sky

Report = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """One training run.

    Attributes
    ----------
    minutes : float
        Wall-clock budget; the learning rate follows the share of it that has passed.
    real_share : float
        Share of real tiles in a batch (only with frames); the others are simulated.
    scene_share : float
        Share of simulated tiles that ask for the noise-free scene.
    prior_var : float
        Variance of the prior, in squared network flux.
    """

    minutes: float = 30.0
    batch: int = 24
    tile: int = 64
    rate: float = 1.5e-3
    weight_decay: float = 1e-4
    real_share: float = 0.62
    scene_share: float = 0.45
    prior_var: float = 900.0
    seed: int = 0
    reach_first: float = 5.0
    reach_last: float = 30.0
    average: float = 0.9995
    simulated_pool: int = 48
    pool_uses: int = 5
    bfloat16: bool = True
    checkpoint_seconds: float = 120.0


def predict(network: DenoiserNetwork, task: Task, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiable forward pass of a task: mean, variance and local roughness, each (B, H, W)."""
    win = tile_windows(task.z, task.sigma, settings.prior_var)
    features, local = precondition_reference(win, task.world, settings.prior_var)
    with torch.autocast(win.device.type, torch.bfloat16, enabled=settings.bfloat16):
        raw = network(features.to(memory_format=torch.channels_last))
    mean, var = apply_kernels_reference(raw.float(), win, local)
    return mean[:, 0], var[:, 0], local[:, 3]


class Trainer:
    """Trains a denoiser network.

    Parameters
    ----------
    frames : sequence of Frame
        Real frames; may be empty, then everything is simulated.
    shape : NetworkShape
    settings : Settings
    device : str
    """

    def __init__(
        self, frames: Sequence[Frame], shape: NetworkShape, settings: Settings, device: str = "cpu"
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, torch.device(device)
        self.network = DenoiserNetwork(shape).to(self.device).to(memory_format=torch.channels_last)
        self.average = DenoiserNetwork(shape).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.generator = Generator(self.device).manual_seed(settings.seed)
        self.source = TileSource(frames, settings.tile, settings.seed) if frames else None
        self.rng = torch.Generator().manual_seed(settings.seed + 1)
        self.step, self.elapsed = 0, 0.0
        self._pool: tuple[Tensor, Tensor] | None = None

    def simulated(self, batch: int) -> tuple[Tensor, Tensor]:
        """Noise-free truth and variance of `batch` simulated tiles, from a pool that is renewed now and then."""
        settings = self.settings
        uses = max(1, settings.simulated_pool * settings.pool_uses // max(1, batch))
        if self._pool is None or self.step % uses == 0:
            sky = simulate_sky(settings.simulated_pool, settings.tile, self.generator, self.device)
            self._pool = sky.truth, sky.variance
        pick = torch.randperm(settings.simulated_pool, generator=self.rng)[:batch].to(self.device)
        truth, variance = (x[pick] for x in self._pool)
        turns = int(torch.randint(0, 4, (1,), generator=self.rng))
        return truth.rot90(turns, (1, 2)), variance.rot90(turns, (1, 2))

    def draw(self) -> Task:
        """One batch of questions."""
        settings = self.settings
        n_real = round(settings.batch * settings.real_share) if self.source else 0
        truth, variance = self.simulated(settings.batch - n_real)
        noise = noise_map(variance, self.generator)
        n = truth.shape[0]
        scene = torch.rand(n, generator=self.generator, device=self.device) < settings.scene_share
        frame = truth + noise * torch.randn(truth.shape, generator=self.generator, device=self.device)
        target = torch.where(scene[:, None, None], truth, frame)
        observed = torch.where(scene[:, None, None], noise, torch.zeros_like(noise))
        good = torch.ones_like(target, dtype=torch.bool)
        if self.source:
            tiles, usable = (torch.from_numpy(x).to(self.device) for x in self.source.draw(n_real))
            target, good = torch.cat([target, tiles]), torch.cat([good, usable])
            observed = torch.cat([observed, torch.zeros_like(tiles)])
            scene = torch.cat([scene, torch.zeros(n_real, dtype=torch.bool, device=self.device)])
        seed = int(torch.randint(0, 2**31, (1,), generator=self.rng))
        holes = torch.from_numpy(draw_holes(target.cpu().numpy(), _numpy_rng(seed))).to(self.device)
        return make_task(target, observed, holes, good, scene.float(), self.generator)

    def progress(self) -> float:
        """Share of the budget that has passed, 0 to 1."""
        return min(1.0, self.elapsed / (60 * self.settings.minutes))

    def rate(self) -> float:
        """Warm-up, then a cosine down to 1 % of the rate."""
        return self.settings.rate * min(1, (self.step + 1) / 200) * max(0.01, 0.5 * (1 + math.cos(math.pi * self.progress())))

    def update(self, task: Task) -> Loss:
        """One optimiser step; a batch with a non-finite loss is left out."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        settings = self.settings
        share = min(1.0, self.progress() / 0.66)
        reach = settings.reach_first * (settings.reach_last / settings.reach_first) ** share
        mean, var, rough = predict(self.network, task, settings)
        loss = denoising_loss(mean, var, task.target, task.sigma, rough, task.supervised, reach)
        self.step += 1
        if not torch.isfinite(loss.total):
            return loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        decay = min(settings.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        return loss

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "elapsed": self.elapsed,
            "settings": asdict(self.settings), "shape": self.network.shape.to_dict(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same network shape."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        # other draws than before the kill, or the same tiles would come again
        for generator in (self.generator, self.rng):
            generator.manual_seed(self.settings.seed + self.step)

    def run(self, checkpoint: Path, report: Report = print) -> None:
        """Train until the budget is spent, resuming from `checkpoint` where it exists."""
        if checkpoint.exists():
            self.resume(checkpoint)
            report(f"resumed at step {self.step}, {self.elapsed / 60:.1f} min")
        watch, saved = [0.0, 0.0], self.elapsed
        while self.progress() < 1:
            start = time.perf_counter()
            loss = self.update(self.draw())
            self.elapsed += time.perf_counter() - start
            for i, value in enumerate((loss.square, loss.likelihood)):
                watch[i] += 0.01 * (float(value) - watch[i]) if watch[i] else float(value)
            if self.step % 100 == 0:
                tiles = self.step * self.settings.batch
                report(f"step {self.step} tiles {tiles} {tiles / self.elapsed:.0f}/s square {watch[0]:.4f} nll {watch[1]:.4f}")
            if self.elapsed - saved > self.settings.checkpoint_seconds:
                self.save(checkpoint)
                saved = self.elapsed
        self.save(checkpoint)


def _numpy_rng(seed: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.random.default_rng(seed)
