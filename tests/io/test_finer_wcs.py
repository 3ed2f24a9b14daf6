"""The header on the finer grid: the same sky position under every fine pixel, to a millionth of a pixel."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.io.finer import finer_header

from .files import sip_header

SCALES = [(2, 2), (3, 3), (4, 4), (2, 3)]
"""(rows, columns); the last is 3 x 2 pixels along the axes of FITS."""


def header(**words) -> fits.Header:
    made = fits.Header()
    made["NAXIS"], made["NAXIS1"], made["NAXIS2"] = 2, 120, 90
    common = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 150.1,
        "CRVAL2": -32.2,
        "CRPIX1": 47.3,
        "CRPIX2": 61.8,
    }
    for key, value in (common | words).items():
        made[key] = value
    return made


def sip() -> fits.Header:
    made = sip_header()
    for key, value in {
        "A_0_2": 3e-6, "A_1_1": -1e-6, "A_3_0": 2e-9, "A_1_2": 1e-9, "A_ORDER": 3, "B_ORDER": 3,
        "B_2_0": 2e-6, "B_1_1": 1e-6, "B_0_3": -3e-9,
        "AP_ORDER": 2, "BP_ORDER": 2, "AP_2_0": -1.5e-6, "BP_0_2": 2.5e-6, "AP_1_0": 1e-6,
    }.items():  # fmt: skip
        made[key] = value
    return made


def tpv() -> fits.Header:
    made = header(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", CD1_1=-7e-5, CD1_2=2e-6, CD2_1=3e-6, CD2_2=7.1e-5)
    for key, value in {
        "PV1_0": 1e-5,
        "PV1_1": 1.002,
        "PV1_4": 3e-3,
        "PV2_1": 0.999,
        "PV2_5": -2e-3,
        "PV2_6": 1e-3,
    }.items():
        made[key] = value
    return made


HEADERS = {
    "CD": lambda: header(CD1_1=-7e-5, CD1_2=2e-5, CD2_1=1.5e-5, CD2_2=7.1e-5),
    "PC": lambda: header(CDELT1=-7e-5, CDELT2=8e-5, PC1_1=0.8, PC1_2=-0.6, PC2_1=0.55, PC2_2=0.83),
    "PC alone": lambda: header(PC1_1=-7e-5, PC1_2=1e-6, PC2_1=0.0, PC2_2=7e-5),
    "CDELT alone": lambda: header(CDELT1=-7e-5, CDELT2=8e-5),
    "CROTA": lambda: header(CDELT1=-7e-5, CDELT2=7e-5, CROTA2=31.0),
    "SIP": sip,
    "TPV": tpv,
    "galactic": lambda: header(CTYPE1="GLON-ZEA", CTYPE2="GLAT-ZEA", CD1_1=-7e-4, CD1_2=0.0, CD2_1=1e-5, CD2_2=7e-4),
}


def largest_miss(coarse: fits.Header, fine: fits.Header, scale: tuple[int, int], key: str = " ") -> float:
    """Largest distance (fine pixels) between where a place is on the fine grid and where its header puts it."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-5, 130, 400), rng.uniform(-5, 95, 400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old, new = WCS(coarse, key=key), WCS(fine, key=key)
    want = old.all_pix2world(x, y, 0)
    moved = (x + 0.5) * scale[1] - 0.5, (y + 0.5) * scale[0] - 0.5
    got = new.all_pix2world(*moved, 0)
    per_pixel = np.sqrt(np.abs(np.linalg.det(new.pixel_scale_matrix)))
    d_lon = (got[0] - want[0]) * np.cos(np.deg2rad(want[1]))
    return float(np.hypot(d_lon, got[1] - want[1]).max() / per_pixel)


@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("name", HEADERS)
def test_the_same_sky(name, scale):
    coarse = HEADERS[name]()
    if name == "CROTA" and scale[0] != scale[1]:
        with pytest.raises(InputError, match="CROTA2 with unequal factors"):
            finer_header(coarse, scale)
        return
    assert largest_miss(coarse, finer_header(coarse, scale), scale) < 1e-6


def test_the_measure_sees_a_wrong_header():
    """What would go wrong without the SIP rule, or without the half pixel."""
    coarse = sip()
    wrong = finer_header(coarse, (4, 4))
    for key in ("A_2_0", "B_0_2"):
        wrong[key] = coarse[key]
    assert largest_miss(coarse, wrong, (4, 4)) > 0.1
    wrong = finer_header(coarse, (4, 4))
    wrong["CRPIX1"] = coarse["CRPIX1"] * 4
    assert largest_miss(coarse, wrong, (4, 4)) > 1


def test_alternate_descriptions_follow():
    coarse = header(CD1_1=-7e-5, CD1_2=0.0, CD2_1=0.0, CD2_2=7e-5)
    for key, value in {
        "CTYPE1A": "GLON-TAN", "CTYPE2A": "GLAT-TAN", "CRPIX1A": 10.0, "CRPIX2A": 20.0, "CRVAL1A": 5.0, "CRVAL2A": 6.0,
        "CDELT1A": 1e-4, "CDELT2A": 1e-4, "PC1_1A": 0.8, "PC1_2A": 0.6, "PC2_1A": -0.6, "PC2_2A": 0.8,
    }.items():  # fmt: skip
        coarse[key] = value
    fine = finer_header(coarse, (2, 3))
    assert largest_miss(coarse, fine, (2, 3)) < 1e-6
    assert largest_miss(coarse, fine, (2, 3), key="A") < 1e-6


def test_what_else_is_counted_in_pixels():
    coarse = header(
        CD1_1=-7e-5, CD1_2=0.0, CD2_1=0.0, CD2_2=7e-5, PIXSCALE=0.26, PIXAR_A2=0.0676,
        SATURATE=60000.0, LTV1=-10.0, LTM1_1=1.0, LTV2=-20.0,
        GAIN=2.5, DATASEC="[1:120,1:90]", FWHM=3.1, BSCALE=2.0, BUNIT="adu",
    )  # fmt: skip
    with pytest.warns(GencosmoWarning, match="DATASEC, FWHM"):
        fine = finer_header(coarse, (2, 2), "sum")
    assert fine["PIXSCALE"] == pytest.approx(0.13)
    assert fine["PIXAR_A2"] == pytest.approx(0.0169)
    assert fine["SATURATE"] == 15000.0
    # physical pixel 11 is image pixel 1: its centre is at 1.5 on the fine grid
    assert fine["LTM1_1"] * 11 + fine["LTV1"] == pytest.approx(1.5)
    assert fine["LTM2_2"] * 21 + fine["LTV2"] == pytest.approx(1.5)
    assert fine.comments["GAIN"] == "native pixels"
    assert not {"DATASEC", "FWHM", "BSCALE"} & set(fine)
    assert (fine["GCMFLUX"], fine["GCMSCAL1"], fine["GCMCORR"], fine["BUNIT"]) == ("SUM", 2, True, "adu")
    with pytest.warns(GencosmoWarning):
        assert finer_header(coarse, (2, 2), "sb")["SATURATE"] == 60000.0


def test_what_cannot_be_carried_is_refused():
    with pytest.raises(InputError, match="lookup tables") as caught:
        finer_header(header(CPDIS1="LOOKUP"), (2, 2))
    assert caught.value.code == "unsupported_wcs"
    both = header(CD1_1=-7e-5, CD1_2=0.0, CD2_1=0.0, CD2_2=7e-5, PC1_1=1.0, PC2_2=1.0, CDELT1=-1e-5, CDELT2=1e-5)
    with pytest.raises(InputError, match="disagree"):
        finer_header(both, (2, 2))


def test_a_header_without_coordinates_stays_without():
    plain = fits.Header()
    plain["OBJECT"] = "x"
    assert not [key for key in finer_header(plain, (2, 2)) if key.startswith(("CRPIX", "CDELT", "LT"))]
