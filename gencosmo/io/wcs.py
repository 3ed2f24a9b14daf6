"""The little that is read from a world coordinate system: pixel scale and sanity. The cards themselves pass
through.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.io.cards import Cards

__all__ = ["origin_of", "pixel_scale", "wcs_notes"]


def _matrix(cards: Cards, letters: str, diagonal: float) -> NDArray[np.float64]:
    entries = [[cards.number(f"{letters}{i}_{j}", diagonal if i == j else 0.0) or 0.0 for j in (1, 2)] for i in (1, 2)]
    return np.array(entries, dtype=np.float64)


def _has(cards: Cards, letters: str) -> bool:
    return any(f"{letters}{i}_{j}" in cards for i in (1, 2) for j in (1, 2))


def _scale(matrix: NDArray[np.float64]) -> float:
    return math.sqrt(abs(float(np.linalg.det(matrix)))) * 3600.0


def _scales(cards: Cards) -> dict[str, float]:
    """Pixel scale in arc seconds by each description that the header holds (CD; PC or CROTA with CDELT)."""
    found = {}
    if _has(cards, "CD"):
        found["CD"] = _scale(_matrix(cards, "CD", 0.0))
    if "CDELT1" in cards and "CDELT2" in cards and (_has(cards, "PC") or "CD" not in found):
        steps = np.diag([cards.number("CDELT1") or 0.0, cards.number("CDELT2") or 0.0])
        found["CDELT"] = _scale(steps @ _matrix(cards, "PC", 1.0))
    elif _has(cards, "PC"):
        found["CDELT"] = _scale(_matrix(cards, "PC", 1.0))
    return found


def pixel_scale(cards: Cards) -> float | None:
    """Return arc seconds per pixel, None when the header does not tell it or contradicts itself."""
    try:
        scales = _scales(cards) if _celestial(cards) else {}
        for key in ("PIXSCALE", "SECPIX", "SECPIX1"):
            value = cards.number(key)
            if not scales and value is not None and value > 0:
                return value
        area = cards.number("PIXAR_A2")
    except InputError:
        return None
    if not scales:
        return math.sqrt(area) if area is not None and area > 0 else None
    low, high = min(scales.values()), max(scales.values())
    return low if low > 0 and high <= low * 1.001 and math.isfinite(high) else None


def _celestial(cards: Cards) -> bool:
    kinds = {cards.text(f"CTYPE{i}").split("-")[0] for i in (1, 2)}
    units = {cards.text(f"CUNIT{i}", "deg").lower() for i in (1, 2)}
    return units <= {"deg", "degree", "degrees"} and kinds in (
        {"RA", "DEC"},
        {"GLON", "GLAT"},
        {"ELON", "ELAT"},
    )


def wcs_notes(cards: Cards) -> list[tuple[str, str]]:
    """Return `(code, text)` for everything in the WCS that another program may read differently."""
    notes = []
    try:
        scales = _scales(cards)
    except InputError as error:
        return [("bad_wcs", error.message)]
    if len(scales) == 2 and _has(cards, "PC"):
        low, high = sorted(scales.values())
        if high > low * 1.001:
            words = f"{scales['CDELT']:.4g} and {scales['CD']:.4g} arcsec per pixel"
            notes.append(("ambiguous_wcs", f"PC and CD matrices disagree: {words}"))
    if any(scale == 0 for scale in scales.values()):
        notes.append(("singular_wcs", "the CD or PC matrix is singular: pixel coordinates have no sky position"))
    sip = any(key in cards for key in ("A_ORDER", "B_ORDER"))
    types = cards.text("CTYPE1") + cards.text("CTYPE2")
    if sip and types and "-SIP" not in types:
        notes.append(("sip_ignored", "SIP terms without -SIP in CTYPE: readers ignore them"))
    return notes


def origin_of(cards: Cards) -> tuple[int, int]:
    """Return (row0, col0) of the image in its parent frame from LTV1, LTV2 (IRAF sections); (0, 0)
    without.
    """
    try:
        place = [cards.number(f"LTV{axis}", 0.0) or 0.0 for axis in (2, 1)]
        steps = [cards.number(f"LTM{axis}_{axis}", 1.0) for axis in (2, 1)]
    except InputError:
        return 0, 0
    if steps != [1.0, 1.0] or any(p != int(p) or abs(p) > 1e6 for p in place):
        return 0, 0
    return -int(place[0]), -int(place[1])
