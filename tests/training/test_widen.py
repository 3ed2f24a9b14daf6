"""A network that grew from a trained one answers as that one did, and can learn with all it has."""

from __future__ import annotations

import pytest
import torch

from gencosmo.errors import UsageError
from gencosmo.ops.precondition import FEATURES
from gencosmo.priors.network import DenoiserNetwork, NetworkShape
from gencosmo.training.widen import widened

SMALL = NetworkShape((6, 8, 10), (1, 2, 1))


def trained() -> DenoiserNetwork:
    """A network none of whose weights is zero."""
    torch.manual_seed(4)
    network = DenoiserNetwork(SMALL)
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(std=0.2)
    return network


def features() -> torch.Tensor:
    return torch.randn(2, FEATURES, 32, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("channels", [(6, 8, 10), (9, 8, 10), (6, 13, 10), (6, 8, 17), (11, 12, 13)])
@pytest.mark.parametrize("blocks", [(1, 2, 1), (2, 3, 2)])
def test_a_grown_network_answers_as_before(channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    small, x = trained(), features()
    large = widened(small, NetworkShape(channels, blocks))
    assert large.shape == NetworkShape(channels, blocks)
    with torch.no_grad():
        before, after = small(x), large(x)
    assert before.std() > 0.1
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_every_new_channel_can_learn() -> None:
    """After one step along the gradient each new weight tensor gets a gradient in its new part."""
    small, x = trained(), features()
    large = widened(small, NetworkShape((9, 12, 14), (1, 2, 1)))
    optimizer = torch.optim.Adam(large.parameters(), lr=1e-3)
    target = torch.randn(small(x).shape, generator=torch.Generator().manual_seed(2))
    for _ in range(4):
        optimizer.zero_grad()
        (large(x) - target).square().mean().backward()
        optimizer.step()
    old = dict(small.named_parameters())
    for name, weights in large.named_parameters():
        new = torch.ones(weights.shape, dtype=torch.bool)
        new[tuple(slice(0, n) for n in old[name].shape)] = False
        assert weights.grad is not None
        assert not new.any() or weights.grad[new].abs().max() > 0, name


def test_the_trained_network_is_left_alone() -> None:
    small = trained()
    before = {name: weights.clone() for name, weights in small.state_dict().items()}
    large = widened(small, NetworkShape((8, 8, 10), SMALL.blocks))
    with torch.no_grad():
        for weights in large.parameters():
            weights.add_(1)
    for name, weights in small.state_dict().items():
        assert torch.equal(weights, before[name]), name


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        (NetworkShape((5, 8, 10), (1, 2, 1)), "channels"),
        (NetworkShape((6, 8, 10), (1, 1, 1)), "blocks"),
        (NetworkShape((6, 8), (1, 2)), "channels"),
    ],
)
def test_a_network_does_not_shrink(shape: NetworkShape, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        widened(trained(), shape)
