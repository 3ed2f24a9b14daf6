"""Posterior samples as one OME-TIFF: a modulo dimension along time, as the OME model has it for more than five axes.

SizeT is times x samples, samples fastest, and an annotation (`ModuloAlongT`, type "other") says so: programs that do
not know it show a longer series. https://docs.openmicroscopy.org/ome-model/6.2.2/developers/6d-7d-and-8d-storage.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.painted import TAG
from gencosmo.io.stack import Details
from gencosmo.io.tiff_new import CLASSIC, TILE, TILED, metadata_of, resolution_of

__all__ = ["write_samples"]

Draw = Callable[[int, Plane, Section], NDArray[Any]]


def write_samples(
    path: str, axes: Axes, number: int, draw: Draw, details: Details, *, words: Mapping[str, str]
) -> None:
    """Write `number` samples of an image whose samples of colour count as channels, float32, deflated.

    Parameters
    ----------
    path : str
    axes : Axes
        Without S.
    number : int
    draw : callable
        ``(sample, plane, section)`` to values (H, W).
    details : Details
        Sizes and names of channels.
    words : mapping
        Provenance.
    """
    import tifffile

    height, width = axes.inside[3:]
    leading = "".join(letter for letter in axes.letters if letter in "TCZ")
    leading = leading.replace("T", "TQ") if "T" in leading else f"Q{leading}"
    counts = tuple(number if letter == "Q" else axes.size(letter) for letter in leading)
    everything = (slice(0, height), slice(0, width))
    tile = (TILE, TILE) if height * width > TILED else None

    def pages() -> Iterator[NDArray[Any]]:
        for index in np.ndindex(*counts):
            at = dict(zip(leading, index, strict=True))
            plane = Plane(*(at.get(letter, 0) for letter in "TCZ"))
            page = draw(at["Q"], plane, everything).astype(np.float32, copy=False)
            yield from [page] if tile is None else _tiles(page)

    told = metadata_of(leading + "YX", counts, details, "samples", words)
    told["TypeDescription"] = {"Q": "posterior sample"}
    total = 4 * int(np.prod(counts)) * height * width
    with tifffile.TiffWriter(path, bigtiff=total > CLASSIC, ome=True) as file:
        file.write(
            pages(),
            shape=(*counts, height, width),
            dtype=np.float32,
            photometric="minisblack",
            compression="zlib",
            tile=tile,
            software=False,
            metadata=told,
            **resolution_of(details),
            extratags=[(TAG, 2, None, json.dumps([dict(words)]), True)] if words else [],
        )


def _tiles(page: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for row in range(0, page.shape[0], TILE):
        for col in range(0, page.shape[1], TILE):
            part = page[row : row + TILE, col : col + TILE]
            yield np.pad(part, [(0, TILE - part.shape[0]), (0, TILE - part.shape[1])])
