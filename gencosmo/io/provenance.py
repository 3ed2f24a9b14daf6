"""GCM_PROV: what was run on this file, with what. One row per science plane and run, all columns text.

Columns: GCMVERS version, GCMOP task, GCMMODEL prior, GCMHASH its hash, GCMSEED seed of the run, GCMPSEED seed
of the plane, GCMSAMP samples, GCMSTEP steps, GCMTARG target, GCMRUN hash of all options, GCMPARNT sha256 of
the input file, GCMOF HDU, GCMNFILL filled pixels, GCMCOMP compression, GCMFIND finders, GCMSTDF
factors on the prior's std, by channel, where the image has told them, GCMDATE;
where they are not 1, GCMPASS passes and GCMTURN orientations; GCMNOISE camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gencosmo.io.build import sealed
from gencosmo.io.cards import Cards, Value, format_card
from gencosmo.io.hdus import FitsFile

__all__ = ["package_version", "provenance_hdu", "read_provenance"]


def provenance_hdu(rows: Sequence[Mapping[str, str]]) -> list[bytes]:
    """Return header and data of a GCM_PROV table HDU; equal rows give equal bytes."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = [[row.get(name, "").encode("ascii", "replace") for name in names] for row in rows]
    widths = [max(1, *(len(row[i]) for row in texts)) for i in range(len(names))]
    cards: list[tuple[str, Value, str]] = [
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", sum(widths), "bytes per row"),
        ("NAXIS2", len(rows), "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(names), "columns"),
    ]
    for number, (name, width) in enumerate(zip(names, widths, strict=True), start=1):
        cards += [(f"TTYPE{number}", name, ""), (f"TFORM{number}", f"{width}A", "")]
    cards.append(("EXTNAME", "GCM_PROV", "what gencosmo did"))
    data = b"".join(text.ljust(width, b"\0") for row in texts for text, width in zip(row, widths, strict=True))
    return sealed(Cards("".join(format_card(*card) for card in cards).encode()), data)


def package_version() -> str:
    """Return the installed version, "uninstalled" in a bare checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gencosmo")
    except PackageNotFoundError:
        return "uninstalled"


def read_provenance(file: FitsFile) -> list[dict[str, str]]:
    """Return the rows of the GCM_PROV table of a file; empty when there is none, or none of this form."""
    table = next((hdu for hdu in file.hdus if hdu.kind == "table" and hdu.name == "GCM_PROV"), None)
    if table is None:
        return []
    width, count = table.cards.integer("NAXIS1", 0) or 0, table.cards.integer("NAXIS2", 0) or 0
    fields = []
    for i in range(1, (table.cards.integer("TFIELDS", 0) or 0) + 1):
        size = table.cards.text(f"TFORM{i}").removesuffix("A")
        if not size.isdigit():
            return []
        fields.append((table.cards.text(f"TTYPE{i}"), int(size)))
    if width == 0 or sum(size for _, size in fields) != width or width * count > table.end - table.data:
        return []
    raw = bytes(file.source.view(table.data, table.end))
    return [_row(raw[start : start + width], fields) for start in range(0, width * count, width)]


def _row(raw: bytes, fields: list[tuple[str, int]]) -> dict[str, str]:
    row, place = {}, 0
    for name, size in fields:
        row[name] = raw[place : place + size].rstrip(b"\0 ").decode("ascii", "replace")
        place += size
    return row
