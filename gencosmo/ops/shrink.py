"""Convolutions of the network on a CPU that halve the resolution, 2x2 pixels to one, and their adjoints that double it.

Images, channels and promises are those of :mod:`gencosmo.ops.convolve`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["grow", "grow_reference", "packed_growth", "packed_shrinkage", "shrink", "shrink_reference"]

_shrink = define("shrink(Tensor image, Tensor weights, Tensor bias, Tensor(a!) out) -> ()", "shrink", ("CPU",))
_grow = define("grow(Tensor image, Tensor weights, Tensor bias, Tensor? add, Tensor(a!) out) -> ()", "grow", ("CPU",))


def packed_shrinkage(weight: Tensor) -> Tensor:
    """Weights (K, C, 2, 2) of a convolution with stride 2 as (2, 2, C, K)."""
    return weight.detach().permute(2, 3, 1, 0).contiguous()


def packed_growth(weight: Tensor) -> Tensor:
    """Weights (C, K, 2, 2) of a transposed convolution with stride 2 as (2, 2, C, K)."""
    return weight.detach().permute(2, 3, 0, 1).contiguous()


def shrink(image: Tensor, weights: Tensor, bias: Tensor, out: Tensor) -> None:
    """Convolve 2x2 pixels to one.

    Parameters
    ----------
    image : Tensor (B, 2 H, 2 W, C) float32
    weights : Tensor (2, 2, C, K) float32
        Of :func:`packed_shrinkage`.
    bias : Tensor (K,) float32
    out : Tensor (B, H, W, K) float32
        Overwritten.

    Raises
    ------
    UsageError
        When gradients are wanted: torch's layers have them.
    """
    refuse_grad("shrink", image, weights, bias, out)
    _shrink(image, weights, bias, out)


def grow(image: Tensor, weights: Tensor, bias: Tensor, out: Tensor, add: Tensor | None = None) -> None:
    """Spread one pixel over 2x2: with the same weights the adjoint of :func:`shrink`, but for the bias.

    Parameters
    ----------
    image : Tensor (B, H, W, C) float32
    weights : Tensor (2, 2, C, K) float32
        Of :func:`packed_growth`.
    bias : Tensor (K,) float32
    out : Tensor (B, 2 H, 2 W, K) float32
        Overwritten.
    add : Tensor, optional
        Like `out`, added to it.

    Raises
    ------
    UsageError
        When gradients are wanted: torch's layers have them.
    """
    refuse_grad("grow", image, weights, bias, out, *([] if add is None else [add]))
    _grow(image, weights, bias, add, out)


def shrink_reference(image: Tensor, weights: Tensor, bias: Tensor, out: Tensor) -> None:
    """The same in plain torch, of any dtype; arguments as in :func:`shrink`."""
    count, height, width, _ = out.shape
    parts = image.reshape(count, height, 2, width, 2, image.shape[-1])
    out.copy_(torch.einsum("byixjc,ijck->byxk", parts, weights) + bias)


def grow_reference(image: Tensor, weights: Tensor, bias: Tensor, out: Tensor, add: Tensor | None = None) -> None:
    """The same in plain torch, of any dtype; arguments as in :func:`grow`."""
    made = torch.einsum("byxc,ijck->byixjk", image, weights).flatten(1, 2).flatten(2, 3) + bias
    out.copy_(made if add is None else made + add)
