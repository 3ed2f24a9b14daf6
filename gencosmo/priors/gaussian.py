"""A stationary Gaussian field: the prior whose posterior is known in closed form.

For known pixels ``z_k`` at levels ``sigma_k`` the posterior of the field x with covariance K and mean m is
Gaussian with

    mean = m + K_{.k} A^-1 (z_k - m),   cov = K - K_{.k} A^-1 K_{k.},   A = K_{kk} + diag(sigma_k^2)

(the Wiener filter; for image reconstruction Rybicki & Press 1992). Every sampler and every likelihood of this
package is measured against it, and it is a prior of its own: constrained realisations of a field with a known
power spectrum.

What is exact: planes of up to `DENSE_PIXELS` pixels by Cholesky in float64, mean and variance. Larger planes:
the mean by conjugate gradients on the whole plane (to 1e-7 of the data); the variance conditioned on the
pixels within `REACH` correlation lengths only, which is never below the exact one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops.normal import STREAM_WARM, normal_
from gencosmo.priors.base import World
from gencosmo.priors.stationary import Array, Covariance, Embedding, correlation_length, dense, exponential
from gencosmo.windows import Canvas, WindowGrid

__all__ = ["GaussianPrior"]

DENSE_PIXELS = 48 * 48
"""Planes up to this many pixels are solved exactly."""
REACH = 3.0
"""On larger planes the variance sees this many correlation lengths around a pixel."""
CORE = 8
"""Pixels per axis that share a neighbourhood on larger planes."""
BLOCK_PIXELS = 1 << 16
"""Pixels per matrix product, filled up with zeros: its shape, and so a plane's last bit, never depends on the
others.
"""
CACHE_BYTES = 256 << 20


@dataclass(frozen=True)
class Wiener:
    """The answer for one map of levels.

    ``mean = m + (z - m)[known] @ gain``, the variance of every pixel, and the Cholesky factor of
    ``A = K_kk + diag(sigma_k^2)`` with its log-determinant.
    """

    known: NDArray[np.int64]
    gain: Array
    var: Array
    log_det: float
    lower: Array

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.gain.nbytes + self.var.nbytes + self.known.nbytes + self.lower.nbytes


def wiener(covariance: Array, sigma: Array) -> Wiener:
    """Closed form for a covariance matrix (n, n) and levels (n,)."""
    known = np.flatnonzero(np.isfinite(sigma))
    cross = covariance[known]
    # a jitter far below float32's resolution keeps smooth fields with exact pixels positive definite
    jitter = 1e-10 * covariance[0, 0]
    inner = cross[:, known] + np.diag(sigma[known] ** 2 + jitter)
    lower = linalg.cholesky(inner, lower=True)
    root = linalg.solve_triangular(lower, cross, lower=True)
    gain = linalg.solve_triangular(lower, root, lower=True, trans="T")
    var = np.maximum(np.diagonal(covariance) - np.einsum("ij,ij->j", root, root), 0.0)
    return Wiener(known, gain, var, 2.0 * float(np.log(np.diagonal(lower)).sum()), lower)


class GaussianPrior:
    """Stationary Gaussian field; capabilities Denoiser, Density and Generator.

    Parameters
    ----------
    covariance : Covariance
        Of the scene, as a function of the lag (flux^2); see `gencosmo.priors.stationary`.
    mean : float
        Mean of the field (flux).
    white : float
        Variance (flux^2) of the noise that a frame has on top of the scene. The ``frame`` world asks for
        scene plus noise, the ``scene`` world for the scene. 0: the two are the same.

    Notes
    -----
    Computed with NumPy and SciPy in float64 on the CPU, wherever the canvas lives: the answer does not depend
    on torch's threads or device.
    """

    sigma_max = math.inf

    def __init__(self, covariance: Covariance, *, mean: float = 0.0, white: float = 0.0) -> None:
        if not (math.isfinite(mean) and math.isfinite(white) and white >= 0):
            raise UsageError(f"GaussianPrior: mean {mean}, white {white}; expected finite numbers and white >= 0")
        self.covariance = covariance
        self.mean = float(mean)
        self.white = float(white)
        self.correlation_length = correlation_length(covariance)
        self._matrices: dict[tuple[int, int, World], Array] = {}
        self._embeddings: dict[tuple[int, int, World], Embedding] = {}
        self._cache: OrderedDict[tuple[tuple[int, int, World], bytes], Wiener] = OrderedDict()
        self._cached = 0

    @classmethod
    def exponential(
        cls,
        *,
        variance: float = 1.0,
        length: float = 3.0,
        nugget: float = 1e-3,
        mean: float = 0.0,
        white: float = 0.0,
    ) -> GaussianPrior:
        """Field with correlation ``exp(-r / length)``; see `gencosmo.priors.stationary.exponential`."""
        return cls(exponential(variance, length, nugget), mean=mean, white=white)

    def plan(self, canvas: Canvas, unknown: Tensor) -> tuple[Tensor, dict[int, NDArray[np.int64]]]:
        """The wanted pixels, and for every plane too large for the exact solve its windows (B, 2)."""
        windows: dict[int, NDArray[np.int64]] = {}
        large = (canvas.layout[:, 1] * canvas.layout[:, 2] > DENSE_PIXELS).nonzero()[:, 0].tolist()
        if large:
            table = self._grid().plan(canvas, unknown).cpu().numpy()
            windows = {p: table[table[:, 0] == p, 1:] for p in large}
        return unknown, windows

    def denoise_(self, canvas: Canvas, plan: tuple[Tensor, dict[int, NDArray[np.int64]]], world: World) -> None:
        """Write the exact posterior mean and variance; on large planes only the wanted pixels get a
        variance.
        """
        z, sigma = canvas.fields[0].double().cpu().numpy(), canvas.fields[1].double().cpu().numpy()
        mean, var = np.zeros(canvas.size), np.zeros(canvas.size)
        groups: dict[tuple[tuple[int, int, World], bytes], list[int]] = {}
        for p, (offset, height, width, *_rest) in enumerate(canvas.layout.tolist()):
            part = slice(offset, offset + height * width)
            shape = (height, width, world)
            if p in plan[1]:
                mean[part] = self._large_mean(shape, z[part], sigma[part])
                var[part] = self._large_var(shape, sigma[part], plan[1][p])
            elif height * width:
                groups.setdefault((shape, sigma[part].tobytes()), []).append(offset)
        for key, offsets in groups.items():
            self._dense_planes(key, np.array(offsets), z, mean, var)
        canvas.mean.copy_(torch.from_numpy(mean))
        canvas.var.copy_(torch.from_numpy(var))

    def log_prob(self, canvas: Canvas, world: World) -> Tensor:
        """Natural log of the density of each plane's known pixels at their levels: float64 (P,).

        ``-(r^T A^-1 r + log det A + n log 2 pi) / 2`` with ``r = z_k - m``; exact, so only for planes of up
        to `DENSE_PIXELS` pixels.

        Raises
        ------
        UsageError
            When a plane is larger.
        """
        result = torch.zeros(canvas.layout.shape[0], dtype=torch.float64)
        for p, (_, height, width, *_rest) in enumerate(canvas.layout.tolist()):
            if height * width > DENSE_PIXELS:
                raise UsageError(
                    f"log_prob: plane {p} has {height} x {width} pixels; the exact value is for at most "
                    f"{DENSE_PIXELS}, cut the image into tiles"
                )
            z = canvas.plane("z", p).double().cpu().numpy().ravel()
            solved = self.solve(canvas.plane("sigma", p), world)
            white = linalg.solve_triangular(solved.lower, z[solved.known] - self.mean, lower=True)
            constant = solved.known.size * math.log(2 * math.pi) + solved.log_det
            result[p] = -0.5 * (float(white @ white) + constant)
        return result

    def generate_(self, canvas: Canvas, world: World) -> None:
        """One draw per plane by circulant embedding, from the canvas' seeds and keys; levels become 0."""
        for p, (_, height, width, row0, col0, key) in enumerate(canvas.layout.tolist()):
            embedding = self._embedding((height, width, world))
            rows, cols = embedding.grid
            layout = torch.tensor([[0, rows, cols, row0, col0, key]])
            white = torch.zeros(rows * cols)
            normal_(white, layout, canvas.seed[p : p + 1].cpu(), torch.tensor(0), torch.tensor(STREAM_WARM))
            field = self.mean + embedding.draw(white.double().reshape(rows, cols).numpy())
            canvas.plane("z", p).copy_(torch.from_numpy(field))
            canvas.plane("sigma", p).zero_()

    def posterior_covariance(self, sigma: Tensor, world: World = "scene") -> Tensor:
        """Full posterior covariance (H W, H W), float64, of a plane with levels (H, W)."""
        solved = self.solve(sigma, world)
        matrix = self._matrix((sigma.shape[0], sigma.shape[1], world))
        return torch.from_numpy(matrix - solved.gain.T @ matrix[solved.known])

    def solve(self, sigma: Tensor, world: World = "scene") -> Wiener:
        """The exact solution for one plane's levels (H, W)."""
        levels = np.ascontiguousarray(sigma.double().cpu().numpy())
        return self._solved(((levels.shape[0], levels.shape[1], world), levels.tobytes()))

    def _world(self, world: World) -> Covariance:
        if world == "scene" or self.white == 0:
            return self.covariance

        def frame(rows: Array, cols: Array) -> Array:
            values: Array = self.covariance(rows, cols) + self.white * ((rows == 0) & (cols == 0))
            return values

        return frame

    def _grid(self) -> WindowGrid:
        return WindowGrid(CORE, max(4, math.ceil(REACH * min(self.correlation_length, 4.0))))

    def _matrix(self, shape: tuple[int, int, World]) -> Array:
        if shape not in self._matrices:
            self._matrices[shape] = dense(self._world(shape[2]), shape[0], shape[1])
        return self._matrices[shape]

    def _embedding(self, shape: tuple[int, int, World]) -> Embedding:
        if shape not in self._embeddings:
            self._embeddings[shape] = Embedding(self._world(shape[2]), shape[0], shape[1])
        return self._embeddings[shape]

    def _solved(self, key: tuple[tuple[int, int, World], bytes]) -> Wiener:
        """The solution for one map of levels; the last used ones are kept."""
        if key not in self._cache:
            solved = wiener(self._matrix(key[0]), np.frombuffer(key[1]))
            self._cache[key] = solved
            self._cached += solved.nbytes
            while self._cached > CACHE_BYTES and len(self._cache) > 1:
                self._cached -= self._cache.popitem(last=False)[1].nbytes
        self._cache.move_to_end(key)
        return self._cache[key]

    def _dense_planes(
        self,
        key: tuple[tuple[int, int, World], bytes],
        offsets: NDArray[np.int64],
        z: Array,
        mean: Array,
        var: Array,
    ) -> None:
        """Mean and variance of all planes of one shape that share a map of levels."""
        solved = self._solved(key)
        size = solved.var.size
        pixels = np.arange(size)
        var[offsets[:, None] + pixels] = solved.var
        block = max(8, BLOCK_PIXELS // size)
        for start in range(0, len(offsets), block):
            chosen = offsets[start : start + block]
            data = np.zeros((block, solved.known.size))
            data[: len(chosen)] = z[chosen[:, None] + solved.known] - self.mean
            mean[chosen[:, None] + pixels] = self.mean + (data @ solved.gain)[: len(chosen)]

    def _large_mean(self, shape: tuple[int, int, World], z: Array, sigma: Array) -> Array:
        known = np.isfinite(sigma).reshape(shape[:2])
        embedding = self._embedding(shape)
        noise = np.where(known, sigma.reshape(shape[:2]), 0.0) ** 2
        weights = embedding.solve(known, noise, z.reshape(shape[:2]) - self.mean)
        result: Array = (self.mean + embedding.product(weights)).ravel()
        return result

    def _large_var(self, shape: tuple[int, int, World], sigma: Array, windows: NDArray[np.int64]) -> Array:
        """Variance of the windows' cores given the pixels of the window only."""
        grid = self._grid()
        height, width, world = shape
        padded = np.full((height + 2 * grid.size, width + 2 * grid.size), np.inf)
        padded[grid.size : grid.size + height, grid.size : grid.size + width] = sigma.reshape(height, width)
        result = np.zeros_like(padded)
        core = slice(grid.halo, grid.halo + grid.core)
        for row, col in windows + grid.size:
            levels = np.ascontiguousarray(padded[row : row + grid.size, col : col + grid.size])
            solved = self._solved(((grid.size, grid.size, world), levels.tobytes()))
            inner = solved.var.reshape(grid.size, grid.size)[core, core]
            result[row + grid.halo : row + grid.halo + grid.core, col + grid.halo : col + grid.halo + grid.core] = inner
        inside: Array = result[grid.size : grid.size + height, grid.size : grid.size + width]
        return inside.ravel()
