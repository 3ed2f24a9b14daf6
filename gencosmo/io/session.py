"""What a run on files asks of a format: its planes one after the other, and the file again with the filled pixels.

A session is one open input. `batch` knows this page and no format: it begins, asks for units (science planes, or the
blocks of a large one), hands each unit's result back, and finishes. Whether results wait in memory or on disk, and how
the output is made, is the format's own affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.io.fits_write import WriteOptions
    from gencosmo.result import Result

__all__ = ["Fingerprint", "Session"]


class Fingerprint(Protocol):
    """Anything whose content has a hash."""

    def sha256(self) -> str:
        """Return the hash of the content."""
        ...


class Session(Protocol):
    """One open input file; a context manager. Nothing in it changes the input."""

    path: str
    profile: str
    quiet: bool
    """True when a unit without masked pixels is nothing to tell about (one plane or block of many)."""

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the input."""
        ...

    @property
    def companions(self) -> Sequence[Fingerprint]:
        """Of other files that were opened for it: masks, noise planes."""
        ...

    def units(self) -> Sequence[Any]:
        """What is computed at a time, in order; opaque to the caller."""
        ...

    def label(self, unit: Any) -> str:
        """Return how messages call a unit."""
        ...

    def check_output(self, out: str, options: WriteOptions) -> None:
        """Raise when `out` cannot be written, before anything is computed."""
        ...

    def begin(self, out: str, options: WriteOptions, run: str, *, resume: bool, everywhere: bool = False) -> None:
        """Make ready for results; `run` is the hash of all that decides them; `resume` finds finished units;
        `everywhere`: results are of every pixel, and not of the masked ones only.
        """
        ...

    def pending(self, unit: Any) -> bool:
        """Whether a unit is still to be computed."""
        ...

    def read(self, unit: Any) -> Image:
        """Read a unit, with noise and mask."""
        ...

    def densest(self, unit: Any) -> Any:
        """Return the unit of the same plane that holds most masked pixels."""
        ...

    def check(self, unit: Any, image: Image, max_fill: float) -> None:
        """Raise `InputError` when there is too little to work from."""
        ...

    def plane_hash(self, unit: Any) -> str | None:
        """Return a hash of the pixels of the unit's plane when the unit is only a part of it: parts share noise."""
        ...

    def name(self, unit: Any) -> str:
        """Return what a unit is called in provenance."""
        ...

    def keep(self, unit: Any, image: Image, result: Result, provenance: Mapping[str, str]) -> int:
        """Take what the output needs of a result; return the number of filled pixels."""
        ...

    def finish(self) -> int:
        """Write the output, whole or not at all; return the number of filled pixels (0: a copy)."""
        ...

    def finished(self, out: str, parent: str, run: str) -> bool:
        """Whether `out` was made from an input of hash `parent` by the run `run`, or is its copy."""
        ...
