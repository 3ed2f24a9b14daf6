"""OME-XML: what it says of the pixels, and the few words of it that change in an output.

The document of an OME-TIFF is kept: instruments, channels, regions, annotations and the order of planes stay. Changed
are the identity of the file (UUID and file name), the pixel type when that changes, and one annotation is added.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from gencosmo.errors import InputError
from gencosmo.io.stack import Details, in_seconds, size_in_um

__all__ = ["OME_TYPES", "edited_ome", "ome_details", "parse_ome"]

OME_TYPES = {
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "int8": "int8", "int16": "int16", "int32": "int32",
    "float32": "float", "float64": "double",
}  # fmt: skip
NAMESPACE = "gencosmo"
_LARGEST = 64 << 20


def parse_ome(text: str, where: str) -> ElementTree.Element:
    """Return the root of a document.

    Raises
    ------
    InputError
        `bad_header`: not well formed, with entities, or absurdly long.
    """
    if len(text) > _LARGEST or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{where}: its OME-XML has entities or more than {_LARGEST} characters", code="bad_header")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{where}: its OME-XML is damaged: {error}", code="bad_header") from None


def _space(root: ElementTree.Element) -> str:
    return root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""


def ome_details(root: ElementTree.Element, number: int) -> Details:
    """Return what the document says of its image `number`."""
    space = _space(root)
    images = root.findall(f"{space}Image")
    if number >= len(images):
        return Details()
    pixels = images[number].find(f"{space}Pixels")
    if pixels is None:
        return Details()
    sizes: dict[str, float | None] = {}
    doubts: tuple[tuple[str, str], ...] = ()
    for axis in "XYZ":
        told, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit")
        sizes[axis.lower()], more = size_in_um(told, unit, axis)
        doubts += more
    names = tuple(channel.get("Name") or "" for channel in pixels.findall(f"{space}Channel"))
    bits, step = pixels.get("SignificantBits") or "", pixels.get("TimeIncrement")
    colors = tuple(_color(channel.get("Color")) for channel in pixels.findall(f"{space}Channel"))
    return Details(
        x=sizes.get("x"),
        y=sizes.get("y"),
        z=sizes.get("z"),
        time_step=in_seconds(step, pixels.get("TimeIncrementUnit")),
        channel_names=names,
        channel_colors=colors if any(colors) else (),
        significant_bits=int(bits) if bits.isdigit() else None,
        name=images[number].get("Name") or "",
        doubts=doubts,
    )


def _color(told: str | None) -> str:
    """Red, green and blue of a signed 32-bit RGBA, as RRGGBB."""
    if not re.fullmatch(r"-?\d{1,10}", told or ""):
        return ""
    return f"{(int(told or 0) & 0xFFFFFFFF) >> 8:06X}"


def edited_ome(
    text: str,
    out: str,
    *,
    words: Mapping[str, str],
    number: int = 0,
    dtype: Any = None,
    where: str = "",
) -> str:
    """Return the document of an output.

    Parameters
    ----------
    text : str
        The input's document.
    out : str
        Name of the output file.
    words : mapping
        Provenance, added as a map annotation (schemas from 2015 on have them).
    number : int
        The image that changed.
    dtype : numpy dtype, optional
        Its type, when that changes.
    where : str
        What messages call the input.
    """
    root = parse_ome(text, where)
    space = _space(root)
    ElementTree.register_namespace("", space.strip("{}"))
    ElementTree.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    identity = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(words.items())))}"
    if root.get("UUID"):
        root.set("UUID", identity)
    for told in root.iter(f"{space}UUID"):
        told.text = identity
        if told.get("FileName"):
            told.set("FileName", os.path.basename(out))
    images = root.findall(f"{space}Image")
    if number < len(images) and dtype is not None:
        pixels = images[number].find(f"{space}Pixels")
        if pixels is not None:
            pixels.set("Type", OME_TYPES[str(dtype)])
            pixels.attrib.pop("SignificantBits", None)
    year = re.search(r"/(\d{4})-\d\d\}", space)
    if words and number < len(images) and year and int(year[1]) >= 2015:
        _annotate(root, images[number], space, words)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _annotate(root: ElementTree.Element, image: ElementTree.Element, space: str, words: Mapping[str, str]) -> None:
    """Add a map annotation and the image's reference to it, each at the place the schema has for it."""
    shelf = root.find(f"{space}StructuredAnnotations")
    if shelf is None:
        shelf = ElementTree.Element(f"{space}StructuredAnnotations")
        after = max(i for i, child in enumerate(root) if child.tag == f"{space}Image")
        root.insert(after + 1, shelf)
    used = {child.get("ID") for child in shelf}
    name = next(name for n in range(len(used) + 1) if (name := f"Annotation:gencosmo:{n}") not in used)
    note = ElementTree.SubElement(shelf, f"{space}MapAnnotation", {"ID": name, "Namespace": NAMESPACE})
    value = ElementTree.SubElement(note, f"{space}Value")
    for key, told in words.items():
        ElementTree.SubElement(value, f"{space}M", {"K": key}).text = told
    ElementTree.SubElement(image, f"{space}AnnotationRef", {"ID": name})
