"""The known-answer cases with a network trained on the same field instead of the exact denoiser.

``python benchmarks/known_answer_trained.py --minutes 8`` trains a small network on draws of the 16x16 Gaussian field,
at the levels that the sampler asks for, then prints the same table as ``known_answer.py``. The exact posterior stays
the judge.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script: the repository root, for tests

from gencosmo.priors.cards import Card
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.priors.network import NetworkShape
from gencosmo.training.levels import Task
from gencosmo.training.trainer import Settings, Trainer
from tests.sampling.cases import SIDE, build, evaluate

SHAPE = NetworkShape((48, 96), (2, 3))
SIGMA_MAX = 100.0


class FieldDraws:
    """Questions about the Gaussian field: random holes and noise maps, cut off at a random clock."""

    def __init__(self, batch: int, seed: int) -> None:
        unknown = torch.full((SIDE, SIDE), torch.inf)
        covariance = GaussianPrior.exponential().posterior_covariance(unknown)
        self.lower = torch.linalg.cholesky(covariance).float()
        self.batch, self.generator = batch, Generator()
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start another sequence of draws."""
        self.generator.manual_seed(seed)

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def draw(self) -> Task:
        """One batch."""
        n = self.batch
        target = (torch.randn(n, SIDE * SIDE, generator=self.generator) @ self.lower.T).view(n, SIDE, SIDE)
        spread = self._uniform(n, 1, 1, high=2.5) * (self._uniform(n, 1, 1) < 0.6)
        centre = self._uniform(n, 1, 1, low=math.log(0.03), high=math.log(3.0))
        known = (centre + spread * (2 * self._uniform(n, SIDE, SIDE) - 1)).exp()
        sigma = torch.where(self._holes(), torch.full_like(known, math.inf), known)
        clock = self._uniform(n, 1, 1, low=math.log(0.02), high=math.log(SIGMA_MAX)).exp()
        ticking = self._uniform(n, 1, 1) < 0.7
        sigma = torch.where(ticking, torch.minimum(sigma, clock), sigma)
        finite = torch.isfinite(sigma)
        noise = torch.randn(target.shape, generator=self.generator)
        z = torch.where(finite, target + torch.where(finite, sigma, 0 * sigma) * noise, 0 * target)
        return Task(z, sigma, target, torch.ones_like(finite), torch.ones(n), torch.zeros_like(z))

    def _holes(self) -> Tensor:
        n = self.batch
        row, col = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        holes = self._uniform(n, SIDE, SIDE) < 0.2 * self._uniform(n, 1, 1)
        top, left = (self._uniform(n, 1, 1, low=-2, high=SIDE - 3) for _ in range(2))
        high, wide = (self._uniform(n, 1, 1, low=0, high=10) for _ in range(2))
        holes |= (row >= top) & (row < top + high) & (col >= left) & (col < left + wide)
        column = self._uniform(n, 1, 1, high=2 * SIDE).int()
        return holes | (col == column)


def trained_prior(minutes: float, checkpoint: Path) -> DiffusionPrior:
    """Train (or resume) and wrap the network as a denoiser on whole 16x16 planes."""
    torch.set_flush_denormal(True)
    settings = Settings(
        minutes=minutes, batch=96, tile=SIDE, prior_var=1.0, surface="biharmonic", bfloat16=False, reach=30.0
    )
    trainer = Trainer(FieldDraws(settings.batch, settings.seed), SHAPE, settings)
    trainer.run(checkpoint, report=lambda line: print(line, file=sys.stderr, flush=True))
    field = GaussianPrior.exponential()
    card = Card(
        name="field", description="", licence="", weights_sha256="", shape=SHAPE.to_dict(), core=SIDE, halo=0, ramp=0,
        prior_var=1.0, sigma_max=SIGMA_MAX, correlation_length=field.correlation_length, pixel_scale=(0, np.inf),
        largest_hole=SIDE,
    )  # fmt: skip
    torch.set_flush_denormal(False)
    return DiffusionPrior(trainer.average, card)


def main() -> None:
    """Train, then print one row per case and number of evaluations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/field.pt"))
    parser.add_argument("--evaluations", type=int, nargs="+", default=[9, 17, 32])
    parser.add_argument("--truths", type=int, default=24)
    parser.add_argument("--samples", type=int, default=32)
    options = parser.parse_args()
    options.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    prior = trained_prior(options.minutes, options.checkpoint)
    print("| case | evaluations | mean error | sd ratio | coverage | six widest modes |\n|---|---|---|---|---|---|")
    for name in ("inpaint", "decades", "levels"):
        case = build(name, truths=options.truths)
        for evaluations in options.evaluations:
            s = evaluate(case, prior, evaluations=evaluations, samples=options.samples)
            modes = " ".join(f"{ratio:.2f}" for ratio in s.modes)
            print(
                f"| {name} | {s.evaluations} | {s.mean_error:.3f} | {s.std_ratio:.3f} "
                f"| {s.coverage68:.1f} / {s.coverage95:.1f} | {modes} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
