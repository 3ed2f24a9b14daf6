"""What `gencosmo rank` puts in order: images of a folder, fields of a plate, pieces of a slide; channel by channel.

Pixels are read when they are needed, and again for the contact sheet: what is kept of a cutout is where it lies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gencosmo.commands.score import images_in
from gencosmo.errors import GencosmoError, GencosmoWarning, InputError, TooLargeError, UsageError
from gencosmo.image import Image
from gencosmo.io.axes import Plane, Section
from gencosmo.io.fits import ReadOptions, read_fits
from gencosmo.io.plate_names import Place, place_of
from gencosmo.io.region import section_within
from gencosmo.io.registry import format_of, named_format
from gencosmo.io.stack import split_name
from gencosmo.io.stack_format import read_stack
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from gencosmo.io.zarr import plate_images
from gencosmo.tasks.evidence import check_scorable
from gencosmo.tasks.few import DISK_PER_PIXEL, Later

__all__ = ["Cutout", "cutouts_of", "named_files", "words_of"]

MARKS = ("_thumb", ".std.ome.tif", ".fill.ome.tif", ".flags.ome.tif", ".samples.ome.tif")
"""Files beside images that are none: thumbnails of MetaXpress, and what stands beside an output."""


@dataclass(frozen=True)
class Cutout:
    """One image to rank: its file, its pixels (to be read), its channel (those of one channel are compared), and where
    it lies.

    `place`: on a plate; `corner`: first row and column on a slide.
    """

    file: str
    image: Later
    channel: str = ""
    place: Place | None = None
    corner: tuple[int, int] | None = None


def cutouts_of(
    source: str,
    options: ReadOptions,
    *,
    region: Section | None,
    side: int,
    left_out: dict[str, GencosmoError] | None = None,
) -> list[Cutout]:
    """Return what is to be ranked.

    Parameters
    ----------
    source : str
        A folder of images (also of folders of wells), an OME-Zarr plate, or one image with axes: a slide.
    options : ReadOptions
    region : (slice, slice), optional
        Rows and columns of every image.
    side : int
        Of the pieces that a slide is cut into, in pixels.
    left_out : dict, optional
        Gets the errors of files of a folder that cannot be used, by path, as long as others can; without it the first
        such file is the end.

    Raises
    ------
    InputError
        No image, or one that cannot be used.
    TooLargeError
        More pixels than the disk for temporary files has room for.
    """
    found: list[Cutout] = []
    room = 0.9 * shutil.disk_usage(tempfile.gettempdir()).free / DISK_PER_PIXEL
    pixels = 0.0
    faults = {} if left_out is None else left_out
    for cutout in _cutouts(source, options, region, side, None if left_out is None else faults):
        channels, height, width = cutout.image.shape
        pixels += channels * height * width
        if pixels > room:
            raise TooLargeError(
                f"{source}: more than {pixels:.2g} pixels, {tempfile.gettempdir()} has room to rank {room:.2g} at once",
                hint="set TMPDIR to a larger disk, or choose a part of every image with --region Y0:Y1,X0:X1",
            )
        found.append(cutout)
    if not found and faults:
        raise next(iter(faults.values()))
    return found


def named_files(source: str) -> list[str]:
    """Return the files whose kind decides which prior is the one for `source`."""
    return _files(source) if os.path.isdir(source) and not _is_zarr(source) else [source]


def _cutouts(
    source: str, options: ReadOptions, region: Section | None, side: int, left_out: dict[str, GencosmoError] | None
) -> Iterator[Cutout]:
    if os.path.isdir(source):
        inside = plate_images(source) if _is_zarr(source) else None
        if inside is None and not _is_zarr(source):
            for path in _files(source):
                try:
                    own = list(_whole(path, path, options, region))
                except GencosmoError as error:
                    if left_out is None:
                        raise
                    left_out[path] = error
                    continue
                yield from own
            return
        if inside is not None:
            for name in inside:
                yield from _whole(source, f"{source}[{name}]", replace(options, hdu=name), region)
            return
    elif not os.path.exists(source):
        raise InputError(f"no such file or folder: {source}", code="not_found")
    if format_of(source).name == "fits":
        raise InputError(f"{source} is not a folder", code="not_found", hint="of FITS a folder of cutouts is ranked")
    yield from _pieces(source, options, region, side)


def _is_zarr(path: str) -> bool:
    row = named_format(path)
    return (row is not None and row.name == "zarr") or any(
        os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zgroup", ".zattrs")
    )


def _files(folder: str) -> list[str]:
    """Images of a folder; of its folders when it holds none itself."""
    try:
        found = images_in(folder)
    except InputError as error:
        inner = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir()) if os.path.isdir(folder) else []
        found = []
        for path in inner:
            try:
                found += _files(path)
            except InputError:
                continue
        if not found:
            raise error from None
    kept = [path for path in found if not any(mark in os.path.basename(path).lower() for mark in MARKS)]
    if not kept:
        raise InputError(f"{folder} holds thumbnails and companions of outputs, and no image", code="not_found")
    return kept


def _whole(path: str, name: str, options: ReadOptions, region: Section | None) -> Iterator[Cutout]:
    """An image as it is; of a file with axes each channel by itself."""
    place = place_of(name)
    told = "" if place is None else place.channel
    if format_of(path).name == "fits":
        image = read_fits(path, options, region)
        check_scorable(image, name)
        yield Cutout(name, Later(image.shape, _again(lambda: read_fits(path, options, region))), told, place)
        return
    image = read_stack(path, options, region)
    check_scorable(image, name)
    names = image.meta.get("channel_names") or ()
    planes = image.meta.get("planes_read", ())
    # of a file with one channel its name tells nothing; one that was chosen among others is told
    chosen = isinstance(options, StackRead) and bool(options.channels)
    several, shape = image.shape[0] > 1 or chosen, (1, *image.shape[1:])
    for number in range(image.shape[0]):
        stored = planes[number][1] if number < len(planes) else number
        own = names[stored] if stored < len(names) and names[stored] else f"{stored}"
        parts = [told, own if several else ""]
        read = _again(partial(_read_channel, path, options, region, number))
        yield Cutout(name, Later(shape, read), " ".join(part for part in parts if part), place)


def _again(read: Callable[[], Image]) -> Callable[[], Image]:
    """The same, without warnings: they were given when the file was read for the first time."""

    def quiet() -> Image:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GencosmoWarning)
            return read()

    return quiet


def _read_channel(path: str, options: ReadOptions, region: Section | None, number: int) -> Image:
    return _channel(read_stack(path, options, region), number)


def _channel(image: Image, number: int) -> Image:
    if image.shape[0] == 1:
        return image
    cut = {
        word: None if (array := getattr(image, word)) is None else array[number : number + 1]
        for word in ("data", "ivar", "flags")
    }
    background = image.background
    if background is not None and getattr(background, "ndim", 0) == 3:
        background = background[number : number + 1]  # type: ignore[index]
    return image.replace(**cut, background=background)


class _Slide:
    """A slide whose pieces are read one by one; the file stays open until nobody has a piece left."""

    def __init__(self, path: str, options: ReadOptions) -> None:
        name, inner = split_name(path)
        options = options if inner is None else replace(options, hdu=inner)
        axes = options.axes if isinstance(options, StackRead) else None
        self.stack = open_stack(name, axes=axes, image=options.hdu, limit=options.limits.pixels)
        self.reader = StackReader(self.stack, options)

    def __del__(self) -> None:
        if hasattr(self, "reader"):
            self.reader.close()
        if hasattr(self, "stack"):
            self.stack.close()

    def piece(self, plane: Plane, section: Section) -> Later:
        """Rows and columns of a plane, to be read."""
        shape = (1, section[0].stop - section[0].start, section[1].stop - section[1].start)
        return Later(shape, lambda: self.reader.image(plane, section))


def _pieces(path: str, options: ReadOptions, region: Section | None, side: int) -> Iterator[Cutout]:
    """Squares of a slide, read one by one; what is left at the ends is part of the last."""
    if side < 32:
        raise UsageError(f"--cut {side} is not at least 32 pixels")
    slide = _Slide(path, options)
    axes, planes = slide.stack.axes, slide.reader.planes
    height, width = axes.inside[3:]
    part = section_within(region or (slice(None), slice(None)), height, width, path)
    if len({(plane.t, plane.z) for plane in planes}) > 1:
        count = len({(plane.t, plane.z) for plane in planes})
        text = f"{path} has {count} times and depths, a slide has one"
        raise InputError(text, code="axes", hint="choose with --times and --depths")
    for plane in planes:
        names = slide.stack.details.channel_names
        own = names[plane.c] if plane.c < len(names) and names[plane.c] else f"{plane.c}"
        for rows in _steps(part[0], side):
            for cols in _steps(part[1], side):
                piece = slide.piece(plane, (rows, cols))
                yield Cutout(path, piece, own if len(planes) > 1 else "", None, (rows.start, cols.start))


def _steps(part: slice, side: int) -> list[slice]:
    count = max(1, (part.stop - part.start) // side)
    starts = [part.start + side * n for n in range(count)]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], part.stop], strict=True)]


def words_of(cutout: Cutout) -> dict[str, Any]:
    """Return what is known of the place, by name of a column."""
    place, corner = cutout.place, cutout.corner
    path, bracket, inner = cutout.file.partition("[") if cutout.file.endswith("]") else (cutout.file, "", "")
    words: dict[str, Any] = {"file": os.path.basename(path.rstrip("/")) + bracket + inner}
    if place is not None:
        words |= {"plate": place.plate, "well": place.well, "field": place.field}
    if cutout.channel:
        words["channel"] = cutout.channel
    if corner is not None:
        words |= {"x": corner[1], "y": corner[0]}
    return words
