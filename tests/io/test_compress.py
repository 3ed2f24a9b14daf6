"""Compression: without loss unless somebody asks, and readable by cfitsio (fitsio, funpack) and astropy."""

import io
import shutil
import subprocess
import warnings

import fitsio
import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.io.cards import Cards
from gencosmo.io.compress import compressed_hdu
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import open_fits

from .files import SHAPE, holes, plain_file, sip_header, sky, stsci_file, write
from .test_write import checked, hdu_bytes, repair

TYPES = ["u1", "i2", "i4", "f4", "f8"]


def image_cards(data) -> Cards:
    header = fits.ImageHDU(data, name="SKY").header
    return Cards(header.tostring(endcard=False, padding=False).encode())


@pytest.mark.parametrize("shape", [SHAPE, (3, 20, 30), (1, 500), (300, 700)])
@pytest.mark.parametrize("dtype", TYPES)
def test_trap_2_lossless_gzip_is_read_by_cfitsio_and_astropy_bit_for_bit(tmp_path, dtype, shape):
    data = sky(shape, dtype=dtype)
    if dtype[0] == "f":
        data[..., -1, 4] = np.nan
        data[..., 0, :3] = 0
    path = tmp_path / "a.fits"
    chunks = compressed_hdu(image_cards(data), data.astype(data.dtype.newbyteorder(">")), "gzip")
    target = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU()]).writeto(target)
    path.write_bytes(target.getvalue() + b"".join(chunks))
    assert b"ZQUANTIZ" not in chunks[0], "with it, funpack takes the numbers for quantised ones"
    with checked(path) as hdus:
        assert np.array_equal(hdus["SKY"].data, data, equal_nan=dtype[0] == "f")
    read = fitsio.read(path, ext="SKY")
    assert read.dtype.newbyteorder("=") == data.dtype
    assert np.array_equal(read, data, equal_nan=dtype[0] == "f")


def packed_input(path, dtype="f4", **options):
    science = fits.CompImageHDU(sky(dtype=dtype), header=sip_header(), name="SCI", **options)
    return write(path, fits.PrimaryHDU(), science, fits.CompImageHDU(sky(seed=5), name="OTHER"))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1"])
def test_a_compressed_plane_goes_back_compressed_without_loss_and_says_so(tmp_path, dtype, kind):
    path = packed_input(tmp_path / "a.fits", dtype, compression_type=kind)
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    with pytest.warns(GencosmoWarning, match=f"came {kind}-compressed and is written GZIP_2, without loss"):
        repair(path, tmp_path / "b.fits", mask=mask)
    with checked(tmp_path / "b.fits") as hdus, fits.open(path) as truth:
        assert isinstance(hdus["SCI"], fits.CompImageHDU)
        assert hdus["SCI"].compression_type == "GZIP_2"
        assert np.array_equal(hdus["SCI"].data[~holes()], truth["SCI"].data[~holes()])
        for key in ("A_2_0", "LONGTEXT", "BUNIT"):
            assert hdus["SCI"].header[key] == truth["SCI"].header[key]
    filled = fitsio.read(tmp_path / "b.fits", ext="SCI")
    assert (filled[holes()] == (123.25 if dtype[0] == "f" else 123)).all()
    assert np.array_equal(filled[~holes()], fitsio.read(path, ext="SCI")[~holes()])
    assert hdu_bytes(path)["OTHER1"] == hdu_bytes(tmp_path / "b.fits")["OTHER1"]


def test_none_and_gzip_are_the_users_choice(tmp_path):
    path = packed_input(tmp_path / "a.fits")
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    repair(path, tmp_path / "b.fits", mask=mask, options=WriteOptions(compress="none"))
    with fits.open(tmp_path / "b.fits") as hdus:
        assert not isinstance(hdus["SCI"], fits.CompImageHDU)
    plain = stsci_file(tmp_path / "p.fits")
    repair(plain, tmp_path / "q.fits", options=WriteOptions(compress="gzip"))
    with checked(tmp_path / "q.fits") as hdus, fits.open(plain) as truth:
        mask = holes(seed=1)
        assert np.array_equal(hdus["SCI"].data[~mask], truth["SCI"].data[~mask])
        for name in ("SCI", "ERR", "DQ", "GCM_FILL", "GCM_STD"):
            assert isinstance(hdus[name], fits.CompImageHDU), name
        assert hdus["DQ"].data.dtype == np.uint32
        assert np.array_equal(hdus["DQ"].data[mask], truth["DQ"].data[mask] | 1 << 28)
    assert np.array_equal(fitsio.read(tmp_path / "q.fits", ext="GCM_FILL"), mask.astype("u1"))
    with pytest.raises(UsageError, match="expected auto, none, gzip, rice"):
        WriteOptions(compress="zip")


def test_a_primary_image_is_compressed_as_fpack_does(tmp_path):
    data = sky()
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data, sip_header())
    repair(path, tmp_path / "b.fits", options=WriteOptions(compress="gzip"))
    with open_fits(str(tmp_path / "b.fits")) as file:
        assert [hdu.kind for hdu in file.hdus] == ["empty", *["compressed"] * 3, "table"]
        assert file.hdus[1].cards.get("ZSIMPLE") is True, "funpack makes a primary HDU of it"
    with checked(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus[1].data, np.where(holes(), np.float32(123.25), data))
    assert gio.read(tmp_path / "b.fits").shape == (1, *SHAPE)


def test_trap_1_4_rice_is_done_on_request_only_recorded_and_keeps_exact_zeros(tmp_path):
    data = sky()
    data[:, :8] = 0
    data[holes()] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    with pytest.warns(GencosmoWarning, match="with loss as asked") as caught:
        repair(path, tmp_path / "b.fits", options=WriteOptions(compress="rice"))
    assert caught[0].message.code == "lossy"
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus[1].compression_type == "RICE_1"
        assert hdus[1].quantize_method == 2
        assert "with loss on request" in str(hdus[1].header["HISTORY"])
        got = hdus[1].data
        assert (got[:, :8][~holes()[:, :8]] == 0).all()
        assert 0 < np.abs(got - np.where(holes(), 123.25, data)).max() < 1, "a sixteenth of the noise"
        assert hdus["GCM_STD"].compression_type == "GZIP_2", "our own planes are never rounded"
    assert np.array_equal(fitsio.read(tmp_path / "b.fits", ext=1), got)


def test_rice_of_integers_loses_nothing(tmp_path):
    data = sky(dtype="u2")
    path = plain_file(tmp_path / "a.fits", data)
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repair(path, tmp_path / "b.fits", mask=mask, options=WriteOptions(compress="rice"))
    for got in (fits.getdata(tmp_path / "b.fits", 1), fitsio.read(tmp_path / "b.fits", ext=1)):
        assert np.array_equal(got, np.where(holes(), 123, data))


def test_64_bit_integers_are_left_uncompressed(tmp_path):
    path = plain_file(tmp_path / "a.fits", sky(dtype="i8"))
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    repair(path, tmp_path / "b.fits", mask=mask, options=WriteOptions(compress="gzip"))
    assert (fits.getdata(tmp_path / "b.fits", 0)[holes()] == 123).all()


def test_the_same_input_gives_the_same_compressed_bytes(tmp_path):
    path = packed_input(tmp_path / "a.fits")
    mask = plain_file(tmp_path / "m.fits", holes().astype(np.uint8))
    for compress in ("gzip", "rice"):
        options = WriteOptions(compress=compress, date="2026-01-02T03:04:05")
        outs = [tmp_path / f"{compress}{i}.fits" for i in (1, 2)]
        for out in outs:
            repair(path, out, mask=mask, options=options)
        assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize("compress", ["auto", "none", "gzip"])
def test_fitsio_opens_every_hdu_of_an_output(tmp_path, compress):
    path = stsci_file(tmp_path / "a.fits", versions=2)
    repair(path, tmp_path / "b.fits", options=WriteOptions(compress=compress))
    with fitsio.FITS(tmp_path / "b.fits") as file, fits.open(tmp_path / "b.fits") as truth:
        assert [hdu.get_extname() or "PRIMARY" for hdu in file] == [hdu.name for hdu in truth]
        for hdu, other in zip(file, truth, strict=True):
            if hdu.has_data() and hdu.get_exttype() == "IMAGE_HDU":
                assert np.array_equal(hdu.read(), other.data)
        assert file["GCM_PROV"].read()["GCMMODEL"].tolist() == [b"sky", b"sky"] or file["GCM_PROV"].read()[
            "GCMMODEL"
        ].tolist() == ["sky", "sky"]


@pytest.mark.skipif(shutil.which("funpack") is None, reason="funpack of cfitsio is not installed")
@pytest.mark.parametrize("compress", ["auto", "gzip", "rice"])
@pytest.mark.parametrize("kind", ["stsci", "primary", "cube"])
def test_funpack_unpacks_what_we_pack(tmp_path, kind, compress):
    """The program that most pipelines use makes the same pixels and headers of our files."""
    if kind == "stsci":
        path = stsci_file(tmp_path / "a.fits", versions=2, compressed=True)
    else:
        data = sky((3, *SHAPE) if kind == "cube" else SHAPE)
        data[..., holes()] = np.nan
        path = plain_file(tmp_path / "a.fits", data, sip_header())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        repair(path, tmp_path / "b.fits.fz", options=WriteOptions(compress=compress))
    out = tmp_path / "c.fits"
    done = subprocess.run(["funpack", "-O", out, tmp_path / "b.fits.fz"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with fits.open(tmp_path / "b.fits.fz") as truth, fits.open(out) as got:
        packed = [hdu for hdu in truth if hdu.data is not None]
        unpacked = [hdu for hdu in got if hdu.data is not None]
        assert len(packed) == len(unpacked)
        for one, other in zip(packed, unpacked, strict=True):
            assert not isinstance(other, fits.CompImageHDU)
            same = np.array_equal(one.data, other.data, equal_nan=one.is_image and one.data.dtype.kind == "f")
            assert same, one.name
        header = (
            got[0].header if kind != "stsci" and compress != "auto" else got["SCI" if kind == "stsci" else 0].header
        )
        assert header["A_2_0"] == 1.5e-6


@pytest.mark.skipif(shutil.which("fpack") is None, reason="fpack of cfitsio is not installed")
@pytest.mark.parametrize("dtype", ["i2", "u2", "f4"])
def test_a_file_goes_from_fpack_through_us_to_funpack(tmp_path, dtype):
    data = sky((96, 130), dtype=dtype)
    path = plain_file(tmp_path / "a.fits", data, sip_header(), checksum=True)
    exact = ["-g2", "-q", "0"] if dtype == "f4" else ["-r"]
    subprocess.run(["fpack", *exact, "-O", tmp_path / "a.fits.fz", path], check=True)
    mask = np.zeros(data.shape, np.uint8)
    mask[40:43, 20:60] = 1
    named = plain_file(tmp_path / "m.fits", mask)
    with pytest.warns(GencosmoWarning, match="written GZIP_2, without loss"):
        repair(tmp_path / "a.fits.fz", tmp_path / "b.fits.fz", mask=named)
    subprocess.run(["funpack", "-O", tmp_path / "b.fits", tmp_path / "b.fits.fz"], check=True)
    with checked(tmp_path / "b.fits") as hdus, fits.open(path) as truth:
        assert hdus[0].data.dtype == truth[0].data.dtype
        expected = 123.25 if dtype == "f4" else 123
        assert np.array_equal(hdus[0].data, np.where(mask, np.asarray(expected, data.dtype), data))
        assert list(hdus["GCM_FILL"].data.shape) == list(data.shape)
        for key in ("A_2_0", "CTYPE1", "BUNIT", "LONGTEXT", "DATE-OBS"):
            assert hdus[0].header[key] == truth[0].header[key]
