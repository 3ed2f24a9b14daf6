"""What a profile says about a file: which HDU is the science, the noise and the mask, and what the mask bits
mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError
from gencosmo.flags import FILL_BITS, bits_of
from gencosmo.io.hdus import FitsFile, Hdu

__all__ = ["NOISE_KINDS", "Layout", "MaskBit", "MaskPlanes", "PlaneRef", "Profile", "mask_bits"]

NOISE_KINDS = ("std", "variance", "ivar", "weight")
"""What a noise plane may hold; `weight` is proportional to `ivar` with an unknown factor."""


@dataclass(frozen=True)
class MaskBit:
    """One plane of a survey mask: its name there, its value (a bit, or a code), and our flags for it."""

    name: str
    value: int
    flags: int


@dataclass(frozen=True)
class MaskPlanes:
    """All planes of a mask, and which of them ask for filling.

    `codes`: values are alternatives, not bits. `unnamed`: a value that no row names asks for filling too.
    `estimated`: the bit that the survey itself uses for "an estimate was put here"; None when there is none.
    `do_not_use`: the bit that may be cleared once a pixel is filled (JWST).
    """

    rows: tuple[MaskBit, ...]
    selected: frozenset[str]
    codes: bool = False
    unnamed: bool = False
    estimated: int | None = None
    do_not_use: int | None = None

    def choose(self, names: Iterable[str]) -> MaskPlanes:
        """Return the same planes with other ones asking for filling.

        Raises
        ------
        UsageError
            When the file has no plane of that name.
        """
        wanted = frozenset(name.strip().upper() for name in names if name.strip())
        have = [row.name for row in self.rows]
        for name in sorted(wanted - set(have)):
            raise UsageError(
                f"no mask plane {name!r} in this file",
                code="mask_planes",
                hint=f"it has: {', '.join(have) or 'none'}",
            )
        return replace(self, selected=wanted, unnamed=False)

    def counts(self, values: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of pixels in each plane that occurs."""
        marked = values[values != 0]
        found = {row.name: int(np.count_nonzero(self._hit(marked, row.value))) for row in self.rows}
        return {name: number for name, number in found.items() if number}

    def translate(self, values: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return our flags for survey mask values of any shape.

        A selected pixel gets every cause that its bits name; a pixel that is not selected gets only flags
        that are told, never one that asks for filling. Zero is no flag in any survey.
        """
        flags = np.zeros(values.shape, np.uint32)
        marked = values != 0
        flags[marked] = self._translate(values[marked])
        return flags

    def _translate(self, values: NDArray[np.int64]) -> NDArray[np.uint32]:
        flags = np.zeros(values.shape, np.uint32)
        chosen = self._selected(values)
        for row in self.rows:
            if not row.flags:
                continue
            hit = self._hit(values, row.value)
            if not hit.any():
                continue
            flags[hit] |= np.uint32(row.flags & ~FILL_BITS)
            flags[hit & chosen] |= np.uint32(row.flags & FILL_BITS)
        flags[chosen & ((flags & np.uint32(FILL_BITS)) == 0)] |= np.uint32(bits_of(["BAD"]))
        return flags

    def _hit(self, values: NDArray[np.int64], value: int) -> NDArray[np.bool_]:
        hit: NDArray[np.bool_] = values == value if self.codes else (values & value) != 0
        return hit

    def _selected(self, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        chosen = [row.value for row in self.rows if row.name in self.selected]
        named = [row.value for row in self.rows]
        if self.codes:
            hit: NDArray[np.bool_] = np.isin(values, chosen)
            return hit | ~np.isin(values, [0, *named]) if self.unnamed else hit
        select = 0
        for value in chosen:
            select |= value
        if self.unnamed:
            every = 0
            for value in named:
                every |= value
            select |= ~every
        hit = (values & np.int64(select)) != 0
        return hit


def mask_bits(table: Mapping[str, tuple[int, str]]) -> tuple[MaskBit, ...]:
    """Make rows from `{survey name: (value, "OUR FLAGS")}`."""
    return tuple(MaskBit(name, value, bits_of(words.split())) for name, (value, words) in table.items())


@dataclass(frozen=True)
class PlaneRef:
    """An image HDU of a file that may be another than the science file."""

    file: FitsFile
    hdu: Hdu


@dataclass(frozen=True)
class Layout:
    """One science image of a file and the planes that belong to it.

    `parts`: variances by cause whose sum is the variance of `noise` (VAR_* of JWST). `plane`: the plane of a cube
    that this is about, counted over all axes before the last two; None when there is one, or all are meant.
    """

    profile: str
    science: Hdu
    noise: PlaneRef | None = None
    noise_kind: str = "ivar"
    dq: PlaneRef | None = None
    planes: MaskPlanes | None = None
    notes: tuple[str, ...] = ()
    parts: tuple[PlaneRef, ...] = ()
    plane: int | None = None

    @property
    def label(self) -> str:
        """HDU number, name and plane, for messages."""
        name = f" {self.science.name}" if self.science.name else ""
        return f"HDU {self.science.index}{name}" + ("" if self.plane is None else f" plane {self.plane + 1}")

    def each_plane(self) -> list[Layout]:
        """Return this layout once for every plane of its image; as it is when there is one."""
        number = self.science.planes
        return [self] if number == 1 else [replace(self, plane=k) for k in range(number)]


@dataclass(frozen=True)
class Profile:
    """How one kind of file is laid out. A new survey = one file with a `PROFILE`, and one row in the
    table.
    """

    name: str
    about: str
    detect: Callable[[FitsFile], bool]
    layouts: Callable[[FitsFile], list[Layout]]
