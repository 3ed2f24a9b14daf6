"""`legacy`: coadds of the Legacy Surveys: `-image-BAND`, `-invvar-BAND` (inverse variance, 0 = bad) and `-maskbits`.

The mask header names its bits by `MBIT_n` cards (n is the bit's number). Names differ between releases (SATUR_R,
SAT_R), and a bit of one band says nothing about another, so only the image's own band asks for filling. NPRIMARY,
BRIGHT, GALAXY and the like are told: they describe the sky, not a defect.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from glob import escape as glob_escape
from glob import glob

from gencosmo.flags import bits_of
from gencosmo.io.cards import Cards
from gencosmo.io.companion import open_companion, refuse_companion
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, MaskBit, MaskPlanes, PlaneRef, Profile

__all__ = ["PROFILE", "planes_from_bits"]

_DEFECTS = {"SATUR": "SATURATED", "SAT": "SATURATED", "ALLMASK": "BAD", "ALLM": "BAD"}


def planes_from_bits(cards: Cards, band: str) -> MaskPlanes | None:
    """Read `MBIT_n` cards; None when there are none. `band` in capitals, empty = every band counts."""
    rows, selected = [], set()
    for key in cards:
        match = re.match(r"MBIT_(\d+)$", key)
        if match is None or int(match[1]) > 62:
            continue
        name = cards.text(key).upper().replace("-", "_")
        kind, _, of = name.rpartition("_")
        flags = _DEFECTS.get(kind, "") if not band or of == band else ""
        rows.append(MaskBit(name, 1 << int(match[1]), bits_of(flags.split())))
        if flags:
            selected.add(name)
    return MaskPlanes(tuple(rows), frozenset(selected)) if rows else None


def _mask_hdu(file: FitsFile) -> Hdu | None:
    return next((hdu for hdu in file.images() if planes_from_bits(hdu.cards, "")), None)


def _science(file: FitsFile) -> Hdu | None:
    mask = _mask_hdu(file)
    return next((hdu for hdu in file.images() if hdu is not mask and hdu.name.upper() not in ("IVAR", "INVVAR")), None)


def _other_name(path: str, word: str) -> str | None:
    folder, name = os.path.split(path)
    other = re.sub(r"-image-(\w+)", rf"-{word}-\1" if word == "invvar" else f"-{word}", name)
    return None if other == name else os.path.join(folder, other)


def _partner(file: FitsFile, word: str) -> str | None:
    """`x-image-r.fits` has `x-invvar-r.fits` and, for all bands, `x-maskbits.fits`."""
    path = _other_name(file.path, word)
    return path if path is not None and os.path.exists(path) else None


def _detect(file: FitsFile) -> bool:
    folder, name = os.path.split(file.path)
    if "-invvar-" in name:
        refuse_companion(file.path, "inverse variance", os.path.join(folder, name.replace("-invvar-", "-image-")))
    elif "-maskbits" in name:
        images = sorted(glob(os.path.join(glob_escape(folder), glob_escape(name.split("-maskbits")[0]) + "-image-*")))
        refuse_companion(file.path, "mask", images[0] if images else None)
    beside = _partner(file, "invvar") or _partner(file, "maskbits")
    return _science(file) is not None and (beside is not None or _mask_hdu(file) is not None)


def _band(file: FitsFile, science: Hdu) -> str:
    match = re.search(r"-image-(\w+)\.", os.path.basename(file.path))
    word = science.cards.text("BAND") or science.cards.text("FILTER") or file.primary.text("FILTER")
    return (match[1] if match else word[:1]).upper()


def _layouts(file: FitsFile) -> list[Layout]:
    science = _science(file) or file.select("0")
    layout = Layout("legacy", science)
    own, weight, mask = file.find("INVVAR", "IVAR"), _partner(file, "invvar"), _partner(file, "maskbits")
    if own is not None:
        layout = replace(layout, noise=PlaneRef(file, own))
    elif weight is not None:
        named = partial(_other_name, word="invvar")
        layout = replace(layout, noise=open_companion(file, weight, like=science, rename=named))
    ref = None
    if (hdu := _mask_hdu(file)) is not None:
        ref = PlaneRef(file, hdu)
    elif mask is not None:
        named = partial(_other_name, word="maskbits")
        ref = open_companion(file, f"{mask}[MASKBITS]", like=science, rename=named)
    planes = None if ref is None else planes_from_bits(ref.hdu.cards, _band(file, science))
    return [layout if planes is None else replace(layout, dq=ref, planes=planes)]


PROFILE = Profile("legacy", "`-image-BAND` + `-invvar-BAND` + `-maskbits` (MBIT_n cards)", _detect, _layouts)
