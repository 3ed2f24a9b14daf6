"""Rows of `tests.ops.cases` for the layers of the network, which have no CUDA kernels."""

from __future__ import annotations

from typing import Any

import torch

from gencosmo.ops.convolve import (
    convolve,
    convolve_backward_reference,
    convolve_reference,
    convolve_workspace,
    packed_kernels,
)
from gencosmo.ops.shrink import grow, grow_reference, packed_growth, packed_shrinkage, shrink, shrink_reference

Arguments = dict[str, Any]
INPUTS, OUTPUTS = 32, 48


def numbers(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=g)


def make_convolve(g: torch.Generator, shape: tuple[int, int, int]) -> Arguments:
    """Negative sums to 0, and then something to add."""
    image, add, bias = numbers(g, *shape, INPUTS), numbers(g, *shape, OUTPUTS), numbers(g, OUTPUTS)
    weights = packed_kernels(numbers(g, OUTPUTS, INPUTS, 3, 3) / 16)
    return {
        "image": image, "weights": weights, "bias": bias, "add": add, "rectify": True, "out": torch.zeros_like(add),
    }  # fmt: skip


def make_backward(g: torch.Generator, shape: tuple[int, int, int]) -> Arguments:
    image, gradient = numbers(g, *shape, INPUTS), numbers(g, *shape, OUTPUTS)
    workspace = torch.zeros(convolve_workspace(image.shape, OUTPUTS))
    return {"image": image, "gradient": gradient, "workspace": workspace, "out": torch.zeros(36, INPUTS, OUTPUTS)}


def make_shrink(g: torch.Generator, shape: tuple[int, int, int]) -> Arguments:
    count, height, width = shape
    image, bias = numbers(g, count, 2 * height, 2 * width, INPUTS), numbers(g, OUTPUTS)
    weights, out = packed_shrinkage(numbers(g, OUTPUTS, INPUTS, 2, 2) / 12), torch.zeros(*shape, OUTPUTS)
    return {"image": image, "weights": weights, "bias": bias, "out": out}


def make_grow(g: torch.Generator, shape: tuple[int, int, int]) -> Arguments:
    count, height, width = shape
    image, add = numbers(g, *shape, INPUTS), numbers(g, count, 2 * height, 2 * width, OUTPUTS)
    weights, bias = packed_growth(numbers(g, INPUTS, OUTPUTS, 2, 2) / 6), numbers(g, OUTPUTS)
    return {"image": image, "weights": weights, "bias": bias, "add": add, "out": torch.zeros_like(add)}


BACKWARD = torch.ops.gencosmo.convolve_backward.default
LAYERS = {
    "convolve": (convolve, convolve_reference, make_convolve, ()),
    "convolve_backward": (BACKWARD, convolve_backward_reference, make_backward, ("workspace",)),
    "shrink": (shrink, shrink_reference, make_shrink, ()),
    "grow": (grow, grow_reference, make_grow, ()),
}
"""Call, reference, maker of arguments for images of a shape (B, H, W), scratch. All write `out`."""
