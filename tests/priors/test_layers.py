"""The network's layers: the compiled kernels answer as torch does, with the weights of now, and only where they may."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gencosmo import _core
from gencosmo.priors import layers
from gencosmo.priors.network import DenoiserNetwork, NetworkShape, example_features

SHAPE = NetworkShape((16, 32, 48), (1, 1, 2))
compiled_here = pytest.mark.skipif(_core.isa() == "base", reason="torch is faster without vector instructions")


@pytest.fixture
def network() -> DenoiserNetwork:
    torch.manual_seed(7)
    made = DenoiserNetwork(SHAPE)
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.05)
    return made


@pytest.fixture
def features() -> Tensor:
    made = example_features(2, 40, "cpu")
    return made.copy_(torch.randn(made.shape, generator=torch.Generator().manual_seed(3)))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the kernels that were called."""
    called: list[str] = []
    for name in ("convolve", "convolved", "shrink", "grow"):
        kernel = getattr(layers, name)
        monkeypatch.setattr(layers, name, lambda *a, k=kernel, n=name: (called.append(n), k(*a))[1])
    return called


def truth(network: DenoiserNetwork, features: Tensor) -> Tensor:
    """By torch's layers."""
    with torch.no_grad():
        exact: Tensor = copy.deepcopy(network).double()(features.double())
    return exact


def plain(network: DenoiserNetwork) -> Callable[[Tensor], Tensor]:
    """The network as torch computes it."""
    made = copy.deepcopy(network)
    for module in made.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.forward = functools.partial(by_torch, module)  # type: ignore[method-assign]
    return made


def by_torch(layer: nn.Module, *arguments: Any, **options: Any) -> Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_served", lambda *_: False)
        result: Tensor = type(layer).forward(layer, *arguments, **options)
    return result


@compiled_here
def test_every_layer_is_compiled_and_the_answer_torchs(
    network: DenoiserNetwork, features: Tensor, calls: list[str]
) -> None:
    with torch.no_grad():
        got = network(features)
    threes = sum(module.kernel_size == (3, 3) for module in network.modules() if isinstance(module, nn.Conv2d))
    assert {name: calls.count(name) for name in calls} == {"convolve": threes, "shrink": 2, "grow": 2}
    calls.clear()
    trained = network(features)  # gradients are on
    assert trained.requires_grad and calls == ["convolved"] * threes
    by_torch, exact = plain(network)(features), truth(network, features)
    assert got.shape == exact.shape and got.is_contiguous(memory_format=torch.channels_last)
    allowed = float((by_torch.detach() - exact).square().mean().sqrt())
    for value in (got, trained.detach()):
        error = float((value - exact).square().mean().sqrt())
        assert error <= 5 * allowed and error < 1e-5 * float(exact.std())


@compiled_here
def test_the_networks_gradients_are_torchs(network: DenoiserNetwork, features: Tensor) -> None:
    given = torch.randn(2, 28, 40, 40, generator=torch.Generator().manual_seed(5))
    found = []
    for made, dtype in ((network, torch.float32), (plain(network), torch.float32), (network, torch.float64)):
        one = copy.deepcopy(made).to(dtype)
        (one(features.to(dtype)) * given.to(dtype)).sum().backward()
        found.append([weight.grad.double() for weight in one.parameters()])
    for got, by_torch, exact in zip(*found, strict=True):
        error, allowed = (float((x - exact).square().mean().sqrt()) for x in (got, by_torch))
        assert error <= 8 * allowed and error < 1e-5 * float(exact.square().mean().sqrt())


@compiled_here
def test_row_major_features_are_the_same(network: DenoiserNetwork, features: Tensor) -> None:
    with torch.no_grad():
        assert torch.equal(network(features.contiguous()), network(features))


@compiled_here
def test_changed_weights_are_packed_again(network: DenoiserNetwork, features: Tensor, calls: list[str]) -> None:
    other = copy.deepcopy(network)
    with torch.no_grad():
        before = network(features)
        for name, weight in network.named_parameters():
            kept = weight.clone()
            weight.mul_(1.5)
            assert not torch.equal(network(features), before), name
            weight.copy_(kept)
        assert torch.equal(network(features), before)
        for weight in other.parameters():
            weight.zero_()
        network.load_state_dict(other.state_dict())
        assert not network(features).any()
        network.exit.bias = nn.Parameter(torch.ones_like(network.exit.bias))  # of the same age as the old one
        assert bool((network(features) == 1).all())
        network.load_state_dict(other.state_dict())
        mine = copy.deepcopy(network)
        nn.init.ones_(mine.exit.bias)
        assert not network(features).any() and bool((mine(features) == 1).all())
    assert calls


@compiled_here
def test_steps_of_an_optimizer_are_seen(network: DenoiserNetwork, features: Tensor) -> None:
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        for foreach in (False, True):
            optimizer = kind(network.parameters(), lr=1e-2, foreach=foreach)
            with torch.no_grad():
                before = network(features)
            network(features).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                after = network(features)
            exact = truth(network, features)
            assert not torch.equal(after, before)
            assert float((after - exact).abs().max()) < 1e-4 * float(exact.abs().max())


@compiled_here
def test_torch_answers_where_the_kernels_cannot(
    network: DenoiserNetwork, features: Tensor, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            network(features)
        assert calls == ["convolve"]  # the exit, which is never rounded
        calls.clear()
        narrow = DenoiserNetwork(NetworkShape((8, 24), (1, 1)))
        assert narrow(features).shape == (2, 28, 40, 40)
        door = network.door.double()
        assert door(features.double()).dtype == torch.float64
        network.door.float()
        monkeypatch.setattr(_core, "isa", lambda: "base")
        network(features)
    assert calls == []


@compiled_here
def test_weights_that_cannot_tell_their_age_are_left_to_torch(features: Tensor, calls: list[str]) -> None:
    with torch.inference_mode():
        DenoiserNetwork(SHAPE)(features)
    assert calls == []


@compiled_here
def test_an_odd_side_is_left_to_torch(calls: list[str]) -> None:
    layer = layers.Shrink(16, 16)
    with torch.no_grad():
        assert layer(torch.ones(1, 16, 7, 6)).shape == (1, 16, 3, 3) and calls == []
        assert layer(torch.ones(1, 16, 6, 6)).shape == (1, 16, 3, 3) and calls == ["shrink"]


@compiled_here
def test_inference_mode_is_served(network: DenoiserNetwork, features: Tensor, calls: list[str]) -> None:
    with torch.inference_mode():
        inside = network(features)
    with torch.no_grad():
        assert calls and torch.equal(inside, network(features))
