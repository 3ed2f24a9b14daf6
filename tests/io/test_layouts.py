"""Every profile: what is science, noise and mask, and what each mask bit becomes."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits, count
from gencosmo.io.hdus import open_fits
from gencosmo.io.profiles import PROFILES, find_profile, layouts_of

from .files import SHAPE, decam_files, holes, lsst_file, plain_file, sky, stsci_file, write


def test_every_profile_has_its_row_and_is_found_by_name(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    with open_fits(path) as file:
        for name, profile in PROFILES.items():
            assert profile.name == name
            assert find_profile(file, name) is profile
        assert find_profile(file).name == "plain"
        with pytest.raises(UsageError, match="no profile 'hubble'"):
            find_profile(file, "hubble")


def test_stsci_jwst_do_not_use_alone_asks_for_filling(tmp_path):
    image = gio.read(stsci_file(tmp_path / "a.fits"))
    assert image.meta["profile"] == "stsci"
    assert np.array_equal(image.mask[0], holes(seed=1))
    assert image.meta["planes"]["JUMP_DET"] == 4, "counted, and not filled"
    assert count(image.flags) == {"DEAD": int(holes(seed=1).sum())}
    assert np.allclose(image.ivar, 1 / 25)
    assert image.unit == "electron/s"
    assert image.pixel_scale == pytest.approx(7e-5 * 3600, rel=1e-3)


def test_stsci_hst_bits(tmp_path):
    dq = np.zeros(SHAPE, np.int16)
    dq[2, 2:6] = 4096
    dq[4, 2:5] = 64
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"], primary.header["INSTRUME"] = "HST", "ACS"
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    image = gio.read(path)
    assert count(image.flags) == {"COSMIC_RAY": 4, "SUSPECT": 3}
    assert image.mask.sum() == 4
    assert image.ivar is None


def test_stsci_form_of_others_every_bit_is_bad_unless_cards_name_them(tmp_path):
    dq = np.zeros(SHAPE, np.uint32)
    dq[2, 2:6] = 512
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    assert count(gio.read(path).flags) == {"BAD": 4}
    named = fits.ImageHDU(dq, name="DQ")
    named.header["MP_CR"] = 9
    path = write(tmp_path / "b.fits", fits.PrimaryHDU(), fits.ImageHDU(sky(), name="SCI"), named)
    assert count(gio.read(path).flags) == {"COSMIC_RAY": 4}


def test_gemini_var_is_a_variance(tmp_path):
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(sky(), name="SCI"),
        fits.ImageHDU(np.full(SHAPE, 16, np.float32), name="VAR"),
    )
    assert np.allclose(gio.read(path).ivar, 1 / 16)


def test_trap_24_planes_are_paired_by_version_whatever_their_order(tmp_path):
    path = stsci_file(tmp_path / "a.fits", versions=3)
    with open_fits(path) as file:
        layouts = layouts_of(file)
        assert [layout.science.version for layout in layouts] == [1, 2, 3]
        assert all(layout.dq.hdu.version == layout.science.version for layout in layouts)
    for version in (1, 2, 3):
        image = gio.read(path, hdu=f"SCI,{version}")
        assert np.array_equal(image.mask[0], holes(seed=version))
        assert np.array_equal(image.data[0], sky(seed=version))


@pytest.mark.parametrize("cards", ["v1", "v2"])
def test_trap_17_lsst_planes_are_read_from_the_cards(tmp_path, cards):
    image = gio.read(lsst_file(tmp_path / "a.fits", cards=cards))
    assert image.meta["profile"] == f"lsst-{cards}"
    assert count(image.flags) == {"SATURATED": 10, "COSMIC_RAY": 9}
    assert image.meta["planes"] == {"SAT": 10, "CR": 9, "DETECTED_NEGATIVE": 100}
    assert np.allclose(image.ivar, 1 / 25)


def test_mask_planes_of_the_users_choice(tmp_path):
    path = lsst_file(tmp_path / "a.fits")
    assert count(gio.read(path, mask_planes=("CR",)).flags) == {"COSMIC_RAY": 9}
    assert count(gio.read(path, mask_planes=("DETECTED_NEGATIVE",)).flags) == {"BAD": 100}
    with pytest.raises(UsageError, match="no mask plane 'COSMIC'") as caught:
        gio.read(path, mask_planes=("COSMIC",))
    assert "DETECTED_NEGATIVE" in caught.value.hint
    with pytest.raises(UsageError, match="the file has no mask plane"):
        gio.read(plain_file(tmp_path / "b.fits"), mask_planes=("CR",))


@pytest.mark.parametrize("plver", ["V4.8.2a", "V3.5.0", "V2.3"])
def test_trap_18_decam_codes_or_bits_by_pipeline_version(tmp_path, plver):
    image = gio.read(decam_files(tmp_path, plver=plver))
    assert image.meta["profile"] == "decam"
    found = count(image.flags)
    assert (found["SATURATED"], found["COSMIC_RAY"], found["TRANSIENT"]) == (10, 9, 10)
    assert found["BAD"] == 10, "the transient has weight zero, so its value is unknown"
    assert found["NO_NOISE"] == 29


def test_trap_18_unknown_pipeline_version_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="does not tell whether") as caught:
        gio.read(decam_files(tmp_path, plver="DR2"))
    assert caught.value.code == "dq_format"


def test_desdm(tmp_path):
    mask = np.zeros(SHAPE, np.int16)
    mask[1, :5], mask[2, :6], mask[3, :7] = 16, 32, 64
    hdus = [fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(mask, name="MSK")]
    weight = fits.ImageHDU(np.full(SHAPE, 0.04, np.float32), name="WGT")
    image = gio.read(write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus, weight))
    assert image.meta["profile"] == "desdm"
    assert count(image.flags) == {"COSMIC_RAY": 5, "BLEED": 7}
    assert image.meta["planes"]["STAR"] == 6


def test_sdss_ivar_in_the_file_or_beside_it(tmp_path):
    ivar = np.full(SHAPE, 0.25, np.float32)
    ivar[3, 3] = 0
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(sky()), fits.ImageHDU(ivar, name="IVAR"))
    other = plain_file(tmp_path / "brick-image-r.fits")
    plain_file(tmp_path / "brick-ivar-r.fits", ivar)
    for image in (gio.read(path), gio.read(other)):
        assert image.meta["profile"] == "sdss-ivar"
        assert np.array_equal(image.ivar[0], ivar)
        assert count(image.flags) == {"BAD": 1, "NO_NOISE": 1}


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_trap_16_ccddata(tmp_path, kind):
    """CCDData turns a mask of 5 into 1; whatever is non-zero is bad."""
    ccd = CCDData(sky(), unit="adu", mask=holes(), uncertainty=kind(np.full(SHAPE, 4.0)))
    ccd.write(tmp_path / "a.fits")
    image = gio.read(tmp_path / "a.fits")
    expected = {StdDevUncertainty: 1 / 16, VarianceUncertainty: 1 / 4, InverseVariance: 4}[kind]
    assert image.meta["profile"] == "ccddata"
    assert np.allclose(image.ivar, expected)
    assert np.array_equal(image.mask[0], holes())
    assert image.unit == "adu"


def test_ccddata_of_unknown_uncertainty(tmp_path):
    uncert = fits.ImageHDU(np.ones(SHAPE), name="UNCERT")
    uncert.header["UTYPE"] = "Guess"
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(sky()), uncert)
    with pytest.raises(InputError, match="UTYPE='Guess'"):
        gio.read(path)


def test_plain_takes_the_first_image_and_tells_of_the_others(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(sky()), fits.ImageHDU(sky(seed=3)))
    image = gio.read(path)
    assert image.meta["hdu"] == 1
    assert "1 more image HDUs are copied" in image.meta["notes"][0]
    with open_fits(path) as file:
        assert len(layouts_of(file, hdu="all")) == 2


def test_trap_25_degenerate_axes_and_cubes(tmp_path):
    data = sky()
    assert gio.read(plain_file(tmp_path / "a.fits", data[np.newaxis, np.newaxis])).shape == (1, *SHAPE)
    cube = np.stack([sky(seed=i) for i in range(3)])
    image = gio.read(plain_file(tmp_path / "b.fits", cube))
    assert image.shape == (3, *SHAPE)
    assert np.array_equal(image.data, cube)


def test_mask_file_and_its_shape(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    assert np.array_equal(gio.read(path, mask=mask).mask[0], holes())
    turned = plain_file(tmp_path / "t.fits", holes().T.astype(np.uint8))
    with pytest.raises(InputError) as caught:
        gio.read(path, mask=turned)
    assert caught.value.message == "mask is 56x40, image is 40x56 (transposed?)"
    two = write(tmp_path / "two.fits", fits.PrimaryHDU(), *(fits.ImageHDU(holes().astype("u1"), name=n) for n in "AB"))
    assert gio.read(path, mask=f"{two}[B]").mask.any()
    with pytest.raises(InputError, match="has 2 images"):
        gio.read(path, mask=two)


def test_trap_19_a_weight_map_of_zeros_and_ones_is_a_mask(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    weight = plain_file(tmp_path / "w.fits", (~holes()).astype(np.uint8))
    for options in ({"weight": weight}, {"ivar": weight}):
        with pytest.warns(GencosmoWarning, match="only 0 and 1: used as a mask") as caught:
            image = gio.read(path, **options)
        assert caught[0].message.code == "weight_is_mask"
        assert image.ivar is None
        assert np.array_equal(image.mask[0], holes())


def test_an_inverse_variance_of_ones_is_one_when_the_noise_is_one(tmp_path):
    path = plain_file(tmp_path / "a.fits", sky(noise=1.0))
    ones = plain_file(tmp_path / "w.fits", np.ones(SHAPE, np.float32))
    assert np.array_equal(gio.read(path, ivar=ones).ivar[0], np.ones(SHAPE))


def test_trap_19_relative_weights_are_scaled_to_the_measured_noise(tmp_path):
    rng = np.random.default_rng(0)
    weight = np.repeat([[1.0, 4.0]], 200, axis=0).repeat(100, axis=1).astype(np.float32)
    data = (rng.normal(0, 1, weight.shape) * 7 / np.sqrt(weight)).astype(np.float32)
    path = plain_file(tmp_path / "a.fits", data)
    image = gio.read(path, weight=plain_file(tmp_path / "w.fits", 1000 * weight))
    assert image.meta["noise_source"] == "weight, rescaled"
    assert np.allclose(image.ivar[0], weight / 49, rtol=0.05)
    exact = gio.read(path, weight=plain_file(tmp_path / "v.fits", weight), weight_type="rms")
    assert np.allclose(exact.ivar[0], weight**-2.0)


def test_trap_20_tiny_weights_of_lossy_maps_are_zeros(tmp_path):
    weight = np.full(SHAPE, 2.0, np.float32)
    weight[4, :7] = 1e-4
    path = plain_file(tmp_path / "a.fits")
    image = gio.read(path, weight=plain_file(tmp_path / "w.fits", weight))
    assert image.mask.sum() == 7


def test_trap_22_masked_is_nan_or_bits_or_no_variance(tmp_path):
    data, error = sky(), np.full(SHAPE, 5, np.float32)
    dq = np.zeros(SHAPE, np.uint32)
    data[1, :3] = np.nan
    dq[2, :4] = 1
    error[3, :5] = 0, -1, np.nan, 0, 0
    hdus = [fits.ImageHDU(x, name=n) for x, n in ((data, "SCI"), (error, "ERR"), (dq, "DQ"))]
    image = gio.read(write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus))
    assert image.mask.sum() == 12
    assert image.meta["counts"] == {"BAD": 9, "NO_DATA": 3, "NO_NOISE": 5}
    assert (image.flags[0, 1, :3] == bits("NO_DATA")).all()


def test_a_noise_plane_without_noise_is_not_used(tmp_path):
    error = fits.ImageHDU(np.zeros(SHAPE, np.float32), name="ERR")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(sky(), name="SCI"), error)
    with pytest.warns(GencosmoWarning, match="nowhere positive"):
        image = gio.read(path)
    assert image.ivar is None
    assert not image.mask.any()


@pytest.mark.parametrize("dtype", ["f4", ">f8"])
@pytest.mark.parametrize("scale", [1e-22, 1e30])
@pytest.mark.parametrize(("name", "power"), [("ERR", 1), ("VAR", 2)])
def test_noise_whose_inverse_variance_float32_cannot_hold_is_told(tmp_path, dtype, scale, name, power):
    """Images in W/m2/Hz or erg/s/cm2/A: not a file of bad pixels, which is what zeros in `ivar` would make of it."""
    noise = np.full(SHAPE, (5 * scale) ** power).astype(dtype if power == 1 else ">f8")
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU((sky() * scale).astype(dtype), name="SCI"),
        fits.ImageHDU(noise, name=name),
    ]
    with pytest.raises(InputError, match="not in the range of float32") as caught:
        gio.read(write(tmp_path / "a.fits", *hdus))
    assert caught.value.code == "bad_noise"


def test_reference_pixels_are_masked_and_marked(tmp_path):
    dq = np.zeros(SHAPE, np.uint32)
    dq[:4] = 1 | 1 << 31
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "JWST"
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    assert count(gio.read(path).flags) == {"BAD": 4 * SHAPE[1], "REFERENCE": 4 * SHAPE[1]}


def test_trap_21_grow_widens_a_flag_by_a_disc(tmp_path):
    path = lsst_file(tmp_path / "a.fits")
    image = gio.read(path, mask_planes=("CR",), grow={"COSMIC_RAY": 2})
    assert image.mask.sum() == 9 + 4 * 3 * 2 + 4, "3x3 by radius 2: four strips and one pixel at each corner"
    with pytest.raises(UsageError, match="not filled"):
        gio.read(path, grow={"SUSPECT": 1})
    with pytest.raises(UsageError, match="not between"):
        gio.read(path, grow={"HOT": 900})


def test_options_that_contradict(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    with pytest.raises(UsageError, match="both given"):
        gio.read(path, ivar=path, weight=path)
    with pytest.raises(UsageError, match="weight type 'sigma'"):
        gio.read(path, weight=path, weight_type="sigma")
