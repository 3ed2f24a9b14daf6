"""The network behind a diffusion prior: a residual U-Net without normalisation.

Shape of DRUNet (Zhang et al. 2021): conv-ReLU-conv blocks, strided convolutions, 2x2 pixel-unshuffle at the door; no
normalisation layers, which cost half the time on a CPU and tie a pixel to its whole window. It maps the features of
:mod:`gencosmo.ops.precondition` to the raw output that :mod:`gencosmo.ops.apply_kernels` reads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from gencosmo.ops.apply_kernels import RAW_CHANNELS
from gencosmo.ops.precondition import FEATURES
from gencosmo.priors.layers import Convolution, Door, Exit, Grow, Shrink


@dataclass(frozen=True)
class NetworkShape:
    """What a card stores of the architecture.

    Attributes
    ----------
    channels : tuple of int
        Width of each level, finest first; level ``i`` works at ``1 / (2 * 2**i)`` of the resolution.
    blocks : tuple of int
        Residual blocks of each level on the way down; the way up has one at each level but the deepest.
    """

    channels: tuple[int, ...] = (40, 80, 128)
    blocks: tuple[int, ...] = (1, 2, 2)

    @property
    def stride(self) -> int:
        """Windows must be a multiple of this many pixels."""
        return 1 << len(self.channels)

    @property
    def receptive_field(self) -> int:
        """How far, in pixels, an output can see to each side (box and kernel included)."""
        reach = 2.0 + 2.0  # door and exit convolutions at half resolution
        for level, blocks in enumerate(self.blocks):
            pixel = 2 * 2**level
            deepest = level == len(self.blocks) - 1
            reach += pixel * 2 * (blocks if deepest else blocks + 1)
            reach += 0 if deepest else pixel
        return int(reach) + 5

    def to_dict(self) -> dict[str, list[int]]:
        """Plain lists, for a card."""
        return {key: list(value) for key, value in asdict(self).items()}


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; the second convolution starts at zero, so an untrained block is the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = Convolution(channels, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        result: Tensor = self.second(self.first(x, rectify=True), add=x)
        return result


class DenoiserNetwork(nn.Module):
    """Features (B, 12, h, w) to raw output (B, 28, h, w); h and w multiples of ``shape.stride``.

    The last convolution starts at zero: an untrained network returns the base (see ``apply_kernels``).
    """

    def __init__(self, shape: NetworkShape = NetworkShape()) -> None:
        super().__init__()
        self.shape = shape
        widths, pairs = shape.channels, list(zip(shape.channels, shape.channels[1:], strict=False))
        self.door = Door(FEATURES, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c) for _ in range(n))) for c, n in zip(widths, shape.blocks, strict=True)
        )
        self.shrink = nn.ModuleList(Shrink(a, b) for a, b in pairs)
        self.grow = nn.ModuleList(Grow(b, a) for a, b in pairs)
        self.up = nn.ModuleList(ResidualBlock(c) for c in widths[:-1])
        self.exit = Exit(widths[0], RAW_CHANNELS)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """(B, 12, h, w) to (B, 28, h, w)."""
        h = self.door(features)
        skips = []
        for level, blocks in enumerate(self.down):
            h = blocks(h)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        for level in reversed(range(len(self.grow))):
            h = self.up[level](self.grow[level](h, skips[level]))
        # the exit in full precision: its output is read in units that can be a thousandth of the pixels around
        with torch.autocast(h.device.type, enabled=False):
            raw: Tensor = self.exit(h.to(self.exit.weight.dtype))
        return raw


def count_weights(network: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in network.parameters())


def example_features(batch: int, size: int, device: torch.device | str = "cpu") -> Tensor:
    """A zero feature tensor of the right shape and memory format, to trace or time a network."""
    return torch.zeros(batch, FEATURES, size, size, device=device).to(memory_format=torch.channels_last)
