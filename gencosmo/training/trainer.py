"""The trainer: draws, steps, moving average, checkpoints; a killed run resumes where its last checkpoint was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from gencosmo.ops.apply_kernels import applied_kernels
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training.draws import Draws, SkyDraws
from gencosmo.training.levels import Task
from gencosmo.training.loss import Loss, denoising_loss, observed_moments
from gencosmo.training.pack import Frame
from gencosmo.training.widen import widened

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
    simulator : str
        Where the simulated tiles come from, a name of `draws.SIMULATORS`.
    prior_var : float
        Variance of the prior, in squared network flux.
    surface : str
        Second base of the windows, a name of `gencosmo.priors.bases.SURFACES`.
    reach : float
        Residuals beyond so many predicted standard deviations count by their size, no longer by its square.
    """

    minutes: float = 30.0
    batch: int = 24
    tile: int = 64
    rate: float = 1.5e-3
    weight_decay: float = 1e-4
    real_share: float = 0.62
    scene_share: float = 0.55
    simulator: str = "sky"
    prior_var: float = 900.0
    surface: str = "kriging"
    seed: int = 0
    reach: float = 3.0
    average: float = 0.9995
    simulated_pool: int = 48
    pool_uses: int = 5
    bfloat16: bool = True
    checkpoint_seconds: float = 120.0


def features_of(win: Tensor, world: Tensor, prior_var: float) -> tuple[Tensor, Tensor]:
    """Features and local statistics of windows, in new memory."""
    batch, _rows, height, width = win.shape
    features = torch.empty(batch, FEATURES, height, width, device=win.device).to(memory_format=torch.channels_last)
    local = torch.empty(batch, LOCALS, height, width, device=win.device)
    precondition(win, world, prior_var, features, local)
    return features, local


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are the faster ones: on GPUs, and on CPUs with instructions for them.

    Without such instructions a CPU takes far longer than in float32 (`gencosmo.ops.convolve`), with them a tenth less.
    """
    if device.type != "cpu":
        return True
    # torch before 2.9 does not tell
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def predict(network: DenoiserNetwork, task: Task, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiable forward pass of a task: mean, variance and local roughness, each (B, H, W)."""
    win = tile_windows(task.z, task.sigma, settings.prior_var, settings.surface)
    features, local = features_of(win, task.world, settings.prior_var)
    half = settings.bfloat16 and multiplies_bfloat16(win.device)
    with torch.autocast(win.device.type, torch.bfloat16, enabled=half):
        raw = network(features)
    mean, var = applied_kernels(raw.float(), win, local)
    return mean[:, 0], var[:, 0], local[:, 3]


def sky_draws(frames: Sequence[Frame], settings: Settings, seed: int, device: torch.device | str = "cpu") -> SkyDraws:
    """The draws that these settings describe."""
    return SkyDraws(
        frames, batch=settings.batch, tile=settings.tile, real_share=settings.real_share,
        scene_share=settings.scene_share, simulator=settings.simulator, pool=settings.simulated_pool,
        uses=settings.pool_uses, seed=seed, device=torch.device(device),
    )  # fmt: skip


class Trainer:
    """Trains a denoiser network on whatever its draws ask.

    Parameters
    ----------
    draws : Draws
    shape : NetworkShape
    settings : Settings
    device : str
    """

    def __init__(self, draws: Draws, shape: NetworkShape, settings: Settings, device: str = "cpu") -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.draws = settings, torch.device(device), draws
        network = DenoiserNetwork(shape).to(self.device)
        # torch's type stubs do not know that modules take a memory format
        self.network: DenoiserNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = DenoiserNetwork(shape).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.step, self.elapsed = 0, 0.0

    def progress(self) -> float:
        """Share of the budget that has passed, 0 to 1."""
        return min(1.0, self.elapsed / (60 * self.settings.minutes))

    def rate(self) -> float:
        """Warm-up, then a cosine down to 1 % of the rate."""
        falling = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return self.settings.rate * min(1, (self.step + 1) / 200) * max(0.01, falling)

    def update(self, task: Task) -> Loss:
        """One optimiser step; a batch with a non-finite loss is left out."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        settings = self.settings
        mean, var, rough = predict(self.network, task, settings)
        mean, var = observed_moments(mean, var, task.z, task.sigma, task.noise)
        loss = denoising_loss(mean, var, task.target, task.sigma, rough, task.supervised, settings.reach)
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
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "settings": asdict(self.settings),
            "shape": self.network.shape.to_dict(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def start_from(self, network: DenoiserNetwork) -> None:
        """Begin with the weights of another network, as large or smaller."""
        weights = widened(network, self.network.shape).state_dict()
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same network shape."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        # other draws than before the kill, or the same tiles would come again
        self.draws.reseed(self.settings.seed + self.step)

    def run(self, checkpoint: Path, report: Report = print) -> None:
        """Train until the budget is spent, resuming from `checkpoint` where it exists."""
        if checkpoint.exists():
            self.resume(checkpoint)
            report(f"resumed at step {self.step}, {self.elapsed / 60:.1f} min")
        watch, saved = [0.0, 0.0], self.elapsed
        while self.progress() < 1:
            start = time.perf_counter()
            loss = self.update(self.draws.draw())
            self.elapsed += time.perf_counter() - start
            for i, value in enumerate((loss.square, loss.likelihood)):
                watch[i] += 0.01 * (float(value) - watch[i]) if watch[i] else float(value)
            if self.step % 100 == 0:
                tiles = self.step * self.settings.batch
                speed = f"tiles {tiles} {tiles / self.elapsed:.0f}/s"
                report(f"step {self.step} {speed} square {watch[0]:.4f} nll {watch[1]:.4f}")
            if self.elapsed - saved > self.settings.checkpoint_seconds:
                self.save(checkpoint)
                saved = self.elapsed
        self.save(checkpoint)
