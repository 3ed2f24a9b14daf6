"""What single surveys do that others do not: bricks, byte masks, archives, variances by cause, triplets."""

import warnings

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.flags import count
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import open_fits

from .files import SHAPE, decam_files, fill, holes, lsst_file, plain_file, sip_header, sky, stsci_file, write
from .test_write import checked, hdu_bytes, repair

MASKBITS = ("NPRIMARY", "BRIGHT", "SATUR_G", "SATUR_R", "SATUR_Z", "ALLMASK_G", "ALLMASK_R")


def brick(folder, names=MASKBITS) -> str:
    """Image, inverse variance and mask of a Legacy Surveys brick, tile-compressed as they are published."""
    mask = np.zeros(SHAPE, np.int16)
    mask[2, :5], mask[3, :6], mask[4, :7], mask[:, -3:] = 1 << 2, 1 << 3, 1 << 6, 1
    bits = fits.CompImageHDU(mask, name="MASKBITS")
    for number, name in enumerate(names):
        bits.header[f"MBIT_{number}"] = name
    wise = fits.CompImageHDU(mask, name="WISEM1")
    write(folder / "b-maskbits.fits.fz", fits.PrimaryHDU(), bits, wise)
    ivar = np.full(SHAPE, 0.04, np.float32)
    ivar[9, :4] = 0
    lossless = {"compression_type": "GZIP_2", "quantize_level": 0}
    write(folder / "b-invvar-r.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(ivar, **lossless))
    image = fits.CompImageHDU(sky(), **lossless)
    return write(folder / "b-image-r.fits.fz", fits.PrimaryHDU(), image)


@pytest.mark.parametrize(
    "names", [MASKBITS, tuple(n.replace("SATUR", "SAT").replace("ALLMASK", "ALLM") for n in MASKBITS)]
)
def test_legacy_bits_of_the_images_own_band(tmp_path, names):
    image = gio.read(brick(tmp_path, names))
    assert image.meta["profile"] == "legacy"
    assert count(image.flags) == {"BAD": 7 + 4, "SATURATED": 6, "NO_NOISE": 4}
    assert image.meta["planes"][names[2]] == 5, "saturated in g: told, and not filled in r"
    assert image.meta["planes"]["NPRIMARY"] == 3 * SHAPE[0]
    assert np.allclose(image.ivar[0, 20], 0.04)
    chosen = gio.read(tmp_path / "b-image-r.fits.fz", mask_planes=(names[2],))
    assert chosen.mask.sum() == 5 + 4


def test_legacy_mask_in_the_same_file(tmp_path):
    mask = np.zeros(SHAPE, np.int32)
    mask[3, :6], mask[5, :5] = 1, 2
    bits = fits.ImageHDU(mask, name="MASKBITS")
    bits.header["MBIT_0"], bits.header["MBIT_1"] = "SATUR_R", "GALAXY"
    image = fits.ImageHDU(sky(), name="IMAGE")
    image.header["FILTER"] = "r DECam SDSS"
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), image, bits)
    read = gio.read(path)
    assert (read.meta["profile"], count(read.flags)) == ("legacy", {"SATURATED": 6})


def byte_mask(path, planes=12):
    """As lsst.images wrote masks at first: (H, W, bytes); CR in the second byte, INTRP in the first."""
    mask = np.zeros((*SHAPE, 2), np.uint8)
    mask[5:8, 5:8, 1] |= 1 << 2
    mask[10, 10:20, 0] |= 1 << 1
    hdu = fits.ImageHDU(mask, name="MASK")
    for number, (name, bit) in enumerate({"SAT": 1, "INTRP": 7, "CR": 10}.items()):
        hdu.header[f"MSKN{number:04d}"], hdu.header[f"MSKM{number:04d}"] = name, 1 << bit
    image = fits.ImageHDU(sky(), name="IMAGE")
    variance = fits.ImageHDU(np.full(SHAPE, 25, np.float32), name="VARIANCE")
    return write(path, fits.PrimaryHDU(), image, hdu, variance)


def test_lsst_masks_of_three_axes_are_read_and_written(tmp_path):
    path = byte_mask(tmp_path / "a.fits")
    image = gio.read(path)
    assert image.meta["profile"] == "lsst-v2"
    assert count(image.flags) == {"SATURATED": 10, "COSMIC_RAY": 9}
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as hdus, fits.open(path) as truth:
        assert hdus["MASK"].data.shape == (*SHAPE, 2)
        expected = truth["MASK"].data.copy()
        expected[image.mask[0], 0] |= 1 << 7
        assert np.array_equal(hdus["MASK"].data, expected)
    part = gio.read(path, section=(slice(4, 30), slice(2, 40)))
    assert np.array_equal(part.flags[0], image.flags[0, 4:30, 2:40])


def lsst_archive(path) -> str:
    """An lsst.images file: byte addresses in the primary header, a JSON tree and an index."""
    with fits.open(lsst_file(path, cards="v2")) as hdus:
        parts = [hdu.copy() for hdu in hdus]
    for key in ("INDXADDR", "INDXSIZE", "JSONADDR", "JSONSIZE"):
        parts[0].header[key] = 123456
    tree = np.frombuffer(b'{"image": "fits:IMAGE", "psf": {"sigma": 2}}', np.uint8)
    for name in ("JSON", "INDEX"):
        parts.append(fits.BinTableHDU.from_columns([fits.Column(name, f"{tree.size}B", array=tree[None])], name=name))
    return write(path, *parts)


def test_an_archive_keeps_its_tree_and_loses_byte_addresses_that_no_longer_hold(tmp_path):
    path = lsst_archive(tmp_path / "a.fits")
    with pytest.warns(GencosmoWarning, match="INDEX is dropped, JSON is copied") as caught:
        repair(path, tmp_path / "b.fits")
    assert caught[0].message.code == "archive"
    assert hdu_bytes(path)["JSON1"] == hdu_bytes(tmp_path / "b.fits")["JSON1"]
    with checked(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus] == [
            "PRIMARY", "IMAGE", "MASK", "VARIANCE", "JSON", "GCM_FILL", "GCM_STD", "GCM_PROV",
        ]  # fmt: skip
        assert not {"INDXADDR", "INDXSIZE", "JSONADDR", "JSONSIZE"} & set(hdus[0].header)


def jwst_file(path) -> str:
    """A cal file: SCI, ERR, DQ, three variances whose sum is ERR squared, and its ASDF tree."""
    mask = holes(seed=1)
    shares = {"VAR_POISSON": 16.0, "VAR_RNOISE": 8.0, "VAR_FLAT": 1.0}
    hdus = [fits.ImageHDU(np.full(SHAPE, value, np.float32), name=name) for name, value in shares.items()]
    hdus[0].data[mask] = np.nan
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "JWST"
    tree = np.frombuffer(b"#ASDF 1.0.0\n--- {data: fits:SCI,1}\n...\n", np.uint8)
    asdf = fits.BinTableHDU.from_columns([fits.Column("ASDF_METADATA", f"{tree.size}B", array=tree[None])], name="ASDF")
    science = fits.ImageHDU(sky(), name="SCI", header=sip_header())
    error = fits.ImageHDU(np.full(SHAPE, 5, np.float32), name="ERR")
    dq = fits.ImageHDU(np.where(mask, 1, 0).astype(np.uint32), name="DQ")
    return write(path, primary, science, error, dq, *hdus, asdf)


def test_variances_by_cause_still_add_up_and_the_asdf_tree_is_copied(tmp_path):
    path = jwst_file(tmp_path / "a.fits")
    repair(path, tmp_path / "b.fits", spread=2.0)
    mask = holes(seed=1)
    with checked(tmp_path / "b.fits") as hdus:
        parts = [hdus[name].data for name in ("VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")]
        assert np.allclose(sum(parts), hdus["ERR"].data ** 2)
        for part, value in zip(parts, (16.0, 8.0, 1.0), strict=True):
            assert (part[~mask] == value).all()
            assert np.allclose(part[mask], 4 * value / 25)
    assert hdu_bytes(path)["ASDF1"] == hdu_bytes(tmp_path / "b.fits")["ASDF1"], "its WCS and names still hold"


def test_planes_in_other_files_are_told_to_stay(tmp_path):
    with pytest.warns(GencosmoWarning, match=r"plane in c4d_1_oo[wd]_z.fits stays as it is") as caught:
        repair(decam_files(tmp_path), tmp_path / "out.fits")
    assert [entry.message.code for entry in caught] == ["companion", "companion"]


@pytest.mark.parametrize("packing", ["plain", "gzip", "GZIP_2", "RICE_1"])
@pytest.mark.parametrize("dtype", ["i2", "u2", "f4"])
def test_a_section_is_what_the_whole_image_has_there(tmp_path, packing, dtype):
    path = tmp_path / ("a.fits.gz" if packing == "gzip" else "a.fits")
    data = sky((120, 90), dtype=dtype)
    if packing in ("plain", "gzip"):
        plain_file(path, data, sip_header())
    else:
        write(path, fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type=packing, tile_shape=(16, 32)))
    whole = gio.read(path)
    part = gio.read(path, section=(slice(17, 60), slice(40, None)))
    assert part.shape == (1, 43, 50)
    assert np.array_equal(part.data, whole.data[:, 17:60, 40:])
    assert part.origin == (17, 40)


def test_a_section_takes_noise_and_mask_along_and_stays_below_the_limit(tmp_path):
    path = stsci_file(tmp_path / "a.fits", compressed=True)
    whole, part = gio.read(path), gio.read(path, section=(slice(5, 25), slice(10, 30)), max_pixels=400)
    for name in ("data", "ivar", "flags"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[:, 5:25, 10:30]), name
    with pytest.raises(UsageError, match="does not lie in an axis of 40 pixels"):
        gio.read(path, section=(slice(30, 50), slice(0, 10)))


def test_flags_of_finders_are_written(tmp_path):
    data = sky()
    data[12, 40] += 5000
    path = plain_file(tmp_path / "a.fits", data)
    with open_fits(path) as file:
        options = ReadOptions(find=("hot",), grow={"HOT": 1})
        image = read_plane(file, prepare(file, options)[0], options)
    assert image.meta["counts"] == {"HOT": 5}
    assert image.meta["found"] == {"hot": 1}
    repair(path, tmp_path / "b.fits", find=("hot",), grow={"HOT": 1})
    with checked(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus["GCM_FLAG"].data, image.flags[0])
        assert hdus["GCM_FLAG"].header["MSKN0004"] == "HOT"
        assert hdus["GCM_FLAG"].header["MSKM0004"] == 16


def test_the_saturation_level_is_read_from_the_header(tmp_path):
    data = sky()
    data[20, 18] = 30000
    header = sip_header()
    header["SATURATE"] = 25000.0
    path = plain_file(tmp_path / "a.fits", data, header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = gio.read(path, find=("sat",))
    assert count(image.flags) == {"SATURATED": 1}


def test_long_keywords_and_continued_strings_are_kept_in_every_packing(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data, sip_header())
    for compress in ("none", "gzip"):
        repair(path, tmp_path / f"{compress}.fits", options=WriteOptions(compress=compress))
        header = fits.getheader(tmp_path / f"{compress}.fits", 0 if compress == "none" else 1)
        assert header["LONGTEXT"] == "x" * 150
        assert header["ESO DET ID"] == "abc"
        assert header["COMMENT"] == ["kept"]
        assert "made by hand" in header["HISTORY"]
    assert fill(gio.read(path)).mean.shape == SHAPE
