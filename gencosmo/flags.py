"""Mask bits by name: one registry, from which the documentation table is written.

`Image.flags` is a uint32 array of these bits. A bit either means "do not trust this value, fill it" or is
only told (`fill` False). What a survey calls its planes is translated to these names in `gencosmo.io`;
nothing else knows survey bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError

__all__ = ["FILL_BITS", "FLAGS", "Flag", "bits", "bits_of", "count", "documentation_table", "names_of"]


@dataclass(frozen=True)
class Flag:
    """One bit: its name, its place, whether it asks for filling, and what it means."""

    name: str
    bit: int
    fill: bool
    meaning: str

    @property
    def value(self) -> int:
        """The bit as a number, `1 << bit`."""
        return 1 << self.bit


_ROWS = (
    Flag("BAD", 0, True, "bad pixel of unknown kind (bad-pixel map, do-not-use, zero weight)"),
    Flag("SATURATED", 1, True, "at or above full well; the true value is at least the one seen"),
    Flag("COSMIC_RAY", 2, True, "hit by a particle"),
    Flag("BLEED", 3, True, "charge spilled from a saturated star"),
    Flag("HOT", 4, True, "dark current far above its neighbours"),
    Flag("DEAD", 5, True, "does not respond to light"),
    Flag("EDGE", 6, True, "detector edge, glow or field stop; the response is not known"),
    Flag("NO_DATA", 7, True, "no value in the file (NaN, infinity, BLANK, chip gap)"),
    Flag("NO_NOISE", 8, False, "inverse variance zero, negative or not a number"),
    Flag("STREAK", 9, True, "satellite, aircraft or meteor trail"),
    Flag("USER", 10, True, "masked by the caller"),
    Flag("OUTLIER", 11, True, "rejected against other exposures"),
    Flag("TRANSIENT", 12, False, "differs from other exposures; may be real"),
    Flag("INTERPOLATED", 13, False, "an earlier pipeline already put an estimate here"),
    Flag("REFERENCE", 14, False, "reference or overscan pixel, no sky"),
    Flag("SUSPECT", 15, False, "near saturation or otherwise doubtful"),
    Flag("CORRELATED", 16, False, "noise correlated with the neighbours (resampled image)"),
    Flag("FILLED", 24, False, "value replaced by gencosmo with the posterior mean"),
    Flag("HOLE_TOO_LARGE", 25, False, "inside a hole larger than the prior was validated for"),
    Flag("OUT_OF_DOMAIN", 26, False, "filled by a prior whose card does not cover this image"),
)

FLAGS: dict[str, Flag] = {flag.name: flag for flag in _ROWS}
"""All flags by name, in the order of their bits."""

FILL_BITS: int = sum(flag.value for flag in _ROWS if flag.fill)
"""The bits that make a pixel part of `Image.mask`."""


def bits(*names: str) -> int:
    """Return the bits of these names, combined.

    Raises
    ------
    UsageError
        When a name is not in the registry.
    """
    return bits_of(names)


def bits_of(names: Iterable[str]) -> int:
    """Return the bits of an iterable of names, combined; see `bits`."""
    total = 0
    for name in names:
        flag = FLAGS.get(name.upper())
        if flag is None:
            raise UsageError(f"flag {name!r} is not known", code="flag", hint=f"known: {', '.join(FLAGS)}")
        total |= flag.value
    return total


def names_of(value: int) -> list[str]:
    """Return the names of the bits set in `value`; bits without a name come as `BIT<n>`."""
    known = {flag.bit: flag.name for flag in _ROWS}
    return [known.get(bit, f"BIT{bit}") for bit in range(32) if value >> bit & 1]


def count(flags: NDArray[np.uint32]) -> dict[str, int]:
    """Return how many pixels carry each flag, only flags that occur, in the order of their bits."""
    present = int(np.bitwise_or.reduce(flags, axis=None)) if flags.size else 0
    marked = flags[flags != 0]
    return {
        name: int(np.count_nonzero(marked & np.uint32(FLAGS[name].value)))
        for name in FLAGS
        if present & FLAGS[name].value
    }


def documentation_table() -> str:
    """Return the registry as a Markdown table (docs are made from it, a test compares)."""
    lines = ["| bit | value | name | filled | meaning |", "|---|---|---|---|---|"]
    lines += [f"| {f.bit} | {f.value} | `{f.name}` | {'yes' if f.fill else 'no'} | {f.meaning} |" for f in _ROWS]
    return "\n".join(lines) + "\n"
