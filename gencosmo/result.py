"""What a task gives back: plain arrays in the shape and the units of the input, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError

__all__ = ["Result"]

TARGETS = ("frame", "scene")


@dataclass(frozen=True, eq=False)
class Result:
    """The answer of a task.

    Parameters
    ----------
    mean : ndarray of float32, (H, W) or (C, H, W)
        Posterior mean in the units of the input. Pixels that were not to be filled are the input's, bit for
        bit, when the task only fills.
    std : ndarray of float32
        Posterior standard deviation, 0 where a pixel was left alone. What it means depends on `target`.
    samples : ndarray of float32, (S, ...) or None
        Posterior samples.
    filled : ndarray of bool or None
        True where `mean` is an estimate that replaced the input.
    flags : ndarray of uint32 or None
        `gencosmo.flags` bits of the input plus FILLED, HOLE_TOO_LARGE, OUT_OF_DOMAIN.
    target : {"frame", "scene"}
        Which question was answered: the image as it would be seen again, or the noise-free scene behind it.
    unit : str or None
        Unit of `mean` and `std` (the input's own words).
    prior_share : ndarray of float32 or None
        Set by `gencosmo.super_resolve`: posterior variance over prior variance of each pixel, from 0 (the data say it
        all) to 1 (the pixel is the prior's).
    residual : ndarray of float32 or None
        Set by `gencosmo.super_resolve`: the image minus what `mean` would look like through the PSF and the image's
        pixels, on the *input's* grid and in its units; 0 where the input is masked.
    chi2 : float or None
        Mean of ``residual^2 ivar`` over the good pixels: about 1, less where the prior leaves the data free to be
        fitted, when PSF and noise are what was said.
    anomaly_map, anomaly_score, p_value
        Set by `gencosmo.score` only.
    quantiles : mapping of float to float
        Calibrated half-widths of central intervals in units of `std`, by level (for example 0.68 and 0.95).
        Residuals are heavy-tailed, so these are not the Gaussian 1 and 2.
    meta, provenance, timings : mapping
        Free information; what was run with what (version, prior, hash, seed, steps); seconds by stage.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    samples: NDArray[np.float32] | None = None
    filled: NDArray[np.bool_] | None = None
    flags: NDArray[np.uint32] | None = None
    target: str = "frame"
    unit: str | None = None
    prior_share: NDArray[np.float32] | None = None
    residual: NDArray[np.float32] | None = None
    chi2: float | None = None
    anomaly_map: NDArray[np.float32] | None = None
    anomaly_score: float | None = None
    p_value: float | None = None
    quantiles: Mapping[float, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise UsageError(f"target is {self.target!r}, expected one of {', '.join(TARGETS)}", code="target")
        shape = np.shape(self.mean)
        for name, dtype in (
            ("mean", np.float32),
            ("std", np.float32),
            ("filled", np.bool_),
            ("flags", np.uint32),
            ("prior_share", np.float32),
        ):
            self._check(name, dtype, shape)
        if self.samples is not None:
            self._check("samples", np.float32, (self.samples.shape[0], *shape))
        for name in ("quantiles", "meta", "provenance", "timings"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def _check(self, name: str, dtype: type, shape: tuple[int, ...]) -> None:
        array = getattr(self, name)
        if array is None:
            return
        if array.shape != shape or array.dtype != dtype:
            raise InputError(
                f"Result.{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}",
                code="shape_mismatch",
            )

    def __getstate__(self) -> dict[str, Any]:
        # Mapping proxies do not pickle; results cross process borders in batch runs.
        return {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)

    def interval(self, level: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the lower and upper bound of the calibrated central interval.

        Parameters
        ----------
        level : float
            Probability inside, one of the levels that the prior's calibration stored (`quantiles`).

        Raises
        ------
        UsageError
            When this level was not calibrated; a Gaussian width is not offered in its place.
        """
        for stored, width in self.quantiles.items():
            if abs(stored - level) < 1e-6:
                half = np.float32(width) * self.std
                return self.mean - half, self.mean + half
        have = ", ".join(f"{q:g}" for q in self.quantiles) or "none"
        raise UsageError(
            f"no calibrated interval of level {level:g}; stored levels: {have}",
            code="interval",
            hint="take np.quantile of .samples, or a prior whose card stores this level",
        )

    def __repr__(self) -> str:
        count = 0 if self.filled is None else int(np.count_nonzero(self.filled))
        drawn = 0 if self.samples is None else len(self.samples)
        shape = "x".join(map(str, self.mean.shape))
        return f"Result({shape}, target={self.target!r}, filled={count}, samples={drawn}, unit={self.unit!r})"
