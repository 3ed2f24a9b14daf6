"""OME-Zarr (NGFF 0.4 on Zarr 2, 0.5 on Zarr 3) and bare Zarr arrays, read section by section."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import FormatError, InputError, TooLargeError, UsageError, digits
from gencosmo.io.axes import Plane, Section, parse_axes
from gencosmo.io.ngff import Step, steps_of_image
from gencosmo.io.stack import Details, Stack, check_dtype, in_seconds, size_in_um, with_others

__all__ = ["ZarrStack", "multiscales_of", "open_array", "plate_images", "read_attributes", "zarr_package"]


def zarr_package() -> Any:
    """Return the package zarr, or raise `UsageError` (`extra`)."""
    try:
        import zarr
    except ImportError:
        raise UsageError(
            "OME-Zarr needs the package zarr", code="extra", hint="pip install 'gencosmo[micro]'"
        ) from None
    return zarr


class ZarrStack(Stack):
    """One image of a Zarr hierarchy; see `gencosmo.io.stack.Stack`.

    Attributes
    ----------
    group : str
        Path of the image's group below `path`, "" for the root.
    levels : list of str
        Paths of its arrays from full size down, below `group`.
    version : str
        NGFF version; "" for a bare array.
    steps : mapping
        Letter to `Step`: sizes, places and units of its axes as it says them.
    """

    def __init__(self, path: str, axes: str | None, image: str | int | None, limit: int, mask: bool = False) -> None:
        self.path, self.limit = os.fspath(path).rstrip("/" + os.sep), limit
        self.group = _image_group(self.path, None if image in (None, "all") else str(image).strip("/"))
        attributes = read_attributes(os.path.join(self.path, self.group))
        self.version, scales = multiscales_of(attributes, self.path)
        self.levels = [""] if scales is None else [str(row["path"]) for row in scales["datasets"]]
        self.kind = "zarr" if scales is None else "ome-zarr"
        self.arrays = [open_array(self.path, self.group, name) for name in self.levels]
        self.array = self.arrays[0]
        self.dtype = check_dtype(self.array.dtype, self.path, mask=mask)
        told = "Q" * self.array.ndim
        if scales is not None:
            told = _letters(scales, self.array.ndim)
        self.axes = parse_axes(told, self.array.shape, asked=axes, where=self.path)
        self._full = "".join(a if a in self.axes.letters else "-" for a in (axes or told).upper())
        if len(self._full) != self.array.ndim or len(self._full.replace("-", "")) != len(self.axes.letters):
            raise UsageError(
                f"--axes {axes}: give a letter for each of the {self.array.ndim} axes of {self.path}", code="axes"
            )
        chunk = getattr(self.array, "chunks", self.array.shape)
        if math.prod(chunk) > limit:
            raise TooLargeError(
                f"{self.path}: one chunk unpacks to {math.prod(chunk):.2g} values, limit {limit:.2g}",
                hint="raise --max-pixels if the file is sound and the memory suffices",
            )
        told_steps = {} if scales is None else steps_of_image(scales, self._full)
        self.details = _details(attributes, scales, told_steps, self._full)
        self.steps = _sound(told_steps, self.details)
        if image is None and self.group:
            self.details = with_others(self.details, self.path, _collection(self.path)[1:])

    def close(self) -> None:
        """Nothing stays open."""

    def index(self, plane: Plane, section: Section) -> tuple[int | slice, ...]:
        """Return the index into the stored array, axes of one pixel included."""
        own = iter(self.axes.index(plane, section))
        return tuple(0 if letter == "-" else next(own) for letter in self._full)

    @property
    def letters(self) -> str:
        """A letter per stored axis; `-` for one of one pixel that is not named."""
        return self._full

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return stored values of one plane; only the chunks that are asked for are decoded."""
        return self.read_level(0, plane, section)

    def read_level(self, level: int, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """The same of a smaller copy."""
        if section is None:
            self.check_size(whole=True)
            section = (slice(None), slice(None))
        self._check_chunks(level, self.index(plane, section))
        try:
            found = np.asarray(self.arrays[level][self.index(plane, section)])
        except MemoryError:
            raise
        except Exception as error:  # of many kinds, for damaged chunks
            raise InputError(
                f"{self.path}: a chunk of {plane} cannot be unpacked: {error}", code="truncated", hint="re-transfer it"
            ) from None
        found = found.T if self.axes.transposed else found
        return np.ascontiguousarray(found).astype(found.dtype.newbyteorder("="), copy=False)

    def _check_chunks(self, level: int, index: tuple[int | slice, ...]) -> None:
        """Refuse stored chunks (shards) that are larger than their values bare: codecs unpack all that is there."""
        array = self.arrays[level]
        sides = array.shards or array.chunks
        spans = [
            range(*part.indices(size)) if isinstance(part, slice) else range(part, part + 1)
            for part, size in zip(index, array.shape, strict=True)
        ]
        most = (
            int(1.1 * math.prod(sides) * array.dtype.itemsize)
            + 65536
            + 64 * math.prod(sides) // math.prod(array.chunks)
        )
        folder = os.path.join(self.path, self.group, self.levels[level])
        grid = (range(span.start // side, (span.stop - 1) // side + 1) for span, side in zip(spans, sides, strict=True))
        for place in product(*grid):
            name = os.path.join(folder, *array.metadata.encode_chunk_key(place).split("/"))
            size = os.path.getsize(name) if os.path.isfile(name) else 0
            if size > most:
                raise TooLargeError(
                    f"{name} is {digits(size)} bytes, and holds {digits(most)} at most by its description",
                    hint="is the file sound?",
                )


def read_attributes(folder: str) -> dict[str, Any]:
    """Return the attributes of a group or array of Zarr 2 or 3, empty when it has none.

    Raises
    ------
    InputError
        `bad_header` when they are no JSON.
    """
    for name in ("zarr.json", ".zattrs"):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        try:
            with open(path, encoding="utf-8") as file:
                words = json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is damaged: {error}", code="bad_header") from None
        found = words.get("attributes", {}) if name == "zarr.json" and isinstance(words, dict) else words
        return found if isinstance(found, dict) else {}
    return {}


def multiscales_of(attributes: Mapping[str, Any], where: str = "OME-Zarr") -> tuple[str, dict[str, Any] | None]:
    """Return NGFF version and the first multiscales entry, None when there is none; `where` is for messages."""
    ome = attributes.get("ome")
    words = ome if isinstance(ome, dict) else attributes
    rows = words.get("multiscales")
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return "", None
    version = str(words.get("version") or rows[0].get("version") or "0.4")
    sets = rows[0].get("datasets")
    if not isinstance(sets, list) or not sets or not all(isinstance(r, dict) and "path" in r for r in sets):
        raise InputError(f"{where}: multiscales without datasets", code="bad_header")
    return version, rows[0]


def open_array(path: str, group: str, name: str) -> Any:
    """Open an array for reading.

    Raises
    ------
    InputError
        `bad_header`, when there is none or its description is damaged; `compression` for an unknown codec.
    """
    where = "/".join(part for part in (group, name) if part)
    try:
        return zarr_package().open_array(path, path=where or None, mode="r")
    except UsageError:
        raise
    except Exception as error:  # of many kinds
        text = f"{path}: its array {where!r} cannot be opened: {error}"
        code = "compression" if "codec" in str(error).lower() else "bad_header"
        raise InputError(text, code=code) from None


def _image_group(path: str, asked: str | None) -> str:
    if not os.path.isdir(path):
        raise FormatError(f"{path} is no folder", code="not_zarr")
    if asked is not None:
        if not os.path.isdir(os.path.join(path, asked)) or ".." in asked.split("/"):
            raise InputError(f"{path} has no image {asked!r}", code="hdu_not_found", hint=_images(path))
        return asked
    attributes = read_attributes(path)
    words = attributes.get("ome", attributes)
    if multiscales_of(attributes, path)[1] is not None:
        return ""
    if isinstance(words, dict) and ("plate" in words or "well" in words):
        raise InputError(f"{path} is a plate of many images", code="no_image", hint=_images(path))
    if isinstance(words, dict) and "bioformats2raw.layout" in words and os.path.isdir(os.path.join(path, "0")):
        return "0"
    if os.path.isfile(os.path.join(path, ".zarray")):
        return ""
    try:
        with open(os.path.join(path, "zarr.json"), encoding="utf-8") as file:
            node = json.load(file).get("node_type")
    except (OSError, ValueError, AttributeError):
        node = None
    if node == "array":
        return ""
    raise InputError(f"{path} has no multiscales image at its root", code="no_image", hint=_images(path))


def _collection(path: str) -> list[str]:
    """The images `0`, `1`, ... of a collection (bioformats2raw)."""
    names = [name for name in os.listdir(path) if name.isdigit() and os.path.isdir(os.path.join(path, name))]
    return sorted(names, key=int)


def plate_images(path: str) -> list[str] | None:
    """Return the paths of a plate's fields, well by well; None when `path` is no plate.

    Raises
    ------
    InputError
        `no_image`: a plate without fields.
    """
    attributes = read_attributes(path)
    words = attributes.get("ome", attributes)
    plate = words.get("plate") if isinstance(words, dict) else None
    if not isinstance(plate, dict):
        return None
    wells = [str(row.get("path", "")) for row in plate.get("wells") or [] if isinstance(row, dict)]
    found = []
    for well in wells:
        own = read_attributes(os.path.join(path, well))
        told = own.get("ome", own).get("well") if ".." not in well.split("/") else None
        rows = told.get("images") if isinstance(told, dict) else None
        found += [f"{well}/{row['path']}" for row in rows or [] if isinstance(row, dict) and "path" in row]
    if not found:
        raise InputError(f"{path} is a plate without fields", code="no_image")
    return found


def _images(path: str) -> str:
    """Name images below, as a hint."""
    found: list[str] = []
    for folder, folders, _ in os.walk(path):
        depth = os.path.relpath(folder, path).count(os.sep)
        if depth > 2 or len(found) > 8:
            folders.clear()
            continue
        folders.sort()
        if folder != path and multiscales_of(read_attributes(folder))[1] is not None:
            found.append(os.path.relpath(folder, path))
            folders.clear()
    return (
        f"--hdu {found[0]} (also {', '.join(found[1:8])})" if len(found) > 1 else f"--hdu {found[0]}" if found else ""
    )


def _sound(steps: Mapping[str, Step], details: Details) -> dict[str, Step]:
    """Leave out what is no size, and the lengths that were told to be absurd."""
    sizes = {"X": details.x, "Y": details.y, "Z": details.z}
    known = {letter for letter, one in steps.items() if not one.unit or sizes.get(letter, 1.0) is not None}
    return {letter: one for letter, one in steps.items() if letter in known and 0 < one.scale < math.inf}


def _letters(scales: Mapping[str, Any], ndim: int) -> str:
    rows = scales.get("axes")
    if not isinstance(rows, list):
        return "TCZYX"[-ndim:] if ndim == 5 else "Q" * ndim
    names = [str(row.get("name", "Q") if isinstance(row, dict) else row).upper() for row in rows]
    letters = "".join(name if name in ("T", "C", "Z", "Y", "X") else "Q" for name in names)
    return letters if len(letters) == ndim else "Q" * ndim


def _details(
    attributes: Mapping[str, Any], scales: Mapping[str, Any] | None, steps: Mapping[str, Step], letters: str
) -> Details:
    if scales is None:
        return Details()
    rows = scales.get("axes") or []
    units = {letter: row.get("unit") for letter, row in zip(letters, rows, strict=False) if isinstance(row, dict)}
    sizes: dict[str, float | None] = {}
    doubts: tuple[tuple[str, str], ...] = ()
    for letter in (letter for letter in letters if letter in "XYZ" and units.get(letter)):
        step = steps.get(letter, Step(math.nan))
        sizes[letter.lower()], more = size_in_um(step.scale, str(units[letter]), letter)
        doubts += more
    words = attributes.get("ome", attributes)
    shown = words.get("omero") if isinstance(words, dict) else None
    told = shown.get("channels") if isinstance(shown, dict) else None
    channels = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    colors = [str(row.get("color", "")).lstrip("#")[:6].upper() for row in channels]
    return Details(
        x=sizes.get("x"),
        y=sizes.get("y"),
        z=sizes.get("z"),
        time_step=in_seconds(steps["T"].scale, steps["T"].unit) if "T" in steps and steps["T"].unit else None,
        channel_names=tuple(str(row.get("label", "")) for row in channels),
        channel_colors=tuple(color if re.fullmatch("[0-9A-F]{6}", color) else "" for color in colors),
        name=str(scales.get("name") or ""),
        doubts=doubts,
    )
