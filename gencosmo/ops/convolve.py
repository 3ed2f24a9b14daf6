"""3x3 convolutions of the network on a CPU, by minimal filtering.

Tiles of 6x6 inputs and the kernels are transformed, multiplied point by point, and transformed back to 4x4 outputs:
36 products where the sum has 144 (Winograd 1980; Lavin and Gray 2016). The points 0, 1, -1, 1/2, -2 and infinity keep
the rounding small (Barabasz et al. 2020): about one part in a million of white noise, two to four times that of the
plain sum, and no more in the shipped networks (decision 0029). Sums go over the inputs in ascending order: results
depend neither on the instruction set nor on the number of threads, nor on what else is in the batch.

Images are (B, H, W, C) float32, what torch calls channels_last; channels are multiples of 16. There is no CUDA kernel:
cuDNN has its own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["MULTIPLE", "convolve", "convolve_reference", "convolve_workspace", "convolved", "packed_kernels"]

MULTIPLE = 16
"""Channels come in multiples of this."""
SEEN, MADE = 6, 4
POINTS = SEEN * SEEN
INPUT = (
    (1.0, -1.5, -2.0, 1.5, 1.0, 0.0),
    (0.0, -1.0, 0.5, 2.5, 1.0, 0.0),
    (0.0, 1.0, -2.5, 0.5, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 0.5, -1.0, -0.5, 1.0, 0.0),
    (0.0, 1.0, -1.5, -2.0, 1.5, 1.0),
)
"""Transform of six inputs; a row for each point."""
FILTER = (
    (1.0, 0.0, 0.0),
    (1 / 3, 1 / 3, 1 / 3),
    (-1 / 3, 1 / 3, -1 / 3),
    (-16 / 15, -8 / 15, -4 / 15),
    (1 / 15, -2 / 15, 4 / 15),
    (0.0, 0.0, 1.0),
)
"""Transform of three weights of a kernel."""
OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 0.5, -2.0, 0.0),
    (0.0, 1.0, 1.0, 0.25, 4.0, 0.0),
    (0.0, 1.0, -1.0, 0.125, -8.0, 1.0),
)
"""From six products to four outputs."""

_convolve = define(
    "convolve(Tensor image, Tensor weights, Tensor bias, Tensor? add, bool rectify, Tensor(a!) out) -> ()",
    "convolve",
    ("CPU",),
)
_backward = define(
    "convolve_backward(Tensor image, Tensor gradient, Tensor(a!) workspace, Tensor(b!) out) -> ()",
    "convolve_backward",
    ("CPU",),
)


def _transform(like: Tensor) -> Tensor:
    """(36, 9): of a whole kernel at once."""
    g = torch.tensor(FILTER, dtype=like.dtype)
    return torch.kron(g, g)


def _transformed(weight: Tensor) -> Tensor:
    """Weights (K, C, 3, 3) of a convolution at the 36 points, (36, C, K)."""
    outputs, inputs = weight.shape[:2]
    return (_transform(weight) @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(POINTS, inputs, outputs)


def packed_kernels(weight: Tensor) -> Tensor:
    """Weights (K, C, 3, 3) of a convolution as (36, C, K) float32, transformed in float64.

    Sum by sum: a product of matrices may round otherwise on another processor.
    """
    kernels = weight.detach().double().permute(2, 3, 1, 0)
    rows = torch.stack([a * kernels[0] + b * kernels[1] + c * kernels[2] for a, b, c in FILTER]).transpose(0, 1)
    points = torch.stack([a * rows[0] + b * rows[1] + c * rows[2] for a, b, c in FILTER], 1)
    return points.flatten(0, 1).float()


def convolve_workspace(shape: torch.Size, outputs: int) -> int:
    """Floats that the way back of an image (B, H, W, C) to the kernels needs."""
    count, height, width, inputs = shape
    tiles = count * -(-height // MADE) * -(-width // MADE)
    return POINTS * tiles * (inputs + outputs) + inputs


class _Convolved(torch.autograd.Function):
    """The op with its gradients, which are convolutions too."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(image, weight)
        out = image.new_empty(*image.shape[:3], weight.shape[0])
        _convolve(image, _transformed(weight), bias, None, False, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        image, weight = ctx.saved_tensors
        gradient, (outputs, inputs) = gradient.contiguous(), weight.shape[:2]
        by_image = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            by_image = torch.empty_like(image)
            turned = _transformed(weight.flip(2, 3).transpose(0, 1))
            _convolve(gradient, turned, image.new_zeros(inputs), None, False, by_image)
        if ctx.needs_input_grad[1]:
            points = image.new_empty(POINTS, inputs, outputs)
            _backward(image, gradient, image.new_empty(convolve_workspace(image.shape, outputs)), points)
            kernels = _transform(weight).t() @ points.flatten(1)
            by_weight = kernels.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
        if ctx.needs_input_grad[2]:
            by_bias = gradient.sum((0, 1, 2))
        return by_image, by_weight, by_bias


def convolved(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution (B, H, W, K) as a new tensor, differentiable once in everything.

    Parameters
    ----------
    image : Tensor (B, H, W, C) float32
    weight : Tensor (K, C, 3, 3) float32
        As torch has them.
    bias : Tensor (K,) float32
    """
    out: Tensor = _Convolved.apply(image, weight, bias)  # type: ignore[no-untyped-call]
    return out


def convolve(
    image: Tensor, weights: Tensor, bias: Tensor, out: Tensor, add: Tensor | None = None, rectify: bool = False
) -> None:
    """Convolve with 3x3 kernels; beyond its edges an image is 0.

    A number that is not finite spoils its tile and those that overlap it, up to five pixels away.

    Parameters
    ----------
    image : Tensor (B, H, W, C) float32
    weights : Tensor (36, C, K) float32
        Of :func:`packed_kernels`.
    bias : Tensor (K,) float32
    out : Tensor (B, H, W, K) float32
        Overwritten.
    add : Tensor, optional
        Like `out`, added to it at the end.
    rectify : bool
        Whether negative results become 0 before that.

    Raises
    ------
    UsageError
        When gradients are wanted: :func:`convolved` has them.
    """
    refuse_grad("convolve", image, weights, bias, out, *([] if add is None else [add]))
    _convolve(image, weights, bias, add, rectify, out)


def convolve_reference(
    image: Tensor, weights: Tensor, bias: Tensor, out: Tensor, add: Tensor | None = None, rectify: bool = False
) -> None:
    """The same in plain torch, of any dtype, with the same transforms; arguments as in :func:`convolve`."""
    if image.numel() == 0:
        return
    after = torch.tensor(OUTPUT, dtype=image.dtype)
    _, height, width, _ = image.shape
    kernels = weights.view(SEEN, SEEN, *weights.shape[1:])
    products = torch.einsum("btucij,ijck->btukij", _points(image), kernels)
    tiles = torch.einsum("ia,btukae,je->btiujk", after, products, after)
    made = tiles.flatten(1, 2).flatten(2, 3)[:, :height, :width] + bias
    if rectify:
        made = made.relu()
    out.copy_(made if add is None else made + add)


def _points(image: Tensor) -> Tensor:
    """Transformed tiles (B, rows, columns, C, 6, 6) of an image (B, H, W, C)."""
    before = torch.tensor(INPUT, dtype=image.dtype)
    height, width = image.shape[1:3]
    padded = F.pad(image, (0, 0, 1, 1 + -width % MADE, 1, 1 + -height % MADE))
    seen = padded.unfold(1, SEEN, MADE).unfold(2, SEEN, MADE)
    return torch.einsum("ia,btucae,je->btucij", before, seen, before)


def convolve_backward_reference(image: Tensor, gradient: Tensor, out: Tensor) -> None:
    """Gradient (36, C, K) of the transformed kernels in plain torch, of any dtype.

    Parameters
    ----------
    image : Tensor (B, H, W, C)
    gradient : Tensor (B, H, W, K)
        By the result.
    out : Tensor (36, C, K)
        Overwritten.
    """
    if image.numel() == 0:
        out.zero_()
        return
    after = torch.tensor(OUTPUT, dtype=image.dtype)
    height, width = image.shape[1:3]
    padded = F.pad(gradient, (0, 0, 0, -width % MADE, 0, -height % MADE))
    tiles = padded.unfold(1, MADE, MADE).unfold(2, MADE, MADE)
    spread = torch.einsum("ai,btukae,ej->btukij", after, tiles, after)
    out.copy_(torch.einsum("btucij,btukij->ijck", _points(image), spread).flatten(0, 1))
