"""The structure of a FITS file: where each HDU starts and ends, what it is, and whether its numbers can be
true.

All checks of this file happen on header cards, before one pixel is touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gencosmo.errors import FormatError, InputError, TooLargeError, digits
from gencosmo.io.cards import BLOCK, Cards
from gencosmo.io.source import Source

__all__ = ["FitsFile", "Hdu", "Limits", "open_fits"]

_BITPIX = (8, 16, 32, 64, -32, -64)
_MAX_HEADER = 4096 * BLOCK
_MAX_HDUS = 4096
_PIECE = 1 << 24


@dataclass(frozen=True)
class Limits:
    """What a reader accepts. `pixels` per image; `unpacked` bytes of a gzip stream."""

    pixels: int = 1 << 26
    unpacked: int = 1 << 31


@dataclass(frozen=True)
class Hdu:
    """One header-and-data unit; `[start, data)` is its header, `[data, end)` its data, `stop` the next
    HDU.
    """

    index: int
    kind: str  # "image", "compressed", "table", "empty", "other"
    name: str
    version: int
    bitpix: int
    shape: tuple[int, ...]  # C order; of the decoded image when compressed
    cards: Cards = field(repr=False)
    start: int
    data: int
    end: int
    stop: int

    @property
    def is_image(self) -> bool:
        """True when it holds at least two image axes."""
        return self.kind in ("image", "compressed") and len([n for n in self.shape if n > 1]) >= 2

    @property
    def planes(self) -> int:
        """Number of planes of an image: all axes before the last two that are longer than one, joined."""
        return math.prod([n for n in self.shape if n > 1][:-2])

    def describe(self) -> str:
        """Name and content in a few words, for messages."""
        size = "x".join(map(str, self.shape)) if self.shape else "empty"
        words = {"image": size, "compressed": f"{size}, compressed", "empty": "empty"}.get(self.kind, self.kind)
        return f"{self.index} {self.name or '(no name)'} ({words})"


class FitsFile:
    """An open FITS file: its source of bytes and its list of HDUs; a context manager."""

    def __init__(self, source: Source, hdus: list[Hdu], limits: Limits) -> None:
        self.source = source
        self.hdus = hdus
        self.limits = limits
        self.path = source.path
        self.companions: list[FitsFile] = []  # opened on behalf of this file, closed with it
        self.partner_name: Callable[[str], str | None] | None = None  # name beside an output, of a survey's companion
        self.decoded: dict[tuple[int, int | None], tuple[object, int]] = {}  # by HDU and plane, with their bytes
        self.decoders: dict[int, object] = {}  # of compressed cubes, whose planes are decoded one by one

    def __enter__(self) -> FitsFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.source.close()
        for other in self.companions:
            other.source.close()

    @property
    def primary(self) -> Cards:
        """Cards of the primary header."""
        return self.hdus[0].cards

    def raw(self, hdu: Hdu) -> memoryview:
        """All bytes of one HDU, header, data and padding, as they are in the file."""
        return self.source.view(hdu.start, hdu.stop)

    def pieces(self, hdu: Hdu, *, data_only: bool = False) -> Iterator[memoryview]:
        """Yield the bytes of `raw` piece by piece; a short last block is filled up, as the standard asks for."""
        length = 0
        for start in range(hdu.data if data_only else hdu.start, hdu.stop, _PIECE):
            piece = self.source.view(start, min(hdu.stop, start + _PIECE))
            length += len(piece)
            yield piece
        missing = hdu.stop - (hdu.data if data_only else hdu.start) - length
        if missing > 0:
            yield memoryview(bytes(missing))

    def images(self) -> list[Hdu]:
        """The HDUs that hold images with pixels."""
        return [hdu for hdu in self.hdus if hdu.is_image]

    def find(self, *names: str, version: int | None = None) -> Hdu | None:
        """Return the first image HDU that has one of these EXTNAMEs (and this EXTVER), in the order of
        names.
        """
        for name in names:
            for hdu in self.hdus:
                if hdu.is_image and hdu.name.upper() == name and version in (None, hdu.version):
                    return hdu
        return None

    def select(self, key: str | int) -> Hdu:
        """Return the image HDU that a user named: number, `NAME`, or `NAME,VERSION`.

        Raises
        ------
        InputError
            `hdu_not_found`, with the list of image HDUs.
        """
        text = str(key).strip()
        name, _, number = text.partition(",")
        for hdu in self.hdus:
            by_number = text.isdigit() and hdu.index == int(text)
            by_name = hdu.name.upper() == name.strip().upper() and (not number or hdu.version == _int(number))
            if (by_number or (by_name and not text.isdigit())) and hdu.is_image:
                return hdu
        have = ", ".join(repr(h.name) if h.name else str(h.index) for h in self.images()) or "none"
        first = next(iter(self.images()), None)
        hint = f"use --hdu {first.name or first.index}" if first else self.listing()
        raise InputError(f"no HDU {text!r}; image HDUs: {have}", code="hdu_not_found", hint=hint)

    def listing(self) -> str:
        """Return one line with all HDUs, for messages."""
        shown = ", ".join(hdu.describe() for hdu in self.hdus[:12])
        return f"HDUs: {shown}{', ...' if len(self.hdus) > 12 else ''}"

    def check_pixels(self, hdu: Hdu, pixels: int | None = None) -> None:
        """Raise `TooLargeError` when decoding this image (or `pixels` of it) would exceed the limit."""
        pixels = math.prod(hdu.shape) if pixels is None else pixels
        if pixels > self.limits.pixels:
            size = pixels * abs(hdu.bitpix) // 8 / 1e9
            raise TooLargeError(
                f"decoded image is {pixels:.2g} pixels ({size:.3g} GB), limit {self.limits.pixels:.2g}",
                hint="raise --max-pixels if the file is sound and the memory suffices",
            )


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1


def open_fits(path: str, limits: Limits | None = None) -> FitsFile:
    """Open a FITS file (plain or gzip) and check its structure.

    Raises
    ------
    FormatError
        `not_fits`: the bytes are something else.
    InputError
        `bad_header`, `truncated`.
    TooLargeError
        A gzip stream beyond the limit.
    """
    limits = limits or Limits()
    source = Source(path, limit=limits.unpacked)
    try:
        return FitsFile(source, _scan(source, limits), limits)
    except BaseException:
        source.close()
        raise


def _scan(source: Source, limits: Limits) -> list[Hdu]:
    hdus: list[Hdu] = []
    start = 0
    while len(hdus) < _MAX_HDUS:
        if hdus and not _another(source, start):
            break
        cards, data = _read_header(source, start, first=not hdus)
        hdu = _describe(source, cards, len(hdus), start, data)
        if source.packed and hdu.is_image:
            FitsFile(source, hdus, limits).check_pixels(hdu, math.prod(hdu.shape) // hdu.planes)
        available = source.need(hdu.stop)
        if available < hdu.end:
            raise InputError(
                f"HDU {hdu.name or hdu.index} needs {digits(hdu.end - hdu.data)} bytes of data, "
                f"file has {digits(max(0, available - hdu.data))}",
                code="truncated",
                hint="re-transfer the file",
            )
        hdus.append(hdu)
        start = hdu.stop
    return hdus


def _another(source: Source, start: int) -> bool:
    """Say whether an extension begins here; what else may follow the last HDU is no part of the file."""
    if source.need(start + BLOCK) < start + 80:
        return False
    return bytes(source.view(start, start + 8)) == b"XTENSION"


def _read_header(source: Source, start: int, *, first: bool) -> tuple[Cards, int]:
    position = start
    raw = b""
    while True:
        available = source.need(position + BLOCK)
        block = bytes(source.view(position, min(available, position + BLOCK)))
        if first and position == start and block[:9] != b"SIMPLE  =":
            raise FormatError(
                f"{source.path} is not a FITS file: it starts with {block[:8]!r}, expected b'SIMPLE  ='"
                if block
                else f"{source.path} is not a FITS file: it is empty"
            )
        place = next((i for i in range(0, len(block) - 2, 80) if block[i : i + 8].rstrip() == b"END"), None)
        if place is not None:
            return Cards(raw + block[:place]), position + BLOCK
        raw += block
        position += BLOCK
        if len(block) < BLOCK or position - start > _MAX_HEADER:
            size = position - start - BLOCK + len(block)
            text = f"{source.path} is not a FITS file: missing END card ({size} bytes read)"
            if first:
                raise FormatError(text)
            raise InputError(text.replace("is not a FITS file", "is damaged"), code="truncated")


def _describe(source: Source, cards: Cards, index: int, start: int, data: int) -> Hdu:
    bitpix = cards.integer("BITPIX", 0) or 0
    if bitpix not in _BITPIX:
        raise InputError(f"BITPIX={bitpix} is not one of 8,16,32,64,-32,-64", code="bad_header")
    axes = _axes(cards, "NAXIS")
    count = (cards.integer("PCOUNT", 0) or 0) + math.prod(axes) if axes else 0
    if cards.get("GROUPS") is True and axes and axes[-1] == 0:
        count = (cards.integer("PCOUNT", 0) or 0) + math.prod(axes[:-1])
    size = abs(bitpix) // 8 * (cards.integer("GCOUNT", 1) or 1) * count
    if size < 0:
        raise InputError(f"PCOUNT and GCOUNT of HDU {index} give {size} bytes", code="bad_header")
    kind, bitpix, shape = _kind(cards, index, bitpix, axes)
    name = cards.text("EXTNAME") or ("PRIMARY" if index == 0 else "")
    end = data + size
    stop = data + -(-size // BLOCK) * BLOCK
    return Hdu(index, kind, name, cards.integer("EXTVER", 1) or 1, bitpix, shape, cards, start, data, end, stop)


def _kind(cards: Cards, index: int, bitpix: int, axes: tuple[int, ...]) -> tuple[str, int, tuple[int, ...]]:
    extension = cards.text("XTENSION")
    if extension == "BINTABLE" and cards.get("ZIMAGE") is True:
        return _compressed(cards, index)
    if extension in ("BINTABLE", "TABLE", "A3DTABLE"):
        return "table", bitpix, ()
    if index and extension != "IMAGE":
        return "other", bitpix, ()
    if cards.get("GROUPS") is True:
        return "other", bitpix, ()
    if not axes:
        return "empty", bitpix, ()
    if 0 in axes:
        return "empty", bitpix, axes
    return "image", bitpix, axes


def _compressed(cards: Cards, index: int) -> tuple[str, int, tuple[int, ...]]:
    """Check the numbers of a tile-compressed image against each other: they decide how much memory is asked
    for.
    """
    bitpix = cards.integer("ZBITPIX", 0) or 0
    if bitpix not in _BITPIX:
        raise InputError(f"ZBITPIX={bitpix} is not one of 8,16,32,64,-32,-64", code="bad_header")
    shape = _axes(cards, "ZNAXIS")
    tiles = 1
    for i, length in enumerate(reversed(shape), start=1):
        tile = cards.integer(f"ZTILE{i}", length if i == 1 else 1) or 0
        if not 0 < tile <= max(length, 1 << 16):
            raise InputError(f"ZTILE{i}={tile} of HDU {index} does not fit ZNAXIS{i}={length}", code="bad_header")
        tiles *= -(-length // tile)
    rows = cards.integer("NAXIS2", 0) or 0
    if shape and tiles != rows:
        raise InputError(
            f"compressed HDU {index} has {rows} rows, its ZNAXIS and ZTILE cards ask for {tiles} tiles",
            code="bad_header",
            hint="the header does not belong to these data",
        )
    return ("compressed" if shape and 0 not in shape else "empty"), bitpix, shape


def _axes(cards: Cards, word: str) -> tuple[int, ...]:
    """Return the axis lengths in C order (last FITS axis first)."""
    number = cards.integer(word, 0) or 0
    if not 0 <= number <= 999:
        raise InputError(f"{word}={number} is not between 0 and 999", code="bad_header")
    lengths = []
    for i in range(1, number + 1):
        length = cards.integer(f"{word}{i}")
        if length is None or length < 0:
            raise InputError(f"{word}{i}={length} is not a length", code="bad_header")
        lengths.append(length)
    return tuple(reversed(lengths))
