"""The test vector of a card: one simulated tile, filled, boiled down to a few numbers.

The tile is an analytic star field, not a random draw, so that every machine makes the same one.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from gencosmo.errors import PriorError
from gencosmo.priors.base import Denoiser
from gencosmo.priors.cards import Card
from gencosmo.windows import Canvas

RELATIVE_TOLERANCE = 2e-3
"""Float32 convolutions on another machine differ by far less; other weights by far more."""


class CardedDenoiser(Denoiser, Protocol):
    """A denoiser with a card."""

    @property
    def card(self) -> Card:
        """What it is and was trained on."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...


def analytic_tile(size: int) -> tuple[Tensor, Tensor]:
    """Values and levels (size, size): five Gaussian stars on a rippled sky, a dead column, a hole, a noisy half."""
    row, col = torch.meshgrid(torch.arange(size) * 1.0, torch.arange(size) * 1.0, indexing="ij")
    z = 0.7 * torch.sin(row * 1.7) * torch.cos(col * 2.3) + 0.3 * torch.sin(0.4 * row * col)
    for star in range(5):
        centre = (size * ((0.37 * star + 0.21) % 1), size * ((0.61 * star + 0.13) % 1))
        radius2 = (row - centre[0]) ** 2 + (col - centre[1]) ** 2
        z = z + 30.0 * 4**star * torch.exp(-radius2 / (2 * (1.2 + 0.3 * star) ** 2))
    sigma = torch.zeros_like(z)
    sigma[:, size // 2 :] = 0.5
    sigma[:, size // 3] = math.inf
    sigma[size // 4 : size // 4 + 5, size // 5 : size // 5 + 6] = math.inf
    return z, sigma


def measure_vector(prior: CardedDenoiser, size: int) -> dict[str, float]:
    """What the prior makes of the tile: sums that every output pixel enters."""
    z, sigma = analytic_tile(size)
    canvas = Canvas.from_planes([z], [sigma], seeds=[0], device=prior.device)
    wanted = canvas.fields[1] > 0
    prior.denoise_(canvas, prior.plan(canvas, wanted), "frame")
    mean, var = canvas.plane("mean", 0).double().cpu(), canvas.plane("var", 0).double().cpu()
    holes = torch.isinf(sigma)
    return {
        "mean_abs": float(mean[sigma > 0].abs().mean()),
        "hole_mean": float(mean[holes].mean()),
        "hole_checksum": float((mean[holes] * torch.cos(torch.arange(int(holes.sum())) * 1.0)).sum()),
        "hole_std": float(var[holes].sqrt().mean()),
        "noisy_std": float(var[(sigma > 0) & ~holes].sqrt().mean()),
    }


def make_vector(prior: CardedDenoiser, size: int = 96) -> dict[str, Any]:
    """The entry for a card."""
    return {"size": size, "expected": measure_vector(prior, size)}


def check_vector(prior: CardedDenoiser) -> None:
    """Raise where this machine computes something else than the card says.

    Raises
    ------
    PriorError
        With the first figure that is off.
    """
    vector = prior.card.test_vector
    if not vector:
        raise PriorError(f"card {prior.card.name} has no test vector", code="bad_card", hint="export the prior again")
    found = measure_vector(prior, int(vector["size"]))
    scale = abs(vector["expected"]["mean_abs"])
    for key, expected in vector["expected"].items():
        if not math.isclose(found[key], expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE * scale):
            raise PriorError(
                f"prior {prior.card.name}: test vector gives {key} = {found[key]:.6g}, the card says {expected:.6g}",
                code="self_test",
                hint="the build or the weights are damaged; reinstall and report this",
            )
