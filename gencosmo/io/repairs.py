"""Filled pixels of a stack, kept on disk until its output is made: a file per block in a folder beside the output.

The folder is the whole state of a run: a run that was killed finds the blocks it had done, and the output is made of
the input and these files in one go. Each file appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.io.axes import Plane, Section
from gencosmo.io.blocks import Block
from gencosmo.io.storage import storage_errors
from gencosmo.result import Result

__all__ = ["FIELDS", "Repairs", "Spot"]

FIELDS = ("mean", "std", "fill", "flags")
"""Of filled pixels: mean and std in the image's units; fill: 1, + 2 in a hole too large, + 4 out of the prior's domain;
flags: why (bits of `gencosmo.flags`, the lower 16).
"""
_CACHED = 24


class Spot(NamedTuple):
    """Filled pixels of one block: row-major index in the plane, and the fields."""

    where: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    fill: NDArray[np.uint8]
    flags: NDArray[np.uint16]


class Repairs:
    """Results by plane and block.

    Parameters
    ----------
    folder : str
        Made when it is not there.
    width : int
        Columns of a plane.
    blocks : list of Block
        Of every plane.
    samples : bool
        Whether posterior samples are kept too.
    """

    everywhere = False
    """Whether every pixel is an estimate, and not only those that were masked."""

    def __init__(self, folder: str, width: int, blocks: list[Block], *, samples: bool = False) -> None:
        self.folder, self._width, self._blocks, self._samples = folder, width, blocks, samples
        self._cache: OrderedDict[str, Spot] = OrderedDict()

    def _path(self, plane: Plane, number: int) -> str:
        return os.path.join(self.folder, f"{plane.t}-{plane.c}-{plane.z}-{number}.npz")

    def has(self, plane: Plane, block: Block) -> bool:
        """Whether a block is done."""
        return os.path.exists(self._path(plane, block.number))

    def put(self, plane: Plane, block: Block, image: Image, result: Result) -> int:
        """Keep the filled pixels of a block's core; return their number.

        Raises
        ------
        InputError
            When a filled pixel is not finite: that is never written.
        """
        filled = np.zeros(image.shape, np.bool_) if result.filled is None else result.filled.reshape(image.shape)
        spot, at = self._spot(block, image, result, filled)
        broken = int(np.count_nonzero(~(np.isfinite(spot.mean) & np.isfinite(spot.std))))
        if broken:
            raise InputError(
                f"{broken} of {spot.mean.size} filled pixels came out non-finite; nothing is written",
                code="non_finite",
                hint="look for absurd values beside the holes (gencosmo check)",
            )
        if self._samples and result.samples is not None:
            draws = result.samples.reshape(-1, *image.shape)
            self._save(self._sample_path(plane, block.number), draws[(slice(None), *at)])
        self._save(self._path(plane, block.number), spot._asdict())
        return int(spot.mean.size)

    def _spot(
        self, block: Block, image: Image, result: Result, chosen: NDArray[np.bool_]
    ) -> tuple[Spot, tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """The chosen pixels (1, H, W) of a block's core, and their index in image and result."""
        rows, cols = block.inner
        down, right = np.nonzero(chosen[0, rows, cols])
        at = (0, down + rows.start, right + cols.start)
        mean, std = result.mean.reshape(image.shape)[at], result.std.reshape(image.shape)[at]
        fill = np.ones(mean.size, np.uint8)
        if result.flags is not None:
            told = result.flags.reshape(image.shape)[at]
            for name, value in (("HOLE_TOO_LARGE", 2), ("OUT_OF_DOMAIN", 4)):
                fill[(told & np.uint32(bits(name))) != 0] |= np.uint8(value)
        causes = np.zeros(mean.size, np.uint16) if image.flags is None else image.flags[at].astype(np.uint16)
        where = (down + block.core[0].start).astype(np.int64) * self._width + (right + block.core[1].start)
        return Spot(where, mean, std, fill, causes), at

    def _sample_path(self, plane: Plane, number: int) -> str:
        return f"{self._path(plane, number)[:-4]}.samples.npy"

    def _save(self, path: str, content: Any) -> None:
        with storage_errors(path):
            handle, part = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **content) if isinstance(content, dict) else np.save(file, content)
            os.replace(part, path)

    def drawn(self) -> int:
        """Return the number of samples that were kept, 0 without any."""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".samples.npy"):
                return int(np.load(os.path.join(self.folder, name), mmap_mode="r").shape[0])
        return 0

    def sample(self, number: int, stored: NDArray[Any], plane: Plane, section: Section) -> NDArray[np.float32]:
        """Return a posterior sample of rows and columns (H, W): stored values with that sample in the filled pixels."""
        out = np.array(stored, np.float32)
        rows, cols = section
        for block in self._blocks:
            path = self._sample_path(plane, block.number)
            if block.overlaps(section) and os.path.exists(path):
                row, col = np.divmod(self._load(self._path(plane, block.number)).where, self._width)
                keep = (row >= rows.start) & (row < rows.stop) & (col >= cols.start) & (col < cols.stop)
                out[row[keep] - rows.start, col[keep] - cols.start] = np.load(path, mmap_mode="r")[number][keep]
        return out

    def _load(self, path: str) -> Spot:
        if path in self._cache:
            self._cache.move_to_end(path)
            return self._cache[path]
        with np.load(path) as stored:
            spot = Spot(*(stored[name] for name in Spot._fields))
        self._cache[path] = spot
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return spot

    def spots(self, plane: Plane, section: Section | None = None) -> Iterator[Spot]:
        """Give the filled pixels of the blocks that overlap rows and columns; of all blocks without."""
        for block in self._blocks:
            path = self._path(plane, block.number)
            if (section is None or block.overlaps(section)) and os.path.exists(path):
                spot = self._load(path)
                if spot.where.size:
                    yield spot

    def inside(self, plane: Plane, section: Section) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Spot]]:
        """Give row and column within a section, and the fields, of the filled pixels in it."""
        rows, cols = section
        for spot in self.spots(plane, section):
            row, col = np.divmod(spot.where, self._width)
            keep = (row >= rows.start) & (row < rows.stop) & (col >= cols.start) & (col < cols.stop)
            if keep.any():
                yield row[keep] - rows.start, col[keep] - cols.start, Spot(*(values[keep] for values in spot))

    def layer(self, name: str, dtype: Any, plane: Plane, section: Section) -> NDArray[Any]:
        """Return one field as an image (H, W) of rows and columns, 0 where nothing was filled."""
        rows, cols = section
        out = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype)
        for row, col, spot in self.inside(plane, section):
            out[row, col] = getattr(spot, name)
        return out

    def count(self, planes: list[Plane]) -> int:
        """Return the number of filled pixels."""
        return sum(spot.where.size for plane in planes for spot in self.spots(plane))

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
