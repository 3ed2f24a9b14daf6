"""`stsci`: SCI + ERR (standard deviation) and/or DQ (bits), paired by EXTVER. JWST, HST, and others of that
form.

The bits of JWST and HST are in `stsci_bits`. In files of other telescopes every bit counts as bad, unless cards name
the bits as in LSST's files.
"""

from __future__ import annotations

from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile
from gencosmo.io.profiles.lsst_v1 import planes_from_cards
from gencosmo.io.profiles.lsst_v2 import planes_from_values
from gencosmo.io.profiles.stsci_bits import ANY, JWST, hst_planes

__all__ = ["PROFILE"]


def _detect(file: FitsFile) -> bool:
    return file.find("SCI") is not None and file.find("ERR", "VAR", "DQ") is not None


def _planes(file: FitsFile, dq: Hdu) -> MaskPlanes:
    named = planes_from_values(dq.cards) or planes_from_cards(dq.cards)
    if named is not None:
        return named
    telescope = (file.primary.text("TELESCOP") or dq.cards.text("TELESCOP")).upper()
    if telescope == "JWST":
        return JWST
    if telescope == "HST":
        return hst_planes(file.primary.text("INSTRUME").upper(), file.primary.text("DETECTOR").upper())
    return ANY


def _layouts(file: FitsFile) -> list[Layout]:
    found = []
    for science in file.images():
        if science.name.upper() != "SCI":
            continue
        noise = file.find("ERR", "VAR", version=science.version)
        dq = file.find("DQ", version=science.version)
        parts = [file.find(f"VAR_{cause}", version=science.version) for cause in ("POISSON", "RNOISE", "FLAT")]
        found.append(
            Layout(
                "stsci",
                science,
                PlaneRef(file, noise) if noise else None,
                "variance" if noise and noise.name.upper() == "VAR" else "std",
                PlaneRef(file, dq) if dq else None,
                _planes(file, dq) if dq else None,
                parts=tuple(PlaneRef(file, part) for part in parts if part),
            )
        )
    return found


PROFILE = Profile("stsci", "SCI + ERR (standard deviation) or VAR + DQ (bits), by EXTVER", _detect, _layouts)
