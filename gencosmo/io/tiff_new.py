"""OME-TIFF made anew: of images that were no TIFF, and of the planes that go with an output (std, fill, flags).

Planes are made when their turn comes. Large ones are tiled and get smaller copies in SubIFDs, as QuPath and Bio-Formats
expect them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.levels import halve, level_sizes
from gencosmo.io.painted import TAG
from gencosmo.io.stack import Details

__all__ = ["metadata_of", "resolution_of", "write_ome"]

TILE = 512
TILED = 1 << 22
"""Pixels from which a plane is tiled and gets smaller copies."""
CLASSIC = 3_900_000_000

Read = Callable[[Plane, Section], NDArray[Any]]
Shrunk = Callable[[Plane, int, tuple[int, int]], NDArray[Any]]


def write_ome(
    path: str,
    axes: Axes,
    dtype: Any,
    read: Read,
    details: Details,
    *,
    words: Mapping[str, str],
    name: str = "",
    compress: bool = False,
    shrunk: Shrunk | None = None,
    document: Callable[[str, int], str | None] | None = None,
) -> None:
    """Write an OME-TIFF.

    Parameters
    ----------
    path : str
    axes : Axes
        Of the image it goes with: the order of T, C and Z stays, Y, X (and S) come last.
    dtype : dtype
    read : callable
        ``(plane, section)`` to values (H, W).
    details : Details
        Sizes and names of channels.
    words : mapping
        Provenance.
    name : str
        Of the image.
    compress : bool
        Deflate.
    shrunk : callable, optional
        ``(plane, level, size)`` to the values of a smaller copy; default: means of 2x2 pixels.
    document : callable, optional
        ``(order, pages)``, the letters of the pages and their number, to the OME-XML, or None for a new one; default.
    """
    import tifffile

    height, width = axes.inside[3:]
    leading = "".join(letter for letter in axes.letters if letter in "TCZ")
    rgb = axes.samples in (3, 4) and "S" in axes.letters
    if axes.samples > 1 and not rgb and "C" not in leading:
        leading += "C"
    counts = tuple(
        axes.inside["TCZ".index(letter)] // (axes.samples if rgb and letter == "C" else 1) for letter in leading
    )
    tail = (axes.samples,) if rgb else ()
    order = [_plane(leading, index, axes, rgb) for index in np.ndindex(*counts)]
    sizes = level_sizes(height, width) if height * width > TILED else []
    tile = (TILE, TILE) if sizes else None
    total = len(order) * height * width * max(1, axes.samples if rgb else 1) * np.dtype(dtype).itemsize
    settings: dict[str, Any] = {
        "photometric": "rgb" if rgb else "minisblack",
        "compression": "zlib" if compress else None,
        "tile": tile,
        "software": False,
    }
    if rgb:
        settings["planarconfig"] = "contig"
    settings |= resolution_of(details)
    text = None if document is None or axes.samples not in (1, 3, 4) else document(leading, len(order))
    told = metadata_of(leading + "YX" + ("S" if rgb else ""), counts, details, name, words) if text is None else None
    if text is not None:
        settings["description"] = text.encode()
    with tifffile.TiffWriter(path, bigtiff=total * (1.4 if sizes else 1) > CLASSIC, ome=text is None) as file:
        file.write(
            _pieces(order, (height, width), tile, lambda p: read(p, (slice(0, height), slice(0, width))), dtype),
            shape=(*counts, height, width, *tail),
            dtype=dtype,
            subifds=len(sizes) or None,
            metadata=told,
            extratags=[(TAG, 2, None, json.dumps([dict(words)]), True)] if words else [],
            **settings,
        )
        settings.pop("description", None)
        for number, size in enumerate(sizes, start=1):
            make = _shrink(read, (height, width), number) if shrunk is None else _level(shrunk, number, size)
            file.write(
                _pieces(order, size, tile, make, dtype),
                shape=(*counts, *size, *tail),
                dtype=dtype,
                subfiletype=1,
                metadata=None,
                **settings,
            )


def _plane(leading: str, index: tuple[int, ...], axes: Axes, rgb: bool) -> list[Plane]:
    """The planes of one page: one, or the samples of a pixel."""
    at = dict(zip(leading, index, strict=True))
    t, c, z = at.get("T", 0), at.get("C", 0), at.get("Z", 0)
    return [Plane(t, c * axes.samples + s, z) for s in range(axes.samples)] if rgb else [Plane(t, c, z)]


def _level(shrunk: Shrunk, number: int, size: tuple[int, int]) -> Callable[[Plane], NDArray[Any]]:
    return lambda plane: shrunk(plane, number, size)


def _shrink(read: Read, full: tuple[int, int], times: int) -> Callable[[Plane], NDArray[Any]]:
    def make(plane: Plane) -> NDArray[Any]:
        array = read(plane, (slice(0, full[0]), slice(0, full[1])))
        for _ in range(times):
            array = halve(array)
        return array

    return make


def _pieces(
    order: list[list[Plane]],
    size: tuple[int, int],
    tile: tuple[int, int] | None,
    make: Callable[[Plane], NDArray[Any]],
    dtype: Any,
) -> Iterator[NDArray[Any]]:
    """Pages, or the tiles of each, one after the other."""
    for planes in order:
        layers = [make(plane).astype(dtype, copy=False) for plane in planes]
        page = layers[0] if len(layers) == 1 else np.stack(layers, axis=-1)
        if tile is None:
            yield page
            continue
        for row in range(0, size[0], tile[0]):
            for col in range(0, size[1], tile[1]):
                part = page[row : row + tile[0], col : col + tile[1]]
                short = [(0, tile[0] - part.shape[0]), (0, tile[1] - part.shape[1])]
                yield np.pad(part, short + [(0, 0)] * (part.ndim - 2))


def _rgba(color: str) -> int:
    """As OME has it: opaque RGBA in a signed 32-bit integer."""
    told = int(color, 16) << 8 | 0xFF
    return told - (1 << 32) if told >= 1 << 31 else told


def resolution_of(details: Details) -> dict[str, Any]:
    """Return pixel sizes as tags of TIFF, which ImageJ reads where it does not read the OME-XML."""
    if details.x is None or details.y is None:
        return {}
    return {"resolution": (1e4 / details.x, 1e4 / details.y), "resolutionunit": "CENTIMETER"}


def metadata_of(
    letters: str, counts: tuple[int, ...], details: Details, name: str, words: Mapping[str, str]
) -> dict[str, Any]:
    """Return what tifffile needs for the OME-XML of one image."""
    found: dict[str, Any] = {"axes": letters}
    for axis, size in (("X", details.x), ("Y", details.y), ("Z", details.z)):
        if size is not None:
            found |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if details.time_step is not None:
        found |= {"TimeIncrement": details.time_step, "TimeIncrementUnit": "s"}
    channels = counts[letters.index("C")] if "C" in letters else 1
    if len(details.channel_names) == channels and any(details.channel_names):
        found["Channel"] = {"Name": list(details.channel_names)}
    if len(details.channel_colors) == channels and all(details.channel_colors):
        found.setdefault("Channel", {})["Color"] = [_rgba(color) for color in details.channel_colors]
    if name or details.name:
        found["Name"] = name or details.name
    if words:
        found["MapAnnotation"] = {"Namespace": "gencosmo", **words}
    told = repr((letters, counts, details, name, sorted(words.items())))
    found["UUID"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, told)}"  # the same output has the same bytes
    return found
