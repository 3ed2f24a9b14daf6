"""DATASUM and CHECKSUM of the FITS standard (version 4.0, appendix J): 32-bit ones' complement sums."""

from __future__ import annotations

import numpy as np

from gencosmo.io.cards import Cards
from gencosmo.io.hdus import FitsFile, Hdu

__all__ = ["data_sum", "stamp", "stamp_total", "wrong_sums"]

_PUNCTUATION = (*range(0x3A, 0x41), *range(0x5B, 0x61))


def data_sum(data: bytes | memoryview, start: int = 0) -> int:
    """Return the ones' complement sum of the big-endian 32-bit words of `data` (a multiple of four bytes)."""
    total = start + int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encode(value: int) -> str:
    """Write the complement of a sum with 16 letters and digits whose own sum is that complement."""
    value = 0xFFFFFFFF - value
    letters = [""] * 16
    for place in range(4):
        byte = value >> (24 - 8 * place) & 0xFF
        four = [byte // 4 + 0x30] * 4
        four[0] += byte % 4
        while any(code in _PUNCTUATION for code in four):
            for pair in (0, 2):
                if four[pair] in _PUNCTUATION or four[pair + 1] in _PUNCTUATION:
                    four[pair] += 1
                    four[pair + 1] -= 1
        for row in range(4):
            letters[4 * row + place] = chr(four[row])
    return "".join(letters[-1:] + letters[:-1])


def stamp(cards: Cards, data: bytes | memoryview) -> bytes:
    """Set DATASUM and CHECKSUM in the cards of an HDU with these padded data; return the header's bytes."""
    return stamp_total(cards, data_sum(data))


def stamp_total(cards: Cards, total: int) -> bytes:
    """Set DATASUM and CHECKSUM in the cards of an HDU whose data have this sum; return the header's bytes."""
    cards.set("DATASUM", str(total), "data unit checksum")
    cards.set("CHECKSUM", "0" * 16, "HDU checksum")
    cards.set("CHECKSUM", _encode(data_sum(cards.tobytes(), total)), "HDU checksum")
    return cards.tobytes()


def wrong_sums(file: FitsFile, hdu: Hdu) -> list[str]:
    """Return the cards, DATASUM or CHECKSUM, that do not hold for an HDU as it lies in the file.

    Nothing here is refused: many programs copy the cards of another HDU. Damage looks the same.
    """
    told = hdu.cards.text("DATASUM")
    seal = hdu.cards.text("CHECKSUM")
    if not told and not seal:
        return []
    total = 0
    for piece in file.pieces(hdu, data_only=True):
        total = data_sum(bytes(piece).ljust(-(-len(piece) // 4) * 4, b"\0"), total)
    wrong = ["DATASUM"] if told and told != str(total) else []
    header = bytes(file.source.view(hdu.start, hdu.data))
    if seal and data_sum(header, total) not in (0, 0xFFFFFFFF):
        wrong.append("CHECKSUM")
    return wrong
