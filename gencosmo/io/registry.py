"""The table of file formats, and the two public functions that use it.

A new format is one file with `sniff`, `read` and `write`, and one row in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gencosmo.errors import FormatError, InputError, UsageError

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.result import Result

__all__ = ["FORMATS", "Format", "read", "write"]


@dataclass(frozen=True)
class Format:
    """One file format: the module that reads and writes it, its name endings, and how its files begin."""

    name: str
    module: str
    endings: tuple[str, ...]
    magic: tuple[bytes, ...]


FORMATS: dict[str, Format] = {
    "fits": Format(
        "fits",
        "gencosmo.io.fits_format",
        (".fits", ".fit", ".fts", ".fits.gz", ".fits.fz"),
        (b"SIMPLE  =", b"\x1f\x8b"),
    ),
}
"""Formats by name. Heads are compared in this order; endings choose the format that is written."""


def _format_of(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{what}: {path}", code="not_found") from None
    for row in FORMATS.values():
        if head.startswith(row.magic):
            return import_module(row.module)
    start = f"it starts with {head[:8]!r}" if head else "it is empty"
    raise FormatError(f"{path} is not a FITS file: {start}, expected b'SIMPLE  ='")


def read(
    path: str | os.PathLike[str],
    *,
    hdu: str | int | None = None,
    profile: str = "auto",
    mask: str | None = None,
    ivar: str | None = None,
    weight: str | None = None,
    weight_type: str = "weight",
    mask_planes: tuple[str, ...] | None = None,
    grow: Mapping[str, int] | None = None,
    find: tuple[str, ...] = (),
    section: tuple[slice, slice] | None = None,
    max_pixels: int | None = None,
) -> Image:
    """Read one image of a file, with its noise and its mask.

    Parameters
    ----------
    path : path
        The file; it is only read.
    hdu : str or int, optional
        Number, `NAME` or `NAME,VERSION` of the science HDU; default: what the profile says.
    profile : str
        Layout of the file (`gencosmo.io.profiles`), or "auto".
    mask, ivar, weight : str, optional
        `FILE` or `FILE[HDU]` with a mask (non-zero = bad; in addition to the file's own), an inverse
        variance, or a weight map.
    weight_type : {"weight", "ivar", "variance", "rms"}
        What `weight` holds; "weight" is proportional to the inverse variance.
    mask_planes : tuple of str, optional
        Names of the file's mask planes that ask for filling, instead of the profile's choice.
    grow : mapping, optional
        Flag name to radius in pixels by which it is widened.
    find : tuple of str
        Finders for defects that no mask names: some of `gencosmo.finders.FINDERS`.
    section : (slice, slice), optional
        Rows and columns to read, in pixels of the image; of a compressed image only the tiles that hold them are
        decoded. The image's `origin` tells where it was cut.
    max_pixels : int, optional
        Largest number of pixels that is decoded.

    Returns
    -------
    Image

    Raises
    ------
    InputError, UsageError
        With the code of the error table.
    """
    name = os.fspath(path)
    image: Image = _format_of(name).read(
        name,
        hdu=hdu,
        profile=profile,
        mask=mask,
        ivar=ivar,
        weight=weight,
        weight_type=weight_type,
        mask_planes=mask_planes,
        grow=grow or {},
        find=find,
        section=section,
        max_pixels=max_pixels,
    )
    return image


def write(
    path: str | os.PathLike[str],
    content: Image | Result,
    *,
    like: str | os.PathLike[str] | None = None,
    image: Image | None = None,
    overwrite: bool = False,
) -> None:
    """Write an `Image`, or the `Result` of a task, to a file that appears whole or not at all.

    Parameters
    ----------
    path : path
        Output; its ending chooses the format.
    content : Image or Result
        What to write.
    like : path, optional
        With a Result: the file that was read. Everything in it is copied, only the filled pixels, their noise
        and their flags change, and GCM_* HDUs are added. Without it a new file is made.
    image : Image, optional
        With `like`: what was read from it, when that took options; default: read again without.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    UsageError
        `exists`, `usage` (an unknown ending, or the output is the input).
    StorageError
        Disk full or folder not writable.
    """
    name = os.fspath(path)
    for row in FORMATS.values():
        if name.lower().endswith(row.endings):
            source = None if like is None else os.fspath(like)
            import_module(row.module).write(name, content, like=source, image=image, overwrite=overwrite)
            return
    known = ", ".join(ending for row in FORMATS.values() for ending in row.endings)
    raise UsageError(f"{name}: the ending does not name a format", code="format", hint=f"known endings: {known}")
