"""TIFF, BigTIFF, OME-TIFF and ImageJ hyperstacks, read page by page and segment by segment with tifffile."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, TooLargeError
from gencosmo.io.axes import Axes, Plane, Section, parse_axes
from gencosmo.io.ome_xml import ome_details, parse_ome
from gencosmo.io.stack import Details, Stack, check_dtype, size_in_um, truncated, with_others
from gencosmo.io.tiff_imagej import imagej_channels
from gencosmo.io.tiff_open import check_codec, open_tiff

__all__ = ["TiffStack", "page_array"]

_FILES = re.compile(r'FileName="([^"]*)"')


class TiffStack(Stack):
    """One series of a TIFF file; see `gencosmo.io.stack.Stack`.

    Attributes
    ----------
    file : tifffile.TiffFile
    number : int
        Which series.
    series : tifffile.TiffPageSeries
    """

    def __init__(self, path: str, axes: str | None, image: str | int | None, limit: int, mask: bool = False) -> None:
        self.path, self.limit = os.fspath(path), limit
        self.file = open_tiff(self.path)
        try:
            self.number, self.series = self._choose(image)
            self.kind = {"ome": "ome-tiff", "imagej": "imagej"}.get(self.series.kind, "tiff")
            frame = self.series.keyframe
            self.dtype = check_dtype(self.series.dtype, self.path, mask=mask)
            check_codec(self.path, frame)
            self._check_bytes()
            self.axes = parse_axes(self.series.axes, self.series.shape, asked=axes, where=self.path)
            self.details = self._details()
            if image is None:
                self.details = with_others(self.details, self.path, [str(n) for n in self._others()])
            self.alpha = _alpha(frame) if self.axes.samples == frame.samplesperpixel else ()
            self._inner = self._page_axes(tuple(n for n in frame.shape if n != 1) or (1,))
        except BaseException:
            self.file.close()
            raise
        self._last: tuple[int, NDArray[Any]] | None = None

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _choose(self, image: str | int | None) -> tuple[int, Any]:
        if self.file.is_ome and "<!ENTITY" in (self.file.pages[0].description or ""):
            parse_ome(self.file.pages[0].description, self.path)
        try:
            series = self.file.series
        except Exception as error:  # tifffile meets broken structure with whatever comes up
            raise InputError(f"{self.path}: its pages make no image: {error}", code="bad_header") from None
        text = "0" if image in (None, "all") else str(image)
        if not text.isdigit() or int(text) >= len(series):
            raise InputError(
                f"{self.path} has no series {image!r}, it has {len(series)}",
                code="hdu_not_found",
                hint="--hdu takes the number of a series, from 0",
            )
        chosen = series[int(text)]
        if any(page is not None and page.parent is not self.file for page in chosen.pages) or (
            None in chosen.pages and set(_FILES.findall(self.file.ome_metadata or "")) - {os.path.basename(self.path)}
        ):
            raise InputError(
                f"{self.path} is a part of an image in several files",
                code="multifile",
                hint="write it as one OME-TIFF or OME-Zarr first (bioformats2raw, Fiji)",
            )
        told = (self.file.imagej_metadata or {}).get("images", 1) if self.file.is_imagej else 1
        if chosen.kind != "imagej" and isinstance(told, int) and told > len(self.file.pages):
            raise truncated(self.path, f"ImageJ stack of {told}", told * chosen.keyframe.nbytes, self._size())
        return int(text), chosen

    def _others(self) -> list[int]:
        """Other series of this file with planes of that size or larger: no thumbnails, labels of slides, overviews."""
        planes = [
            math.prod(dict(zip(one.axes, one.shape, strict=True)).get(a, 1) for a in "YX") for one in self.file.series
        ]
        return [n for n, pixels in enumerate(planes) if n != self.number and 2 * pixels >= planes[self.number]]

    def _size(self) -> int:
        return os.path.getsize(self.path)

    def require(self, planes: Sequence[Plane]) -> None:
        """As `Stack.require`: an acquisition that was stopped has fewer pages than its OME-XML says."""
        if self._inner is None or None not in self.series.pages:
            return
        gone = [plane for plane in planes if self.series.pages[self.page_of(plane)[0]] is None]
        if gone:
            raise InputError(
                f"{self.path}: {len(gone)} of {len(planes)} planes are not in the file, the first is {gone[0]}",
                code="missing_planes",
                hint="fill those that are there with --times, --depths or --channels",
            )

    def _check_bytes(self) -> None:
        """Refuse what the file cannot hold, and segments that would unpack to too much, before anything is decoded."""
        have = self._size()
        if math.prod(self.series.shape) == 0:
            raise InputError(f"image has zero pixels (shape {self.series.shape})", code="empty_image")
        start = self.series.dataoffset
        if start is not None and start + self.series.nbytes > have:
            raise truncated(self.path, "the image", start + self.series.nbytes, have)
        pages = [page for page in self.series.pages if page is not None]
        for page in pages:
            ends = [a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=False) if n]
            if not ends:
                raise truncated(self.path, f"page {page.index}", self.series.keyframe.nbytes, 0)
            if max(ends) > have:
                raise truncated(self.path, f"page {page.index}", max(ends), have)
        frame = self.series.keyframe
        if frame.is_final:
            need = self.series.keyframe.nbytes
            short = next((p for p in pages if p.dataoffsets[0] + need > have), None)
            if short is not None:
                raise truncated(self.path, f"page {short.index}", short.dataoffsets[0] + need, have)
        elif math.prod(frame.chunks) > self.limit:
            raise TooLargeError(
                f"{self.path}: one segment unpacks to {math.prod(frame.chunks):.2g} values, limit {self.limit:.2g}",
                hint="raise --max-pixels if the file is sound and the memory suffices",
            )

    def _details(self) -> Details:
        if self.file.is_ome:
            return ome_details(parse_ome(self.file.ome_metadata, self.path), self.number)
        frame = self.series.keyframe
        imagej = self.file.imagej_metadata if self.kind == "imagej" else None
        unit = str((imagej or {}).get("unit", "")) if imagej is not None else _unit_of(frame)
        sizes: dict[str, float | None] = {"x": None, "y": None, "z": None}
        doubts: tuple[tuple[str, str], ...] = ()
        if unit not in ("", "pixel", "pixels", "in", "inch"):
            for axis, tag in (("x", "XResolution"), ("y", "YResolution")):
                ratio = frame.tags.valueof(tag)
                if ratio and ratio[0]:
                    sizes[axis], more = size_in_um(ratio[1] / ratio[0], unit, axis.upper())
                    doubts += more
            if imagej and "spacing" in imagej:
                sizes["z"], more = size_in_um(imagej["spacing"], unit, "Z")
                doubts += more
        doubts += _doubts_of_light(self.path, frame, self.kind)
        bits = int(np.max(frame.bitspersample))
        step = (imagej or {}).get("finterval")
        names, colors = imagej_channels(imagej or {}, self.axes.size("C"))
        return Details(
            x=sizes.get("x"),
            y=sizes.get("y"),
            z=sizes.get("z"),
            time_step=float(step) if isinstance(step, (int, float)) else None,
            channel_names=names,
            channel_colors=colors,
            significant_bits=bits if bits < 8 * self.dtype.itemsize else None,
            doubts=doubts,
        )

    def _page_axes(self, inner: tuple[int, ...]) -> Axes | None:
        """The axes of one page, None when pages do not hold whole rows and columns: then all is read at once."""
        letters, shape = self.axes.letters, self.axes.shape
        inner_letters = letters[len(letters) - len(inner) :]
        leading = math.prod(shape[: len(shape) - len(inner)])
        fits = shape[len(shape) - len(inner) :] == inner and leading == len(self.series.pages)
        return Axes(inner_letters, inner) if fits and {"Y", "X"} <= set(inner_letters) else None

    def page_of(self, plane: Plane) -> tuple[int, Plane]:
        """Return the number of the page that holds a plane, and which plane of that page it is."""
        assert self._inner is not None
        index = self.axes.index(plane)
        count = len(index) - len(self._inner.letters)
        lead = [int(i) for i in index[:count] if not isinstance(i, slice)]
        number = int(np.ravel_multi_index(lead, self.axes.shape[:count])) if count else 0
        rest = dict(zip(self.axes.letters[count:], index[count:], strict=True))
        at = {letter: value for letter, value in rest.items() if not isinstance(value, slice)}
        own = at.get("C", 0) * self._inner.samples + at.get("S", 0)
        return number, Plane(at.get("T", 0), own, at.get("Z", 0))

    @property
    def by_page(self) -> bool:
        """Whether each page holds whole planes."""
        return self._inner is not None

    @property
    def page_axes(self) -> Axes:
        """Axes of one page (`by_page`)."""
        assert self._inner is not None
        return self._inner

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return stored values of one plane; of a tiled or compressed page only the segments that are asked for."""
        if self._inner is None:
            found = self.axes.plane(self._whole(), plane, section or (slice(None), slice(None)))
            return np.ascontiguousarray(found, self.dtype)
        number, inside = self.page_of(plane)
        page = self.series.pages[number]
        if page is None:
            self.require([plane])
        if self._last is not None and self._last[0] == number:
            return np.ascontiguousarray(self._inner.plane(self._last[1], inside, section or (slice(None), slice(None))))
        if section is None or self._inner.transposed:
            if self.axes.pixels * self._inner.samples > self.limit:
                self.check_size(whole=True)
            whole = page_array(self.path, page).reshape(self._inner.shape)
            if self._inner.samples > 1 or len(self._inner.letters) > 2:
                self._last = (number, whole)
            return np.ascontiguousarray(self._inner.plane(whole, inside, section or (slice(None), slice(None))))
        return page_section(self.path, page, self._inner, inside, section)

    def _whole(self) -> NDArray[Any]:
        if self._last is None and self.series.dataoffset is not None:
            # one page stands for all: Fiji writes stacks beyond 4 GB so, values bare behind each other
            kind = np.dtype(self.series.dtype).newbyteorder(self.file.byteorder)
            self._last = (0, np.memmap(self.path, kind, "r", self.series.dataoffset, self.axes.shape))
        if self._last is None:
            if math.prod(self.axes.shape) > self.limit:
                raise TooLargeError(
                    f"{self.path}: its planes lie across pages, and all {math.prod(self.axes.shape):.2g} values are "
                    f"more than the limit {self.limit:.2g}",
                    hint="store X and Y last",
                )
            with decoding(self.path):
                self._last = (0, self.series.asarray().reshape(self.axes.shape))
        return self._last[1]


def _alpha(frame: Any) -> tuple[int, ...]:
    """Samples of opacity; those of a kind that is not told may be anything."""
    first = frame.samplesperpixel - len(frame.extrasamples)
    return tuple(first + n for n, kind in enumerate(frame.extrasamples) if int(kind) in (1, 2))


def _doubts_of_light(path: str, frame: Any, kind: str) -> tuple[tuple[str, str], ...]:
    """What a page says of its values that contradicts "more is brighter"; in ImageJ colours are for display only."""
    if kind == "imagej":
        return ()
    if int(frame.photometric) == 0:
        return (("inverted", f"{path}: its small values are the bright ones; photon noise means nothing for them"),)
    if int(frame.photometric) == 3 and frame.colormap is not None:
        brightness = np.asarray(frame.colormap, np.int64).sum(0)
        steps = np.sign(np.diff(brightness))
        if steps.min(initial=0) < 0 < steps.max(initial=0):
            text = f"{path}: its pixels are numbers of colours that run neither up nor down in brightness; they are "
            return (("palette", text + "taken for grey levels, which fits a display table and no indexed picture"),)
    return ()


def _unit_of(frame: Any) -> str:
    """Centimetres only: pixels per inch are the resolution of a printer."""
    return "cm" if frame.resolutionunit == 3 else ""


class decoding:  # noqa: N801 (reads as a word in a with statement)
    """Errors of codecs as ours."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, InputError | MemoryError) or not isinstance(error, Exception):
            return
        text = str(error) or type(error).__name__
        if "not supported" in text or "requires" in text or isinstance(error, NotImplementedError):
            raise InputError(
                f"{self._path}: {text}", code="compression", hint="write it uncompressed, LZW or deflate"
            ) from None
        raise InputError(
            f"{self._path}: its data cannot be unpacked: {text}", code="truncated", hint="re-transfer the file"
        ) from None


def page_array(path: str, page: Any) -> NDArray[Any]:
    """Return a whole page, native."""
    with decoding(path):
        array: NDArray[Any] = page.asarray()
        return array.astype(array.dtype.newbyteorder("="), copy=False)


def page_section(path: str, page: Any, axes: Axes, plane: Plane, section: Section) -> NDArray[Any]:
    """Return rows and columns of one plane of a page: mapped when it lies bare in the file, else of the segments that
    overlap.
    """
    rows, cols = (range(*part.indices(size)) for part, size in zip(section, axes.inside[3:], strict=True))
    frame = page.keyframe
    if page.is_final:
        kind = np.dtype(frame.dtype).newbyteorder(frame.parent.byteorder)
        mapped = np.memmap(path, kind, "r", int(page.dataoffsets[0]), axes.shape)
        found = axes.plane(mapped, plane, section)
        return np.ascontiguousarray(found).astype(kind.newbyteorder("="))
    out = np.zeros((len(rows), len(cols)), np.dtype(frame.dtype).newbyteorder("="))
    tall, wide = frame.chunks[-3:-1] if len(frame.chunks) > 2 else frame.chunks
    across = math.ceil(frame.imagewidth / wide)
    planar = frame.planarconfig == 2 and frame.samplesperpixel > 1
    first = plane.c * math.ceil(frame.imagelength / tall) * across if planar else 0
    tables = {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader} if frame.compression in (6, 7) else {}
    handle = frame.parent.filehandle
    for down in range(rows.start // tall, (rows.stop - 1) // tall + 1):
        for right in range(cols.start // wide, (cols.stop - 1) // wide + 1):
            number = first + down * across + right
            handle.seek(page.dataoffsets[number])
            raw = handle.read(page.databytecounts[number]) if page.databytecounts[number] else None
            with decoding(path):
                segment, _, _ = frame.decode(raw, number, _fullsize=False, **tables)
            if segment is None:
                continue
            tile = segment[0, ..., 0 if planar or segment.shape[-1] == 1 else plane.c]
            top, left = down * tall, right * wide
            a, b = max(rows.start, top), min(rows.stop, top + tile.shape[0])
            c, d = max(cols.start, left), min(cols.stop, left + tile.shape[1])
            out[a - rows.start : b - rows.start, c - cols.start : d - cols.start] = tile[
                a - top : b - top, c - left : d - left
            ]
    return out
