"""Tile-compressed images: decoded by astropy, whole or in part, and remembered while there is room.

What takes the time is the Rice code of cfitsio, which astropy runs outside the interpreter lock, and astropy's loop
over tiles, which holds it. So the planes that belong to one image are decoded side by side (`decode_together`), and the
loop over tiles bounds what that can gain.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.io.cards import BLOCK, Cards, format_card
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.source import Source
from gencosmo.io.tiles import check_tiles

__all__ = ["decode", "decode_together", "recall", "remember", "sizes"]

_ROOM = 1 << 29
"""Bytes of decoded planes that are kept for each file."""

_SMALL = 1 << 20
"""Pixels below which an image is decoded before a thread has begun."""


def sizes(hdu: Hdu, inside: tuple[slice, ...]) -> tuple[int, ...]:
    """Return the shape of a part of an image."""
    return tuple(len(range(*part.indices(n))) for part, n in zip(inside, hdu.shape, strict=True))


def recall(file: FitsFile, hdu: Hdu, plane: int | None) -> object:
    """Return what was remembered of an HDU, or of a plane of it."""
    found = file.decoded.get((hdu.index, plane))
    return None if found is None else found[0]


def remember(file: FitsFile, hdu: Hdu, plane: int | None, pixels: object, size: int) -> None:
    """Keep decoded pixels at hand; the oldest go when there is no room for all."""
    file.decoded[hdu.index, plane] = pixels, size
    while len(file.decoded) > 1 and sum(size for _, size in file.decoded.values()) > _ROOM:
        file.decoded.pop(next(iter(file.decoded)))


def decode(file: FitsFile, hdu: Hdu, inside: tuple[slice, ...] | None = None) -> tuple[NDArray[Any], Cards]:
    """Return the stored numbers of a compressed image, or of a part of it, and the header it has when unpacked.

    Raises
    ------
    InputError
        `damaged` when a tile cannot be decoded, `bad_header`.
    """
    with warnings.catch_warnings():
        # Header complaints of astropy are not ours to pass on: the cards are kept as they are.
        warnings.simplefilter("ignore")
        return _decode(file, hdu, inside)


def decode_together(
    file: FitsFile, hdus: Iterable[Hdu], *, workers: int | None = None
) -> dict[int, tuple[NDArray[Any], Cards]]:
    """Decode whole HDUs of a file side by side, by index; only where that pays, the rest is left out.

    What fails is left out too: reading it again says why.
    """
    large = [hdu for hdu in hdus if hdu.kind == "compressed" and hdu.planes == 1 and np.prod(hdu.shape) > _SMALL]
    workers = min(len(large), len(os.sched_getaffinity(0)) if workers is None else workers)
    if workers < 2:
        return {}
    for hdu in large:
        file.check_pixels(hdu)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # here, not in the threads: the filters are one for all
        tasks = {hdu.index: pool.submit(_decode, file, hdu, None) for hdu in large}
        return {index: task.result() for index, task in tasks.items() if task.exception() is None}


def _decode(file: FitsFile, hdu: Hdu, inside: tuple[slice, ...] | None) -> tuple[NDArray[Any], Cards]:
    try:
        decoder = _decoder(file, hdu)
        header = decoder.header.tostring(endcard=False, padding=False)
        data = np.asarray(decoder.data if inside is None else decoder.section[inside])
    except (MemoryError, KeyboardInterrupt, InputError):
        raise
    except Exception as error:
        raise InputError(
            f"compressed HDU {hdu.describe()} cannot be decoded: {error}",
            code="damaged",
            hint="re-transfer the file",
        ) from error
    if data.shape != (hdu.shape if inside is None else sizes(hdu, inside)):
        raise InputError(f"HDU {hdu.describe()} decodes to shape {data.shape}", code="bad_header")
    data.flags.writeable = False
    return data, Cards(header.encode("latin-1"))


def _decoder(file: FitsFile, hdu: Hdu) -> Any:
    """The HDU alone, opened by astropy; it stays open for a cube, whose planes come one after the other."""
    from astropy.io import fits

    known = file.decoders.get(hdu.index)
    if known is None:
        check_tiles(file, hdu)
        lone = fits.open(_Lone(file.source, hdu), do_not_scale_image_data=True, memmap=False)
        known = lone[1]
        if hdu.planes > 1:
            file.decoders[hdu.index] = known
    return known


class _Lone(io.RawIOBase):
    """The bytes of one HDU after an empty primary one, as a file to read."""

    def __init__(self, source: Source, hdu: Hdu) -> None:
        self._source, self._hdu = source, hdu
        self._place = 0
        cards = (("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0))
        raw = "".join(format_card(key, value) for key, value in cards).encode() + b"END".ljust(80)
        self._primary = raw.ljust(BLOCK)
        self._size = BLOCK + hdu.stop - hdu.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        start, self._place = self._place, max(self._place, end)
        head = self._primary[start:end]
        shift = self._hdu.start - BLOCK
        rest = self._source.view(max(start, BLOCK) + shift, end + shift) if end > BLOCK else b""
        return head + bytes(rest)
