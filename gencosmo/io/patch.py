"""Changing the filled pixels of a plane, and only those, in the type in which the plane is stored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.io.build import empty_primary, sealed
from gencosmo.io.cards import Cards
from gencosmo.io.compress import can_compress, compressed_hdu
from gencosmo.io.hdus import Hdu
from gencosmo.io.layout import MaskPlanes
from gencosmo.io.pixels import Pixels

__all__ = ["as_floating", "flag_estimated", "packing_of", "patched", "rewritten", "warn_coarse"]


def patched(pixels: Pixels, where: NDArray[np.bool_], stored: NDArray[Any]) -> Pixels:
    """Return the plane with the stored numbers at `where` exchanged."""
    changed = pixels.stored.copy()
    changed.reshape(where.shape)[where] = stored
    return pixels.with_stored(changed)


def flag_estimated(plane: Pixels, where: NDArray[np.bool_], planes: MaskPlanes, *, clear: bool) -> Pixels | None:
    """Set the survey's own "estimated" bit where pixels were filled; the causes stay.

    With `clear`, DO_NOT_USE is taken away as the JWST pipeline does it. None when the survey has no such bit
    (or holds codes, which do not combine), or the plane's type has no room for it.
    """
    if planes.estimated is None or planes.codes or not plane.is_integer:
        return None
    if plane.is_byte_mask(where.shape):
        bit = planes.estimated.bit_length() - 1
        changed = plane.stored.copy()
        changed[where[0], bit // 8] |= np.uint8(1 << bit % 8)
        return plane.with_stored(changed)
    values = plane.integers()[where] | planes.estimated
    if clear and planes.do_not_use is not None:
        values &= ~np.int64(planes.do_not_use)
    stored = values - int(plane.bzero)
    info = np.iinfo(plane.stored.dtype)
    if stored.size and (stored.max() > info.max or stored.min() < info.min):
        return None
    return patched(plane, where, stored.astype(plane.stored.dtype))


def as_floating(pixels: Pixels) -> Pixels:
    """Return integers as float32 when that holds every value, else as float64 when that does; BLANK becomes
    NaN.

    Raises
    ------
    InputError
        When not even float64 is exact.
    """
    exact = pixels.stored.astype(np.int64)
    wide = exact.astype(np.float64) * pixels.bscale + pixels.bzero
    if not np.array_equal(np.rint((wide - pixels.bzero) / pixels.bscale).astype(np.int64), exact):
        raise InputError("the integers of this image do not fit in float64", code="dtype", hint="leave --float out")
    narrow = wide.astype(np.float32)
    value = narrow if np.array_equal(narrow.astype(np.float64), wide) else wide
    if pixels.blank is not None:
        value[exact == pixels.blank] = np.nan
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
    *,
    date: str | None = None,
    compress: str = "auto",
    provenance: Mapping[str, str] | None = None,
) -> list[bytes]:
    """Return header and data of a changed HDU: its own cards, DATE, HISTORY (with provenance), checksums."""
    packing = packing_of(hdu, pixels.stored, compress)
    if packing != "none":
        return _packed(hdu, pixels, packing, date, provenance)
    cards = pixels.cards.copy()
    _date(cards, date)
    if hdu.index == 0 and "EXTEND" not in cards:
        cards.set("EXTEND", True, "file may contain extensions", after=f"NAXIS{len(pixels.stored.shape)}")
    if hdu.kind == "compressed":
        _as_extension(cards, hdu, axes=len(pixels.stored.shape))
    if provenance is not None:
        cards.add_history(_history(provenance))
    big = pixels.stored.astype(pixels.stored.dtype.newbyteorder(">"), copy=False)
    return sealed(cards, big.tobytes())


def _date(cards: Cards, date: str | None) -> None:
    date = date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    cards.set("DATE", date, "date this HDU was written")


def _packed(
    hdu: Hdu, pixels: Pixels, packing: str, date: str | None, provenance: Mapping[str, str] | None
) -> list[bytes]:
    """A compressed HDU; what was a primary image gets an empty primary before it, as fpack does."""
    cards = (hdu.cards if hdu.kind == "compressed" else pixels.cards).copy()
    cards.remove(*(key for key in ("BSCALE", "BZERO", "BLANK") if key not in pixels.cards))
    _date(cards, date)
    if provenance is not None:
        cards.add_history(_history(provenance))
    if packing == "rice" and not pixels.is_integer:
        cards.add_history("gencosmo: compressed with loss on request, RICE_1 SUBTRACTIVE_DITHER_2 q=16")
    before = empty_primary() if hdu.index == 0 else []
    return before + compressed_hdu(cards, pixels.stored, packing)


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


def _history(words: Mapping[str, str]) -> str:
    """One card: the rest is in the table."""
    return (
        f"gencosmo {words.get('GCMVERS', '')} {words.get('GCMOP', '')}: {words.get('GCMNFILL', '?')} px by "
        f"{words.get('GCMMODEL', '')[:16]}, see HDU GCM_PROV"
    )[:72]
