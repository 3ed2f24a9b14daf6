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
from gencosmo.io.axes import ORDER, Axes
from gencosmo.io.stack import Details, in_seconds, size_in_um

__all__ = ["OME_TYPES", "edited_ome", "ome_details", "parse_ome", "remade_ome"]

OME_TYPES = {
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "int8": "int8", "int16": "int16", "int32": "int32",
    "float32": "float", "float64": "double",
}  # fmt: skip
NAMESPACE = "gencosmo"
_LARGEST = 64 << 20
_OF_OTHERS = ("Image", "Plate", "Screen", "Project", "Dataset", "DatasetRef", "Folder", "BinaryOnly")
"""What goes when one image of a document is written alone, with what only refers to several."""


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


def space_of(root: ElementTree.Element) -> str:
    """Return the namespace of a document, in braces; "" without one."""
    return root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""


def ome_details(root: ElementTree.Element, number: int) -> Details:
    """Return what the document says of its image `number`."""
    space = space_of(root)
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
    space = space_of(root)
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
    return _finished(root, number, words)


def remade_ome(
    text: str, *, words: Mapping[str, str], number: int, axes: Axes, order: str, dtype: Any, pages: int, where: str
) -> str | None:
    """Return the document of a file that holds one image of the input's, made anew; None when it does not fit.

    Parameters
    ----------
    text, words, number, where
        As in `edited_ome`.
    axes : Axes
        Of the image as it was read; the document must give the same sizes.
    order : str
        T, C and Z as the pages of the new file run, the slowest first; samples of a pixel stay together.
    dtype : dtype
        Of the new file.
    pages : int
        Their number.
    """
    root = parse_ome(text, where)
    space = space_of(root)
    images = root.findall(f"{space}Image")
    pixels = images[number].find(f"{space}Pixels") if number < len(images) else None
    sizes = dict(zip(ORDER, axes.inside, strict=True))
    if pixels is None or any(pixels.get(f"Size{letter}") != str(size) for letter, size in sizes.items()):
        return None
    for parent in (root, images[number]):
        gone = [one for one in parent if one is not images[number] and one.tag.removeprefix(space) in _OF_OTHERS]
        for one in gone:
            parent.remove(one)
    for one in [one for one in pixels if one.tag.removeprefix(space) in ("TiffData", "BinData", "MetadataOnly")]:
        pixels.remove(one)
    for word in ("SignificantBits", "BigEndian", "Interleaved"):
        pixels.attrib.pop(word, None)
    for axis in "XYZ":
        if size_in_um(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit"), axis)[1]:
            pixels.attrib.pop(f"PhysicalSize{axis}", None)
            pixels.attrib.pop(f"PhysicalSize{axis}Unit", None)
    inner = order[::-1] if "C" in order else "C" + order[::-1]
    pixels.set("DimensionOrder", "XY" + inner + "".join(letter for letter in "ZCT" if letter not in inner))
    pixels.set("Type", OME_TYPES[str(dtype)])
    if axes.samples > 1:
        pixels.set("Interleaved", "true")
    channels = [place for place, one in enumerate(pixels) if one.tag == f"{space}Channel"]
    data = ElementTree.Element(f"{space}TiffData", {"IFD": "0", "PlaneCount": str(pages)})
    pixels.insert(channels[-1] + 1 if channels else 0, data)
    root.set("UUID", f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(words.items())))}")
    return _finished(root, 0, words)


def _finished(root: ElementTree.Element, number: int, words: Mapping[str, str]) -> str:
    """Return a document as text, with provenance as an annotation of its image `number`."""
    space = space_of(root)
    ElementTree.register_namespace("", space.strip("{}"))
    ElementTree.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    images = root.findall(f"{space}Image")
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
