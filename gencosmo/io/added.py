"""The planes that gencosmo adds to a file, and what an earlier run left of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.build import flag_cards, image_cards, streamed, to_stored
from gencosmo.io.cards import Cards, Value
from gencosmo.io.compress import compressed_planes
from gencosmo.io.earlier import earlier_plane, plane_label
from gencosmo.io.filled import Filled
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.pixels import load

__all__ = ["added_planes"]

Words = dict[str, tuple[Value, str]]
_STORED = {8: "u1", 32: ">i4", -32: ">f4"}


def added_planes(file: FitsFile, items: Sequence[Filled], version: int, *, packed: bool) -> Iterator[bytes]:
    """Yield GCM_FILL (1 filled, + 2 hole too large, + 4 prior out of its domain; 0 where a good pixel was denoised),
    GCM_STD, and when there are some
    GCM_FLAG (causes that finders gave) and GCM_SAMP, for all planes of one science HDU.

    Where this run filled nothing the values of an earlier run stay; causes of both runs are joined.
    """
    science, first = items[0].layout.science, items[0]
    described: Words = {
        "GCMOF": (plane_label(science), "HDU that this plane describes"),
        "GCMOFV": (science.version, "its EXTVER"),
    }
    words = described | {"GCMTARG": (first.target, "what the spread is of: frame or scene")}
    if first.unit and first.unit.isascii() and len(first.unit) < 60:
        words["BUNIT"] = (first.unit, "")
    make = partial(_hdu, file, items, version, packed)
    yield from make("GCM_FILL", np.dtype(np.uint8), described, lambda item: item.kinds)
    yield from make("GCM_STD", np.dtype(np.float32), words, lambda item: item.std)
    before = earlier_plane(file, science, "GCM_FLAG")
    if before is not None or any(item.causes is not None for item in items):
        yield from make("GCM_FLAG", np.dtype(np.uint32), described | flag_cards(), lambda item: item.causes)
    if first.samples is not None:
        yield from _samples(items, version, packed, words)


def _hdu(
    file: FitsFile,
    items: Sequence[Filled],
    version: int,
    packed: bool,
    name: str,
    dtype: np.dtype[Any],
    words: Words,
    values: Callable[[Filled], NDArray[Any] | None],
) -> Iterator[bytes]:
    """One HDU, made plane by plane."""
    science = items[0].layout.science
    before = earlier_plane(file, science, name)
    join = name == "GCM_FLAG" or (name == "GCM_FILL" and items[0].everywhere)
    planes = _planes(file, items, before, dtype, values, join=join)
    shape = _shape(items)
    yield from _written(image_cards(dtype, shape, name, version=version, more=words), planes, shape, packed)


def _shape(items: Sequence[Filled]) -> tuple[int, ...]:
    layout = items[0].layout
    return items[0].size if layout.plane is None else (layout.science.planes, *items[0].size)


def _planes(
    file: FitsFile,
    items: Sequence[Filled],
    before: Hdu | None,
    dtype: np.dtype[Any],
    values: Callable[[Filled], NDArray[Any] | None],
    *,
    join: bool,
) -> Iterator[NDArray[Any]]:
    size, science = items[0].size, items[0].layout.science
    of_plane: dict[int | None, Filled] = {item.layout.plane: item for item in items}
    for k in [None] if items[0].layout.plane is None else range(science.planes):
        plane = np.zeros(size, dtype)
        if before is not None and before.planes == science.planes:
            old = load(file, before, plane=k)
            if old.planes().shape[-2:] == size:
                plane = (old.integers()[0] if old.is_integer else old.planes()[0]).astype(dtype)
        item = of_plane.get(k)
        new = None if item is None else values(item)
        if item is not None and new is not None:
            flat = plane.reshape(-1)
            flat[item.places] = flat[item.places] | new if join else new
        yield plane


def _samples(items: Sequence[Filled], version: int, packed: bool, words: Words) -> Iterator[bytes]:
    """All samples of a plane lie behind each other; of a cube, plane after plane within each sample."""
    number = max(len(item.samples) for item in items if item.samples is not None)
    shape = (number, *_shape(items))
    of_plane: dict[int | None, Filled] = {item.layout.plane: item for item in items}
    science = items[0].layout.science
    numbers = [None] if items[0].layout.plane is None else list(range(science.planes))

    def planes() -> Iterator[NDArray[Any]]:
        for s in range(number):
            for k in numbers:
                item = of_plane.get(k)
                samples = None if item is None else item.samples
                yield np.zeros(items[0].size, np.float32) if samples is None else samples[s]

    cards = image_cards(np.dtype(np.float32), shape, "GCM_SAMP", version=version, more=words)
    yield from _written(cards, planes(), shape, packed)


def _written(cards: Cards, planes: Iterable[NDArray[Any]], shape: tuple[int, ...], packed: bool) -> Iterator[bytes]:
    stored = (to_stored(plane) for plane in planes)
    if not packed:
        yield from streamed(cards, stored)
        return
    yield from compressed_planes(cards, stored, shape, np.dtype(_STORED[cards.integer("BITPIX") or 8]))
