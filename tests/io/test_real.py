"""Real files: what is in them was counted by hand (astropy and NumPy) when this was written."""

import os
import warnings
from collections import Counter
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import GencosmoError, GencosmoWarning, InputError
from gencosmo.flags import bits, count
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
    codes = Counter(refused.values())
    assert codes["no_image"] == 3, "tables"
    partners = [p for p in every_file() if ("_oow_" in p.name or "_ood_" in p.name) and image_of(p).exists()]
    assert codes == {"no_image": 3, "companion": len(partners) + 1}, "and one -invvar-"


def image_of(path):
    return path.with_name(path.name.replace("_oow_", "_ooi_").replace("_ood_", "_ooi_"))


COUNTS = [
    ("sdss_masks/vcc1512rss_cutout.fits", {"mask": "sdss_masks/vcc1512rss_mask_cutout.fits"}, {"USER": 1394}),
    ("sdss_masks/ic3478rss_256.fits.gz", {"mask": "sdss_masks/ic3478rss_256_mask.fits.gz"}, {"USER": 2108}),
    ("sdss_masks/n3073rss_small.fits", {"mask": "sdss_masks/n3073rss_small_mask.fits"}, {"USER": 1246}),
    ("m51/m51_with_cosmicrays.fits.gz", {"mask": "m51/m51_mask.fits.gz"}, {"USER": 36326}),
    ("galfitools/A1656-1-3.sbProf.fits.gz", {"mask": "galfitools/mask.sbProf.fits.gz"}, {"USER": 145294}),
    (
        "decam_tractor/decam-520206-S16-image-sub.fits",
        {"ivar": "decam_tractor/decam-520206-S16-invvar-sub.fits"},
        {"BAD": 320, "NO_NOISE": 320},
    ),
    ("profit_kids/G265911fitim.fits", {"weight": "profit_kids/G265911sigma.fits", "weight_type": "rms"}, {}),
    ("viking_multiband/r.fits", {}, {}),
    ("ztf_alerts/ztf_dev.fits.gz", {}, {"NO_DATA": 7922}),
    (
        "legacy_testcase6/c4d_181104_072440_ooi_g_ls9.S4.fits",
        {},
        {"BAD": 1, "SATURATED": 999, "BLEED": 761, "NO_NOISE": 1761},
    ),
    ("legacy_testcase7/c4d_150110_053718_ooi_z_ls9.S11.fits", {}, {"SATURATED": 612, "BLEED": 682, "NO_NOISE": 1294}),
]
"""Non-zero pixels of the mask files, NaN, codes and zero weights, counted with astropy and NumPy."""


@pytest.mark.parametrize(("name", "options", "counts"), COUNTS, ids=[row[0].split("/")[0] for row in COUNTS])
def test_masks_count_as_by_hand(name, options, counts):
    full = {key: value if key == "weight_type" else str(ROOT / value) for key, value in options.items()}
    assert gio.read(ROOT / name, **full).meta["counts"] == counts


def test_a_weight_map_of_ones_is_no_noise():
    with pytest.warns(GencosmoWarning, match="holds only 0 and 1"):
        image = gio.read(ROOT / "emmi_field/galaxies.fits.gz", weight=str(ROOT / "emmi_field/galaxies.weight.fits.gz"))
    assert image.ivar is None
    assert not image.mask.any()


def test_the_cosmic_ray_finder_against_a_known_mask():
    image = gio.read(ROOT / "m51/m51_with_cosmicrays.fits.gz", find=("cr",))
    truth = fits.getdata(ROOT / "m51/m51_mask.fits.gz") != 0
    hit = image.mask[0]
    assert (hit & truth).sum() / truth.sum() > 0.97, "completeness"
    assert (hit & truth).sum() / hit.sum() > 0.99, "purity"


def test_a_section_of_a_large_compressed_frame():
    path = ROOT / "viking_multiband/r.fits"
    part = gio.read(path, section=(slice(1000, 1100), slice(2000, 2150)))
    assert np.array_equal(part.data[0], fits.getdata(path)[1000:1100, 2000:2150])


def every_kind():
    """One file of each folder and number type: the first that has a science image."""
    found = {}
    for path in every_file():
        if image_of(path) != path and image_of(path).exists():
            continue
        found.setdefault((path.parent.name, "".join(path.suffixes[-2:])), path)
    return sorted(found.values())


def test_one_file_of_every_kind_is_filled_and_opened_by_fitsio(tmp_path):
    seen = 0
    for number, path in enumerate(every_kind()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = gio.read(path)
            except InputError:
                continue  # tables; the test of every file knows which
            data, before = image.data, sha(path)
            holes = np.zeros(data.shape, bool)
            holes[..., data.shape[1] // 2, 3 : data.shape[2] // 2] = True
            marked = image.replace(flags=np.where(holes, image.flags | bits("USER"), image.flags).astype(np.uint32))
            out = tmp_path / f"{number}.fits"
            gio.write(out, fill(marked, value=float(np.median(data))), like=path, image=marked)
        assert sha(path) == before
        read = fitsio.read(out, ext=image.meta["hdu"]).reshape(data.shape)
        left = ~marked.mask
        assert np.array_equal(read[left].astype(np.float32), data[left]), path
        filled = [hdu.get_extname() for hdu in fitsio.FITS(out)]
        assert {"GCM_FILL", "GCM_STD", "GCM_PROV"} <= set(filled)
        out.unlink()
        seen += 1
    assert seen >= 30


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
