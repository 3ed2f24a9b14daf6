"""What becomes of a plane when pixels were filled, by what the plane holds.

A change takes the stored pixels of a plane, its number in a cube (None when there is one) and what was filled there
(None: nothing), and returns the plane as it is written; None when the whole HDU stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gencosmo.io.filled import Filled
from gencosmo.io.layout import MaskPlanes, PlaneRef
from gencosmo.io.noise import to_kind, variance_shares
from gencosmo.io.patch import as_floating, flag_estimated, floating_type, patched
from gencosmo.io.pixels import Pixels, load

__all__ = ["Change", "noise_change", "part_changes", "quality_change", "science_change"]

Change = Callable[[Pixels, int | None, Filled | None], Pixels | None]


def science_change(ref: PlaneRef, *, wide: bool) -> Change:
    """Exchange the filled pixels; with `wide`, integers become floats of one type for all planes."""
    dtype = None
    if wide:
        numbers = range(ref.hdu.planes) if ref.hdu.planes > 1 else [None]
        dtype = floating_type(load(ref.file, ref.hdu, plane=k) for k in numbers)

    def change(pixels: Pixels, number: int | None, item: Filled | None) -> Pixels:
        if dtype is not None:
            pixels = as_floating(pixels, dtype)
        return pixels if item is None else patched(pixels, item.where, pixels.encode(item.mean.astype(np.float64)))

    return change


def noise_change(kind: str) -> Change:
    """Write the posterior spread in the plane's own kind."""

    def change(pixels: Pixels, number: int | None, item: Filled | None) -> Pixels:
        if item is None:
            return pixels
        return patched(pixels, item.where, pixels.encode(to_kind(item.std.astype(np.float64), kind)))

    return change


def part_changes(parts: Sequence[PlaneRef]) -> list[Change]:
    """Split the posterior variance among variances by cause, in their shares elsewhere in the plane."""

    def change(mine: int, pixels: Pixels, number: int | None, item: Filled | None) -> Pixels:
        if item is None:
            return pixels
        share = variance_shares([load(ref.file, ref.hdu, plane=number) for ref in parts], item.holes)[mine]
        values = to_kind(item.std.astype(np.float64), "variance") * share
        return patched(pixels, item.where, pixels.encode(values))

    return [partial(change, mine) for mine in range(len(parts))]


def quality_change(planes: MaskPlanes, *, clear: bool) -> Change:
    """Set the survey's own "estimated" bit."""

    def change(pixels: Pixels, number: int | None, item: Filled | None) -> Pixels | None:
        if item is None:
            where = np.zeros(pixels.planes().shape[-2:], np.bool_)
            return flag_estimated(pixels, where, planes, clear=clear)
        return flag_estimated(pixels, item.holes, planes, clear=clear)

    return change
