"""The sampler's state on the image, and the windows in which a network sees it.

A *plane* is one channel of one sample of one image. A `Canvas` holds many planes of any shapes as flat
tensors, so that one call of an op covers all of them. Windows lie on a grid that is fixed to the sky,
whatever part of the image was read and whatever else is computed with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.errors import UsageError

__all__ = ["Canvas", "WindowGrid"]

ALIGN = 16
"""Offsets of planes are multiples of this many pixels."""
FIELDS = ("z", "sigma", "base", "base_var", "smooth")
FLAT = ("sigma_obs", "clock", "previous", "mean", "var", "weight")


def _signed(seed: int) -> int:
    """A 64-bit seed as the int64 with the same bits."""
    low = seed & 0xFFFFFFFFFFFFFFFF
    return low - (1 << 64) if low >> 63 else low


@dataclass(eq=False)
class Canvas:
    """State of many planes, flat.

    Attributes
    ----------
    layout : Tensor (P, 6) int64
        ``offset, H, W, row0, col0, key`` of every plane; ``key = sample << 8 | channel``.
    seed : Tensor (P,) int64
        64-bit seed of every plane (the bits of an unsigned one).
    fields : Tensor (5, N) float32
        Rows ``z, sigma, base, base_var, smooth``.
    sigma_obs : Tensor (N,) float32
        Level of the observation: 0 exact, inf never observed. Padding between planes counts as exact.
    clock : Tensor (N,) float32
        Scale of the pixel's clock, 0 where it never moves.
    previous, mean, var, weight : Tensor (N,) float32
        Last step's mean; the denoiser's answer; blending weight.
    """

    layout: Tensor
    seed: Tensor
    fields: Tensor
    sigma_obs: Tensor
    clock: Tensor
    previous: Tensor
    mean: Tensor
    var: Tensor
    weight: Tensor

    @classmethod
    def from_planes(
        cls,
        values: Sequence[Tensor],
        sigma: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        origins: Sequence[tuple[int, int]] | None = None,
        keys: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
    ) -> Canvas:
        """Lay out planes one after another.

        Parameters
        ----------
        values, sigma : sequence of Tensor (H, W)
            Observed values in network flux and their levels (0 to inf). Where the level is inf the value is
            ignored.
        seeds : sequence of int
            64-bit seed of each plane's noise.
        origins : sequence of (row0, col0), optional
            Absolute coordinates of each plane's first pixel.
        keys : sequence of int, optional
            ``sample << 8 | channel``; 0 when left out.
        device : torch.device or str
            Where the canvas lives.

        Raises
        ------
        UsageError
            When the sequences or the shapes do not belong together, or a level is negative or NaN.
        """
        count = len(values)
        origins = [(0, 0)] * count if origins is None else origins
        keys = [0] * count if keys is None else keys
        lengths = {"sigma": len(sigma), "seeds": len(seeds), "origins": len(origins), "keys": len(keys)}
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise UsageError(f"from_planes: got {count} planes but {wrong}; give one entry per plane")
        rows, total = [], 0
        for p, (value, level) in enumerate(zip(values, sigma, strict=True)):
            if value.ndim != 2 or value.shape != level.shape:
                shapes = f"values {tuple(value.shape)} and sigma {tuple(level.shape)}"
                raise UsageError(f"plane {p}: {shapes}; expected one (H, W) for both")
            rows.append([total, *value.shape, *origins[p], keys[p]])
            total += math.ceil(value.numel() / ALIGN) * ALIGN
        canvas = cls._empty(torch.tensor(rows, dtype=torch.int64).reshape(-1, 6), total, device)
        canvas.seed.copy_(torch.tensor([_signed(s) for s in seeds], dtype=torch.int64))
        for p, (value, level) in enumerate(zip(values, sigma, strict=True)):
            canvas.plane("z", p).copy_(value)
            canvas.plane("sigma", p).copy_(level)
        if not bool((canvas.fields[1] >= 0).all()):
            raise UsageError("sigma: got negative or NaN levels; expected 0 (exact) to inf (unknown)")
        unknown = torch.isinf(canvas.fields[1])
        canvas.fields[0].masked_fill_(unknown, 0.0)
        if not bool(torch.isfinite(canvas.fields[0]).all()):
            raise UsageError("values: got NaN or inf where sigma is finite; give those pixels sigma = inf")
        canvas.sigma_obs.copy_(canvas.fields[1])
        return canvas

    @classmethod
    def _empty(cls, layout: Tensor, total: int, device: torch.device | str) -> Canvas:
        flat = [torch.zeros(total, device=device) for _ in FLAT]
        seed = torch.zeros(layout.shape[0], dtype=torch.int64, device=device)
        return cls(layout.to(device), seed, torch.zeros(len(FIELDS), total, device=device), *flat)

    @property
    def device(self) -> torch.device:
        """Where the canvas lives."""
        return self.fields.device

    @property
    def size(self) -> int:
        """Number of pixels N, padding included."""
        return self.fields.shape[1]

    def flat(self, name: str) -> Tensor:
        """The flat tensor (N,) of a field or of any other per-pixel quantity, by name."""
        if name in FIELDS:
            return self.fields[FIELDS.index(name)]
        if name in FLAT:
            tensor: Tensor = getattr(self, name)
            return tensor
        raise UsageError(f"canvas has no {name!r}; it has {', '.join(FIELDS + FLAT)}")

    def plane(self, name: str, p: int) -> Tensor:
        """View (H, W) of one plane of :meth:`flat`."""
        return self.view(self.flat(name), p)

    def view(self, flat: Tensor, p: int) -> Tensor:
        """View (..., H, W) of one plane of any tensor (..., N) that is laid out like this canvas."""
        offset, height, width = self.layout[p, :3].tolist()
        return flat[..., offset : offset + height * width].view(*flat.shape[:-1], height, width)

    def pixels(self) -> Tensor:
        """Boolean (N,): True on the planes, False on the padding between them."""
        inside = torch.zeros(self.size, dtype=torch.bool)
        for offset, height, width in self.layout[:, :3].tolist():
            inside[offset : offset + height * width] = True
        return inside.to(self.device)

    def repeat(self, samples: int, *, first: int = 0) -> Canvas:
        """Copies of all planes, one set per sample, with the sample's number ``first, first + 1, ...`` in
        their keys.
        """
        if samples < 1 or first < 0 or first + samples > 1 << 23:
            raise UsageError(f"samples {first} to {first + samples - 1}: expected numbers from 0 to 2^23 - 1")
        number = torch.arange(samples, device=self.device)
        layout = self.layout.repeat(samples, 1, 1)
        layout[..., 0] += number[:, None] * self.size
        layout[..., 5] += (number[:, None] + first) << 8
        flat = [self.flat(name).repeat(samples) for name in FLAT]
        return Canvas(layout.reshape(-1, 6), self.seed.repeat(samples), self.fields.repeat(1, samples), *flat)


@dataclass(frozen=True)
class WindowGrid:
    """Square windows on a grid fixed to the sky.

    Parameters
    ----------
    core : int
        Distance of the windows; a window's core begins at an absolute multiple of it on both axes.
    halo : int
        Pixels around the core that the network sees too; at least its receptive field.
    ramp : int
        Half-width of the zone over which neighbouring cores are blended; at most ``halo`` and ``core // 2``.

    Raises
    ------
    UsageError
        When the sizes do not fit together.
    """

    core: int
    halo: int
    ramp: int = 0

    def __post_init__(self) -> None:
        if self.core < 1 or self.halo < 0 or not 0 <= self.ramp <= min(self.halo, self.core // 2):
            raise UsageError(
                f"windows with core {self.core}, halo {self.halo}, ramp {self.ramp}: "
                "expected core >= 1, halo >= 0 and ramp from 0 to min(halo, core // 2)"
            )

    @property
    def size(self) -> int:
        """Side of a window."""
        return self.core + 2 * self.halo

    def plan(self, canvas: Canvas, unknown: Tensor) -> Tensor:
        """Windows whose core, grown by the ramp, holds an unknown pixel.

        Parameters
        ----------
        canvas : Canvas
            Its layout counts only.
        unknown : Tensor (N,) bool
            The pixels that are asked for.

        Returns
        -------
        Tensor (B, 3) int64
            ``plane, row, col`` of each window's first pixel in plane coordinates (negative or beyond the edge
            where the window reaches outside), in order of plane, row and column.
        """
        wanted = unknown.cpu().numpy()
        found = [self._plane(p, row, wanted) for p, row in enumerate(canvas.layout.tolist())]
        table = np.concatenate(found) if found else np.zeros((0, 3), np.int64)
        return torch.from_numpy(table).to(canvas.device)

    def _plane(self, p: int, layout: list[int], wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        offset, height, width, row0, col0, _key = layout
        rows, cols = np.nonzero(wanted[offset : offset + height * width].reshape(height, width))
        # a pixel belongs to the cores whose grown extent holds it: one or two along each axis
        low = np.floor_divide((row0 - self.ramp, col0 - self.ramp), self.core)
        high = np.floor_divide((row0 + height + self.ramp, col0 + width + self.ramp), self.core)
        needed = np.zeros(high - low + 1, bool)
        for reach_row in (-self.ramp, self.ramp):
            for reach_col in (-self.ramp, self.ramp):
                core_row = (rows + (row0 + reach_row)) // self.core - low[0]
                core_col = (cols + (col0 + reach_col)) // self.core - low[1]
                needed[core_row, core_col] = True
        corner = (np.argwhere(needed) + low) * self.core - (row0, col0)
        inside = (corner > -self.core).all(1) & (corner < (height, width)).all(1)
        corner = corner[inside] - self.halo
        return np.column_stack([np.full(len(corner), p), corner]).astype(np.int64)

    def crops(self, canvas: Canvas, unknown: Tensor, windows: Tensor, stride: int, step: int) -> NDArray[np.int64]:
        """The part of each window that has to be computed: its unknown pixels and a halo around them, on the plane.

        Parameters
        ----------
        canvas : Canvas
            Its layout counts only.
        unknown : Tensor (N,) bool
            The pixels that :meth:`plan` was asked for.
        windows : Tensor (B, 3) int64
            What it answered.
        stride, step : int
            Counted from the window's first pixel, edges lie at multiples of `stride` where they follow the plane's, at
            multiples of `step` where they follow the unknown pixels'.

        Returns
        -------
        ndarray (B, 4) int64
            ``top, bottom, left, right`` in pixels of the window, bottom and right exclusive.
        """
        wanted, layout = unknown.cpu().numpy(), canvas.layout.tolist()
        found = np.empty((windows.shape[0], 4), np.int64)
        for number, (p, *corner) in enumerate(windows.tolist()):
            offset, *sides = layout[p][:3]
            plane = wanted[offset : offset + sides[0] * sides[1]].reshape(sides)
            first = [max(0, at + self.halo - self.ramp) for at in corner]
            last = [at + self.size - self.halo + self.ramp for at in corner]
            here = np.nonzero(plane[first[0] : last[0], first[1] : last[1]])
            for axis, (at, side) in enumerate(zip(corner, sides, strict=True)):
                low, high = int(here[axis].min()) + first[axis], int(here[axis].max()) + first[axis] + 1
                found[number, 2 * axis : 2 * axis + 2] = self._extent(low - at, high - at, -at, side - at, stride, step)
        return found

    def _extent(self, low: int, high: int, edge: int, end: int, stride: int, step: int) -> tuple[int, int]:
        """Pixels ``low`` to ``high`` of a window and their halo, in coarse steps, on a plane ``edge`` to ``end``."""
        low, high = (low - self.halo) // step * step, -(-(high + self.halo) // step) * step
        low, high = max(low, edge // stride * stride), min(high, -(-end // stride) * stride)
        return max(0, low), min(self.size, high)
