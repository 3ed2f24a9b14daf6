"""Covariances of stationary fields, and linear algebra with them on a plane of any size.

A covariance is a function of the lag alone, so that its product with an image is a convolution: embedded in a
periodic grid of at least twice the size it is exact by FFT (circulant embedding, Dietrich & Newsam 1997).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from gencosmo.errors import UsageError

__all__ = ["Covariance", "Embedding", "exponential", "from_spectrum"]

Array = NDArray[np.float64]
Covariance = Callable[[Array, Array], Array]
"""Covariance (flux^2) at lags ``(rows, columns)`` in pixels, elementwise."""


def exponential(variance: float, length: float, nugget: float = 0.0) -> Covariance:
    """``variance ((1 - nugget) exp(-r / length) + nugget [r = 0])``: a rough field with a finite correlation
    length.

    Parameters
    ----------
    variance : float
        Of one pixel (flux^2).
    length : float
        Distance (pixels) at which the correlation has fallen to 1/e.
    nugget : float
        Share of the variance that has no correlation at all.
    """
    if not (variance > 0 and length > 0 and 0 <= nugget < 1):
        raise UsageError(
            f"exponential covariance: variance {variance}, length {length}, nugget {nugget}; "
            "expected positive variance and length and a nugget from 0 to below 1"
        )

    def covariance(rows: Array, cols: Array) -> Array:
        r = np.hypot(rows, cols)
        values: Array = variance * ((1 - nugget) * np.exp(-r / length) + nugget * (r == 0))
        return values

    return covariance


def from_spectrum(power: Callable[[Array], Array], *, size: int = 256) -> Covariance:
    """Covariance of the isotropic field with a power spectrum.

    Parameters
    ----------
    power : callable
        Power (flux^2 pixel^2) at wavenumbers in cycles per pixel; its mean over the grid of wavenumbers is
        the variance of a pixel.
    size : int
        Side of the periodic grid on which the spectrum is sampled; lags up to ``size // 2`` can be asked for.

    Raises
    ------
    UsageError
        When the power is negative or not finite anywhere on the grid, or a lag beyond the grid is asked for.
    """
    freq = np.fft.fftfreq(size)
    grid = np.asarray(power(np.hypot(freq[:, None], freq[None, :])), np.float64)
    if not (np.isfinite(grid).all() and (grid >= 0).all()):
        raise UsageError("power spectrum: got negative or non-finite values; expected power >= 0 at every wavenumber")
    table: Array = np.real(fft.ifft2(grid))

    def covariance(rows: Array, cols: Array) -> Array:
        if max(np.abs(rows).max(initial=0), np.abs(cols).max(initial=0)) > size // 2:
            raise UsageError(f"power spectrum: lags beyond {size // 2} pixels asked for; give size >= twice the side")
        values: Array = table[rows.astype(np.int64) % size, cols.astype(np.int64) % size]
        return values

    return covariance


def correlation_length(covariance: Covariance, limit: int = 64) -> float:
    """Distance (pixels) at which the correlation along a row falls below 1/e, interpolated; at least half a
    pixel.
    """
    lag = np.arange(limit + 1, dtype=np.float64)
    rho = covariance(np.zeros_like(lag), lag)
    rho = rho / rho[0]
    below = np.flatnonzero(rho < np.exp(-1))
    if below.size == 0:
        return float(limit)
    k = int(below[0])
    return max(0.5, float(k - 1 + (rho[k - 1] - np.exp(-1)) / (rho[k - 1] - rho[k])))


def dense(covariance: Covariance, height: int, width: int) -> Array:
    """Covariance matrix (H W, H W) of a plane, pixels in row-major order."""
    rows, cols = np.divmod(np.arange(height * width), width)
    lag_rows, lag_cols = np.abs(rows[:, None] - rows), np.abs(cols[:, None] - cols)
    grid_rows, grid_cols = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    table = covariance(grid_rows.astype(np.float64), grid_cols.astype(np.float64))
    matrix: Array = table[lag_rows, lag_cols]
    return matrix


class Embedding:
    """The covariance of a large plane as a convolution.

    Parameters
    ----------
    covariance : Covariance
    height, width : int
        The plane.
    """

    def __init__(self, covariance: Covariance, height: int, width: int) -> None:
        self.shape = (height, width)
        self.grid = (fft.next_fast_len(2 * height, real=True), fft.next_fast_len(2 * width, real=True))
        rows = np.minimum(np.arange(self.grid[0]), self.grid[0] - np.arange(self.grid[0]))
        cols = np.minimum(np.arange(self.grid[1]), self.grid[1] - np.arange(self.grid[1]))
        lag_rows, lag_cols = np.meshgrid(np.minimum(rows, height), np.minimum(cols, width), indexing="ij")
        table = covariance(lag_rows.astype(np.float64), lag_cols.astype(np.float64))
        self.power: Array = np.real(fft.rfft2(table))

    def product(self, image: Array) -> Array:
        """Covariance times an image (H, W)."""
        spectrum = fft.rfft2(image, s=self.grid) * self.power
        result: Array = fft.irfft2(spectrum, s=self.grid)[: self.shape[0], : self.shape[1]]
        return result

    def draw(self, white: Array) -> Array:
        """A field (H, W) with this covariance from white noise on ``grid``.

        Exact when the embedding is non-negative; negative eigenvalues count as 0 and may hold at most 0.1 %
        of the sum.

        Raises
        ------
        UsageError
            When the covariance is not that of a field on this plane.
        """
        lost = -self.power[self.power < 0].sum() / np.abs(self.power).sum()
        if lost > 1e-3:
            raise UsageError(
                f"covariance: {100 * lost:.2g} % of its spectrum on a {self.shape} plane is negative; "
                "expected a positive covariance that has decayed within the plane"
            )
        spectrum = fft.rfft2(white) * np.sqrt(np.maximum(self.power, 0))
        result: Array = fft.irfft2(spectrum, s=self.grid)[: self.shape[0], : self.shape[1]]
        return result

    def solve(self, known: NDArray[np.bool_], noise_var: Array, data: Array, *, rtol: float = 1e-7) -> Array:
        """Solve ``(K + N) a = data`` on the known pixels by preconditioned conjugate gradients; 0 elsewhere.

        Parameters
        ----------
        known : ndarray of bool (H, W)
        noise_var : ndarray (H, W)
            Diagonal of N; read where known.
        data : ndarray (H, W)
            Read where known.
        rtol : float
            Residual at the end, relative to the data.

        Raises
        ------
        UsageError
            When 1000 iterations do not reach ``rtol``: the covariance is too smooth for such exact data.
        """
        floor = 1e-9 * float(self.power.mean())
        noise = np.where(known, noise_var, 0.0) + floor
        # a circulant of the quietest pixels, scaled so that a noisy pixel's row has the size of its own noise
        level = float(np.percentile(noise[known], 10)) if known.any() else 1.0
        signal = float(np.percentile(np.maximum(self.power, 0), 90))
        scale = np.sqrt((signal + level) / (signal + noise))
        inverse = 1.0 / (np.maximum(self.power, 0) + level)

        def precondition(r: Array) -> Array:
            smooth: Array = fft.irfft2(fft.rfft2(scale * r, s=self.grid) * inverse, s=self.grid)
            return np.where(known, scale * smooth[: self.shape[0], : self.shape[1]], 0.0)

        a = np.zeros(self.shape)
        residual = np.where(known, data, 0.0)
        goal = rtol**2 * float((residual**2).sum())
        z = precondition(residual)
        direction, rz = z.copy(), float((residual * z).sum())
        for _ in range(1000):
            if float((residual**2).sum()) <= goal:
                return a
            image = np.where(known, self.product(direction) + noise * direction, 0.0)
            step = rz / float((direction * image).sum())
            a += step * direction
            residual -= step * image
            z = precondition(residual)
            rz, old = float((residual * z).sum()), rz
            direction = z + (rz / old) * direction
        raise UsageError(
            "Gaussian field: conjugate gradients did not converge in 1000 iterations; "
            "give the covariance a nugget or the pixels a noise level above 0"
        )
