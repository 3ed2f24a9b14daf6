"""What is kept of a plane until its file is written: the filled pixels, not whole images.

A mosaic file holds dozens of planes; keeping only what changed keeps a run of it in bounded memory. Where every pixel
changes (denoising) the arrays lie on disk, in nameless files beside the output.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.io.layout import Layout
from gencosmo.io.storage import storage_errors
from gencosmo.result import Result

__all__ = ["Filled", "keep_filled", "only_fills", "split_planes"]


@dataclass(frozen=True)
class Filled:
    """The estimated pixels of one science plane, in row-major order.

    `size`: (H, W). `places`: where they are in the flat plane. `kinds`: 1 filled, + 2 in a hole too large, + 4 by a
    prior out of its domain, 0 where a good pixel was denoised. `everywhere`: good pixels are among them. `samples`:
    (S, H, W). `causes`: flags of the filled pixels, kept when some of them are in no plane of the file (finders).
    """

    layout: Layout
    size: tuple[int, int]
    places: NDArray[np.int64] | slice
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    target: str = "frame"
    unit: str | None = None
    samples: NDArray[np.float32] | None = None
    causes: NDArray[np.uint32] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    everywhere: bool = False

    @property
    def count(self) -> int:
        """Number of pixels that are written."""
        return int(self.mean.size)

    @property
    def where(self) -> NDArray[np.bool_]:
        """True where a pixel is written, (H, W)."""
        plane = np.zeros(self.size, np.bool_)
        plane.reshape(-1)[self.places] = True
        return plane

    @property
    def holes(self) -> NDArray[np.bool_]:
        """True where a masked pixel was filled, (H, W)."""
        plane = np.zeros(self.size, np.bool_)
        plane.reshape(-1)[self.places] = self.kinds != 0
        return plane


def keep_filled(
    layout: Layout,
    image: Image,
    result: Result,
    provenance: Mapping[str, str] | None = None,
    *,
    samples: bool = False,
    everywhere: bool = False,
    folder: str | None = None,
) -> Filled:
    """Take from a result what the file needs; reference and non-science pixels are not written.

    Image and result are of one plane; `split_planes` makes planes of a cube. `everywhere`: every pixel is an estimate,
    and not the masked ones alone; `folder`: where the arrays then lie on disk, in nameless files.

    Raises
    ------
    InputError
        When result and image differ in size, or an estimated pixel is not finite: that is never written to a
        file.
    StorageError
        No room on the disk.
    """
    if result.mean.size != image.data.size:
        raise InputError(f"result has shape {result.mean.shape}, image {image.shape}", code="shape_mismatch")
    if image.shape[0] != 1:
        raise InputError(f"a plane has one channel, this image has {image.shape[0]}", code="channels")
    filled = np.zeros(image.shape, np.bool_) if result.filled is None else result.filled.reshape(image.shape)
    where = np.ones(image.shape, np.bool_) if everywhere else filled.copy()
    if image.flags is not None:
        where &= (image.flags & np.uint32(bits("REFERENCE"))) == 0
    mean = result.mean.reshape(image.shape)[where]
    std = result.std.reshape(image.shape)[where]
    broken = int(np.count_nonzero(~np.isfinite(mean) | ~np.isfinite(std)))
    if broken:
        raise InputError(
            f"{broken} of {mean.size} {'' if everywhere else 'filled '}pixels came out non-finite; nothing is written",
            code="non_finite",
            hint="look for absurd values beside the holes (gencosmo check)",
        )
    causes = image.flags[where] if image.meta.get("found") and image.flags is not None else None
    draws = result.samples.reshape(-1, *image.shape[1:]) if samples and result.samples is not None else None
    stay = _Stay(folder if everywhere else None)
    return Filled(
        layout=layout,
        size=image.shape[1:],
        places=slice(None) if where.all() else stay(np.flatnonzero(where)),
        mean=stay(mean),
        std=stay(std),
        kinds=stay(_kinds(image, result, where, filled)),
        target=result.target,
        unit=image.unit,
        samples=None if draws is None else stay(draws),
        causes=None if causes is None else stay(np.where(filled[where], causes, np.uint32(0))),
        provenance=dict(provenance or {}) | _counts(layout, mean.size),
        everywhere=everywhere,
    )


def only_fills(result: Result) -> bool:
    """Whether pixels that are not filled are the input's: they have no spread then."""
    if result.filled is None or result.anomaly_map is not None:
        return False
    return not (result.std[~result.filled] > 0).any()


class _Stay:
    """Where arrays wait: in memory, or on disk without a name, gone with the last that looks at them."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder

    def __call__(self, array: NDArray[Any]) -> Any:
        """Return the array, or a view of its copy on disk."""
        if self._folder is None or array.size == 0:
            return array
        with storage_errors(self._folder), tempfile.TemporaryFile(dir=self._folder) as file:
            np.ascontiguousarray(array).tofile(file)
            file.flush()
            return np.memmap(file, array.dtype, "r", shape=array.shape)


def split_planes(layout: Layout, image: Image, result: Result) -> Iterator[tuple[Layout, Image, Result]]:
    """Yield layout, image and result of each plane of a cube; a single plane as it is."""
    channels, height, width = image.shape
    layouts = layout.each_plane() if layout.plane is None else [layout]
    if channels == 1 or len(layouts) != channels:
        yield layout, image, result
        return
    part = (1, height, width)
    for k, one in enumerate(layouts):
        cut = {name: None if (a := getattr(image, name)) is None else a[k : k + 1] for name in ("ivar", "flags")}
        yield (
            one,
            image.replace(data=image.data[k : k + 1], **cut, psf=None, background=None),
            Result(
                result.mean.reshape(image.shape)[k].reshape(part),
                result.std.reshape(image.shape)[k].reshape(part),
                filled=None if result.filled is None else result.filled.reshape(image.shape)[k].reshape(part),
                flags=None if result.flags is None else result.flags.reshape(image.shape)[k].reshape(part),
                samples=None if result.samples is None else result.samples.reshape(-1, *image.shape)[:, k : k + 1],
                target=result.target,
                unit=result.unit,
                provenance=result.provenance,
            ),
        )


def _counts(layout: Layout, filled: int) -> dict[str, str]:
    plane = {} if layout.plane is None else {"GCMPLANE": str(layout.plane + 1)}
    return {"GCMNFILL": str(filled)} | plane


def _kinds(image: Image, result: Result, where: NDArray[np.bool_], filled: NDArray[np.bool_]) -> NDArray[np.uint8]:
    kinds = filled[where].astype(np.uint8)
    if result.flags is not None:
        flags = result.flags.reshape(image.shape)[where]
        for name, value in (("HOLE_TOO_LARGE", 2), ("OUT_OF_DOMAIN", 4)):
            kinds[(kinds != 0) & ((flags & np.uint32(bits(name))) != 0)] |= np.uint8(value)
    return kinds
