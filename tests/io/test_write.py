"""What a filled file looks like: only filled pixels differ, and they say so."""

import os
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning, InputError, StorageError, UsageError
from gencosmo.image import as_image
from gencosmo.io.atomic import write_atomic
from gencosmo.io.checksum import data_sum
from gencosmo.io.filled import keep_filled
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.fits_write import WriteOptions, write_filled
from gencosmo.io.hdus import open_fits
from gencosmo.io.provenance import read_provenance

from .files import (
    SHAPE,
    decam_files,
    fill,
    holes,
    lsst_file,
    plain_file,
    sha,
    sip_header,
    sky,
    stsci_file,
    write,
)


def repair(path, out, *, value=123.25, spread=2.0, options=None, samples=False, **reading):
    """Read, fill with a constant, write; returns the image of the last plane."""
    read = ReadOptions(**reading)
    with open_fits(str(path)) as file:
        done = []
        for layout in prepare(file, read):
            image = read_plane(file, layout, read)
            words = {"GCMVERS": "1", "GCMOP": "inpaint", "GCMMODEL": "sky"}
            done.append(keep_filled(layout, image, fill(image, value, spread), words, samples=samples))
        write_filled(file, done, str(out), options or WriteOptions())
    return image


def hdu_bytes(path) -> dict[str, bytes]:
    with open_fits(str(path)) as file:
        return {f"{hdu.name}{hdu.version}": bytes(file.raw(hdu)) for hdu in file.hdus}


def checked(path):
    """Open with checksums verified; a wrong one is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Cc]hecksum.*")
        warnings.filterwarnings("error", message=".*[Dd]atasum.*")
        return fits.open(path, checksum=True)


def test_stsci_in_all_its_planes(tmp_path):
    path, out = stsci_file(tmp_path / "a.fits", versions=2), tmp_path / "b.fits"
    before = sha(path)
    repair(path, out)
    assert sha(path) == before, "the input is never touched"
    old, new = hdu_bytes(path), hdu_bytes(out)
    for name in ("PRIMARY1", "CAT1"):
        assert new[name] == old[name], f"{name} is copied byte for byte"
    with checked(out) as hdus, fits.open(path) as truth:
        for version in (1, 2):
            mask = holes(seed=version)
            assert np.array_equal(hdus["SCI", version].data[~mask], truth["SCI", version].data[~mask])
            assert (hdus["SCI", version].data[mask] == 123.25).all()
            assert (hdus["ERR", version].data == np.where(mask, 2, 5)).all()
            dq, was = hdus["DQ", version].data, truth["DQ", version].data
            assert dq.dtype == np.uint32
            assert np.array_equal(dq, np.where(mask, was | 1 << 28, was)), "causes kept, FLUX_ESTIMATED set"
            assert np.array_equal(hdus["GCM_FILL", version].data, mask.astype(np.uint8))
            assert np.array_equal(hdus["GCM_STD", version].data, np.where(mask, 2, 0))
        assert len(hdus["GCM_PROV"].data) == 2


def test_dq_modes(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    repair(path, tmp_path / "j.fits", options=WriteOptions(dq="jwst"))
    repair(path, tmp_path / "n.fits", options=WriteOptions(dq="none"))
    mask = holes(seed=1)
    with fits.open(tmp_path / "j.fits") as hdus:
        assert (hdus["DQ"].data[mask] == (1 << 28 | 1 << 10)).all(), "DO_NOT_USE cleared"
    assert hdu_bytes(path)["DQ1"] == hdu_bytes(tmp_path / "n.fits")["DQ1"]
    with pytest.raises(UsageError, match="expected keep, jwst, none"):
        WriteOptions(dq="all")


def test_lsst_sets_intrp_where_its_cards_put_it(tmp_path):
    path, out = lsst_file(tmp_path / "a.fits"), tmp_path / "b.fits"
    image = repair(path, out)
    with checked(out) as hdus, fits.open(path) as truth:
        mask = image.mask[0]
        assert np.array_equal(hdus["MASK"].data, np.where(mask, truth["MASK"].data | 1 << 7, truth["MASK"].data))
        assert (hdus["VARIANCE"].data == np.where(mask, 4, 25)).all(), "a variance gets a variance"


def test_ivar_gets_an_inverse_variance(tmp_path):
    ivar = np.where(holes(), 0, 0.04).astype(np.float32)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(sky()), fits.ImageHDU(ivar, name="IVAR"))
    repair(path, tmp_path / "b.fits", spread=4.0)
    with checked(tmp_path / "b.fits") as hdus:
        assert (hdus["IVAR"].data == np.where(holes(), np.float32(1 / 16), np.float32(0.04))).all()


def test_decam_codes_get_no_bit_and_companions_stay(tmp_path):
    path = decam_files(tmp_path)
    before = {name: sha(tmp_path / name) for name in os.listdir(tmp_path)}
    image = repair(path, tmp_path / "out.fits")
    assert {name: sha(tmp_path / name) for name in before} == before
    with checked(tmp_path / "out.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "N1", "GCM_FILL", "GCM_STD", "GCM_PROV"]
        assert np.array_equal(hdus["GCM_FILL"].data == 1, image.mask[0])


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_stored_type_keeps_its_type_and_all_other_pixels(tmp_path, dtype):
    data = sky(dtype=dtype)
    path = plain_file(tmp_path / "a.fits", data)
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repair(path, tmp_path / "b.fits", mask=mask, value=123.75)
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus[0].data.dtype.newbyteorder("=") == np.dtype(dtype)
        assert np.array_equal(hdus[0].data[~holes()], data[~holes()])
        expected = 124 if np.dtype(dtype).kind in "iu" else 123.75
        assert (hdus[0].data[holes()] == expected).all()


def test_trap_6_7_scaled_integers_with_blank(tmp_path):
    hdu = fits.PrimaryHDU(sky(dtype="i2"))
    hdu.data[holes()] = -999
    hdu.header["BLANK"], hdu.header["BSCALE"], hdu.header["BZERO"] = -999, 0.25, 7.0
    path = write(tmp_path / "a.fits", hdu)
    repair(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", do_not_scale_image_data=True) as raw:
        stored = raw[0].data
        assert stored.dtype == np.dtype(">i2")
        assert (stored[holes()] == round((123.25 - 7) / 0.25)).all()
        assert np.array_equal(stored[~holes()], sky(dtype="i2")[~holes()])
        assert (raw[0].header["BLANK"], raw[0].header["BSCALE"]) == (-999, 0.25)


def test_integers_as_floats_when_asked(tmp_path):
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    for dtype, floating in (("u2", ">f4"), ("i4", ">f8")):
        data = sky(dtype=dtype)
        data[0, 0] = 65535 if dtype == "u2" else 2**30 + 1
        path = plain_file(tmp_path / f"{dtype}.fits", data)
        out = tmp_path / f"{dtype}-out.fits"
        repair(path, out, mask=mask, value=0.125, options=WriteOptions(floating=True))
        with checked(out) as hdus:
            assert hdus[0].data.dtype == np.dtype(floating)
            assert np.array_equal(hdus[0].data[~holes()], data[~holes()]), "exact"
            assert (hdus[0].data[holes()] == 0.125).all()
            assert "BZERO" not in hdus[0].header


def test_coarse_integers_are_told(tmp_path):
    path = plain_file(tmp_path / "a.fits", sky(dtype="u2"))
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    with pytest.warns(GencosmoWarning, match="rounded to steps of 1, spread 0.2: consider --float"):
        repair(path, tmp_path / "b.fits", mask=mask, spread=0.2)


@pytest.mark.parametrize("lossy", [False, True])
def test_trap_1_compressed_planes_come_back_exact(tmp_path, lossy):
    options = {} if lossy else {"compression_type": "GZIP_2", "quantize_level": 0}
    science = fits.CompImageHDU(sky(), header=sip_header(), name="SCI", **options)
    foreign = fits.CompImageHDU(sky(seed=5), name="OTHER")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), science, foreign)
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    repair(path, tmp_path / "b.fits", mask=mask)
    assert hdu_bytes(path)["OTHER1"] == hdu_bytes(tmp_path / "b.fits")["OTHER1"], (
        "others stay compressed, byte for byte"
    )
    with checked(tmp_path / "b.fits") as hdus, fits.open(path) as truth:
        assert isinstance(hdus[1], fits.ImageHDU)
        assert hdus[1].name == "SCI"
        assert np.array_equal(hdus[1].data[~holes()], truth[1].data[~holes()])
        assert hdus[1].header["A_2_0"] == 1.5e-6


def test_a_primary_that_was_compressed_out_becomes_an_extension(tmp_path):
    """fpack keeps ZSIMPLE; written back as it decodes, the file would end before its own new HDUs."""
    write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.CompImageHDU(sky()))
    raw = (tmp_path / "a.fits").read_bytes()
    at = raw.index(b"ZTENSION=")
    raw = raw[:at] + fits.Card("ZSIMPLE", True).image.encode() + raw[at + 80 :]
    (tmp_path / "f.fits").write_bytes(raw)
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    repair(tmp_path / "f.fits", tmp_path / "b.fits", mask=mask)
    with checked(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus[2:]] == ["GCM_FILL", "GCM_STD", "GCM_PROV"]
        assert hdus[1].data.shape == SHAPE
    with open_fits(str(tmp_path / "b.fits")) as file:
        assert len(file.hdus) == 5


def test_trap_10_14_the_header_keeps_its_cards_and_its_wcs(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data, sip_header())
    repair(path, tmp_path / "b.fits", options=WriteOptions(date="2026-01-02T03:04:05"))
    old = fits.getheader(path).tostring(endcard=False, padding=False)
    new = fits.getheader(tmp_path / "b.fits").tostring(endcard=False, padding=False)
    cards = [new[i : i + 80] for i in range(0, len(new), 80)]
    for i in range(0, len(old), 80):
        assert old[i : i + 80] in cards
    header = fits.getheader(tmp_path / "b.fits")
    assert header["DATE"] == "2026-01-02T03:04:05"
    assert header["DATE-OBS"] == "2020-01-01T00:00:00"
    assert "see HDU GCM_PROV" in header["HISTORY"][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = [WCS(fits.getheader(p)).all_pix2world(3, 4, 0) for p in (path, tmp_path / "b.fits")]
    assert np.array_equal(*places)


def test_trap_5_checksums_are_made_anew(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data, checksum=True)
    old = fits.getheader(path)["DATASUM"]
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus[0].header["DATASUM"] != old
        for hdu in hdus:
            assert "CHECKSUM" in hdu.header
    assert data_sum(bytes(range(1, 9))) == 0x01020304 + 0x05060708


def test_a_second_run_replaces_our_planes_and_keeps_our_history(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    repair(path, tmp_path / "b.fits")
    repair(tmp_path / "b.fits", tmp_path / "c.fits", value=99.0)
    with checked(tmp_path / "c.fits") as hdus:
        assert [hdu.name for hdu in hdus].count("GCM_FILL") == 1
        assert len(hdus["GCM_PROV"].data) == 2
    with open_fits(str(tmp_path / "c.fits")) as file:
        assert [row["GCMMODEL"] for row in read_provenance(file)] == ["sky", "sky"]


def test_reference_pixels_are_not_written(tmp_path):
    dq = np.zeros(SHAPE, np.uint32)
    dq[:4], dq[10, 10] = 1 | 1 << 31, 1
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "JWST"
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus["SCI"].data[:4], sky()[:4])
        assert hdus["GCM_FILL"].data.sum() == 1


def test_cubes_and_degenerate_axes_keep_their_shape(tmp_path):
    cube = np.stack([sky(seed=i) for i in range(3)])
    cube[1][holes()] = np.nan
    for name, data in (("cube", cube), ("one", cube[1][np.newaxis, np.newaxis])):
        path = plain_file(tmp_path / f"{name}.fits", data)
        repair(path, tmp_path / f"{name}-out.fits")
        with checked(tmp_path / f"{name}-out.fits") as hdus:
            assert hdus[0].data.shape == data.shape
            assert np.array_equal(hdus[0].data, np.where(np.isnan(data), 123.25, data))


def test_samples_are_kept_when_asked(tmp_path):
    data = sky()
    data[holes()] = np.nan
    image = gio.read(plain_file(tmp_path / "a.fits", data))
    plain = fill(image)
    from dataclasses import replace

    result = replace(plain, samples=np.stack([plain.mean, plain.mean + 1]))
    gio.write(tmp_path / "b.fits", result, like=tmp_path / "a.fits", image=image)
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus["GCM_SAMP"].data.shape == (2, *SHAPE)


def test_gzip_output_is_the_same_twice(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits.gz", data)
    for name in ("b.fits.gz", "c.fits.gz"):
        repair(path, tmp_path / name, options=WriteOptions(date="2026-01-02T03:04:05"))
    assert sha(tmp_path / "b.fits.gz") == sha(tmp_path / "c.fits.gz")
    assert (tmp_path / "b.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    with checked(tmp_path / "b.fits.gz") as hdus:
        assert (hdus[0].data[holes()] == 123.25).all()


def test_trap_29_outputs_appear_whole_or_not_at_all(tmp_path):
    def broken():
        yield b"first"
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="disk full while writing") as caught:
        write_atomic(str(tmp_path / "x"), broken())
    assert (caught.value.code, caught.value.exit_code, caught.value.http_status) == ("disk_full", 5, 507)

    def dies():
        yield b"first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(str(tmp_path / "x"), dies())
    assert os.listdir(tmp_path) == []


def test_outputs_that_are_refused(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    before = sha(path)
    (tmp_path / "b.fits").write_text("mine")
    os.symlink(path, tmp_path / "link.fits")
    for out, options, kind, words in [
        ("b.fits", None, UsageError, "b.fits exists"),
        ("a.fits", WriteOptions(overwrite=True), UsageError, "would overwrite the input"),
        ("link.fits", WriteOptions(overwrite=True), UsageError, "would overwrite the input"),
        ("none/b.fits", None, StorageError, "no folder"),
    ]:
        with pytest.raises(kind, match=words):
            repair(path, tmp_path / out, options=options)
    assert (tmp_path / "b.fits").read_text() == "mine"
    assert sha(path) == before


def test_what_is_not_finite_is_never_written(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    with pytest.raises(InputError, match=r"filled pixels came out non-finite; nothing is written"):
        repair(path, tmp_path / "b.fits", value=np.nan)
    assert not (tmp_path / "b.fits").exists()


def test_an_image_comes_back_from_a_new_file(tmp_path):
    data = sky()
    data[3, 3] = np.nan
    image = as_image(data, mask=holes(), ivar=np.full(SHAPE, 0.04)).replace(unit="adu", pixel_scale=0.5)
    gio.write(tmp_path / "a.fits", image)
    back = gio.read(tmp_path / "a.fits")
    assert np.array_equal(back.data, image.data)
    assert np.allclose(back.ivar, image.ivar)
    assert np.array_equal(back.flags, image.flags)
    assert (back.unit, back.pixel_scale) == ("adu", 0.5)
    gio.write(tmp_path / "b.fits", fill(image))
    with checked(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "GCM_STD", "GCM_FILL", "DQ"]


def test_write_needs_a_known_ending(tmp_path):
    with pytest.raises(UsageError, match="does not name a format"):
        gio.write(tmp_path / "a.doc", as_image(sky()))
