"""Changing the filled pixels of a plane, and only those, in the type in which the plane is stored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.io.build import empty_primary, sealed, streamed
from gencosmo.io.cards import Cards
from gencosmo.io.compress import can_compress, compressed_hdu, compressed_planes
from gencosmo.io.hdus import Hdu
from gencosmo.io.layout import MaskPlanes
from gencosmo.io.pixels import Pixels

__all__ = [
    "as_floating",
    "flag_estimated",
    "floating_type",
    "history_of",
    "packing_of",
    "patched",
    "rewritten",
    "warn_coarse",
]


def patched(pixels: Pixels, where: NDArray[np.bool_], stored: NDArray[Any]) -> Pixels:
    """Return the plane with the stored numbers at `where` exchanged."""
    changed = np.array(pixels.stored, order="C")
    changed.reshape(where.shape)[where] = stored
    return pixels.with_stored(changed)


def flag_estimated(plane: Pixels, where: NDArray[np.bool_], planes: MaskPlanes, *, clear: bool) -> Pixels | None:
    """Set the survey's own "estimated" bit where pixels were filled; the causes stay.

    With `clear`, DO_NOT_USE is taken away as the JWST pipeline does it. None when the survey has no such bit
    (or holds codes, which do not combine), or the plane's type has no room for it.
    """
    if planes.estimated is None or planes.codes or not plane.is_integer:
        return None
    if plane.stored.ndim == 3 and plane.stored.shape[:2] == where.shape:  # a mask of bytes
        bit = planes.estimated.bit_length() - 1
        changed = plane.stored.copy()
        changed[where, bit // 8] |= np.uint8(1 << bit % 8)
        return plane.with_stored(changed)
    info = np.iinfo(plane.stored.dtype)
    if planes.estimated > info.max + int(plane.bzero):
        return None
    values = plane.integers()[0][where] | planes.estimated
    if clear and planes.do_not_use is not None:
        values &= ~np.int64(planes.do_not_use)
    stored = values - int(plane.bzero)
    return patched(plane, where, stored.astype(plane.stored.dtype))


def floating_type(planes: Iterable[Pixels]) -> np.dtype[Any]:
    """Return float32 when it holds every value of these integers exactly, else float64 when that does.

    Raises
    ------
    InputError
        When not even float64 is exact.
    """
    found: np.dtype[Any] = np.dtype(np.float32)
    for pixels in planes:
        exact = pixels.stored.astype(np.int64)
        wide = exact.astype(np.float64) * pixels.bscale + pixels.bzero
        if not np.array_equal(np.rint((wide - pixels.bzero) / pixels.bscale).astype(np.int64), exact):
            raise InputError("the integers of this image do not fit in float64", code="dtype", hint="leave --float out")
        if not np.array_equal(wide.astype(np.float32).astype(np.float64), wide):
            found = np.dtype(np.float64)
    return found


def as_floating(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return integers as floats of this type; BLANK becomes NaN."""
    value = (pixels.stored.astype(np.float64) * pixels.bscale + pixels.bzero).astype(dtype)
    if pixels.blank is not None:
        value[pixels.stored == pixels.blank] = np.nan
    cards = pixels.cards.copy()
    cards.remove("BSCALE", "BZERO", "BLANK")
    cards.set("BITPIX", -8 * value.dtype.itemsize)
    return Pixels(value.astype(value.dtype.newbyteorder(">")), cards, 1.0, 0.0, None)


def warn_coarse(pixels: Pixels, std: NDArray[np.floating[Any]]) -> None:
    """Tell when the steps of an integer image are wider than the spread of what is rounded to them."""
    spread = float(np.median(std)) if std.size else 0.0
    step = abs(pixels.bscale)
    if 0 < spread < step:
        warnings.warn(
            GencosmoWarning(
                f"filled pixels are rounded to steps of {step:g}, spread {spread:.2g}: consider --float",
                code="coarse_integers",
            ),
            stacklevel=4,
        )


def packing_of(hdu: Hdu, stored: NDArray[Any], compress: str) -> str:
    """Return how a plane is written: `none`, `gzip` or `rice`."""
    if not can_compress(stored):
        return "none"
    if compress == "auto":
        return "gzip" if hdu.kind == "compressed" else "none"
    return compress


def rewritten(
    hdu: Hdu,
    pixels: Pixels,
    planes: Iterable[NDArray[Any]] | None = None,
    *,
    date: str | None = None,
    compress: str = "auto",
    history: str = "",
) -> Iterator[bytes]:
    """Yield header and data of a changed HDU: its own cards, DATE, HISTORY, checksums.

    Parameters
    ----------
    hdu : Hdu
        What is changed.
    pixels : Pixels
        Its new pixels, or one plane of them when `planes` yields the stored numbers of all, one by one.
    """
    packing = packing_of(hdu, pixels.stored, compress)
    shape = hdu.shape
    cards = (hdu.cards if packing != "none" and hdu.kind == "compressed" else pixels.cards).copy()
    _date(cards, date)
    if packing == "none":
        if hdu.index == 0 and "EXTEND" not in cards:
            cards.set("EXTEND", True, "file may contain extensions", after=f"NAXIS{len(shape)}")
        if hdu.kind == "compressed":
            _as_extension(cards, hdu, axes=len(shape))
    else:
        cards.remove(*(key for key in ("BSCALE", "BZERO", "BLANK") if key not in pixels.cards))
    if history:
        cards.add_history(history)
    if packing == "rice" and not pixels.is_integer:
        cards.add_history("gencosmo: compressed with loss on request, RICE_1 SUBTRACTIVE_DITHER_2 q=16")
    if packing != "none" and hdu.index == 0:
        yield from empty_primary()  # what was a primary image gets an empty primary before it, as fpack does
    if packing == "rice":
        whole = pixels.stored if planes is None else np.stack(list(planes))
        yield from compressed_hdu(cards, whole.reshape(shape), packing)
    elif packing == "gzip":
        each = [pixels.stored.reshape(pixels.planes().shape[-2:])] if planes is None else planes
        yield from compressed_planes(cards, each, shape, pixels.stored.dtype)
    elif planes is None:
        big = pixels.stored.astype(pixels.stored.dtype.newbyteorder(">"), copy=False)
        yield from sealed(cards, big.tobytes())
    else:
        yield from streamed(cards, planes)


def _date(cards: Cards, date: str | None) -> None:
    date = date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    cards.set("DATE", date, "date this HDU was written")


def _as_extension(cards: Cards, hdu: Hdu, *, axes: int) -> None:
    """Make the header of a decoded image fit for its place, and give it back the name it was found by.

    What was compressed out of a primary HDU says SIMPLE; it lies in an extension, and stays there.
    """
    if "SIMPLE" in cards:
        cards.rename("SIMPLE", "XTENSION", "IMAGE", "Image extension")
        cards.remove("EXTEND")
        cards.set("GCOUNT", 1, after=f"NAXIS{axes}")
        cards.set("PCOUNT", 0, after=f"NAXIS{axes}")
    if hdu.name and hdu.name != "COMPRESSED_IMAGE" and "EXTNAME" not in cards:
        cards.set("EXTNAME", hdu.name)
    if hdu.version != 1 and "EXTVER" not in cards:
        cards.set("EXTVER", hdu.version)


def history_of(words: Mapping[str, str]) -> str:
    """Return what HISTORY says of a run: one card, the rest is in the table."""
    return (
        f"gencosmo {words.get('GCMVERS', '')} {words.get('GCMOP', '')}: {words.get('GCMNFILL', '?')} px by "
        f"{words.get('GCMMODEL', '')[:16]}, see HDU GCM_PROV"
    )[:72]
