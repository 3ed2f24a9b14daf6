"""Running mean and variance over samples, without keeping the samples (Welford 1962)."""

from __future__ import annotations

from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["moments_", "moments_reference_"]

_moments = define("moments_(Tensor(a!) count, Tensor(b!) mean, Tensor(c!) m2, Tensor value) -> ()", "moments")


def moments_(count: Tensor, mean: Tensor, m2: Tensor, value: Tensor) -> None:
    """Add one sample to running moments, in place.

    Parameters
    ----------
    count : Tensor (1,) int64
        Samples seen before this one; incremented. Start with zeros, here and in `mean` and `m2`.
    mean : Tensor (N,) float32
        Mean of the samples.
    m2 : Tensor (N,) float32
        Sum of squared deviations: ``m2 / count`` is the variance, ``m2 / (count - 1)`` the unbiased one.
    value : Tensor (N,) float32
        The new sample.
    """
    refuse_grad("moments_", mean, m2, value)
    _moments(count, mean, m2, value)


def moments_reference_(count: Tensor, mean: Tensor, m2: Tensor, value: Tensor) -> None:
    """Plain torch truth of :func:`moments_`."""
    count += 1
    delta = value - mean
    mean += delta / count.to(mean.dtype)
    m2 += delta * (value - mean)
