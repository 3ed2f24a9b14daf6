"""Tile-compressed images as they are written: GZIP_2 without loss, RICE only when somebody asks for it.

The lossless form is written here byte by byte (tiles of whole rows, bytes shuffled, gzip), with no ZQUANTIZ card:
readers that find one take floats for quantised ones. Cards that do not describe the structure keep their 80 bytes.
RICE of floats goes through astropy, with SUBTRACTIVE_DITHER_2, which keeps exact zeros.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.build import Spool, sealed
from gencosmo.io.cards import BLOCK, Cards, Value, format_card

__all__ = ["COMPRESSIONS", "can_compress", "compressed_hdu", "compressed_planes"]

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
    if method == "rice":
        structure, data = _rice(stored.astype(stored.dtype.newbyteorder(">"), copy=False))
        return sealed(_joined(cards, structure, stored.dtype), data)
    long = [n for n in stored.shape if n > 1] or [1]
    planes = stored.reshape(-1, *([1] * (2 - len(long)) + long)[-2:])
    return list(compressed_planes(cards, planes, stored.shape, stored.dtype))


def compressed_planes(
    cards: Cards, planes: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[bytes]:
    """Yield header and data of an image compressed without loss (GZIP_2) whose planes, (H, W), come one by one."""
    rows = _tile_rows(shape)
    spool, sizes = Spool(), []
    for plane in planes:
        stored = plane.astype(dtype.newbyteorder(">"), copy=False)
        for start in range(0, stored.shape[0], rows):
            part = gzip.compress(_shuffled(stored[start : start + rows]), 6, mtime=0)
            spool.write(part)
            sizes.append(len(part))
    structure, table = _gzip_table(np.array(sizes, dtype=np.int64), shape, dtype)
    yield from spool.seal(_joined(cards, structure, dtype), table)


def _joined(cards: Cards, structure: bytes, dtype: np.dtype[Any]) -> Cards:
    """The cards that describe the compression, then those of the image that do not describe its structure.

    funpack copies them in this order, so what the unpacked header begins with stands before its sizes.
    """
    first, last = _place(cards)
    parts = [structure[i : i + 80] for i in range(0, len(structure), 80)]
    sizes = [i for i, card in enumerate(parts) if card.startswith((b"ZBITPIX", b"ZNAXIS"))]
    ordered = [*parts[: sizes[0]], first, *parts[sizes[0] : sizes[-1] + 1], last, *parts[sizes[-1] + 1 :]]
    drop = {"ZSIMPLE", "ZTENSION", "ZEXTEND", "ZPCOUNT", "ZGCOUNT"} | ({"ZBLANK"} if dtype.kind == "f" else set())
    own = cards.filtered(lambda key: not _STRUCTURE.match(key) and key not in drop)
    return Cards(b"".join(ordered) + own.raw())


def _place(cards: Cards) -> tuple[bytes, bytes]:
    """Cards that tell what the image is when it is unpacked: before its sizes, and after them."""
    if "SIMPLE" in cards or "ZSIMPLE" in cards:
        rows: list[list[tuple[str, Value]]] = [[("ZSIMPLE", True)], [("ZEXTEND", True)]]
    else:
        rows = [[("ZTENSION", "IMAGE")], [("ZPCOUNT", 0), ("ZGCOUNT", 1)]]
    first, last = ("".join(format_card(key, value) for key, value in row).encode() for row in rows)
    return first, last


def _image_axes(shape: tuple[int, ...]) -> list[int]:
    """The last two axes that are longer than one; what axes of length one do not change."""
    return [axis for axis, n in enumerate(shape) if n > 1][-2:]


def _tile_rows(shape: tuple[int, ...]) -> int:
    lengths = [shape[axis] for axis in _image_axes(shape)]
    height, width = [1, 1, *lengths][-2:]
    return max(1, min(height, _TILE // width))


def _gzip_table(sizes: NDArray[np.int64], shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[bytes, bytes]:
    """Cards and rows of the table that points to compressed tiles of these sizes, which follow it."""
    wide = int(sizes.sum()) >= 1 << 31
    places = np.stack([sizes, np.cumsum(sizes) - sizes], axis=1).astype(">i8" if wide else ">i4")
    tiles = [1] * len(shape)
    for axis, length in zip(reversed(_image_axes(shape)), (None, _tile_rows(shape)), strict=False):
        tiles[axis] = shape[axis] if length is None else length
    cards: list[tuple[str, Value]] = [
        ("XTENSION", "BINTABLE"),
        ("BITPIX", 8),
        ("NAXIS", 2),
        ("NAXIS1", 16 if wide else 8),
        ("NAXIS2", len(sizes)),
        ("PCOUNT", int(sizes.sum())),
        ("GCOUNT", 1),
        ("TFIELDS", 1),
        ("TTYPE1", "COMPRESSED_DATA"),
        ("TFORM1", f"1{'Q' if wide else 'P'}B({int(sizes.max())})"),
        ("ZIMAGE", True),
        ("ZBITPIX", dtype.itemsize * (-8 if dtype.kind == "f" else 8)),
        ("ZNAXIS", len(shape)),
        *((f"ZNAXIS{i}", n) for i, n in enumerate(reversed(shape), start=1)),
        *((f"ZTILE{i}", n) for i, n in enumerate(reversed(tiles), start=1)),
        ("ZCMPTYPE", "GZIP_2"),
    ]
    return "".join(format_card(*card) for card in cards).encode(), places.tobytes()


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
