import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.utils.masked import Masked

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits
from gencosmo.image import Image, as_image, require_signal

RNG = np.random.default_rng(3)
PLANE = RNG.normal(10, 1, (12, 15)).astype(np.float32)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "f8", "u1", ">i2", "u2", "i4", ">u4", "i8"])
def test_any_number_in_either_byte_order(dtype):
    array = np.arange(120).reshape(10, 12).astype(dtype)
    image = as_image(array)
    assert image.data.dtype == np.float32
    assert image.data.dtype.isnative
    assert image.shape == (1, 10, 12)
    assert np.array_equal(image.data[0], array)
    assert image.planar
    assert image.restore(image.data).shape == (10, 12)


def test_cubes_keep_their_shape():
    image = as_image(np.zeros((3, 10, 12), np.float32), mask=np.eye(10, 12))
    assert not image.planar
    assert image.restore(image.data).shape == (3, 10, 12)
    assert image.mask.sum() == 30, "an (H, W) mask holds for every channel"


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, np.bool_, object, "U3"])
def test_other_types_are_refused(dtype):
    with pytest.raises(InputError, match="images are not supported") as caught:
        as_image(np.zeros((9, 9), dtype))
    assert caught.value.code == "dtype"


def test_nan_and_infinity_are_no_data():
    array = PLANE.copy()
    array[2, 3] = np.nan
    array[4, :2] = np.inf, -np.inf
    with pytest.warns(GencosmoWarning, match="2 infinite pixels treated as masked"):
        image = as_image(array)
    assert image.mask.sum() == 3
    assert (image.data[image.mask] == 0).all()
    assert set(np.unique(image.flags)) == {0, bits("NO_DATA")}
    assert np.isnan(array[2, 3]), "the caller's array is not written to"


def test_nothing_finite():
    with pytest.raises(InputError, match="image has no finite pixel"):
        as_image(np.full((9, 9), np.nan))


def test_what_float32_cannot_hold_is_told_as_such():
    array = PLANE.astype(np.float64)
    array[1, :3], array[2, 0] = 1e300, np.inf
    with pytest.warns(GencosmoWarning) as caught:
        image = as_image(array)
    assert [str(one.message) for one in caught] == [
        "1 infinite pixels treated as masked",
        "3 pixels beyond 3.4e38, the range of float32, treated as masked",
    ]
    assert image.mask.sum() == 4
    with pytest.raises(InputError, match="the range of float32") as refused:
        as_image(np.full((9, 9), 1e300))
    assert refused.value.code == "no_signal" and refused.value.hint == "give the image in other units"


@pytest.mark.parametrize("gap", [1e-200, np.nan])
def test_values_below_float32_are_told_as_such(gap):
    array = PLANE.astype(np.float64) * 1e-200
    array[0, 0] = gap
    with pytest.raises(InputError, match=r"no pixel is as large as 1\.2e-38, the range of float32"):
        as_image(array)
    assert not as_image(np.zeros((16, 16))).data.any(), "zeros are zeros"


def test_a_mask_with_other_channels_shows_them():
    with pytest.raises(InputError, match="mask is 3x12x15, image is 1x12x15"):
        as_image(PLANE, np.zeros((3, 12, 15), bool))


def test_transposed_mask_says_so():
    with pytest.raises(InputError) as caught:
        as_image(PLANE, mask=np.zeros(PLANE.shape[::-1], bool))
    assert caught.value.message == "mask is 15x12, image is 12x15 (transposed?)"
    assert caught.value.code == "shape_mismatch"
    with pytest.raises(InputError, match=r"mask is 5x5, image is 12x15$"):
        as_image(PLANE, mask=np.zeros((5, 5), bool))


def test_mask_is_true_or_non_zero():
    mask = np.zeros(PLANE.shape)
    mask[0, :3] = 1, -2, 0.5
    image = as_image(PLANE, mask=mask)
    assert image.mask.sum() == 3
    assert (image.flags[image.mask] == bits("USER")).all()


def test_unknown_noise_is_filled():
    ivar = np.ones(PLANE.shape)
    ivar[1, :4] = 0, -1, np.nan, np.inf
    image = as_image(PLANE, ivar=ivar)
    assert image.ivar[0, 1, :4].tolist() == [0, 0, 0, np.inf]
    assert image.mask[0, 1, :4].tolist() == [True, True, True, False]
    assert as_image(PLANE, ivar=4.0).ivar.min() == 4
    with pytest.raises(InputError, match="nowhere positive"):
        as_image(PLANE, ivar=np.zeros(PLANE.shape))


def test_masked_array():
    array = np.ma.MaskedArray(PLANE, mask=PLANE > 11)
    assert np.array_equal(as_image(array).mask[0], PLANE > 11)


@pytest.mark.parametrize(
    ("uncertainty", "expected"),
    [(StdDevUncertainty, 1 / 4), (VarianceUncertainty, 1 / 2), (InverseVariance, 2)],
)
def test_nddata_without_astropy_in_this_module(uncertainty, expected):
    data = NDData(PLANE, mask=PLANE > 11, uncertainty=uncertainty(np.full(PLANE.shape, 2.0)), unit="adu")
    image = as_image(data)
    assert np.allclose(image.ivar, expected)
    assert image.unit == "adu"
    assert np.array_equal(image.mask[0], PLANE > 11)


def test_ccddata_and_an_uncertainty_without_a_kind():
    image = as_image(CCDData(PLANE, unit="electron"), mask=PLANE > 11)
    assert image.unit == "electron"
    assert image.mask.any()
    from astropy.nddata import UnknownUncertainty

    with pytest.raises(InputError, match="expected std, var or ivar"):
        as_image(NDData(PLANE, uncertainty=UnknownUncertainty(np.ones(PLANE.shape))))


def test_channels_last_is_caught():
    with pytest.raises(InputError, match="channels come first") as caught:
        as_image(np.zeros((20, 30, 3)))
    assert caught.value.code == "axes"


@pytest.mark.parametrize("shape", [(5,), (2, 2, 5, 5), (0, 5)])
def test_shapes_that_are_no_image(shape):
    with pytest.raises(InputError):
        as_image(np.zeros(shape))


def test_paths_go_through_a_reader(tmp_path):
    image = as_image(tmp_path / "x.any", reader=lambda path: as_image(PLANE).replace(unit=path))
    assert image.unit == str(tmp_path / "x.any")


def test_a_path_without_a_reader_says_what_to_import(monkeypatch):
    monkeypatch.setattr("gencosmo.image._readers", [])
    with pytest.raises(UsageError, match="no reader for the path") as caught:
        as_image("x.fits")
    assert caught.value.code == "no_reader"


def test_arrays_are_read_only_and_the_caller_is_free():
    array = PLANE.copy()
    image = as_image(array)
    with pytest.raises(ValueError, match="read-only"):
        image.data[0, 0, 0] = 1
    array[0, 0] = -999
    assert image.data[0, 0, 0] != -999
    assert array.flags.writeable


def test_invariants():
    good = np.zeros((1, 9, 9), np.float32)
    for fields, words in [
        ({"data": good[0]}, "expected .C, H, W"),
        ({"data": good.astype(np.float64)}, "use as_image"),
        ({"data": good.astype(">f4")}, "expected native"),
        ({"data": good + np.nan}, "81 non-finite pixels"),
        ({"data": good, "ivar": good - 1}, "negative or NaN"),
        ({"data": good, "flags": np.zeros((1, 9, 8), np.uint32)}, "flags is 9x8, image is 9x9"),
        ({"data": good, "psf": np.ones((3, 3), np.float32)}, "psf sums to 9"),
        ({"data": good, "pixel_scale": -1.0}, "pixel_scale is -1"),
        ({"data": np.zeros((2, 9, 9), np.float32), "planar": True}, "1 channel"),
    ]:
        with pytest.raises(InputError, match=words):
            Image(**fields)


def test_pickles_with_its_meta():
    image = as_image(PLANE, mask=PLANE > 11).replace(meta={"a": 1}, origin=(3, -4))
    back = pickle.loads(pickle.dumps(image))
    assert back.meta["a"] == 1
    assert back.origin == (3, -4)
    assert np.array_equal(back.mask, image.mask)


@pytest.mark.parametrize(
    ("array", "mask", "code", "text"),
    [
        (np.ones((7, 40)), None, "too_small", "7x40 pixels, the smallest is 8x8"),
        (np.ones((20, 20)), None, "no_signal", "all 400 observed pixels have the value 1"),
        (RNG.random((20, 20)), np.ones((20, 20)), "nothing_observed", "100.0 % of pixels masked, limit 60 %"),
    ],
)
def test_too_little_to_work_from(array, mask, code, text):
    with pytest.raises(InputError) as caught:
        require_signal(as_image(array, mask))
    assert caught.value.code == code
    assert text in caught.value.message


def test_enough_to_work_from():
    require_signal(as_image(PLANE, mask=PLANE > 10.5))


def test_units_come_along_and_are_converted():
    mask = PLANE > 11
    image = as_image(PLANE * u.mJy, ivar=np.full(PLANE.shape, 4.0) / u.Jy**2)
    assert image.unit == "mJy" and np.allclose(image.ivar, 4e-6, rtol=1e-6)
    assert np.array_equal(as_image(Masked(PLANE * u.adu, mask=mask)).mask[0], mask)
    noise = StdDevUncertainty(np.full(PLANE.shape, 2e-3), unit="Jy")
    assert np.allclose(as_image(NDData(PLANE, unit="mJy", uncertainty=noise)).ivar, 0.25)
    with pytest.raises(InputError, match=r"ivar is in 1 / s2, image is in mJy"):
        as_image(PLANE * u.mJy, ivar=1 / u.s**2)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_every_uncertainty_may_have_a_unit_of_its_own(kind):
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    noise = kind(np.full(PLANE.shape, 2.0), unit=u.Jy**power)
    plain = as_image(NDData(PLANE, unit="Jy", uncertainty=kind(np.full(PLANE.shape, 2.0))))
    assert np.allclose(as_image(NDData(PLANE, unit="mJy", uncertainty=noise)).ivar * 1e6, plain.ivar)


def test_tensors_of_a_model_are_arrays():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(PLANE.copy()).requires_grad_()
    assert np.array_equal(as_image(tensor, mask=torch.zeros(PLANE.shape)).data[0], PLANE)
    with pytest.raises(InputError, match=r"image is torch.bfloat16, expected an array"):
        as_image(tensor.bfloat16())


@pytest.mark.parametrize("value", [None, [fits.PrimaryHDU(PLANE)], fits.PrimaryHDU(PLANE), {"data": PLANE}])
def test_what_is_no_array_is_named(value):
    with pytest.raises(InputError, match=f"{type(value).__name__} images are not supported") as caught:
        as_image(value)
    assert "the path of a file" in caught.value.hint


def test_a_mask_may_be_one_bool():
    """As `numpy.ma.nomask` is, the mask of a masked array without any."""
    assert not as_image(PLANE, mask=np.ma.nomask).mask.any()
    assert as_image(PLANE, mask=True).mask.all()


def test_noise_beyond_float32_is_not_taken_for_exact():
    """Images in erg/s/cm2/A: a noise of 1e-20 has an inverse variance of 1e40."""
    with pytest.raises(InputError, match="180 values of ivar are beyond") as caught:
        as_image(PLANE * 1e-20, ivar=np.full(PLANE.shape, 1e40))
    assert caught.value.code == "bad_noise" and "another unit" in caught.value.hint
    assert np.isinf(as_image(PLANE, ivar=np.inf).ivar).all()
    with pytest.raises(InputError, match="ivar is <U6, expected numbers"):
        as_image(PLANE, ivar="w.fits")


@pytest.mark.parametrize("share", [60, -0.1, float("nan")])
def test_a_share_is_no_percentage(share):
    with pytest.raises(UsageError, match="expected a share from 0 to 1"):
        require_signal(as_image(PLANE), max_fill=share)
