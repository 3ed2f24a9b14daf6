"""Layers of the network against torch's own in float64, at every edge and number of channels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gencosmo.ops.convolve import FILTER, INPUT, OUTPUT, convolve, convolve_workspace, convolved, packed_kernels
from gencosmo.ops.shrink import grow, packed_growth, packed_shrinkage, shrink

GOLDEN = "3cba900434b07a0f7359d6841257ae469d204659ba40fedc77827d3b742a3d0c"
"""Of packed weights, result and gradient, for whole numbers."""
CHANNELS = [(16, 16), (48, 64), (16, 112), (32, 176)]
"""One to eleven panels of outputs: blocks of four, of three, two and one."""
MINIMAL = 1.5e-6
"""What minimal filtering of white noise may lose: 2.4 to 4.1 times as much as torch's sum of all products does."""
SIDES = [(1, 1), (3, 5), (4, 4), (7, 9), (13, 26)]
"""Whole tiles of four, parts of them, rows of six and what is left of them."""


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def planes(rows: Tensor) -> Tensor:
    return rows.permute(0, 3, 1, 2)


def rms(error: Tensor) -> float:
    return float(error.double().square().mean().sqrt())


def exact_enough(got: Tensor, truth: Callable[[torch.dtype], Tensor], share: float = 0.0) -> None:
    """At most `share` of the result, or twice the error of torch's layer in float32 and that of one rounding."""
    exact = truth(torch.float64)
    error, plain = rms(planes(got) - exact), rms(truth(torch.float32) - exact)
    assert error <= max(share * rms(exact), 2 * plain + 2.0**-24 * rms(exact))


def test_the_transforms_are_those_of_a_convolution() -> None:
    """For any four neighbours: A'[(G g) * (B' d)] is the sum of three products."""
    before, kernel, after = (torch.tensor(rows, dtype=torch.float64) for rows in (INPUT, FILTER, OUTPUT))
    trilinear = torch.einsum("yp,pi,pk->yik", after, before, kernel)
    for y in range(4):
        for i in range(6):
            for k in range(3):
                assert trilinear[y, i, k] == pytest.approx(float(i == y + k), abs=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
@pytest.mark.parametrize("sides", SIDES)
def test_3x3_is_torchs_convolution(inputs: int, outputs: int, sides: tuple[int, int]) -> None:
    image, bias = numbers(1, 2, *sides, inputs), numbers(2, outputs)
    weight, add = numbers(3, outputs, inputs, 3, 3) / (3 * math.sqrt(inputs)), numbers(4, 2, *sides, outputs)

    def truth(dtype: torch.dtype) -> Tensor:
        return F.conv2d(planes(image).to(dtype), weight.to(dtype), bias.to(dtype), padding=1)

    out = torch.empty_like(add)
    convolve(image, packed_kernels(weight), bias, out)
    exact_enough(out, truth, MINIMAL)
    convolve(image, packed_kernels(weight), bias, out, add, rectify=True)
    exact_enough(out, lambda dtype: truth(dtype).relu() + planes(add).to(dtype), MINIMAL)


@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
@pytest.mark.parametrize("sides", SIDES)
def test_shrink_and_grow_are_torchs_strided_convolutions(inputs: int, outputs: int, sides: tuple[int, int]) -> None:
    height, width = sides
    fine, coarse = numbers(1, 2, 2 * height, 2 * width, inputs), numbers(2, 2, *sides, inputs)
    down, up = numbers(3, outputs, inputs, 2, 2), numbers(4, inputs, outputs, 2, 2)
    bias, add = numbers(5, outputs), numbers(6, 2, 2 * height, 2 * width, outputs)
    small = torch.empty(2, height, width, outputs)
    shrink(fine, packed_shrinkage(down), bias, small)
    exact_enough(small, lambda dtype: F.conv2d(planes(fine).to(dtype), down.to(dtype), bias.to(dtype), stride=2))
    large = torch.empty_like(add)
    grow(coarse, packed_growth(up), bias, large, add)
    exact_enough(
        large,
        lambda dtype: (
            F.conv_transpose2d(planes(coarse).to(dtype), up.to(dtype), bias.to(dtype), stride=2) + planes(add).to(dtype)
        ),
    )


def test_golden_bytes() -> None:
    """On every processor."""
    count = torch.arange(36 * 48 * 9).double()
    weight, bias = ((count * 7919 % 257 - 128) / 512).view(48, 36, 3, 3)[:, :32].float(), count[:48].float() - 20
    image = (torch.arange(2 * 11 * 9 * 32) * 104729 % 1021 - 510).float().view(2, 11, 9, 32) / 64
    out, back = torch.empty(2, 11, 9, 48), torch.empty(36, 32, 48)
    convolve(image, packed_kernels(weight), bias, out, rectify=True)
    workspace = torch.empty(convolve_workspace(image.shape, 48))
    torch.ops.gencosmo.convolve_backward(image, out, workspace, back)
    digest = hashlib.sha256(packed_kernels(weight).numpy().tobytes() + out.numpy().tobytes() + back.numpy().tobytes())
    assert digest.hexdigest() == GOLDEN


def test_packing_is_the_transform() -> None:
    weight, g = numbers(1, 16, 32, 3, 3), torch.tensor(FILTER, dtype=torch.float64)
    truth = torch.einsum("ia,kcab,jb->ijck", g, weight.double(), g).flatten(0, 1)
    assert torch.allclose(packed_kernels(weight).double(), truth, rtol=2.0**-23, atol=1e-9)


def test_grow_is_the_adjoint_of_shrink() -> None:
    weight, zero = numbers(1, 32, 16, 2, 2), torch.zeros(32)
    fine, coarse = numbers(2, 1, 6, 10, 16), numbers(3, 1, 3, 5, 32)
    small, large = torch.empty_like(coarse), torch.empty_like(fine)
    shrink(fine, packed_shrinkage(weight), zero, small)
    grow(coarse, packed_growth(weight), zero[:16], large)
    assert float((small * coarse).sum()) == pytest.approx(float((fine * large).sum()), rel=1e-5)


def test_a_shifted_image_gives_the_same_bytes_when_it_moves_by_whole_tiles() -> None:
    image = torch.zeros(1, 24, 24, 16)
    image[:, 8:14, 8:15] = numbers(1, 1, 6, 7, 16)
    weights, bias = packed_kernels(numbers(2, 32, 16, 3, 3)), numbers(3, 32)
    out, moved = torch.empty(1, 24, 24, 32), torch.empty(1, 24, 24, 32)
    convolve(image, weights, bias, out)
    convolve(image.roll((4, -4), (1, 2)), weights, bias, moved)
    assert torch.equal(moved, out.roll((4, -4), (1, 2)))


def test_a_lost_number_stays_near() -> None:
    image, weights, bias = numbers(1, 1, 20, 20, 16), packed_kernels(numbers(2, 16, 16, 3, 3)), numbers(3, 16)
    image[0, 9, 10, 3] = math.nan
    out = torch.empty_like(image)
    convolve(image, weights, bias, out, rectify=True)
    lost = torch.isnan(out[0]).all(-1)
    assert lost[8:11, 9:12].all() and not lost[:4].any() and not lost[15:].any() and not lost[:, :5].any()


@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
@pytest.mark.parametrize("sides", SIDES)
def test_gradients_are_torchs(inputs: int, outputs: int, sides: tuple[int, int]) -> None:
    made = [
        numbers(1, 2, *sides, inputs),
        numbers(2, outputs, inputs, 3, 3) / (3 * math.sqrt(inputs)),
        numbers(3, outputs),
    ]
    given = numbers(4, 2, *sides, outputs)

    def by_torch(dtype: torch.dtype) -> tuple[Tensor, ...]:
        image, weight, bias = (tensor.to(dtype).requires_grad_() for tensor in made)
        out = F.conv2d(planes(image), weight, bias, padding=1)
        return torch.autograd.grad(out, (image, weight, bias), planes(given).to(dtype))

    leaves = [tensor.clone().requires_grad_() for tensor in made]
    mine = torch.autograd.grad(convolved(*leaves), leaves, given)
    for got, exact, plain in zip(mine, by_torch(torch.float64), by_torch(torch.float32), strict=True):
        assert got.shape == exact.shape
        assert rms(got - exact) <= max(2 * MINIMAL * rms(exact), 2 * rms(plain - exact))


def test_only_wanted_gradients_are_made() -> None:
    image, weight, bias = numbers(1, 1, 8, 8, 16).requires_grad_(), numbers(2, 16, 16, 3, 3), numbers(3, 16)
    convolved(image, weight, bias).sum().backward()
    assert image.grad is not None and weight.grad is None and bias.grad is None
    first = torch.autograd.grad(convolved(image, weight, bias).square().sum(), image, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 16), (16, 24)])
def test_other_numbers_of_channels_are_refused(inputs: int, outputs: int) -> None:
    image, out = torch.zeros(1, 4, 4, inputs), torch.zeros(1, 4, 4, outputs)
    with pytest.raises(ValueError, match=r"convolve: argument '.*' expected a multiple of 16 channels"):
        convolve(image, torch.zeros(36, inputs, outputs), torch.zeros(outputs), out)


def test_an_odd_number_of_rows_cannot_be_halved() -> None:
    weights = packed_shrinkage(torch.zeros(16, 16, 2, 2))
    with pytest.raises(ValueError, match="'image' expected an even number of rows and columns"):
        shrink(torch.zeros(1, 5, 4, 16), weights, torch.zeros(16), torch.zeros(1, 2, 2, 16))
