"""Convolutions that answer by the compiled kernels on a CPU, and are torch's own everywhere else.

State is that of torch's layers. The kernels take over in single precision on a CPU. While no gradient is wanted,
weights are packed at the first call and again whenever they have changed; when one is, 3x3 kernels go back by compiled
kernels too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gencosmo import _core
from gencosmo.ops._dispatch import wants_grad
from gencosmo.ops.convolve import MULTIPLE, convolve, convolved, packed_kernels
from gencosmo.ops.shrink import grow, packed_growth, packed_shrinkage, shrink

__all__ = ["Convolution", "Door", "Exit", "Grow", "Shrink"]

Pack = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class _Packed:
    """Packed weights of a layer, made anew when the layer's own have changed."""

    def __init__(self) -> None:
        self.made_of: tuple[int, int] | None = None
        self.weights = self.bias = torch.empty(0)

    def of(self, weight: Tensor, bias: Tensor | None, pack: Pack) -> tuple[Tensor, Tensor]:
        """Packed weights and bias of a layer."""
        assert bias is not None
        now = weight.data_ptr() ^ bias.data_ptr(), weight._version + bias._version
        if now != self.made_of:
            self.weights, self.bias = pack(weight.detach(), bias.detach())
            self.made_of = now
        return self.weights, self.bias

    def __deepcopy__(self, memo: object) -> _Packed:
        return _Packed()  # a copied layer has its weights elsewhere


def _served(image: Tensor, weight: Tensor) -> bool:
    """Whether the compiled kernels can do it, and faster than torch."""
    return (
        image.device.type == "cpu"
        and image.dtype == weight.dtype == torch.float32
        and weight.shape[0] % MULTIPLE == weight.shape[1] % MULTIPLE == 0
        and not (weight.is_inference() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"))
        and _core.isa() != "base"
    )


def _rows(image: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C) in memory; no copy of a channels_last image."""
    return image.permute(0, 2, 3, 1).contiguous()


def _planes(rows: Tensor) -> Tensor:
    """(B, H, W, C) seen as (B, C, H, W)."""
    return rows.permute(0, 3, 1, 2)


class _Kernels(nn.Conv2d):
    """3x3 kernels, as many rows and columns out as in."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self._packed = _Packed()

    def _answer(self, rows: Tensor, add: Tensor | None = None, rectify: bool = False) -> Tensor:
        """(B, H, W, C) to (B, H, W, K), channels in the order of `_ordered`."""
        assert self.bias is not None
        if wants_grad(rows, self.weight, self.bias):
            made = convolved(rows, *self._ordered(self.weight, self.bias))
            made = made.relu() if rectify else made
            return made if add is None else made + add
        weights, bias = self._packed.of(self.weight, self.bias, self._pack)
        out = rows.new_empty(*rows.shape[:3], self.out_channels)
        convolve(rows, weights, bias, out, add, rectify)
        return out

    def _pack(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self._ordered(weight, bias)
        return packed_kernels(weight), bias

    def _ordered(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (K, C, 3, 3) and bias (K,), channels in the order of the images that the kernel sees."""
        return weight, bias


class Convolution(_Kernels):
    """3x3 kernels between images of one resolution.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def forward(self, image: Tensor, add: Tensor | None = None, rectify: bool = False) -> Tensor:
        """(B, C, H, W) to (B, K, H, W); negative results to 0 if `rectify`, then `add` is added."""
        if not _served(image, self.weight):
            made = super().forward(image)
            made = F.relu(made) if rectify else made
            return made if add is None else add + made
        return _planes(self._answer(_rows(image), None if add is None else _rows(add), rectify))


class Door(_Kernels):
    """From squares of 2x2 pixels to one of half the resolution (:func:`torch.nn.functional.pixel_unshuffle` before).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the fine image and of the coarse one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(4 * inputs, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, 2 H, 2 W) to (B, K, H, W)."""
        if not _served(image, self.weight):
            return super().forward(F.pixel_unshuffle(image, 2))
        count, channels, height, width = image.shape
        squares = _rows(image).view(count, height // 2, 2, width // 2, 2, channels)
        return _planes(self._answer(squares.transpose(2, 3).flatten(3)))

    def _ordered(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        # whole pixels of a square follow each other, not the four values of a channel
        outputs, inputs = weight.shape[:2]
        return weight.view(outputs, inputs // 4, 4, 3, 3).transpose(1, 2).flatten(1, 2), bias


class Exit(_Kernels):
    """From one of half the resolution to squares of 2x2 (:func:`torch.nn.functional.pixel_shuffle` behind).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the coarse image and of the fine one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, 4 * outputs)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, 2 H, 2 W)."""
        if not _served(image, self.weight):
            return F.pixel_shuffle(super().forward(image), 2)
        count, _, height, width = image.shape
        squares = self._answer(_rows(image)).view(count, height, width, 2, 2, -1)
        return _planes(squares.transpose(2, 3).flatten(1, 2).flatten(2, 3))

    def _ordered(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        outputs, inputs = weight.shape[:2]
        return weight.view(outputs // 4, 4, inputs, 3, 3).transpose(0, 1).flatten(0, 1), bias.view(-1, 4).t().flatten()


class Shrink(nn.Conv2d):
    """2x2 kernels with stride 2.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)
        self._packed = _Packed()

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, 2 H, 2 W) to (B, K, H, W)."""
        assert self.bias is not None
        odd = image.shape[-1] % 2 or image.shape[-2] % 2
        if odd or not _served(image, self.weight) or wants_grad(image, self.weight, self.bias):
            return super().forward(image)
        weights, bias = self._packed.of(self.weight, self.bias, lambda *both: (packed_shrinkage(both[0]), both[1]))
        count, _, height, width = image.shape
        out = image.new_empty(count, height // 2, width // 2, self.out_channels)
        shrink(_rows(image), weights, bias, out)
        return _planes(out)


class Grow(nn.ConvTranspose2d):
    """2x2 kernels that spread a pixel over four.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 2, stride=2)
        self._packed = _Packed()

    def forward(self, image: Tensor, add: Tensor) -> Tensor:  # type: ignore[override]
        """(B, C, H, W) and `add` (B, K, 2 H, 2 W) to their sum (B, K, 2 H, 2 W)."""
        assert self.bias is not None
        if not _served(image, self.weight) or wants_grad(image, add, self.weight, self.bias):
            return super().forward(image) + add
        weights, bias = self._packed.of(self.weight, self.bias, lambda *both: (packed_growth(both[0]), both[1]))
        count, _, height, width = image.shape
        out = image.new_empty(count, 2 * height, 2 * width, self.out_channels)
        grow(_rows(image), weights, bias, out, _rows(add))
        return _planes(out)
