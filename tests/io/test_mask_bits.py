"""Mask bits by survey, against their published tables; what each table's source is, its module says."""

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import InputError
from gencosmo.flags import count
from gencosmo.io.profiles import decam, desdm
from gencosmo.io.profiles.stsci_bits import ANY, JWST, hst_planes

from .files import SHAPE, decam_files, sky, write


def filled_by(planes, *values):
    """The values among these that ask for filling."""
    flags = planes.translate(np.array(values, np.int64))
    from gencosmo.flags import FILL_BITS

    return [value for value, flag in zip(values, flags, strict=True) if flag & FILL_BITS]


def test_jwst_names_every_bit_but_the_reserved_one():
    assert sorted(row.value for row in JWST.rows) == [1 << b for b in range(32) if b != 8]
    assert filled_by(JWST, *(1 << b for b in range(32))) == [1]
    names = {row.name: row.value for row in JWST.rows}
    places = {name: names[name].bit_length() - 1 for name in ("CHARGELOSS", "RC", "OPEN", "FLUX_ESTIMATED")}
    assert places == {"CHARGELOSS": 7, "RC": 14, "OPEN": 26, "FLUX_ESTIMATED": 28}


def test_hst_by_camera():
    every = [1 << b for b in range(15)]
    assert filled_by(hst_planes("ACS", "WFC"), *every) == [1, 2, 4, 16, 128, 256, 2048, 4096, 8192]
    assert filled_by(hst_planes("WFC3", "UVIS"), *every) == [1, 2, 4, 16, 128, 256, 2048, 4096, 8192]
    assert filled_by(hst_planes("WFC3", "IR"), *every) == [1, 2, 4, 8, 16, 128, 256, 4096]
    assert filled_by(hst_planes("STIS", "CCD"), *every) == [1, 2, 4, 16, 256, 8192]
    assert hst_planes("NICMOS", "3") is ANY


def test_a_bright_source_in_wfc3_ir_is_not_filled(tmp_path):
    """Signal in the zero read (2048) and reads that the ramp fit rejected (8192) leave good values."""
    dq = np.zeros(SHAPE, np.int16)
    dq[10:20, 10:20] = 2048 | 8192
    dq[3, 3] = 16
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="HST", INSTRUME="WFC3", DETECTOR="IR")
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    assert count(gio.read(path).flags) == {"HOT": 1}


def test_des_bits():
    planes = desdm.PLANES
    assert {row.name: row.value for row in planes.rows} == {
        "BPM": 1, "SATURATE": 2, "INTERP": 4, "BADAMP": 8, "CRAY": 16, "STAR": 32, "TRAIL": 64, "EDGEBLEED": 128,
        "SSXTALK": 256, "EDGE": 512, "STREAK": 1024, "SUSPECT": 2048, "FIXED": 4096, "NEAREDGE": 8192,
        "TAPEBUMP": 16384,
    }  # fmt: skip
    assert filled_by(planes, *(row.value for row in planes.rows)) == [1, 2, 8, 16, 64, 128, 256, 512, 1024]


def lsst(path, names):
    mask = np.zeros(SHAPE, np.int32)
    hdu = fits.ImageHDU(mask, name="MASK")
    for number, name in enumerate(names):
        mask[number] |= 1 << number
        hdu.header[f"MSKN{number:04d}"], hdu.header[f"MSKM{number:04d}"] = name, 1 << number
    hdu.data = mask
    return gio.read(write(path, fits.PrimaryHDU(), fits.ImageHDU(sky(), name="IMAGE"), hdu))


def test_lsst_names_of_visits_and_coadds(tmp_path):
    names = ["BAD", "SATURATED", "INTERPOLATED", "COSMIC_RAY", "DETECTION_EDGE", "NO_DATA", "UNMASKED_NAN", "SPIKE"]
    visit = lsst(tmp_path / "v.fits", [*names, "VIGNETTED", "CROSSTALK"])
    assert visit.mask[0].any(axis=1)[:10].tolist() == [True, True, False, True, False, True, True, False, False, False]
    coadd = lsst(tmp_path / "c.fits", [*names, "REJECTED", "INEXACT_PSF"])
    assert coadd.mask[0].any(axis=1)[:8].tolist() == [True, True, False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("plver", "codes"), [("V3.4.9", False), ("DES V3.5.0", True), ("V5.2.2LS", True), ("V3.5", True)]
)
def test_words_that_decam_puts_into_plver(tmp_path, plver, codes):
    path = decam_files(tmp_path, plver="V4.8" if codes else "V2.0")
    for letter in "iwd":
        with fits.open(tmp_path / f"c4d_1_oo{letter}_z.fits", mode="update") as hdus:
            hdus[0].header["PLVER"] = plver
    assert count(gio.read(path).flags)["COSMIC_RAY"] == 9


@pytest.mark.parametrize("camera", ["Mosaic3", "90prime"])
def test_other_cameras_of_the_pipeline_hold_codes_whatever_their_version(tmp_path, camera):
    path = decam_files(tmp_path, plver="V4.3")
    with fits.open(tmp_path / "c4d_1_ood_z.fits", mode="update") as hdus:
        hdus[0].header["PLVER"], hdus[0].header["INSTRUME"] = "V2.3", camera
    assert count(gio.read(path).flags)["COSMIC_RAY"] == 9, "5 is a code, not bits 1 and 4"


def test_an_unknown_plver_is_answered_by_a_profile(tmp_path):
    path = decam_files(tmp_path, plver="V4.3")
    with fits.open(tmp_path / "c4d_1_ood_z.fits", mode="update") as hdus:
        hdus[0].header["PLVER"] = "DR2"
    with pytest.raises(InputError, match="holds bits or codes") as caught:
        gio.read(path)
    assert "--profile decam-bits" in caught.value.hint
    assert "--profile decam-codes" in caught.value.hint
    assert count(gio.read(path, profile="decam-codes").flags)["COSMIC_RAY"] == 9
    asbits = gio.read(path, profile="decam-bits")
    assert count(asbits.flags)["SATURATED"] == 20, "3 and 7 have bit 2"
    assert asbits.meta["profile"] == "decam"
    assert decam.PROFILE.about.startswith("triplet")


def test_mixed_up_streaks_are_noted(tmp_path):
    image = gio.read(decam_files(tmp_path, plver="V3.9"))
    assert "mixed up cosmic rays" in image.meta["notes"][0]
    for name in tmp_path.iterdir():
        name.unlink()
    assert gio.read(decam_files(tmp_path, plver="V4.8.2a")).meta["notes"] == ()
