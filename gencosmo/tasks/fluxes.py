"""Whether a unit counts flux per pixel or flux per area: what happens to values when pixels become smaller."""

from __future__ import annotations

import re

from gencosmo.errors import InputError, UsageError

__all__ = ["FLUX_MODES", "flux_mode_of"]

FLUX_MODES = ("auto", "sum", "sb")
_AREA = re.compile(r"sr\b|sr-1|steradian|arcsec|asec|beam|/deg|deg-2|(um|micron|mm|nm)\^?-?2", re.I)
_COUNTS = re.compile(
    r"^(\d+(\.\d+)?\*?)?(adu|dn|dns|counts?|cts?|cnts?|e-|e|el|electrons?|ph|photons?|photo-?electrons?|[numk]?jy|mJy|"
    r"nanomagg(y|ies)|magg(y|ies)|nmgy|intensity|grey|gray)"
    r"(?=$|[\s/*.^(-])",
    re.I,
)
_FLUX = re.compile(r"erg|watt|\bW\b", re.I)


def flux_mode_of(unit: str | None, asked: str = "auto") -> str:
    """``"sum"`` or ``"sb"`` for a unit.

    Parameters
    ----------
    unit : str or None
        As in BUNIT. Arrays without a unit count as flux per pixel.
    asked : {"auto", "sum", "sb"}
        What the user says goes before what the unit says.

    Raises
    ------
    UsageError
        For another word.
    InputError
        `flux_mode`: a unit that is neither known as flux per pixel nor as flux per area.
    """
    if asked not in FLUX_MODES:
        raise UsageError(f"flux_mode is {asked!r}, expected one of {', '.join(FLUX_MODES)}", code="flux_mode")
    if asked != "auto":
        return asked
    words = "" if unit is None else unit.strip()
    if _AREA.search(words):
        return "sb"
    if not words or _COUNTS.match(words) or _FLUX.search(words):
        return "sum"
    raise InputError(
        f"BUNIT={unit!r} unknown: cannot tell whether values are per pixel or per area",
        code="flux_mode",
        hint="pass flux_mode='sum' or 'sb' (--flux-mode)",
    )
