"""What is kept of a filled plane until its file is written: the filled pixels, not whole images.

A mosaic file holds dozens of planes; keeping only what changed keeps a run of it in bounded memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.io.layout import Layout
from gencosmo.result import Result

__all__ = ["Filled", "keep_filled"]


@dataclass(frozen=True)
class Filled:
    """The filled pixels of one science plane, in the order of `where` (row-major).

    `where`: (C, H, W), True where a pixel is written. `shape`: the shape that new planes get. `kinds`: 1
    filled, + 2 in a hole too large, + 4 by a prior out of its domain. `causes`: flags of the filled pixels, kept
    when some of them are in no plane of the file (finders).
    """

    layout: Layout
    where: NDArray[np.bool_]
    shape: tuple[int, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    target: str = "frame"
    unit: str | None = None
    samples: NDArray[np.float32] | None = None
    causes: NDArray[np.uint32] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of filled pixels."""
        return int(self.mean.size)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the filled pixels as a whole plane, zero elsewhere."""
        plane = np.zeros(self.where.shape, values.dtype)
        plane[self.where] = values
        return plane.reshape(self.shape)


def keep_filled(
    layout: Layout,
    image: Image,
    result: Result,
    provenance: Mapping[str, str] | None = None,
    *,
    samples: bool = False,
) -> Filled:
    """Take from a result what the file needs; reference and non-science pixels are not written.

    Raises
    ------
    InputError
        When result and image differ in size, or a filled pixel is not finite: that is never written to a
        file.
    """
    if result.mean.size != image.data.size:
        raise InputError(f"result has shape {result.mean.shape}, image {image.shape}", code="shape_mismatch")
    where = np.zeros(image.shape, np.bool_) if result.filled is None else result.filled.reshape(image.shape).copy()
    if image.flags is not None:
        where &= (image.flags & np.uint32(bits("REFERENCE"))) == 0
    mean = result.mean.reshape(image.shape)[where]
    std = result.std.reshape(image.shape)[where]
    broken = int(np.count_nonzero(~np.isfinite(mean) | ~np.isfinite(std)))
    if broken:
        raise InputError(
            f"{broken} of {mean.size} filled pixels came out non-finite; nothing is written",
            code="non_finite",
            hint="look for absurd values beside the holes (gencosmo check)",
        )
    return Filled(
        layout=layout,
        where=where,
        shape=result.mean.shape,
        mean=mean,
        std=std,
        kinds=_kinds(image, result, where),
        target=result.target,
        unit=image.unit,
        samples=result.samples if samples else None,
        causes=image.flags[where] if image.meta.get("found") and image.flags is not None else None,
        provenance=dict(provenance or {}) | {"GCMNFILL": str(mean.size)},
    )


def _kinds(image: Image, result: Result, where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    kinds = np.ones(int(where.sum()), np.uint8)
    if result.flags is not None:
        flags = result.flags.reshape(image.shape)[where]
        for name, value in (("HOLE_TOO_LARGE", 2), ("OUT_OF_DOMAIN", 4)):
            kinds[(flags & np.uint32(bits(name))) != 0] |= np.uint8(value)
    return kinds
