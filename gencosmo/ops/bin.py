"""Binning: the sum over ``k x k`` pixels, and its exact adjoint.

A detector with pixels ``k`` times as wide collects the flux of ``k x k`` fine pixels, hence sums, not means. As a
matrix ``A`` the binning holds ones only, so its adjoint gives every fine pixel the value of the coarse one that it
belongs to: ``<A x, y> = <x, A^T y>`` exactly, whenever the sums themselves are exact.
"""

from __future__ import annotations

from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["bin", "bin_adjoint", "bin_adjoint_reference", "bin_reference"]

_bin = define("bin(Tensor fine, int factor, Tensor(a!) out) -> ()", "bin")
_adjoint = define("bin_adjoint(Tensor coarse, int factor, Tensor(a!) out) -> ()", "bin_adjoint")


def bin(fine: Tensor, factor: int, out: Tensor) -> None:
    """Sum over ``factor x factor`` pixels, rows before columns.

    Parameters
    ----------
    fine : Tensor (B, C, H factor, W factor) float32
    factor : int
        At least 1.
    out : Tensor (B, C, H, W) float32
        Overwritten.
    """
    _check("bin", factor)
    refuse_grad("bin", fine, out)
    _bin(fine, factor, out)


def bin_adjoint(coarse: Tensor, factor: int, out: Tensor) -> None:
    """Give each of ``factor x factor`` pixels the value of its coarse pixel.

    Parameters
    ----------
    coarse : Tensor (B, C, H, W) float32
    factor : int
        At least 1.
    out : Tensor (B, C, H factor, W factor) float32
        Overwritten.
    """
    _check("bin_adjoint", factor)
    refuse_grad("bin_adjoint", coarse, out)
    _adjoint(coarse, factor, out)


def _check(op: str, factor: int) -> None:
    if not 1 <= factor <= 1024:
        raise UsageError(f"gencosmo.ops.{op}: argument 'factor' expected 1 to 1024, got {factor}")


def bin_reference(fine: Tensor, factor: int, out: Tensor) -> None:
    """Plain torch truth of :func:`bin`."""
    batch, channels, height, width = out.shape
    out.copy_(fine.reshape(batch, channels, height, factor, width, factor).sum((3, 5)))


def bin_adjoint_reference(coarse: Tensor, factor: int, out: Tensor) -> None:
    """Plain torch truth of :func:`bin_adjoint`."""
    out.copy_(coarse.repeat_interleave(factor, -2).repeat_interleave(factor, -1))
