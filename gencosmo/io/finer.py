"""The header of an image on a finer grid: the same sky under smaller pixels.

A pixel of the input is cut into ``s1`` columns and ``s2`` rows. Pixel centres are whole numbers in FITS, so that
``x' = (x - 1/2) s + 1/2``; what is measured in pixels is scaled, what lives in world or intermediate coordinates (PV
terms of TPV, ZPN, TNX) stays. Cards are edited in place: a header that goes through a WCS object loses SIP.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.io.cards import Cards
from gencosmo.io.wcs import wcs_notes

__all__ = ["finer_cards", "finer_header"]

_TABLES = ("CPDIS", "CQDIS", "D2IMDIS", "D2IMARR")
_SECTIONS = re.compile(r"(DATA|CCD|DET|TRIM|BIAS|AMP|ORIG|DISP|PRE|POST|OVER)SEC[A-Z0-9]{0,2}$")
_PIXEL_WIDTHS = ("FWHM", "PSF_FWHM", "SEEING", "SEEPIX", "AVG_FWHM")
_STORAGE = ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX")
_SIP = re.compile(r"(AP?|BP?)_(\d+)_(\d+)$")
_AREAS = ("PIXAR_SR", "PIXAR_A2")
_WIDTHS = ("PIXSCALE", "SECPIX", "SECPIX1", "SECPIX2", "PIXSCAL1", "PIXSCAL2")


def finer_header(header: Any, scale: tuple[int, int], flux_mode: str = "sum") -> Any:
    """`finer_cards` for an astropy header.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Not changed.
    scale : (int, int)
        Fine pixels per pixel along rows and columns.
    flux_mode : {"sum", "sb"}
    """
    from astropy.io.fits import Header

    cards = finer_cards(Cards(header.tostring(endcard=False, padding=False).encode("latin-1")), scale, flux_mode)
    return Header.fromstring(cards.tobytes())


def finer_cards(cards: Cards, scale: tuple[int, int], flux_mode: str) -> Cards:
    """The cards of an image whose pixels are cut into ``scale`` (rows, columns) parts; a copy.

    Parameters
    ----------
    cards : Cards
    scale : (int, int)
    flux_mode : {"sum", "sb"}
        What was done to the values; SATURATE follows them.

    Raises
    ------
    InputError
        `unsupported_wcs`: distortions in lookup tables, or a rotation by CROTA with unequal factors;
        `ambiguous_wcs`: PC and CD that disagree.
    """
    rows, columns = scale
    factors = {1: columns, 2: rows}
    _refuse(cards, factors)
    out = cards.copy()
    for suffix in ["", *(chr(c) for c in range(ord("A"), ord("Z") + 1))]:
        _linear(out, suffix, factors)
    _sip(out, factors)
    _physical(out, factors)
    for key in _AREAS:
        _times(out, key, 1 / (rows * columns))
    for key in _WIDTHS:
        _times(out, key, 1 / (factors[int(key[-1])] if key[-1].isdigit() else (rows * columns) ** 0.5))
    if flux_mode == "sum":
        _times(out, "SATURATE", 1 / (rows * columns))
    for key in ("GAIN", "RDNOISE"):
        if isinstance(out.get(key), (int, float)):
            out.set(key, out.get(key), "native pixels")  # type: ignore[arg-type]
    gone = [key for key in out if _SECTIONS.match(key) or key in _PIXEL_WIDTHS]
    if gone:
        _warn(f"{', '.join(gone)} no longer hold on the finer grid and are left out", "cards_dropped")
    out.remove(*gone, *_STORAGE)
    out.set("GCMFLUX", flux_mode.upper(), "SUM: values per (finer) pixel; SB: per area, unchanged")
    out.set("GCMSCAL1", columns, "finer pixels per input pixel, axis 1")
    out.set("GCMSCAL2", rows, "finer pixels per input pixel, axis 2")
    out.set("GCMCORR", True, "noise of neighbouring pixels is correlated")
    return out


def _refuse(cards: Cards, factors: dict[int, int]) -> None:
    table = next((key for key in cards if key.startswith(_TABLES)), None)
    if table is not None:
        raise InputError(
            f"{table}: distortions in lookup tables cannot be carried to another grid",
            code="unsupported_wcs",
            hint="fit SIP terms to the tables first",
        )
    doubt = next((text for code, text in wcs_notes(cards) if code == "ambiguous_wcs"), None)
    if doubt is not None:
        raise InputError(doubt, code="ambiguous_wcs", hint="remove one of the two from the header")
    turn = next((key for key in cards if key.startswith("CROTA") and cards.number(key, 0.0)), None)
    if turn is not None and factors[1] != factors[2]:
        raise InputError(
            f"{turn} with unequal factors {factors[2]} (rows) and {factors[1]} (columns) would not be a rotation",
            code="unsupported_wcs",
            hint="write the header with a PC or CD matrix",
        )


def _linear(cards: Cards, suffix: str, factors: dict[int, int]) -> None:
    """CRPIX, and CD or CDELT with PC, of one description of the coordinates."""
    matrix = {kind: [key for key in cards if re.match(rf"{kind}(\d)_(\d){suffix}$", key)] for kind in ("CD", "PC")}
    steps = [key for key in cards if re.match(rf"CDELT\d{suffix}$", key)]
    named = [f"{word}{axis}{suffix}" for word in ("CTYPE", "CRPIX", "CRVAL") for axis in (1, 2)]
    if not (steps or any(matrix.values()) or any(key in cards for key in named)):
        return
    for axis, factor in factors.items():
        key = f"CRPIX{axis}{suffix}"
        cards.set(key, ((cards.number(key, 0.0) or 0.0) - 0.5) * factor + 0.5)
    for key in matrix["CD"]:
        _times(cards, key, 1 / factors.get(int(key[4]), 1))
    for key in matrix["PC"]:
        _times(cards, key, factors.get(int(key[2]), 1) / factors.get(int(key[4]), 1))
    for axis, factor in factors.items():
        key = f"CDELT{axis}{suffix}"
        if key in cards:
            _times(cards, key, 1 / factor)
        elif not matrix["CD"]:
            cards.set(key, 1 / factor)


def _sip(cards: Cards, factors: dict[int, int]) -> None:
    """Terms u^p v^q of a distortion in pixels: ``A' = A s1 / (s1^p s2^q)``, and with s2 for B."""
    for key in list(cards):
        match = _SIP.match(key)
        if match is not None:
            own = factors[1 if match[1].startswith("A") else 2]
            _times(cards, key, own / (factors[1] ** int(match[2]) * factors[2] ** int(match[3])))
    _times(cards, "A_DMAX", factors[1])
    _times(cards, "B_DMAX", factors[2])


def _physical(cards: Cards, factors: dict[int, int]) -> None:
    """LTV and LTM (IRAF): image = LTM physical + LTV."""
    if not any(re.match(r"LT(V\d|M\d_\d)$", key) for key in cards):
        return
    for axis, factor in factors.items():
        shift, gain = f"LTV{axis}", f"LTM{axis}_{axis}"
        cards.set(shift, ((cards.number(shift, 0.0) or 0.0) - 0.5) * factor + 0.5)
        cards.set(gain, (cards.number(gain, 1.0) or 0.0) * factor)
        _times(cards, f"LTM{axis}_{3 - axis}", factor)


def _times(cards: Cards, key: str, factor: float) -> None:
    """Multiply a card, where it is there and a number."""
    value = cards.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        cards.set(key, float(value) * factor)


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=4)
