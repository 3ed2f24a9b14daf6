"""Blocks of large planes: where they lie, and what each sees around itself.

A plane of up to `WHOLE` pixels is computed in one piece. A larger one is cut at absolute multiples of `BLOCK`; each
block sees `MARGIN` pixels around its core. The cut knows nothing of the chunks, tiles or shards of the file, so the
same pixels give the same bytes however they are stored. The margin is a power of two, so that the quadtree of a base
fill lies over a section as it lies over the whole plane.
"""

from __future__ import annotations

from dataclasses import dataclass

from gencosmo.io.axes import Section

__all__ = ["BLOCK", "MARGIN", "WHOLE", "Block", "blocks_of"]

WHOLE = 1 << 24
BLOCK = 2048
MARGIN = 512


@dataclass(frozen=True)
class Block:
    """A part of a plane: its number, the rows and columns that count (`core`), and those that are read (`seen`)."""

    number: int
    core: Section
    seen: Section

    @property
    def inner(self) -> Section:
        """Place of the core in what is read."""
        down, right = (slice(c.start - s.start, c.stop - s.start) for c, s in zip(self.core, self.seen, strict=True))
        return down, right

    def overlaps(self, section: Section) -> bool:
        """Whether the core shares a pixel with rows and columns."""
        return all(a.start < b.stop and b.start < a.stop for a, b in zip(self.core, section, strict=True))


def blocks_of(height: int, width: int) -> list[Block]:
    """Return the blocks of a plane, row by row; a small plane is one block."""
    if height * width <= WHOLE:
        everything = (slice(0, height), slice(0, width))
        return [Block(0, everything, everything)]
    found: list[Block] = []
    for row in range(0, height, BLOCK):
        for col in range(0, width, BLOCK):
            core = (slice(row, min(height, row + BLOCK)), slice(col, min(width, col + BLOCK)))
            seen = (_grown(core[0], height), _grown(core[1], width))
            found.append(Block(len(found), core, seen))
    return found


def _grown(part: slice, size: int) -> slice:
    return slice(max(0, part.start - MARGIN), min(size, part.stop + MARGIN))
