"""Real files: what is in them was counted by hand (astropy and NumPy) when this was written."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import GencosmoError
from gencosmo.flags import count
from gencosmo.io.hdus import open_fits

from .files import fill, sha

ROOT = Path(os.environ.get("GENCOSMO_TEST_DATA", "")) / "astro"
pytestmark = pytest.mark.skipif(
    not os.environ.get("GENCOSMO_TEST_DATA") or not ROOT.is_dir(), reason="GENCOSMO_TEST_DATA is not set"
)


def every_file():
    return sorted(path for path in ROOT.rglob("*.fits*") if path.is_file())


def test_every_file_is_read_or_refused_with_a_reason():
    refused = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in every_file():
            try:
                gio.read(path)
            except GencosmoError as error:
                refused[path.name] = error.code
    assert set(refused.values()) <= {"no_image"}, refused
    assert len(refused) <= 3, refused


def test_decam_masks_are_codes():
    """V4.8.2a: 3 saturated, 4 bleed. Counts from the mask file itself."""
    path = ROOT / "legacy_testcase6" / "c4d_150110_053718_ooi_z_ls9.S4.fits"
    codes = fits.getdata(str(path).replace("_ooi_", "_ood_"))
    image = gio.read(path)
    assert count(image.flags)["SATURATED"] == (codes == 3).sum() == 895
    assert count(image.flags)["BLEED"] == (codes == 4).sum() == 797
    assert np.array_equal(image.mask[0], codes != 0)
    assert image.pixel_scale == pytest.approx(0.262, abs=0.001)


def test_gemini_cosmic_ray_frame_has_a_variance_plane():
    image = gio.read(ROOT / "gmos_cr" / "gmos.fits")
    assert image.meta["profile"] == "stsci"
    with fits.open(ROOT / "gmos_cr" / "gmos.fits") as hdus:
        assert np.allclose(image.ivar[0], 1 / hdus["VAR"].data, rtol=1e-6)


def test_a_nan_border_is_counted():
    image = gio.read(ROOT / "galcentre" / "gc_bolocam_gps.fits")
    assert image.mask.sum() == np.isnan(fits.getdata(ROOT / "galcentre" / "gc_bolocam_gps.fits")).sum() == 20399


@pytest.mark.parametrize(
    "name",
    [
        "legacy_testcase6/c4d_150110_053718_ooi_z_ls9.S4.fits",
        "legacy_testcase8/c4d_171113_060340_ooi_r_ls9.N6.fits",
        "gmos_cr/gmos.fits",
        "galcentre/gc_bolocam_gps.fits",
        "m13_amateur/M13_blue_0001.fits.gz",
        "spitzer_irac/spitzer_example_image.fits",
    ],
)
def test_only_filled_pixels_change(tmp_path, name):
    path, out = ROOT / name, tmp_path / "out.fits"
    before = sha(path)
    truth = fits.getdata(path)
    mask = np.random.default_rng(0).random(truth.shape) < 0.01
    fits.PrimaryHDU(mask.astype(np.uint8)).writeto(tmp_path / "m.fits")
    image = gio.read(path, mask=str(tmp_path / "m.fits"))
    gio.write(out, fill(image), like=path, image=image)
    assert sha(path) == before
    left = ~image.mask.reshape(truth.shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(Checksum|Datasum).*")
        with fits.open(out, checksum=True) as hdus:
            got = hdus[image.meta["hdu"]].data
            assert got.dtype.newbyteorder("=") == truth.dtype.newbyteorder("=")
            assert np.array_equal(got[left], truth[left])
            assert mask.sum() <= hdus["GCM_FILL"].data.astype(bool).sum()
    with open_fits(str(path)) as old, open_fits(str(out)) as new:
        for one, other in zip(old.hdus, new.hdus, strict=False):
            same = bytes(old.raw(one)) == bytes(new.raw(other))
            touched = one.index == image.meta["hdu"] or one.name in ("ERR", "VAR", "DQ")
            assert same or touched, one.describe()
