"""A TIFF again, page by page: every page, its tags and its smaller copies stay; only filled pixels change.

Pages keep their order, so that OME-XML, ImageJ descriptions and whatever else counts pages stay true. Pages that came
compressed without loss go back the same way; those that came with loss (JPEG and kin) go back as deflate, since packing
them again with loss would change pixels that nobody asked to change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.levels import Ladder
from gencosmo.io.ome_xml import edited_ome
from gencosmo.io.painted import TAG, Output
from gencosmo.io.stack import warn
from gencosmo.io.tiff import TiffStack, page_array
from gencosmo.io.tiff_new import CLASSIC

__all__ = ["COPIED", "copy_tiff"]

COPIED = ("ome", "imagej", "shaped", "generic", "uniform", "uic", "svs")
"""Kinds of files that are true page by page; others have tables of addresses, and become OME-TIFF."""
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)
_STRUCTURE = {
    254, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 282, 283, 284, 296, 317, 320, 322, 323, 324, 325, 330,
    338, 339, 347, 530, 531, 532, 32997, 32998, TAG,
}  # fmt: skip


def copy_tiff(output: Output, path: str, words: Mapping[str, str]) -> None:
    """Write the file of an output's stack again with its filled pixels.

    Parameters
    ----------
    output : Output
        Its stack is a `TiffStack` whose pages hold whole planes.
    path : str
        Where to write.
    words : mapping
        Provenance; a row of the list in the tag `TAG` of the first page, and an annotation in OME-XML.
    """
    import tifffile

    stack = output.stack
    assert isinstance(stack, TiffStack)
    roles = _Roles(output, stack)
    lossy: set[str] = set()
    with tifffile.TiffFile(stack.path) as source:
        pages = list(source.pages)
        total = sum(p.nbytes for p in pages) * 4 // 3
        wide = output.dtype.itemsize // stack.dtype.itemsize
        big = source.is_bigtiff or total * wide > CLASSIC
        first = _first(output, stack, source, words)
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=source.byteorder) as file:
            if stack.kind == "imagej" and _bare(pages, output):
                _write_bare(file, roles, pages, first, output)
                return
            for number, page in enumerate(pages):
                _write(file, roles, page, first if number == 0 else {}, output, lossy)
    for name in sorted(lossy):
        warn(f"{stack.path} came {name}-compressed and is written deflate, without loss", "lossless")


def _bare(pages: list[Any], output: Output) -> bool:
    """Whether pages are several and are written without compression, all of one kind."""
    frame = pages[0].keyframe
    alike = all(page.keyframe.shape == frame.shape and page.pages is None for page in pages)
    plain = _settings(frame, _empty(output), output, set())["compression"] is None
    return len(pages) > 1 and alike and plain and not frame.is_tiled


def _empty(output: Output) -> NDArray[Any]:
    return np.empty(0, output.dtype)


def _write_bare(file: Any, roles: _Roles, pages: list[Any], first: dict[str, Any], output: Output) -> None:
    """Planes behind each other without a byte between them: ImageJ reads its own stacks so, whatever the pages say."""
    frame, shape = pages[0].keyframe, pages[0].keyframe.shape
    settings = _settings(frame, _empty(output), output, set())
    file.write(
        (roles.array(page) for page in pages),
        shape=(len(pages), *shape),
        dtype=output.dtype,
        **settings,
        **_described(pages[0], first),
    )


def _write(file: Any, roles: _Roles, page: Any, first: dict[str, Any], output: Output, lossy: set[str]) -> None:
    subs = [] if page.pages is None else list(page.pages)
    whole = roles.array(page)
    file.write(whole, subifds=len(subs) or None, **_settings(page, whole, output, lossy), **_described(page, first))
    for sub in subs:
        small = roles.array(sub)
        file.write(small, **_settings(sub, small, output, lossy), **_described(sub, {}))


def _first(output: Output, stack: TiffStack, source: Any, words: Mapping[str, str]) -> dict[str, Any]:
    """What changes on the first page: provenance, and the OME-XML."""
    found: dict[str, Any] = {}
    if words:
        told = source.pages[0].tags.valueof(TAG)
        rows = [*rows_of(told), dict(words)]
        found["rows"] = json.dumps(rows)
    if source.is_ome:
        changed = output.dtype if output.dtype != stack.dtype else None
        found["description"] = edited_ome(
            source.pages[0].description, output.path, words=words, number=stack.number, dtype=changed, where=stack.path
        )
    return found


def rows_of(text: Any) -> list[dict[str, str]]:
    """Return the rows of provenance in a tag's text; empty when there are none, or none of this form."""
    try:
        rows = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _described(page: Any, first: Mapping[str, Any]) -> dict[str, Any]:
    """Tags that are no structure, as they were; the first page with what changes on it."""
    tags = [(tag.code, int(tag.dtype), tag.count, _raw(tag), True) for tag in page.tags if tag.code not in _STRUCTURE]
    text = first.get("description", page.tags.valueof(270))
    if "rows" in first:
        tags.append((TAG, 2, None, first["rows"], True))
    elif page.tags.valueof(TAG):
        tags.append((TAG, 2, None, page.tags.valueof(TAG), True))
    found: dict[str, Any] = {"extratags": tags, "metadata": None, "software": False, "subfiletype": page.subfiletype}
    if text:
        found["description"] = text.encode() if isinstance(text, str) else text
    if 282 in page.tags and 283 in page.tags:
        found |= {"resolution": (page.tags[282].value, page.tags[283].value), "resolutionunit": page.resolutionunit}
    return found


def _raw(tag: Any) -> bytes:
    """The value of a tag as it lies in the file: tifffile makes dictionaries of some."""
    handle = tag.parent.filehandle
    handle.seek(tag.valueoffset)
    return bytes(handle.read(tag.valuebytecount))


def _settings(page: Any, array: NDArray[Any], output: Output, lossy: set[str]) -> dict[str, Any]:
    """How a page is stored."""
    code, asked = int(page.compression), output.options.compress
    if code not in _LOSSLESS:
        lossy.add(str(getattr(page.compression, "name", code)).lower())
        code = 8
    if asked != "auto":
        code = 8 if asked == "gzip" else 1
    predictor = int(page.predictor) if code != 1 and code != 32773 else 1
    if predictor == 2 and array.dtype.kind == "f":
        predictor = 3
    elif predictor == 3 and array.dtype.kind != "f":
        predictor = 2
    photometric = int(page.photometric)
    found: dict[str, Any] = {
        "photometric": 2 if photometric == 6 else photometric,
        "compression": None if code == 1 else code,
        "predictor": None if predictor == 1 else predictor,
        "tile": (page.tilelength, page.tilewidth) if page.is_tiled else None,
        "rowsperstrip": None if page.is_tiled else page.rowsperstrip if code != 1 else None,
    }
    if page.samplesperpixel > 1:
        found |= {"planarconfig": int(page.planarconfig), "extrasamples": tuple(map(int, page.extrasamples))}
    if photometric == 3 and page.colormap is not None:
        found["colormap"] = page.colormap
        if array.dtype.kind == "f":
            found |= {"photometric": 1, "colormap": None}
    return {key: value for key, value in found.items() if value is not None or key == "compression"}


class _Roles:
    """Which pages hold what: a plane at full size, a smaller copy, or something that is only copied."""

    def __init__(self, output: Output, stack: TiffStack) -> None:
        self._output, self._stack = output, stack
        self._places: dict[int, tuple[int, int]] = {}
        self._levels = list(stack.series.levels)
        for level, series in enumerate(self._levels):
            for number, page in enumerate(series.pages):
                if page is not None:
                    self._places.setdefault(_key(page), (level, number))
        self._axes = [_level_axes(stack.page_axes, series.keyframe) for series in self._levels]
        self._ladder = Ladder([axes.inside[3:] for axes in self._axes])
        self._held: dict[int, list[Plane]] = {}
        for plane in output.planes:
            self._held.setdefault(stack.page_of(plane)[0], []).append(plane)
        self._last: tuple[tuple[int, int], NDArray[Any]] | None = None

    def array(self, page: Any) -> NDArray[Any]:
        """Return the values of a page of the output, in its own shape."""
        place = self._places.get(_key(page))
        if place is None:
            return page_array(self._stack.path, page)
        return self._made(*place).reshape(page.keyframe.shape)

    def _made(self, level: int, number: int) -> NDArray[Any]:
        if self._last is not None and self._last[0] == (level, number):
            return self._last[1]
        axes, page = self._axes[level], self._levels[level].pages[number]
        array = page_array(self._stack.path, page).reshape(axes.shape).astype(self._output.dtype)
        everything: Section = (slice(0, axes.inside[3]), slice(0, axes.inside[4]))
        below: NDArray[Any] | None = None
        for plane, view in self._views(array, axes, number):
            if level == 0:
                view[...] = self._output.paint(view, plane, everything)
                continue
            where = self._ladder.touched(self._output.repairs, plane, level, everything)
            if where[0].size:
                below = self._made(level - 1, number) if below is None else below
                under = self._axes[level - 1].plane(below, self._stack.page_of(plane)[1])
                section = (slice(0, under.shape[0]), slice(0, under.shape[1]))
                self._ladder.patch(view, level, everything, under, section, where)
        self._last = ((level, number), array)
        return array

    def _views(self, array: NDArray[Any], axes: Axes, number: int) -> Iterator[tuple[Plane, NDArray[Any]]]:
        """The planes of a page that changed, as views into its array."""
        for plane in self._held.get(number, []):
            if self._output.changes(plane):
                view = array[axes.index(self._stack.page_of(plane)[1])]
                yield plane, view.T if axes.transposed else view


def _key(page: Any) -> int:
    """What a page is known by: where its data begin."""
    return int(page.dataoffsets[0]) if len(page.dataoffsets) else -1


def _level_axes(axes: Axes, frame: Any) -> Axes:
    """The axes of a page of a smaller copy: only Y and X differ."""
    # what a page calls its length is the axis that is stored first
    sizes = dict(zip("XY" if axes.transposed else "YX", (frame.imagelength, frame.imagewidth), strict=True))
    return Axes(axes.letters, tuple(sizes.get(a, n) for a, n in zip(axes.letters, axes.shape, strict=True)))
