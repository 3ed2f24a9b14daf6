"""Stored numbers of every kind, read and put back."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.io.cards import Cards
from gencosmo.io.noise import to_kind
from gencosmo.io.pixels import Pixels

from .files import SHAPE, plain_file, sky, write

TYPES = ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"]


# The tile convention has no 64-bit integers in astropy.
@pytest.mark.parametrize(
    ("dtype", "packing"),
    [(d, p) for d in TYPES for p in ("plain", "gzip", "tiles") if (d, p) != ("i8", "tiles")],
)
def test_trap_8_9_every_type_in_every_packing(tmp_path, dtype, packing):
    data = sky(dtype=dtype)
    path = tmp_path / ("a.fits.gz" if packing == "gzip" else "a.fits")
    if packing == "tiles":
        kind = {"compression_type": "GZIP_2", "quantize_level": 0} if dtype[0] == "f" else {}
        write(path, fits.PrimaryHDU(), fits.CompImageHDU(data, **kind))
    else:
        plain_file(path, data)
    image = gio.read(path)
    assert image.data.dtype == np.float32
    assert image.data.dtype.isnative
    assert np.array_equal(image.data[0], data.astype(np.float32))


def test_trap_6_7_blank_and_scaling(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[0, 100, -5], [7, -999, 32767]], np.int16).repeat(10, 0).repeat(10, 1))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 10.0, -999
    path = write(tmp_path / "a.fits", hdu)
    image = gio.read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = fits.getdata(path)
    assert np.array_equal(np.isnan(truth), image.mask[0])
    assert np.array_equal(np.nan_to_num(truth, nan=0.0), image.data[0])


def test_trap_3_nan_in_rice_tiles_stay_single_pixels(tmp_path):
    data = sky()
    data[7, 9] = np.nan
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type="RICE_1"))
    assert gio.read(path).mask.sum() == 1


def test_infinite_pixels_are_masked_and_told(tmp_path):
    data = sky()
    data[0, :12] = np.inf
    with pytest.warns(GencosmoWarning, match="12 infinite pixels treated as masked") as caught:
        image = gio.read(plain_file(tmp_path / "a.fits", data))
    assert caught[0].message.code == "non_finite"
    assert image.mask.sum() == 12


def test_no_finite_pixel(tmp_path):
    with pytest.raises(InputError, match="image has no finite pixel") as caught:
        gio.read(plain_file(tmp_path / "a.fits", np.full(SHAPE, np.nan)))
    assert caught.value.code == "no_signal"


def test_mask_planes_must_hold_whole_numbers(tmp_path):
    for data, words in ((np.full(SHAPE, 0.5, np.float32), "fractions"),):
        dq = fits.ImageHDU(data, name="DQ")
        path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(sky(), name="SCI"), dq)
        with pytest.raises(InputError, match=words):
            gio.read(path)


def pixels(dtype, bscale=1.0, bzero=0.0, blank=None):
    return Pixels(np.zeros((2, 2), dtype), Cards(b""), bscale, bzero, blank)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.sampled_from([0.01, 1.0, 3.0, -2.0]))
def test_integers_come_back_within_half_a_step(values, bscale):
    plane = pixels(">i4", bscale, 5.0)
    stored = plane.encode(np.array(values))
    assert stored.dtype == np.dtype(">i4")
    back = stored.astype(np.float64) * bscale + 5.0
    inside = np.abs(np.array(values)) < 2e7
    assert (np.abs(back - values)[inside] <= abs(bscale) / 2 * (1 + 1e-9)).all()


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_integers_never_wrap_and_never_become_blank(value):
    for dtype, blank in ((">i2", -32768), ("u1", 255), (">i8", 0)):
        stored = pixels(dtype, blank=blank).encode(np.array([value]))
        assert stored[0] != blank
        if np.isfinite(value):
            info = np.iinfo(dtype)
            assert abs(float(stored[0]) - min(max(value, info.min), info.max)) <= max(1.5, 1e-12 * abs(value))


@given(st.floats(1e-10, 1e10))
def test_noise_kinds_are_inverse_to_reading(std):
    values = np.array([std, 0.0])
    assert to_kind(values, "std")[0] == std
    assert to_kind(values, "variance")[0] == pytest.approx(std**2)
    assert to_kind(values, "ivar")[0] == pytest.approx(std**-2)
    assert to_kind(values, "ivar")[1] == 0


@pytest.mark.parametrize("scaled", [False, True])
def test_what_float32_cannot_hold_is_told_as_such(tmp_path, scaled):
    """Also where only BSCALE makes it so."""
    hdu = fits.PrimaryHDU(sky(dtype="i2") if scaled else sky(dtype="f8"))
    if scaled:
        hdu.data[:, :3], hdu.data[:, 3:] = 5, -200
        hdu.header["BSCALE"] = 1e37
        few = int((np.abs(hdu.data.astype(float)) > 34).sum())
    else:
        hdu.data[2, :4] = 1e300
        few = 4
    part = write(tmp_path / "part.fits", hdu)
    with pytest.warns(GencosmoWarning, match=f"^{few} pixels beyond 3.4e38, the range of float32, treated as masked"):
        assert gio.read(part).mask.sum() == few
    hdu.data[:] = 32000 if scaled else -1e300
    whole = write(tmp_path / "whole.fits", hdu)
    with (
        pytest.warns(GencosmoWarning, match="beyond 3.4e38"),
        pytest.raises(InputError, match="the range of float32") as refused,
    ):
        gio.read(whole)
    assert refused.value.code == "no_signal" and refused.value.hint == "give the image in other units"
