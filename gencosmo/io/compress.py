"""Tile-compressed images as they are written: GZIP_2 without loss, RICE only when somebody asks for it.

The lossless form is written here byte by byte (tiles of whole rows, bytes shuffled, gzip), with no ZQUANTIZ card:
readers that find one take floats for quantised ones. Cards that do not describe the structure keep their 80 bytes.
RICE of floats goes through astropy, with SUBTRACTIVE_DITHER_2, which keeps exact zeros.
"""

from __future__ import annotations

import gzip
import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.build import sealed
from gencosmo.io.cards import BLOCK, Cards, Value, format_card

__all__ = ["COMPRESSIONS", "can_compress", "compressed_hdu"]

COMPRESSIONS = ("auto", "none", "gzip", "rice")
"""`auto`: a plane that came compressed goes back compressed without loss; `none`: never; others: always."""

_TILE = 1 << 16
_LEVEL = 16.0
_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|TFIELDS|THEAP|T(TYPE|FORM|UNIT|NULL|DIM|DISP)\d+"
    r"|ZIMAGE|ZBITPIX|ZNAXIS\d*|ZTILE\d+|ZCMPTYPE|ZNAME\d+|ZVAL\d+|ZQUANTIZ|ZDITHER0|ZSCALE|ZZERO|ZMASKCMP"
    r"|ZHECKSUM|ZDATASUM|CHECKSUM|DATASUM)$"
)


def can_compress(stored: NDArray[Any]) -> bool:
    """Say whether the tile convention has this type: all but 64-bit integers, which few readers know."""
    return stored.dtype.kind == "f" or stored.dtype.itemsize < 8


def compressed_hdu(cards: Cards, stored: NDArray[Any], method: str) -> list[bytes]:
    """Return header and data of a tile-compressed image.

    Parameters
    ----------
    cards : Cards
        Header of the image, or of the compressed HDU it came from.
    stored : ndarray
        Stored numbers, in the shape of the image.
    method : {"gzip", "rice"}
        GZIP_2 without loss; RICE_1, which is without loss for integers only.
    """
    stored = stored.astype(stored.dtype.newbyteorder(">"), copy=False)
    structure, data = _rice(stored) if method == "rice" else _gzip(stored)
    if stored.dtype.kind == "f":
        cards = cards.filtered(lambda key: key != "ZBLANK")
    own = _place(cards) + cards.filtered(lambda key: not _STRUCTURE.match(key)).raw()
    return sealed(Cards(structure + own), data)


def _place(cards: Cards) -> bytes:
    """Cards that tell what the image is when it is unpacked; they are there when it came compressed."""
    if "ZSIMPLE" in cards or "ZTENSION" in cards or "ZCMPTYPE" in cards:
        return b""
    rows: list[tuple[str, Value]] = [("ZTENSION", "IMAGE"), ("ZPCOUNT", 0), ("ZGCOUNT", 1)]
    if "SIMPLE" in cards:
        rows = [("ZSIMPLE", True), ("ZEXTEND", True)]
    return "".join(format_card(key, value) for key, value in rows).encode()


def _gzip(stored: NDArray[Any]) -> tuple[bytes, bytes]:
    height, width = stored.shape[-2] if stored.ndim > 1 else 1, stored.shape[-1]
    rows = max(1, min(height, _TILE // width))
    parts = [
        gzip.compress(_shuffled(plane[start : start + rows]), 6, mtime=0)
        for plane in stored.reshape(-1, height, width)
        for start in range(0, height, rows)
    ]
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    wide = int(sizes.sum()) >= 1 << 31
    places = np.stack([sizes, np.cumsum(sizes) - sizes], axis=1).astype(">i8" if wide else ">i4")
    tiles = (width, rows, *(1 for _ in stored.shape[:-2]))[: stored.ndim]
    cards: list[tuple[str, Value]] = [
        ("XTENSION", "BINTABLE"),
        ("BITPIX", 8),
        ("NAXIS", 2),
        ("NAXIS1", 16 if wide else 8),
        ("NAXIS2", len(parts)),
        ("PCOUNT", int(sizes.sum())),
        ("GCOUNT", 1),
        ("TFIELDS", 1),
        ("TTYPE1", "COMPRESSED_DATA"),
        ("TFORM1", f"1{'Q' if wide else 'P'}B({int(sizes.max())})"),
        ("ZIMAGE", True),
        ("ZBITPIX", stored.dtype.itemsize * (-8 if stored.dtype.kind == "f" else 8)),
        ("ZNAXIS", stored.ndim),
        *((f"ZNAXIS{i}", n) for i, n in enumerate(reversed(stored.shape), start=1)),
        *((f"ZTILE{i}", n) for i, n in enumerate(tiles, start=1)),
        ("ZCMPTYPE", "GZIP_2"),
    ]
    return "".join(format_card(*card) for card in cards).encode(), places.tobytes() + b"".join(parts)


def _shuffled(tile: NDArray[Any]) -> bytes:
    """First all first bytes, then all second ones: GZIP_2."""
    return np.ascontiguousarray(tile).view(np.uint8).reshape(-1, tile.dtype.itemsize).T.tobytes()


def _rice(stored: NDArray[Any]) -> tuple[bytes, bytes]:
    from astropy.io import fits

    native = stored.astype(stored.dtype.newbyteorder("="))
    options = {"quantize_method": 2, "quantize_level": _LEVEL, "dither_seed": -1} if stored.dtype.kind == "f" else {}
    target = io.BytesIO()
    hdu = fits.CompImageHDU(native, compression_type="RICE_1", **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(target)
    raw = target.getvalue()[BLOCK:]
    end = next(i for i in range(0, len(raw), 80) if raw[i : i + 8] == b"END     ")
    start = -(-(end + 80) // BLOCK) * BLOCK
    return Cards(raw[:end]).filtered(lambda key: bool(_STRUCTURE.match(key)) or key == "ZBLANK").raw(), raw[start:]
