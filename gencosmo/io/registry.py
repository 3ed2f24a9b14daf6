"""The table of file formats, and the public functions that use it.

A new format is a module with `read` and `write`, one with `open_session`, and one row in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gencosmo.errors import FormatError, InputError, UsageError
from gencosmo.io.bioio import plugin_for

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.io.fits import ReadOptions
    from gencosmo.io.session import Session
    from gencosmo.result import Result

__all__ = ["FORMATS", "Format", "format_of", "kind_of", "named_format", "open_session", "output_name", "read", "write"]


@dataclass(frozen=True)
class Format:
    """One file format.

    `module` has `read` and `write`, `session` has `open_session` (`gencosmo.io.session`); `endings`: of its names;
    `magic`: how its files begin; `folder`: names of files of which one lies in it when it is a folder.
    """

    name: str
    module: str
    session: str
    endings: tuple[str, ...]
    magic: tuple[bytes, ...]
    folder: tuple[str, ...] = ()


_STACK = ("gencosmo.io.stack_format", "gencosmo.io.stack_session")

FORMATS: dict[str, Format] = {
    "fits": Format(
        "fits",
        "gencosmo.io.fits_format",
        "gencosmo.io.fits_session",
        (".fits", ".fit", ".fts", ".fits.gz", ".fits.fz"),
        (b"SIMPLE  =", b"\x1f\x8b"),
    ),
    "tiff": Format(
        "tiff",
        *_STACK,
        (".tif", ".tiff", ".btf", ".tf8"),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ),
    "zarr": Format("zarr", *_STACK, (".zarr",), (), ("zarr.json", ".zgroup", ".zattrs", ".zarray")),
    "picture": Format("picture", *_STACK, (".png", ".jpg", ".jpeg"), (b"\x89PNG", b"\xff\xd8\xff")),
}
"""Formats by name. An ending decides before how a file begins does; it also chooses the format that is written."""


def format_of(path: str) -> Format:
    """Return the format of an input.

    Raises
    ------
    InputError
        `not_found`; `not_fits` when nothing here reads it; `extra` when a package would.
    """
    if os.path.isdir(path):
        return _format_of_folder(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{what}: {path}", code="not_found") from None
    named = named_format(path)
    if named is not None and not named.folder:
        return named
    for row in FORMATS.values():
        if row.magic and head.startswith(row.magic):
            return row
    if head and find_spec("bioio") is not None:
        return Format("bioio", *_STACK, (), ())
    if head and (plugin := plugin_for(path)) is not None:
        raise FormatError(
            f"{path} is for bioio to read, by its name, and bioio is not installed",
            code="extra",
            hint=f"pip install 'gencosmo[bioio]' {plugin}",
        )
    start = f"it starts with {head[:8]!r}" if head else "it is empty"
    raise FormatError(
        f"{path} is not a FITS file: {start}, expected b'SIMPLE  ='",
        hint="nor TIFF, OME-Zarr, PNG or JPEG; pip install 'gencosmo[bioio]' reads more kinds of microscopy files",
    )


def named_format(path: str) -> Format | None:
    """Return the format that the ending of a name stands for, None when it stands for none."""
    name = path.rstrip("/" + os.sep).lower()
    return next((row for row in FORMATS.values() if name.endswith(row.endings)), None)


def kind_of(path: str) -> str | None:
    """Return the name of an input's format, by what it holds; of a file that cannot be read by its ending, or None."""
    try:
        return format_of(path).name
    except InputError:
        row = named_format(path)
        return None if row is None else row.name


def _format_of_folder(path: str) -> Format:
    for row in FORMATS.values():
        if any(os.path.isfile(os.path.join(path, name)) for name in row.folder):
            return row
    if named_format(path) is FORMATS["zarr"]:
        raise FormatError(f"{path} is a folder without zarr.json or .zgroup", code="not_zarr", hint="re-transfer it")
    raise InputError(f"{path} is a folder, expected a file or an OME-Zarr folder", code="not_found")


def open_session(path: str, options: ReadOptions) -> Session:
    """Open a file for a run of `gencosmo.batch`.

    Raises
    ------
    InputError, UsageError
        With the code of the error table.
    """
    session: Session = import_module(format_of(path).session).open_session(path, options)
    return session


def output_name(path: str) -> str:
    """Return the base name of an input's output: `.fz` is dropped; of what cannot be written as it is, or under such
    an ending, OME-TIFF or OME-Zarr.
    """
    name = os.path.basename(path.rstrip("/" + os.sep)).removesuffix(".fz")
    row = named_format(name)
    if row is not None and row.name != "picture":
        return name
    kind = kind_of(path)
    if kind in (None, "fits"):
        return name
    return f"{name}.ome.zarr" if kind == "zarr" else f"{os.path.splitext(name)[0]}.ome.tif"


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
    axes: str | None = None,
    channels: tuple[int | str, ...] | None = None,
    t: int | None = None,
    z: int | None = None,
    saturation: float | None = None,
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
    axes : str, optional
        Files with axes only (TIFF, OME-Zarr, PNG, JPEG), as all that follow: a letter of TCZYXS for each axis of the
        stored array, instead of what the file says.
    channels : tuple of int or str, optional
        Channels to read, by number from 0 or by name; default: all. Samples (RGB) count as channels: red, green, blue.
    t, z : int, optional
        Which time and which plane of depth, from 0; needed where there are several.
    saturation : float, optional
        Value from which a pixel is flagged SATURATED.

    Returns
    -------
    Image

    Raises
    ------
    InputError, UsageError
        With the code of the error table.
    """
    name = os.fspath(path)
    row = format_of(name)
    asked = {"axes": axes, "channels": channels, "t": t, "z": z, "saturation": saturation}
    stack = {key: value for key, value in asked.items() if value is not None}
    if stack and row.name == "fits":
        raise UsageError(f"{', '.join(stack)} means nothing for a FITS file")
    image: Image = import_module(row.module).read(
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
        **stack,
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
    row = named_format(name)
    if row is not None:
        source = None if like is None else os.fspath(like)
        import_module(row.module).write(name, content, like=source, image=image, overwrite=overwrite)
        return
    known = ", ".join(ending for row in FORMATS.values() for ending in row.endings)
    raise UsageError(f"{name}: the ending does not name a format", code="format", hint=f"known endings: {known}")
