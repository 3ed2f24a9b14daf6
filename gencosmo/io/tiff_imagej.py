"""What ImageJ says of channels: labels of slices, and tables of colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["imagej_channels"]


def imagej_channels(words: Mapping[str, Any], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and colours (RRGGBB) of the channels of a hyperstack, each empty where it does not say them.

    ImageJ has no names of channels, only a label for each slice, channels fastest. Those that are the same at all
    depths and times are names; what Bio-Formats makes of numbers ("c:1/3 z:2/5") is none.
    """
    return _names(words.get("Labels"), count), _colors(words.get("LUTs"), count)


def _names(labels: Any, count: int) -> tuple[str, ...]:
    if count == 1 or not isinstance(labels, Sequence) or isinstance(labels, str) or not labels or len(labels) % count:
        return ()
    first = [str(label).split("\n")[0].strip() for label in labels[:count]]
    same = all(str(label).split("\n")[0].strip() == first[n % count] for n, label in enumerate(labels))
    counted = any(re.match(r"[cztsCZTS]:\d+/\d+", name) for name in first)
    return tuple(first) if same and all(first) and not counted and len(set(first)) == count else ()


def _colors(tables: Any, count: int) -> tuple[str, ...]:
    if not isinstance(tables, Sequence) or len(tables) != count:
        return ()
    ends = [np.asarray(table).reshape(-1) for table in tables]
    if any(end.size != 768 for end in ends):
        return ()
    return tuple("".join(f"{int(v):02X}" for v in end.reshape(3, 256)[:, -1]) for end in ends)
