"""Where on a plate an image was taken, from the names that microscopes give to files and folders.

Known are Opera and Operetta (`r01c02f03p01-ch1...`), MetaXpress (`Plate_A01_s1_w1.TIF`), CellVoyager
(`_A01_T0001F002L01A01Z01C01`), Cellomics (`_D03f00d1`), IN Cell (`A - 01(fld 1 wv DAPI)`), wells between separators
with `f`, `s`, `field` or `site` and `w`, `ch` or `c` after them, and folders of wells (`A01/`, `A/1/0` of OME-Zarr).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

__all__ = ["Place", "place_of", "well_name"]


@dataclass(frozen=True)
class Place:
    """Row and column of a well from 0, field and channel as the name has them; plate: folder or first part of it."""

    row: int
    column: int
    field: str = ""
    channel: str = ""
    plate: str = ""

    @property
    def well(self) -> str:
        """As people say it: B03."""
        return well_name(self.row, self.column)


def well_name(row: int, column: int) -> str:
    """Return the name of a well: letters for the row (AA after Z), two digits for the column."""
    letters = chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
    return f"{letters}{column + 1:02d}"


ROW, COLUMN = r"(?P<row>A[A-F]|[A-P]|[Q-Z])", r"(?P<col>0?[1-9]|[1-3]\d|4[0-8])"
WELL = rf"(?<![A-Za-z0-9]){ROW}{COLUMN}"
PATTERNS = tuple(
    re.compile(text)
    for text in (
        r"(?i:^|[_\-. ])[rR](?P<rownum>\d\d)[cC](?P<col>\d\d)[fF](?P<field>\d+)(?:[pP]\d+)?(?:-(?P<channel>ch\d+))?",
        rf"{WELL}_T\d+F(?P<field>\d+)L\d+A\d+Z\d+(?P<channel>C\d+)",
        rf"{WELL}f(?P<field>\d+)(?P<channel>d\d+)",
        rf"(?<![A-Za-z0-9]){ROW} ?- ?{COLUMN} ?\(fld (?P<field>\d+)(?: wv (?P<channel>[^)]*?))?(?: -[^)]*)?\)",
        rf"{WELL}(?:[_\- ](?:[sSfF]|site|Site|field|Field|pos|Pos)[_\- ]?(?P<field>\d+))"
        r"(?:[_\- ](?P<channel>(?:w|ch|Ch|CH|c|C)[_\- ]?\d+))?",
        rf"{WELL}(?:[_\- ](?P<channel>(?:w|ch|Ch|CH)[_\- ]?\d+))?(?![A-Za-z0-9])",
    )
)
"""In this order: those that say more come first."""
FOLDER = re.compile(rf"^(?:[wW]ell[_\- ]?)?{ROW}[_\-]?{COLUMN}$")

FIELD, CHANNEL = re.compile(r"[sSfF](?:ield|ite)?[_\- ]?(\d+)"), re.compile(r"(?:w|ch|Ch|CH)[_\- ]?\d+")


def place_of(path: str) -> Place | None:
    """Return where an image was taken, None when its name does not say.

    Parameters
    ----------
    path : str
        Of the image; the names of its folders count where its own says nothing. `PLATE.zarr[A/1/0]` is understood.
    """
    inside = re.fullmatch(r"(.*)\[([A-Z]{1,2})/(\d+)/([^/\]]+)\]", path)
    if inside:
        plate = os.path.basename(inside[1].rstrip("/"))
        return Place(_row(inside[2]), int(inside[3]) - 1, inside[4], plate=plate.removesuffix(".zarr"))
    folder, name = os.path.split(path)
    stem = re.sub(r"(\.ome)?\.[A-Za-z0-9]+$", "", name)
    for pattern in PATTERNS:
        match = pattern.search(stem)
        if match:
            words = match.groupdict()
            row = int(words["rownum"]) - 1 if words.get("rownum") else _row(words["row"])
            plate = stem[: match.start()].strip("_- ") or _plate(folder)
            return Place(row, int(words["col"]) - 1, words.get("field") or "", words.get("channel") or "", plate)
    match = FOLDER.match(os.path.basename(folder))
    if match is None:
        return None
    field, channel = (
        re.search(text, stem) for text in (r"[sSfF](?:ield|ite)?[_\- ]?(\d+)", r"(?:w|ch|Ch|CH)[_\- ]?\d+")
    )
    return Place(
        _row(match["row"]),
        int(match["col"]) - 1,
        field[1] if field else stem,
        channel[0] if channel else "",
        _plate(os.path.dirname(folder)),
    )


def _plate(folder: str) -> str:
    """Name of the folder; Opera keeps a plate's files in its folder `Images`."""
    name = os.path.basename(folder)
    return os.path.basename(os.path.dirname(folder)) if name == "Images" else name


def _row(letters: str) -> int:
    return ord(letters) - ord("A") if len(letters) == 1 else 26 + ord(letters[1]) - ord("A")
