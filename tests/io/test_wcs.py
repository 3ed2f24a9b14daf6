import pytest
from astropy.io import fits

from gencosmo.io.cards import Cards
from gencosmo.io.wcs import origin_of, pixel_scale, wcs_notes

from .files import sip_header


def cards(**words) -> Cards:
    header = fits.Header()
    for key, value in words.items():
        header[key] = value
    return Cards(header.tostring(endcard=False, padding=False).encode())


TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
CD = {"CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4}


@pytest.mark.parametrize(
    ("words", "scale"),
    [
        (TAN | CD, 0.36),
        (TAN | {"CDELT1": -1e-4, "CDELT2": 1e-4}, 0.36),
        (TAN | {"CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA2": 30.0}, 0.36),
        (TAN | {"CDELT1": 2.0, "CDELT2": 0.5, "PC1_1": -1e-4, "PC2_2": 1e-4}, 0.36),
        ({"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CDELT1": -1e-3, "CDELT2": 1e-3}, 3.6),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({"PIXSCALE": 0.263}, 0.263),
        ({"PIXAR_A2": 0.04}, 0.2),
        ({}, None),
        (TAN | {"CD1_1": "abc"}, None),
    ],
)
def test_pixel_scale(words, scale):
    assert pixel_scale(cards(**words)) == (scale if scale is None else pytest.approx(scale))


def test_trap_11_pc_and_cd_that_disagree_are_told():
    both = TAN | CD | {"PC1_1": 2.0, "PC2_2": 2.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    ((code, text),) = wcs_notes(cards(**both))
    assert code == "ambiguous_wcs"
    assert "0.72 and 0.36 arcsec" in text
    assert pixel_scale(cards(**both)) is None
    agree = both | {"PC1_1": 1.0, "PC2_2": 1.0}
    assert wcs_notes(cards(**agree)) == []
    assert pixel_scale(cards(**agree)) == pytest.approx(0.36)


def test_trap_13_a_singular_matrix_is_told():
    ((code, _),) = wcs_notes(cards(**TAN, CD1_1=1e-4, CD1_2=1e-4, CD2_1=1e-4, CD2_2=1e-4))
    assert code == "singular_wcs"


def test_trap_15_sip_terms_without_sip_in_ctype():
    header = sip_header()
    assert wcs_notes(cards_of(header)) == []
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    ((code, text),) = wcs_notes(cards_of(header))
    assert code == "sip_ignored"
    assert "without -SIP" in text


def cards_of(header) -> Cards:
    return Cards(header.tostring(endcard=False, padding=False).encode())


def test_origin_of_a_section():
    assert origin_of(cards(LTV1=-100.0, LTV2=-20.0)) == (20, 100)
    assert origin_of(cards(LTV1=-100.0, LTV2=-20.0, LTM1_1=0.5, LTM2_2=0.5)) == (0, 0)
    assert origin_of(cards(LTV1=-100.5)) == (0, 0)
    assert origin_of(cards()) == (0, 0)
