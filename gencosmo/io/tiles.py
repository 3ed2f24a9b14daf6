"""Tiles of compressed images that unpack to far more than their header says: looked at before anybody decodes them.

A deflate stream grows at most 1032 times, so only tiles that could pass the limit are unpacked here, step by step.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import numpy as np

from gencosmo.errors import TooLargeError, digits
from gencosmo.io.hdus import FitsFile, Hdu

__all__ = ["check_tiles"]

_GROWTH = 1032
_STEP = 1 << 22
_BYTES = {"L": 1, "X": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


def check_tiles(file: FitsFile, hdu: Hdu) -> None:
    """Raise `TooLargeError` when a gzip tile unpacks beyond the limit of the file for unpacked bytes."""
    for start, length in _tiles(file, hdu):
        if length * _GROWTH > file.limits.unpacked:
            _check(file, hdu, bytes(file.source.view(start, start + length)))


def _check(file: FitsFile, hdu: Hdu, packed: bytes) -> None:
    if packed[:2] != b"\x1f\x8b":
        return
    unpacker, size = zlib.decompressobj(wbits=31), 0
    while packed and not unpacker.eof:
        try:
            size += len(unpacker.decompress(packed, _STEP))
        except zlib.error:
            return  # the decoder will say so
        packed = unpacker.unconsumed_tail
        if size > file.limits.unpacked:
            raise TooLargeError(
                f"a tile of HDU {hdu.describe()} unpacks to more than {digits(file.limits.unpacked)} bytes",
                hint="the header does not belong to these data",
            )


def _tiles(file: FitsFile, hdu: Hdu) -> Iterator[tuple[int, int]]:
    """Start and length, in bytes of the file, of everything that variable-length columns point to."""
    cards = hdu.cards
    width, rows = cards.integer("NAXIS1", 0) or 0, cards.integer("NAXIS2", 0) or 0
    heap = hdu.data + (cards.integer("THEAP") or width * rows)
    table = np.frombuffer(file.source.view(hdu.data, hdu.data + width * rows), np.uint8).reshape(rows, width)
    place = 0
    for number in range(1, (cards.integer("TFIELDS", 0) or 0) + 1):
        form = re.match(r"(\d*)([LXBAIJEKDCMPQ])(.?)", cards.text(f"TFORM{number}"))
        if form is None:
            return
        size = _BYTES[form[2]] * int(form[1] or 1)
        if form[2] in "PQ" and size and place + size <= width:
            entry = np.ascontiguousarray(table[:, place : place + _BYTES[form[2]]])
            for length, start in entry.view(">i4" if form[2] == "P" else ">i8").tolist():
                if length > 0 and start >= 0:
                    yield heap + start, length * _BYTES.get(form[3], 1)
        place += size
