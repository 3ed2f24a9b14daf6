"""Two explanations of one hole, with a known probability: is there a source in it or not?

The image is a stationary Gaussian field, plus, with a known prior probability, a source of known shape. The
posterior is a mixture of two Gaussians with the same covariance, so mean, variance and the probability of the
source are exact.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg, special
from torch import Tensor

from gencosmo.priors.base import World
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.windows import Canvas

Array = NDArray[np.float64]


class MixturePrior:
    """Gaussian field with or without a source; a Denoiser for planes of the source's shape.

    Parameters
    ----------
    field : GaussianPrior
    source : ndarray (H, W)
        Flux that the source adds.
    probability : float
        Of the source, before anything is seen.
    """

    sigma_max = math.inf

    def __init__(self, field: GaussianPrior, source: Array, probability: float) -> None:
        self.field = field
        self.source = source
        self.prior_odds = math.log(probability / (1 - probability))
        self.correlation_length = field.correlation_length

    def plan(self, canvas: Canvas, unknown: Tensor) -> NDArray[np.int64]:
        """Canvas index of every pixel of every plane: (P, H W)."""
        layout = canvas.layout.numpy()
        if not (layout[:, 1:3] == self.source.shape).all():
            raise ValueError(f"planes {layout[:, 1:3].tolist()}: expected all of shape {self.source.shape}")
        return layout[:, :1] + np.arange(self.source.size)

    def denoise_(self, canvas: Canvas, plan: NDArray[np.int64], world: World) -> None:
        """Mixture of the two Wiener filters, weighted with the probability given each plane's state."""
        z, sigma = canvas.fields[0].double().numpy()[plan], canvas.fields[1].double().numpy()[plan]
        groups: dict[bytes, list[int]] = {}
        for p, level in enumerate(sigma):
            groups.setdefault(level.tobytes(), []).append(p)
        for planes in groups.values():
            mean, var, shift, chance = self.solve(z[planes], sigma[planes[0]])
            index = torch.from_numpy(plan[planes])
            canvas.mean[index] = torch.from_numpy(mean + chance * shift).float()
            canvas.var[index] = torch.from_numpy(var + chance * (1 - chance) * shift**2).float()

    def solve(self, z: Array, sigma: Array) -> tuple[Array, Array, Array, Array]:
        """Without the source: mean (P, n) and variance (n,); what the source adds (n,); its probability (P,
        1).
        """
        solved = self.field.solve(torch.from_numpy(sigma.reshape(self.source.shape)))
        source, known = self.source.ravel(), solved.known
        data = z[:, known] - self.field.mean
        weights = linalg.cho_solve((solved.lower, True), source[known]) if known.size else np.zeros(0)
        odds = self.prior_odds + data @ weights - 0.5 * (source[known] @ weights)
        shift = source - source[known] @ solved.gain
        return self.field.mean + data @ solved.gain, solved.var, shift, special.expit(odds)[:, None]
