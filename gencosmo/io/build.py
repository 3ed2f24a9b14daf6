"""New HDUs, made from arrays: the planes that gencosmo adds to a file, and whole files of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.flags import FLAGS
from gencosmo.io.cards import BLOCK, Cards, Value, format_card
from gencosmo.io.checksum import data_sum, stamp, stamp_total

__all__ = [
    "Spool",
    "empty_primary",
    "flag_cards",
    "image_cards",
    "image_hdu",
    "image_parts",
    "sealed",
    "streamed",
    "to_stored",
]

_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


_IN_MEMORY = 1 << 27
_STEP = 1 << 20


class Spool:
    """Data of an HDU on their way: summed as they come, in memory while small, then in a nameless file.

    The header stands before the data and holds their sum and, of compressed ones, their sizes.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (goes with this object)
        self._sum, self._rest = 0, b""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take more data."""
        self._file.write(data)
        self.size += len(data)
        joined = self._rest + data if self._rest else data
        whole = len(joined) - len(joined) % 4
        self._sum = data_sum(memoryview(joined)[:whole], self._sum)
        self._rest = joined[whole:]

    def seal(self, cards: Cards, front: bytes = b"") -> Iterator[bytes]:
        """Yield the header with checksums, `front` (a multiple of four bytes), all that was taken, and padding."""
        total = data_sum(front, data_sum(self._rest.ljust(4, b"\0"), self._sum))
        yield stamp_total(cards, total)
        yield front
        self._file.seek(0)
        while block := self._file.read(_STEP):
            yield block
        yield b"\0" * (-(len(front) + self.size) % BLOCK)
        self._file.close()


def streamed(cards: Cards, planes: Iterable[NDArray[Any]]) -> Iterator[bytes]:
    """Yield header and data of an image whose planes come one by one, stored numbers in any byte order."""
    spool = Spool()
    for plane in planes:
        spool.write(plane.astype(plane.dtype.newbyteorder(">"), copy=False).tobytes())
    yield from spool.seal(cards)


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
    """Return header and data of an IMAGE extension with this array; see `image_cards`."""
    cards, stored = image_parts(array, name, version=version, more=more)
    return sealed(cards, stored.tobytes())


def image_parts(
    array: NDArray[Any], name: str, *, version: int = 1, more: Mapping[str, tuple[Value, str]] | None = None
) -> tuple[Cards, NDArray[Any]]:
    """Return cards and stored numbers of an IMAGE extension; see `image_cards` and `to_stored`."""
    return image_cards(array.dtype, array.shape, name, version=version, more=more), to_stored(array)


def image_cards(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    name: str,
    *,
    version: int = 1,
    more: Mapping[str, tuple[Value, str]] | None = None,
) -> Cards:
    """Return the cards of an IMAGE extension; uint32 goes as int32 with BZERO, as the standard has it."""
    extra: dict[str, tuple[Value, str]] = dict(more or {})
    if dtype == np.uint32:
        dtype = np.dtype(np.int32)
        extra = {"BSCALE": (1, ""), "BZERO": (1 << 31, "unsigned 32-bit integers")} | extra
    rows: list[tuple[str, Value, str]] = [
        ("XTENSION", "IMAGE", "Image extension"),
        ("BITPIX", _BITPIX[dtype.str[1:]], "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
    ]
    rows += [(f"NAXIS{i}", n, "") for i, n in enumerate(reversed(shape), start=1)]
    rows += [("PCOUNT", 0, ""), ("GCOUNT", 1, ""), ("EXTNAME", name, ""), ("EXTVER", version, "")]
    rows += [(key, value, comment) for key, (value, comment) in extra.items()]
    return _cards(rows)


def to_stored(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as it is stored: big-endian, uint32 shifted to int32."""
    if array.dtype == np.uint32:
        return (array.astype(np.int64) - (1 << 31)).astype(">i4")
    return array.astype(array.dtype.newbyteorder(">"), copy=False)


def flag_cards() -> dict[str, tuple[Value, str]]:
    """Return `MSKNnnnn` (name) and `MSKMnnnn` (value) cards that name our bits in a mask header."""
    cards: dict[str, tuple[Value, str]] = {}
    for number, flag in enumerate(FLAGS.values()):
        cards[f"MSKN{number:04d}"] = (flag.name, flag.meaning)
        cards[f"MSKM{number:04d}"] = (flag.value, "")
    return cards
