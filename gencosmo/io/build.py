"""New HDUs, made from arrays: the planes that gencosmo adds to a file, and whole files of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.flags import FLAGS
from gencosmo.io.cards import BLOCK, Cards, Value, format_card
from gencosmo.io.checksum import stamp

__all__ = ["empty_primary", "flag_cards", "image_hdu", "image_parts", "sealed"]

_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def sealed(cards: Cards, data: bytes) -> list[bytes]:
    """Pad the data, stamp the checksums, and return header and data as chunks to write."""
    data = data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")
    return [stamp(cards, data), data]


def _cards(rows: Sequence[tuple[str, Value, str]]) -> Cards:
    return Cards("".join(format_card(*row) for row in rows).encode())


def empty_primary() -> list[bytes]:
    """Return a primary HDU without data."""
    cards = _cards(
        [
            ("SIMPLE", True, "conforms to FITS standard"),
            ("BITPIX", 8, "array data type"),
            ("NAXIS", 0, "number of array dimensions"),
            ("EXTEND", True, ""),
        ]
    )
    return sealed(cards, b"")


def image_hdu(
    array: NDArray[Any], name: str, *, version: int = 1, more: Mapping[str, tuple[Value, str]] | None = None
) -> list[bytes]:
    """Return header and data of an IMAGE extension with this array; see `image_parts`."""
    cards, stored = image_parts(array, name, version=version, more=more)
    return sealed(cards, stored.tobytes())


def image_parts(
    array: NDArray[Any], name: str, *, version: int = 1, more: Mapping[str, tuple[Value, str]] | None = None
) -> tuple[Cards, NDArray[Any]]:
    """Return cards and stored numbers of an IMAGE extension; uint32 goes as int32 with BZERO, as the standard
    has it.
    """
    extra: dict[str, tuple[Value, str]] = dict(more or {})
    if array.dtype == np.uint32:
        array = (array.astype(np.int64) - (1 << 31)).astype(">i4")
        extra = {"BSCALE": (1, ""), "BZERO": (1 << 31, "unsigned 32-bit integers")} | extra
    big = array.astype(array.dtype.newbyteorder(">"), copy=False)
    rows: list[tuple[str, Value, str]] = [
        ("XTENSION", "IMAGE", "Image extension"),
        ("BITPIX", _BITPIX[big.dtype.str[1:]], "array data type"),
        ("NAXIS", big.ndim, "number of array dimensions"),
    ]
    rows += [(f"NAXIS{i}", n, "") for i, n in enumerate(reversed(big.shape), start=1)]
    rows += [("PCOUNT", 0, ""), ("GCOUNT", 1, ""), ("EXTNAME", name, ""), ("EXTVER", version, "")]
    rows += [(key, value, comment) for key, (value, comment) in extra.items()]
    return _cards(rows), big


def flag_cards() -> dict[str, tuple[Value, str]]:
    """Return `MSKNnnnn` (name) and `MSKMnnnn` (value) cards that name our bits in a mask header."""
    cards: dict[str, tuple[Value, str]] = {}
    for number, flag in enumerate(FLAGS.values()):
        cards[f"MSKN{number:04d}"] = (flag.name, flag.meaning)
        cards[f"MSKM{number:04d}"] = (flag.value, "")
    return cards
