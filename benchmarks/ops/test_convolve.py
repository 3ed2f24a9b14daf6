"""The network and its convolutions beside torch's own (oneDNN, all products), at the sizes of a 256 x 256 window."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from benchmarks.ops.measure import checked
from gencosmo.ops.apply_kernels import RAW_CHANNELS
from gencosmo.ops.convolve import convolve, convolved, packed_kernels
from gencosmo.ops.precondition import FEATURES, precondition
from gencosmo.ops.shrink import grow, packed_growth, packed_shrinkage, shrink
from gencosmo.priors import layers
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.priors.room import room_for
from tests.ops.cases import CASES


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(64, 64, 128), (128, 128, 64), (192, 192, 32)])
def test_convolve(race, inputs: int, outputs: int, side: int) -> None:
    checked("convolve", CASES["convolve"].arguments())
    image, weight, bias = rows(0, 1, side, side, inputs), rows(1, outputs, inputs, 3, 3), rows(2, outputs)
    out, packed = torch.empty(1, side, side, outputs), packed_kernels(weight)
    planes, kernels = image.permute(0, 3, 1, 2), weight.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        race(
            f"convolve, {inputs} channels",
            lambda: convolve(image, packed, bias, out),
            {"eager": lambda: F.conv2d(planes, kernels, bias, padding=1)},
            side * side,
            4 * (inputs + outputs),
        )


@pytest.mark.parametrize(("channels", "side"), [(64, 32), (128, 16), (192, 8)])
def test_there_and_back(race, channels: int, side: int) -> None:
    """As in training: 24 tiles of 64 pixels, forward and all three gradients."""
    checked("convolve_backward", CASES["convolve_backward"].arguments())
    image, weight = rows(0, 24, side, side, channels), rows(1, channels, channels, 3, 3)
    bias, given = rows(2, channels), rows(3, 24, side, side, channels)
    planes = given.permute(0, 3, 1, 2)
    mine = [tensor.clone().requires_grad_() for tensor in (image, weight, bias)]
    theirs = [image.permute(0, 3, 1, 2), weight.to(memory_format=torch.channels_last), bias]
    theirs = [tensor.detach().requires_grad_() for tensor in theirs]

    def by_torch(half: bool) -> None:
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = F.conv2d(*theirs, padding=1)
        torch.autograd.grad(out, theirs, planes.to(out.dtype))

    def compiled() -> None:
        with torch.enable_grad():
            out = convolved(*mine)
        torch.autograd.grad(out, mine, given)

    race(
        f"convolved and back, {channels} channels",
        compiled,
        {"eager": lambda: by_torch(False), "bfloat16": lambda: by_torch(True)},
        24 * side * side,
        4 * 6 * channels,
    )


@pytest.mark.parametrize("name", ["sky", "sky-small", "cells"])
def test_networks(race, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped networks on a window of noise: what they answer, and how long it takes."""
    prior = DiffusionPrior.load(name)
    work = room_for(torch.zeros(1, 5, 256, 256))
    win = torch.stack([rows(0, 256, 256), torch.zeros(256, 256), *rows(1, 3, 256, 256).abs()])[None].contiguous()
    win[:, 1, 100:140, 60:90] = math.inf
    win[:, 2], win[:, 4] = win[:, 0], win[:, 0]
    precondition(win, torch.zeros(1), prior.card.prior_var, work.features, work.local, work.workspace)
    served = layers._served

    def answered(network: torch.nn.Module, features: torch.Tensor, compiled: bool = True) -> torch.Tensor:
        monkeypatch.setattr(layers, "_served", served if compiled else lambda *_: False)
        with torch.no_grad():
            return network(features)

    truth = answered(copy.deepcopy(prior.network).double(), work.features.double())
    mine, theirs = (float((answered(prior.network, work.features, one) - truth).std()) for one in (True, False))
    print(f"{name}: rms error {mine:.2e}, torch {theirs:.2e}, of {float(truth.std()):.2f}")
    assert mine < 3 * theirs
    race(
        f"network of {name}",
        lambda: answered(prior.network, work.features),
        {"eager": lambda: answered(prior.network, work.features, compiled=False)},
        256 * 256,
        4 * (FEATURES + RAW_CHANNELS),
    )


def test_shrink(race) -> None:
    checked("shrink", CASES["shrink"].arguments())
    image, weight, bias = rows(0, 1, 128, 128, 64), rows(1, 128, 64, 2, 2), rows(2, 128)
    out, packed = torch.empty(1, 64, 64, 128), packed_shrinkage(weight)
    planes, kernels = image.permute(0, 3, 1, 2), weight.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        race(
            "shrink, 64 to 128 channels",
            lambda: shrink(image, packed, bias, out),
            {"eager": lambda: F.conv2d(planes, kernels, bias, stride=2)},
            64 * 64,
            4 * (4 * 64 + 128),
        )


def test_grow(race) -> None:
    checked("grow", CASES["grow"].arguments())
    image, weight, bias = rows(0, 1, 64, 64, 128), rows(1, 128, 64, 2, 2), rows(2, 64)
    add = rows(3, 1, 128, 128, 64)
    out, packed = torch.empty_like(add), packed_growth(weight)
    planes, more = image.permute(0, 3, 1, 2), add.permute(0, 3, 1, 2)
    kernels = weight.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        race(
            "grow, 128 to 64 channels",
            lambda: grow(image, packed, bias, out, add),
            {"eager": lambda: F.conv_transpose2d(planes, kernels, bias, stride=2) + more},
            64 * 64,
            4 * (128 + 8 * 64),
        )
