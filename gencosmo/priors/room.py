"""Memory that a network's windows share: one block, however many windows of whatever shape are computed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gencosmo.ops.precondition import FEATURES, LOCALS, SCRATCH

__all__ = ["Room", "Work", "room_for"]

PLANES = {"win": 5, "features": FEATURES, "local": LOCALS, "mean": 1, "var": 1, "workspace": SCRATCH}


@dataclass(frozen=True)
class Work:
    """Tensors of one batch of windows, all (B, n, h, w) but `asked` (B,)."""

    win: Tensor
    features: Tensor
    local: Tensor
    mean: Tensor
    var: Tensor
    workspace: Tensor
    asked: Tensor


class Room:
    """Memory for batches of windows, whole or in part.

    Parameters
    ----------
    batch, size : int
        Most windows at once, and their side in pixels.
    device : torch.device
    """

    def __init__(self, batch: int, size: int, device: torch.device) -> None:
        self.size, pixels = size, batch * size * size
        self.flat = {name: torch.empty(planes * pixels, device=device) for name, planes in PLANES.items()}
        self.answers = torch.empty(2, batch, 1, size, size, device=device)

    def of(self, batch: int, height: int, width: int) -> Work:
        """Views for `batch` windows of ``height x width`` pixels; what they held before is lost."""
        parts = {
            name: self.flat[name][: batch * planes * height * width].view(batch, planes, height, width)
            for name, planes in PLANES.items()
            if name != "features"
        }
        last = self.flat["features"][: batch * FEATURES * height * width].view(batch, height, width, FEATURES)
        return Work(**parts, features=last.permute(0, 3, 1, 2), asked=last.new_empty(batch))

    def whole(self, number: int, part: Tensor, crop: Sequence[int]) -> Tensor:
        """Whole windows (B, 1, size, size) of answer `number`, 0 outside the part (B, 1, h, w) that was computed."""
        if part.shape[-2:] == (self.size, self.size):
            return part
        top, bottom, left, right = crop
        placed = self.answers[number, : part.shape[0]].zero_()
        placed[..., top:bottom, left:right] = part
        return placed


def room_for(win: Tensor) -> Work:
    """Memory of its own for windows (B, 5, h, w)."""
    batch, _, height, width = win.shape
    sizes = {name: win.new_empty(batch, planes, height, width) for name, planes in PLANES.items()}
    sizes["features"] = sizes["features"].contiguous(memory_format=torch.channels_last)
    return Work(**sizes, asked=win.new_empty(batch))
