"""The eight orientations of a window: the sky has no up, but a network trained for a while has.

What a network says of a turned window, turned back, is as good an answer as the first one, and its errors are partly
others: the mean over orientations is better than each of them (self-ensemble: Timofte, Rothe & Van Gool 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gencosmo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TURNS", "check_turns", "turned", "turned_back"]

TURNS = (1, 2, 4, 8)
"""How many orientations may be asked for: as it is; and upside down; and on its sides; and their mirror images."""
_ORDER = ((0, False), (2, False), (1, False), (3, False), (0, True), (2, True), (1, True), (3, True))


def check_turns(turns: int) -> None:
    """Raise a UsageError unless it is one of :data:`TURNS`."""
    if turns not in TURNS:
        raise UsageError(f"turns is {turns!r}, expected one of {', '.join(map(str, TURNS))}", code="usage")


def turned(x: Tensor, number: int) -> Tensor:
    """Orientation `number` (0 to 7) of windows (..., h, w), in memory of its own but for number 0."""
    quarters, mirrored = _ORDER[number]
    if number == 0:
        return x
    return (x.rot90(quarters, (-2, -1)).mT if mirrored else x.rot90(quarters, (-2, -1))).contiguous()


def turned_back(x: Tensor, number: int) -> Tensor:
    """Undo :func:`turned`."""
    quarters, mirrored = _ORDER[number]
    return (x.mT if mirrored else x).rot90(-quarters, (-2, -1))
