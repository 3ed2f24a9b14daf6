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
    """Arc seconds per pixel; 0 when the matrix is singular to the rounding of its numbers."""
    area = abs(float(np.linalg.det(matrix)))
    return math.sqrt(area) * 3600.0 if area > 1e-12 * float((matrix * matrix).sum()) else 0.0


def _matrices(cards: Cards) -> dict[str, NDArray[np.float64]]:
    """Degrees per pixel by each description that the header holds (CD; PC or CROTA with CDELT)."""
    found = {}
    if _has(cards, "CD"):
        found["CD"] = _matrix(cards, "CD", 0.0)
    if "CDELT1" in cards and "CDELT2" in cards and (_has(cards, "PC") or "CD" not in found):
        steps = np.diag([cards.number("CDELT1") or 0.0, cards.number("CDELT2") or 0.0])
        found["CDELT"] = steps @ _matrix(cards, "PC", 1.0)
    elif _has(cards, "PC"):
        found["CDELT"] = _matrix(cards, "PC", 1.0)
    return found


def _disagree(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return not bool(np.abs(one - other).max() <= 1e-3 * np.abs(one).max())


def pixel_scale(cards: Cards) -> float | None:
    """Return arc seconds per pixel, None when the header does not tell it or contradicts itself."""
    try:
        found = _matrices(cards) if _celestial(cards) else {}
        for key in ("PIXSCALE", "SECPIX", "SECPIX1"):
            value = cards.number(key)
            if not found and value is not None and value > 0:
                return value
        area = cards.number("PIXAR_A2")
    except InputError:
        return None
    if not found:
        return math.sqrt(area) if area is not None and area > 0 else None
    scales = [_scale(matrix) for matrix in found.values()]
    low, high = min(scales), max(scales)
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
        found = _matrices(cards)
    except InputError as error:
        return [("bad_wcs", error.message)]
    scales = {name: _scale(matrix) for name, matrix in found.items()}
    if len(found) == 2 and _disagree(found["CD"], found["CDELT"]):
        words = f"{scales['CDELT']:.4g} and {scales['CD']:.4g} arcsec per pixel"
        same = abs(scales["CDELT"] - scales["CD"]) <= 1e-3 * scales["CD"]
        turned = ", turned against each other" if same else ""
        notes.append(("ambiguous_wcs", f"PC and CD matrices disagree: {words}{turned}"))
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
