"""Results at every pixel of a stack (denoising), kept on disk by block until its output is made."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.image import Image
from gencosmo.io.axes import Plane, Section
from gencosmo.io.blocks import Block
from gencosmo.io.repairs import Repairs
from gencosmo.result import Result

__all__ = ["Estimates"]

DENSE = ("mean", "std", "samples")


class Estimates(Repairs):
    """As `Repairs`, with mean, std and samples of every pixel; spots are the masked pixels among them."""

    everywhere = True

    def put(self, plane: Plane, block: Block, image: Image, result: Result) -> int:
        """Keep all pixels of a block's core; return their number.

        Raises
        ------
        InputError
            When one of them is not finite: that is never written.
        """
        rows, cols = block.inner
        parts: dict[str, NDArray[np.float32]] = {}
        for name in DENSE:
            values = getattr(result, name)
            if values is None or (name == "samples" and not self._samples):
                continue
            whole = values.reshape(-1, *image.shape)[:, 0, rows, cols]
            parts[name] = whole if name == "samples" else whole[0]
        broken = sum(int(np.count_nonzero(~np.isfinite(values))) for values in parts.values())
        if broken:
            raise InputError(
                f"{broken} of {parts['mean'].size} pixels came out non-finite; nothing is written",
                code="non_finite",
                hint="look for absurd values in the image (gencosmo check)",
            )
        for name, values in parts.items():
            self._save(self._dense_path(name, plane, block.number), values)
        spot, _ = self._spot(block, image, result, image.mask)
        self._save(self._path(plane, block.number), spot._asdict())
        return int(parts["mean"].size)

    def _dense_path(self, name: str, plane: Plane, number: int) -> str:
        return f"{self._path(plane, number)[:-4]}.{name}.npy"

    def _pieces(self, name: str, plane: Plane, section: Section) -> Iterator[tuple[Any, Any]]:
        """Places in a section, and what the blocks hold of a field there, mapped."""
        for block in self._blocks:
            path = self._dense_path(name, plane, block.number)
            if not block.overlaps(section) or not os.path.exists(path):
                continue
            both = [slice(max(c.start, s.start), min(c.stop, s.stop)) for c, s in zip(block.core, section, strict=True)]
            there = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(both, section, strict=True))
            own = tuple(slice(b.start - c.start, b.stop - c.start) for b, c in zip(both, block.core, strict=True))
            yield there, np.load(path, mmap_mode="r")[(..., *own)]

    def layer(self, name: str, dtype: Any, plane: Plane, section: Section) -> NDArray[Any]:
        """Return one field as an image (H, W) of rows and columns."""
        if name not in DENSE:
            return super().layer(name, dtype, plane, section)
        rows, cols = section
        out = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype)
        for there, values in self._pieces(name, plane, section):
            out[there] = values
        return out

    def sample(self, number: int, stored: NDArray[Any], plane: Plane, section: Section) -> NDArray[np.float32]:
        """Return a posterior sample of rows and columns (H, W)."""
        out = np.array(stored, np.float32)
        for there, values in self._pieces("samples", plane, section):
            out[there] = values[number]
        return out

    def count(self, planes: list[Plane]) -> int:
        """Return the number of pixels that were estimated."""
        sizes = [math.prod(part.stop - part.start for part in block.core) for block in self._blocks]
        return sum(
            size for plane in planes for block, size in zip(self._blocks, sizes, strict=True) if self.has(plane, block)
        )
