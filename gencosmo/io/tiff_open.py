"""TIFF files opened with tifffile, and refused when they end early or need a codec that is not here."""

from __future__ import annotations

import struct
from typing import Any

from gencosmo.errors import FormatError, InputError, TooLargeError, UsageError
from gencosmo.io.stack import truncated

__all__ = ["check_codec", "open_tiff"]

MAX_PAGES = 1 << 20


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError:
        raise UsageError(
            "reading TIFF needs the package tifffile", code="extra", hint="pip install 'gencosmo[micro]'"
        ) from None
    return tifffile


def open_tiff(path: str) -> Any:
    """Open a file with tifffile; what it meets in bad files comes as our errors."""
    tifffile = _tifffile()
    try:
        file = tifffile.TiffFile(path)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}", code="not_found") from None
    except Exception as error:  # of many kinds, for bytes that are no TIFF
        with open(path, "rb") as raw:
            head = raw.read(8)
        if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            text = f"{path} is a damaged TIFF file: {error}"
            raise InputError(text, code="truncated", hint="re-transfer the file") from None
        start = f"it starts with {head!r}" if head else "it is empty"
        raise FormatError(f"{path} is not a TIFF file: {start}", code="not_tiff", hint="re-transfer the file") from None
    try:
        if len(file.pages) > MAX_PAGES:
            raise TooLargeError(f"{path} has {len(file.pages)} pages, limit {MAX_PAGES}")
        _check_chain(path, file)
        return file
    except InputError:
        file.close()
        raise
    except Exception as error:
        file.close()
        raise InputError(f"{path}: its pages cannot be followed: {error}", code="truncated") from None


def _check_chain(path: str, file: Any) -> None:
    """Raise when the chain of pages, or the description of the first, leads out of the file.

    tifffile takes the page before for the last one, and leaves the description out: a stack would become one plane.
    """
    size, form = file.filehandle.size, file.tiff
    last = file.pages[len(file.pages) - 1]
    told = _entries(file, last)[-form.offsetsize :]
    follows = struct.unpack(form.offsetformat, told)[0] if len(told) == form.offsetsize else size
    if follows >= size:
        raise truncated(path, f"page {len(file.pages)}", max(follows, size + 1), size)
    codes = [entry[0] for entry in struct.iter_unpack(f"{form.byteorder}H{form.tagsize - 2}x", _tags(file))]
    if 270 in codes and 270 not in file.pages.first.tags:
        raise truncated(path, "the description of page 0", size + 1, size)


def _entries(file: Any, page: Any) -> bytes:
    """The tags of a page as they lie in the file, and the place of the page that follows."""
    form, handle = file.tiff, file.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    return bytes(handle.read(tags * form.tagsize + form.offsetsize))


def _tags(file: Any) -> bytes:
    entries = _entries(file, file.pages.first)
    return entries[: len(entries) // file.tiff.tagsize * file.tiff.tagsize]


def check_codec(path: str, frame: Any) -> None:
    """Raise `InputError` (`compression`) when no codec here unpacks a page."""
    tifffile = _tifffile()
    name = getattr(frame.compression, "name", str(frame.compression))
    try:
        tifffile.TIFF.DECOMPRESSORS[frame.compression]
    except KeyError:
        raise InputError(
            f"{path}: compression {name} is not supported",
            code="compression",
            hint="pip install 'gencosmo[micro]' brings more codecs; or write it uncompressed, LZW or deflate",
        ) from None
