"""Axes of microscopy images: TCZYX inside, the user's own order outside.

A stored array has one letter per axis: T time, C channel, Z depth, Y row, X column, S samples of a pixel (RGB). Inside
there are five axes in the order TCZYX; samples are folded into channels, ``c * samples + s``, and unfolded on the way
out. A *plane* is one (t, c, z).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError

__all__ = ["LETTERS", "ORDER", "Axes", "Plane", "check_letters", "parse_axes"]

ORDER = "TCZYX"
LETTERS = "TCZYXS"

Section = tuple[slice, slice]
Index = tuple[int | slice, ...]


class Plane(NamedTuple):
    """One plane: numbers of time, channel (samples folded in) and depth, from 0."""

    t: int
    c: int
    z: int

    def __str__(self) -> str:
        return f"T{self.t} C{self.c} Z{self.z}"


@dataclass(frozen=True)
class Axes:
    """Letters and sizes of a stored array, in its own order; Y and X are among them."""

    letters: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_letters(self.letters)
        if len(self.letters) != len(self.shape):
            raise InputError(
                f"axes {self.letters} name {len(self.letters)} axes, the array has shape {self.shape}", code="axes"
            )
        if 0 in self.shape:
            raise InputError(f"image has zero pixels (shape {self.shape})", code="empty_image")

    def size(self, letter: str) -> int:
        """Return the size of an axis, 1 when it is not stored."""
        return self.shape[self.letters.index(letter)] if letter in self.letters else 1

    @property
    def samples(self) -> int:
        """Samples per pixel."""
        return self.size("S")

    @property
    def inside(self) -> tuple[int, int, int, int, int]:
        """Shape TCZYX, samples folded into C."""
        return self.size("T"), self.size("C") * self.samples, self.size("Z"), self.size("Y"), self.size("X")

    @property
    def pixels(self) -> int:
        """Pixels of one plane."""
        return self.size("Y") * self.size("X")

    def planes(self) -> Iterator[Plane]:
        """All planes, z fastest, then c, then t."""
        t, c, z, _, _ = self.inside
        return (Plane(*divmod_all(n, (c, z))) for n in range(t * c * z))

    def index(self, plane: Plane, section: Section = (slice(None), slice(None))) -> Index:
        """Return the index into the stored array that gives a plane, with Y and X in the stored order."""
        channel, sample = divmod(plane.c, self.samples)
        at: dict[str, int | slice] = {
            "T": plane.t, "C": channel, "Z": plane.z, "S": sample, "Y": section[0], "X": section[1],
        }  # fmt: skip
        return tuple(at[letter] for letter in self.letters)

    @property
    def transposed(self) -> bool:
        """Whether X is stored before Y."""
        return self.letters.index("X") < self.letters.index("Y")

    def plane(self, array: Any, plane: Plane, section: Section = (slice(None), slice(None))) -> NDArray[Any]:
        """Return rows and columns (H, W) of one plane of the stored array (anything that takes such an index)."""
        found: NDArray[Any] = np.asarray(array[self.index(plane, section)])
        return found.T if self.transposed else found

    def to_inside(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the stored array as TCZYX, samples folded into C."""
        full = "TCSZYX"
        have = [letter for letter in full if letter in self.letters]
        moved = array.transpose([self.letters.index(letter) for letter in have])
        whole = moved.reshape([self.size(letter) for letter in full])
        return whole.reshape(self.inside)

    def from_inside(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array TCZYX in the stored order: the inverse of `to_inside`."""
        full = "TCSZYX"
        sizes = dict(zip(ORDER, array.shape, strict=True))
        unfolded = array.reshape(
            sizes["T"], sizes["C"] // self.samples, self.samples, sizes["Z"], sizes["Y"], sizes["X"]
        )
        drop = tuple(i for i, letter in enumerate(full) if letter not in self.letters)
        have = [letter for letter in full if letter in self.letters]
        return unfolded.squeeze(drop).transpose([have.index(letter) for letter in self.letters])


def divmod_all(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Split a number into digits of mixed radix, the first without a limit."""
    digits: list[int] = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return (number, *reversed(digits))


def check_letters(letters: str) -> None:
    """Raise `UsageError` unless these are different letters of TCZYXS with Y and X among them."""
    wrong = sorted(set(letters) - set(LETTERS))
    if wrong or len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        raise UsageError(
            f"axes {letters!r} are not different letters of {LETTERS} with Y and X among them",
            code="axes",
            hint="for example --axes ZCYX",
        )


def parse_axes(told: str, shape: Sequence[int], *, asked: str | None = None, where: str = "the file") -> Axes:
    """Return the axes of a stored array.

    Parameters
    ----------
    told : str
        What the file says, a letter per axis; letters that are not of TCZYXS say that it does not know.
    shape : sequence of int
        Of the stored array.
    asked : str, optional
        What the user says instead; axes of one pixel may be left out.
    where : str
        What messages call the file.

    Raises
    ------
    InputError, UsageError
        `axes`.
    """
    if asked is not None:
        return _asked(asked.upper(), told, tuple(shape), where)
    pairs = [(letter, size) for letter, size in zip(told, shape, strict=True) if letter in LETTERS or size != 1]
    letters, sizes = "".join(letter for letter, _ in pairs), tuple(size for _, size in pairs)
    unknown = [letter for letter in letters if letter not in LETTERS]
    if unknown or len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        raise InputError(
            f"{where}: shape {tuple(shape)} has no axes metadata that names {_guess(tuple(shape))}",
            code="axes",
            hint=f"pass --axes with a letter of {LETTERS} for each axis, for example --axes {_example(tuple(shape))}",
        )
    return Axes(letters, sizes)


def _asked(asked: str, told: str, shape: tuple[int, ...], where: str) -> Axes:
    check_letters(asked)
    if len(asked) == len(shape):
        return Axes(asked, shape)
    whole = tuple(size for size in shape if size != 1)
    if len(asked) == len(whole):
        return Axes(asked, whole)
    raise UsageError(
        f"--axes {asked} names {len(asked)} axes, {where} has shape {shape} ({told})",
        code="axes",
        hint=f"for example --axes {_example(shape)}",
    )


def _guess(shape: tuple[int, ...]) -> str:
    """What it could be, in words, so that an ambiguity is told and not solved."""
    if len(shape) == 3:
        return "its first axis: time, channel or depth" if shape[0] <= shape[-1] else "its axes: YXC, CYX, ZYX or TYX"
    return "its axes"


def _example(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "YXC" if shape[2] <= 4 < min(shape[:2]) else "CYX" if shape[0] <= 8 else "ZYX"
    return {2: "YX", 4: "ZCYX", 5: "TZCYX"}.get(len(shape), "TZCYXS")
