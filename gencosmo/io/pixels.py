"""Pixels of one HDU in the very numbers that are stored, and back.

The stored numbers stay at hand so that a writer can change some of them and leave all others bit for bit. A plane of
a cube or a section is read on its own. Only tile-compressed images go through `decode`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.image import shape_text
from gencosmo.io.cards import Cards
from gencosmo.io.decode import decode, recall, remember, sizes
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, PlaneRef

__all__ = ["Pixels", "Section", "is_byte_mask", "load", "load_beside", "remember_decoded"]

Section = tuple[slice, slice]
_DTYPE = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True)
class Pixels:
    """Stored numbers of an image and how they become physical: `value = stored * bscale + bzero`."""

    stored: NDArray[Any]  # either byte order, the shape of the HDU; read-only
    cards: Cards  # header of the image (of the decoded one when the HDU is compressed)
    bscale: float
    bzero: float
    blank: int | None

    @property
    def is_integer(self) -> bool:
        """True when the stored type is an integer."""
        return self.stored.dtype.kind in "iu"

    def planes(self) -> NDArray[Any]:
        """Stored numbers as (C, H, W): axes of length one dropped, all axes before the last two joined."""
        long = [n for n in self.stored.shape if n > 1]
        return self.stored.reshape((-1, *long[-2:]))

    def integers(self) -> NDArray[np.int64]:
        """Exact integer values of a mask plane, (C, H, W).

        Raises
        ------
        InputError
            When the plane is not one of whole numbers.
        """
        planes = self.planes()
        if self.bscale != 1 or self.bzero != int(self.bzero):
            raise InputError(f"a mask plane with BSCALE={self.bscale:g} is not one of bits", code="dtype")
        if self.is_integer:
            stored: NDArray[np.int64] = planes.astype(np.int64)
            return stored + int(self.bzero)
        finite = np.nan_to_num(planes, nan=1.0, posinf=1.0, neginf=1.0)
        whole: NDArray[np.int64] = finite.astype(np.int64)
        if not np.array_equal(whole, finite):
            raise InputError("mask plane holds fractions, expected whole numbers", code="dtype")
        return whole + int(self.bzero)

    def mask_values(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the values of a mask plane for an image of this shape; see `integers` and `is_byte_mask`."""
        if not _looks_like_bytes(self.stored.shape, self.stored.dtype.itemsize, shape):
            return self.integers()
        places = np.arange(self.stored.shape[2], dtype=np.int64) * 8
        values: NDArray[np.int64] = (self.stored.astype(np.int64) << places).sum(axis=2)[np.newaxis]
        return values

    def has_values(self) -> bool:
        """Say whether any pixel has a value: is finite, and not BLANK."""
        if not self.is_integer:
            return bool(np.isfinite(self.stored).any())
        return self.blank is None or bool((self.stored != self.blank).any())

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return physical values as stored numbers of this plane's type.

        Integers are rounded to the nearest step and kept inside the type's range and off BLANK.
        """
        scaled = (values - self.bzero) / self.bscale
        if not self.is_integer:
            with np.errstate(over="ignore"):
                return scaled.astype(self.stored.dtype)
        info = np.iinfo(self.stored.dtype)
        # The neighbour of the largest int64 in float64 is outside the type.
        top = float(info.max) if info.bits < 64 else float(info.max - 1024)
        whole = np.clip(np.rint(np.nan_to_num(scaled)), float(info.min), top).astype(np.int64)
        if self.blank is not None:
            whole = np.where(whole == self.blank, whole + (1 if self.blank < top else -1), whole)
        return whole.astype(self.stored.dtype)

    def with_stored(self, stored: NDArray[Any]) -> Pixels:
        """Return the same plane with other stored numbers."""
        return replace(self, stored=stored)


def load(file: FitsFile, hdu: Hdu, section: Section | None = None, plane: int | None = None) -> Pixels:
    """Return the stored pixels of an image HDU, after checking their number against the limit.

    With `section`, only these rows and columns, of all planes; with `plane`, only that plane of a cube. Of a compressed
    image only their tiles are decoded.

    Raises
    ------
    TooLargeError
        Before any memory is asked for.
    InputError
        `empty_image`, `no_image`, `bad_header`, or `damaged` when a compressed tile cannot be decoded.
    """
    if hdu.kind == "empty" and 0 in hdu.shape:
        axis = len(hdu.shape) - hdu.shape.index(0)
        raise InputError(f"image has zero pixels (NAXIS{axis}=0)", code="empty_image")
    if not hdu.is_image:
        raise InputError(f"HDU {hdu.describe()} is not an image", code="no_image", hint=file.listing())
    whole = section is None
    plane = plane if hdu.planes > 1 else None
    inside = None if whole and plane is None else _inside(hdu, section, plane)
    shape = hdu.shape if inside is None else sizes(hdu, inside)
    file.check_pixels(hdu, math.prod(shape))
    known = recall(file, hdu, plane)
    if isinstance(known, Pixels):
        return known if section is None else known.with_stored(known.stored[(..., *section)])
    if hdu.kind == "compressed":
        stored, cards = decode(file, hdu, inside)
    else:
        stored, cards = _mapped(file, hdu, inside, plane), hdu.cards
    if plane is not None:
        stored = stored.reshape([n for n in shape if n > 1])
    pixels = _scaled(stored, cards)
    if whole and hdu.kind == "compressed":
        remember(file, hdu, plane, pixels, pixels.stored.nbytes)
    return pixels


def is_byte_mask(hdu: Hdu, science: Hdu) -> bool:
    """Say whether this is a mask of bytes, (H, W, n): bit b is bit b % 8 of byte b // 8 (lsst.images)."""
    return _looks_like_bytes(hdu.shape, abs(hdu.bitpix) // 8, science.shape)


def _looks_like_bytes(mask: tuple[int, ...], itemsize: int, image: tuple[int, ...]) -> bool:
    return len(mask) == 3 and itemsize == 1 and mask[:2] == image[-2:] and mask[2] < 8


def load_beside(layout: Layout, ref: PlaneRef, what: str, section: Section | None = None) -> Pixels:
    """Load what belongs to a science plane from a noise or mask HDU: its plane of a cube, or the one for all planes.

    Raises
    ------
    InputError
        `shape_mismatch` when the HDU has another number of planes or another size; see also `load`.
    """
    image, plane = _long(layout.science), _long(ref.hdu)
    if layout.plane is not None and plane not in (image, image[-2:]):
        raise InputError(shape_text(what, plane, image), code="shape_mismatch")
    return load(ref.file, ref.hdu, section, layout.plane)


def _long(hdu: Hdu) -> tuple[int, ...]:
    return tuple(n for n in hdu.shape if n > 1)


def remember_decoded(file: FitsFile, hdu: Hdu, stored: NDArray[Any], cards: Cards) -> None:
    """Keep a compressed image that was decoded ahead."""
    remember(file, hdu, None, _scaled(stored, cards), stored.nbytes)


def _scaled(stored: NDArray[Any], cards: Cards) -> Pixels:
    bscale, bzero = cards.number("BSCALE", 1.0), cards.number("BZERO", 0.0)
    assert bscale is not None
    assert bzero is not None
    if bscale == 0 or not np.isfinite([bscale, bzero]).all():
        raise InputError(f"BSCALE={bscale:g}, BZERO={bzero:g} cannot scale an image", code="bad_header")
    blank = cards.integer("BLANK") if stored.dtype.kind in "iu" else None
    return Pixels(stored, cards, bscale, bzero, blank)


def _mapped(file: FitsFile, hdu: Hdu, inside: tuple[slice, ...] | None, plane: int | None) -> NDArray[Any]:
    """The pixels of an image that is stored as it is; what PCOUNT adds lies after them."""
    dtype, count = np.dtype(_DTYPE[hdu.bitpix]), math.prod(hdu.shape)
    if hdu.end - hdu.data < count * dtype.itemsize:
        text = f"PCOUNT and GCOUNT of HDU {hdu.describe()} leave no room for its pixels"
        raise InputError(text, code="bad_header")
    start, shape = hdu.data, hdu.shape
    if plane is not None:  # only its bytes: a gzip source hands out copies
        assert inside is not None
        count //= hdu.planes
        start += plane * count * dtype.itemsize
        shape, inside = _one_plane(hdu, inside)
    view = file.source.view(start, start + count * dtype.itemsize)
    stored = np.frombuffer(view, dtype=dtype, count=count).reshape(shape)
    return stored if inside is None else stored[inside]


def _axes(hdu: Hdu) -> tuple[list[int], list[int]]:
    """The axes that count planes, and the two of the image; axes of length one are neither."""
    long = [axis for axis, n in enumerate(hdu.shape) if n > 1]
    return long[:-2], long[-2:]


def _inside(hdu: Hdu, section: Section | None, plane: int | None) -> tuple[slice, ...]:
    """The section and the plane as slices of all axes, within the image."""
    lead, image = _axes(hdu)
    found = [slice(0, n) for n in hdu.shape]
    for axis, wanted in zip(image, section or (), strict=False):
        length = hdu.shape[axis]
        found[axis] = part = slice(*wanted.indices(length))
        if part.step != 1 or part.stop - part.start < 2 or (wanted.stop or 0) > length:
            raise UsageError(f"section {wanted.start}:{wanted.stop} does not lie in an axis of {length} pixels")
    if plane is not None:
        if not 0 <= plane < hdu.planes:
            raise InputError(f"HDU {hdu.describe()} has no plane {plane + 1}", code="shape_mismatch")
        for axis, k in zip(lead, np.unravel_index(plane, [hdu.shape[axis] for axis in lead]), strict=True):
            found[axis] = slice(int(k), int(k) + 1)
    return tuple(found)


def _one_plane(hdu: Hdu, inside: tuple[slice, ...]) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Shape of a single plane with all axes, and the slices of `inside` on it."""
    lead, _ = _axes(hdu)
    shape = tuple(1 if axis in lead else n for axis, n in enumerate(hdu.shape))
    return shape, tuple(slice(0, 1) if axis in lead else part for axis, part in enumerate(inside))
