"""Parts of an image that a user names: `Y0:Y1,X0:X1`, in pixels of the whole image, ends not included."""

from __future__ import annotations

from gencosmo.errors import UsageError
from gencosmo.io.axes import Section

__all__ = ["parse_region", "section_within"]


def parse_region(text: str) -> Section:
    """Read `Y0:Y1,X0:X1` as rows and columns.

    Raises
    ------
    UsageError
        `region`, when it is not of that form or empty.
    """
    parts = [part.split(":") for part in text.split(",")]
    words = [word.strip() for part in parts for word in part]
    if [len(part) for part in parts] != [2, 2] or not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            f"region {text!r} is not Y0:Y1,X0:X1 in whole pixels",
            code="region",
            hint="for example 0:4096,1024:5120: rows 0 to 4095, columns 1024 to 5119",
        )
    top, bottom, left, right = map(int, words)
    if top >= bottom or left >= right:
        raise UsageError(f"region {text!r} holds no pixel", code="region", hint="its ends are beyond its beginnings")
    return slice(top, bottom), slice(left, right)


def section_within(section: Section, height: int, width: int, where: str) -> Section:
    """Return rows and columns with their ends as numbers.

    Raises
    ------
    UsageError
        `region`, when they do not lie in an image of this size.
    """
    found = []
    for name, part, size in zip(("rows", "columns"), section, (height, width), strict=True):
        start, stop, step = part.indices(size)
        if step != 1 or start >= stop or (part.stop or 0) > size or (part.start or 0) < -size:
            raise UsageError(
                f"{where}: {name} {part.start}:{part.stop} do not lie in its {height} x {width} pixels",
                code="region",
                hint=f"expected {name} from 0 to {size}",
            )
        found.append(slice(start, stop))
    return found[0], found[1]
