"""`Stack`: an open image file with axes, read by planes and sections; nothing is decoded before it is asked for.

What lies on disk stays as it is: values in the stored type, native byte order. `gencosmo.io.stack_image` makes an
`Image` of them.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError, TooLargeError, digits
from gencosmo.io.axes import Axes, Plane, Section

__all__ = [
    "LARGEST",
    "Content",
    "Details",
    "Stack",
    "check_dtype",
    "in_seconds",
    "size_in_um",
    "split_name",
    "with_others",
]

LARGEST = 1 << 33
"""Pixels of the largest plane that is accepted; work on it is done in blocks."""

_UNITS = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "å": 1e-4,
    "in": 25400.0, "inch": 25400.0, "micron": 1.0, "microns": 1.0, "\\u00b5m": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "millimeter": 1e3, "millimetre": 1e3, "nanometer": 1e-3, "nanometre": 1e-3, "meter": 1e6,
    "metre": 1e6, "centimeter": 1e4, "centimetre": 1e4, "angstrom": 1e-4,
}  # fmt: skip

_TIMES = {
    "ns": 1e-9, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0,
    "nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0,
    "day": 86400.0, "sec": 1.0, "seconds": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Details:
    """What is known of the pixels: sizes in micrometres, names of channels, and doubts as (code, text)."""

    x: float | None = None
    y: float | None = None
    z: float | None = None
    time_step: float | None = None
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[str, ...] = ()
    """In which viewers show them, as RRGGBB; "" where that is not known."""
    significant_bits: int | None = None
    name: str = ""
    doubts: tuple[tuple[str, str], ...] = field(default=())


class Content:
    """Hash of a file, or of a folder with all in it; made once."""

    def __init__(self, path: str) -> None:
        self._path, self._hash = path, ""

    def sha256(self) -> str:
        """Return the hash: of a folder, of names and contents in the order of names."""
        if not self._hash:
            self._hash = _folder_hash(self._path) if os.path.isdir(self._path) else _file_hash(self._path)
        return self._hash


def _file_hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_hash(path: str) -> str:
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            whole = os.path.join(folder, name)
            digest.update(f"{os.path.relpath(whole, path)}\0{_file_hash(whole)}\0".encode())
    return digest.hexdigest()


class Stack(ABC):
    """An open file with axes; a context manager.

    Attributes
    ----------
    path, kind : str
        `kind`: tiff, ome-tiff, imagej, ome-zarr, png, jpeg, bioio.
    axes : Axes
    alpha : tuple of int
        Samples of a pixel that say how opaque it is, and not how bright: they are copied, unless they are asked for.
    dtype : numpy dtype
        Native.
    details : Details
    fingerprint : Content
    """

    path: str
    kind: str
    axes: Axes
    alpha: tuple[int, ...] = ()
    dtype: np.dtype[Any]
    details: Details
    limit: int

    @property
    def fingerprint(self) -> Content:
        """Hash of the file or folder."""
        if not hasattr(self, "_content"):
            self._content = Content(self.path)
        return self._content

    @abstractmethod
    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return stored values (H, W) of one plane, or of some of its rows and columns."""

    def require(self, planes: Sequence[Plane]) -> None:  # noqa: B027 (most formats hold all planes that they name)
        """Raise `InputError` (`missing_planes`) when one of these planes is not in the file."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def describe(self) -> list[str]:
        """Return what it holds, as lines to read."""
        told = self.details
        sizes = [f"{a} {n:.4g}" for a, n in (("x", told.x), ("y", told.y), ("z", told.z)) if n is not None]
        shape = "x".join(map(str, self.axes.shape))
        lines = [
            f"{self.axes.letters} {shape} {self.dtype}, pixel sizes: {', '.join(sizes) or 'unknown'} (micrometres)"
        ]
        return [*lines, f"channels: {', '.join(told.channel_names)}"] if any(told.channel_names) else lines

    def check_size(self, *, whole: bool, section: Section | None = None) -> None:
        """Raise `TooLargeError` when a plane, or a section of it, is larger than what is worked on.

        `whole`: in one piece.
        """
        most = self.limit if whole else LARGEST
        pixels = self.axes.pixels
        if section is not None:
            pixels = math.prod(side.stop - side.start for side in section)
        if pixels > most:
            size = pixels * self.dtype.itemsize / 1e9
            hint = "raise --max-pixels if the file is sound and the memory suffices" if whole else "is the file sound?"
            raise TooLargeError(
                f"{self.path}: {'a plane' if section is None else 'the region'} is {pixels:.2g} pixels "
                f"({size:.3g} GB), limit {most:.2g}",
                hint=hint,
            )


def check_dtype(dtype: Any, where: str, *, mask: bool = False) -> np.dtype[Any]:
    """Return the native type, or raise `InputError` (`dtype`) when values of it are not worked on."""
    kind = np.dtype(dtype)
    if kind.kind in "iu" or (kind.kind == "f" and kind.itemsize in (4, 8)) or (mask and kind.kind == "b"):
        native: np.dtype[Any] = kind.newbyteorder("=")
        return native
    raise InputError(f"{where}: {kind} images are not supported", code="dtype", hint="integers, float32, float64 are")


def size_in_um(value: Any, unit: str | None, axis: str) -> tuple[float | None, tuple[tuple[str, str], ...]]:
    """Return a physical pixel size in micrometres, None when it is absent or absurd, and the doubts about it."""
    if value is None:
        return None, ()
    factor = _UNITS.get((unit or "µm").strip().lower())
    if factor is None:
        return None, (("pixel_size", f"pixel size {axis} has the unit {unit!r}, not a length"),)
    try:
        size = float(value) * factor
    except (TypeError, ValueError):
        size = math.nan
    if not (math.isfinite(size) and 1e-5 <= size <= 1e5):
        return None, (("pixel_size", f"pixel size {axis} = {value} {unit or 'µm'} is absurd and taken as unknown"),)
    return size, ()


def in_seconds(value: Any, unit: str | None) -> float | None:
    """Return a time step in seconds, None when it is absent, absurd or in a unit that is none of time."""
    factor = _TIMES.get((unit or "s").strip())
    try:
        found = float(value) * (factor or math.nan)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found > 0 else None


def with_others(details: Details, path: str, others: Sequence[str]) -> Details:
    """Add the doubt whether the first image of a file was meant, when it holds others."""
    if not others:
        return details
    named = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
    text = f"{path} holds {len(others) + 1} images, this is the first; the others stay as they are: --hdu {named}"
    return replace(details, doubts=(*details.doubts, ("several_images", text)))


def split_name(text: str) -> tuple[str, str | None]:
    """Split `FILE[NAME]` into its parts."""
    if text.endswith("]") and "[" in text and not os.path.exists(text):
        path, _, name = text[:-1].rpartition("[")
        return path, name
    return text, None


def warn(text: str, code: str) -> None:
    """Tell the user something."""
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=3)


def truncated(path: str, what: str, need: int, have: int) -> InputError:
    """Return the error of data that end early."""
    return InputError(
        f"{path}: {what} needs {digits(need)} bytes, file has {digits(max(0, have))}",
        code="truncated",
        hint="re-transfer the file",
    )
