"""Pixels of one HDU in the very numbers that are stored, and back.

The stored numbers stay at hand so that a writer can change some of them and leave all others bit for bit.
Only tile-compressed images go through astropy; they are decoded once, without scaling.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.io.cards import BLOCK, Cards, format_card
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.tiles import check_tiles

__all__ = ["Pixels", "Section", "load"]

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
        if not self.is_byte_mask(shape):
            return self.integers()
        places = np.arange(self.stored.shape[2], dtype=np.int64) * 8
        values: NDArray[np.int64] = (self.stored.astype(np.int64) << places).sum(axis=2)[np.newaxis]
        return values

    def is_byte_mask(self, shape: tuple[int, ...]) -> bool:
        """Say whether this is a mask of bytes, (H, W, n): bit b is bit b % 8 of byte b // 8 (lsst.images)."""
        stored = self.stored
        return (
            stored.ndim == 3 and stored.dtype.itemsize == 1 and stored.shape[:2] == shape[-2:] and stored.shape[2] < 8
        )

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


def load(file: FitsFile, hdu: Hdu, section: Section | None = None) -> Pixels:
    """Return the stored pixels of an image HDU, after checking its size against the limit.

    With `section`, only these rows and columns, of all planes; of a compressed image only their tiles are decoded.

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
    inside = None if section is None else _inside(hdu, section)
    file.check_pixels(hdu if inside is None else replace(hdu, shape=_sizes(hdu, inside)))
    known = file.decoded.get(hdu.index)
    if isinstance(known, Pixels):
        return known if inside is None else known.with_stored(known.stored[inside])
    if hdu.kind == "compressed":
        stored, cards = _decode(file, hdu, inside)
    else:
        cards = hdu.cards
        stored = _mapped(file, hdu)
        stored = stored if inside is None else stored[inside]
    bscale, bzero = cards.number("BSCALE", 1.0), cards.number("BZERO", 0.0)
    assert bscale is not None
    assert bzero is not None
    if bscale == 0 or not np.isfinite([bscale, bzero]).all():
        raise InputError(f"BSCALE={bscale:g}, BZERO={bzero:g} cannot scale an image", code="bad_header")
    blank = cards.integer("BLANK") if stored.dtype.kind in "iu" else None
    pixels = Pixels(stored, cards, bscale, bzero, blank)
    if hdu.kind == "compressed" and inside is None:
        file.decoded[hdu.index] = pixels
    return pixels


def _mapped(file: FitsFile, hdu: Hdu) -> NDArray[Any]:
    """The pixels of an image that is stored as it is; what PCOUNT adds lies after them."""
    dtype, count = np.dtype(_DTYPE[hdu.bitpix]), math.prod(hdu.shape)
    if hdu.end - hdu.data < count * dtype.itemsize:
        text = f"PCOUNT and GCOUNT of HDU {hdu.describe()} leave no room for its pixels"
        raise InputError(text, code="bad_header")
    return np.frombuffer(file.source.view(hdu.data, hdu.end), dtype=dtype, count=count).reshape(hdu.shape)


def _inside(hdu: Hdu, section: Section) -> tuple[slice, ...]:
    """The section as slices of all axes, within the image."""
    found = [slice(*part.indices(n)) for part, n in zip(section, hdu.shape[-2:], strict=True)]
    for part, wanted, length in zip(found, section, hdu.shape[-2:], strict=True):
        if part.step != 1 or part.stop - part.start < 2 or (wanted.stop or 0) > length:
            raise UsageError(f"section {wanted.start}:{wanted.stop} does not lie in an axis of {length} pixels")
    return (*(slice(None) for _ in hdu.shape[:-2]), *found)


def _sizes(hdu: Hdu, inside: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(len(range(*part.indices(n))) for part, n in zip(inside, hdu.shape, strict=True))


def _decode(file: FitsFile, hdu: Hdu, inside: tuple[slice, ...] | None = None) -> tuple[NDArray[Any], Cards]:
    from astropy.io import fits

    check_tiles(file, hdu)
    lone = io.BytesIO(_bare_primary() + bytes(file.raw(hdu)))
    try:
        with warnings.catch_warnings():
            # Header complaints of astropy are not ours to pass on: the cards are kept as they are.
            warnings.simplefilter("ignore")
            with fits.open(lone, do_not_scale_image_data=True, memmap=False) as opened:
                decoded = opened[1]
                header = decoded.header.tostring(endcard=False, padding=False)
                data = np.asarray(decoded.data if inside is None else decoded.section[inside])
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise InputError(
            f"compressed HDU {hdu.describe()} cannot be decoded: {error}",
            code="damaged",
            hint="re-transfer the file",
        ) from error
    if data.shape != (hdu.shape if inside is None else _sizes(hdu, inside)):
        raise InputError(f"HDU {hdu.describe()} decodes to shape {data.shape}", code="bad_header")
    data.flags.writeable = False
    return data, Cards(header.encode("latin-1"))


def _bare_primary() -> bytes:
    cards = (("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0))
    raw = "".join(format_card(key, value) for key, value in cards).encode() + b"END".ljust(80)
    return raw.ljust(BLOCK)
