"""What files say of their camera: electrons per grey level, black level, read noise.

Only words with a known unit count. Gain and offset of a detector in OME are settings without a unit (a voltage, a
number on a dial), and are not electrons.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from gencosmo.io.ome_xml import parse_ome
from gencosmo.io.stack import Stack

__all__ = ["camera_words"]

KEYS = {
    "gain": ("conversion factor coeff", "actual gain e/adu"),
    "offset": ("conversion factor offset",),
    "read_noise": ("current read noise",),
}
"""How names of entries end, in lower case: Hamamatsu's DCAM and Photometrics' PVCAM as Micro-Manager writes them."""
_LINE = re.compile(r"^\s*([^=:\n]{3,120}?)\s*[=:]\s*(\S+)\s*$", re.MULTILINE)


def camera_words(stack: Stack) -> dict[str, float]:
    """Return what is known of `gain` (electrons per unit), `offset` (units) and `read_noise` (electrons).

    Read are the map annotations and the original metadata of OME-XML (in a TIFF, or beside an OME-Zarr as
    bioformats2raw writes it), Micro-Manager's tag, and ImageJ's info.
    """
    found: dict[str, float] = {}
    for key, text in _entries(stack):
        name = key.strip().lower()
        for word, endings in KEYS.items():
            if word in found or not name.endswith(endings):
                continue
            try:
                value = float(text)
            except (TypeError, ValueError):
                continue
            if value > 0 or (word != "gain" and value >= 0):
                found[word] = value
    return found


def _entries(stack: Stack) -> Iterator[tuple[str, str]]:
    file = getattr(stack, "file", None)  # of a TiffStack
    if file is not None:
        if file.is_ome:
            yield from _of_ome(file.ome_metadata, stack.path)
        page = file.pages[0]
        yield from _of_json(page.tags.valueof(51123))
        told = (file.imagej_metadata or {}).get("Info") if file.is_imagej else None
        yield from _of_text(told)
        return
    beside = os.path.join(stack.path, "OME", "METADATA.ome.xml")
    if os.path.isfile(beside):
        with open(beside, encoding="utf-8", errors="replace") as handle:
            yield from _of_ome(handle.read(), beside)


def _of_ome(text: str, where: str) -> Iterator[tuple[str, str]]:
    for element in parse_ome(text, where).iter():
        name = element.tag.rpartition("}")[2]
        if name == "M":
            yield element.get("K") or "", element.text or ""
        elif name == "OriginalMetadata":
            parts = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
            yield parts.get("Key", ""), parts.get("Value", "")


def _of_json(told: Any) -> Iterator[tuple[str, str]]:
    """Micro-Manager's entries; newer versions keep a value as ``{"PropVal": ...}``."""
    if isinstance(told, str | bytes):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return
    for key, value in told.items() if isinstance(told, dict) else ():
        if isinstance(value, dict):
            value = value.get("PropVal", "")
        yield str(key), str(value)


def _of_text(told: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(told, str):
        return
    if told.lstrip().startswith("{"):
        yield from _of_json(told)
        return
    for match in _LINE.finditer(told):
        yield match[1], match[2]
