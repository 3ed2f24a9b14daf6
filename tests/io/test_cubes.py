"""Cubes: plane by plane in bounded memory, whatever they are packed in."""

import gzip
import subprocess
import sys
import warnings

import fitsio
import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.batch import Job, process_file
from gencosmo.commands.check import check_file, check_lines
from gencosmo.errors import GencosmoWarning, InputError, TooLargeError
from gencosmo.io import decode
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import Limits, open_fits

from ..stand_in import stand_in  # noqa: F401
from .files import SHAPE, fill, holes, plain_file, sky, write
from .test_write import checked, repair

PLANES = 5


def cube(dtype=np.float32, lead=(PLANES,), empty=()):
    """Planes with different holes; those in `empty` have none."""
    data = np.stack([sky(seed=k, dtype=dtype) for k in range(int(np.prod(lead)))])
    mask = np.stack([holes(seed=50 + k) & (k not in empty) for k in range(len(data))])
    return data.reshape(*lead, *SHAPE), mask.reshape(*lead, *SHAPE)


def packed(path, data, packing):
    if packing in ("plain", "gz"):
        return plain_file(path.with_suffix(".fits.gz" if packing == "gz" else ".fits"), data)
    options = {"quantize_level": 0} if packing == "GZIP_2" and data.dtype.kind == "f" else {}
    return write(path, fits.PrimaryHDU(), fits.CompImageHDU(data, name="SCI", compression_type=packing, **options))


@pytest.mark.parametrize("compress", ["auto", "gzip", "rice"])
@pytest.mark.parametrize("packing", ["plain", "gz", "GZIP_2", "RICE_1"])
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_every_plane_is_filled_and_no_other_pixel_changes(tmp_path, packing, compress, dtype):
    data, mask = cube(dtype, empty=(2,))
    path = packed(tmp_path / "a.fits", data, packing)
    named = plain_file(tmp_path / "m.fits", mask.astype(np.uint8))
    with open_fits(path) as file:
        assert len(prepare(file, ReadOptions())) == PLANES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        repair(path, tmp_path / "b.fits", mask=named, value=123.0, options=WriteOptions(compress=compress))
    science = 0 if packing in ("plain", "gz") and compress == "auto" else 1
    truth = fits.getdata(path, 1 if packing in ("GZIP_2", "RICE_1") else 0)
    with checked(tmp_path / "b.fits") as hdus:
        got = hdus[science].data
        if not (compress == "rice" and dtype == "f4"):
            assert np.array_equal(got[~mask], truth[~mask])
            assert (got[mask] == 123).all()
        assert np.array_equal(hdus["GCM_FILL"].data, mask.astype(np.uint8))
        assert np.array_equal(hdus["GCM_STD"].data, np.where(mask, np.float32(2), 0))
        assert list(hdus["GCM_PROV"].data["GCMPLANE"]) == [str(k + 1) for k in range(PLANES)]
        assert sum(str(hdus[science].header["HISTORY"]).count(f"{n} px") for n in [mask.sum()]) == 1
    assert np.array_equal(fitsio.read(tmp_path / "b.fits", ext=science), got)
    assert np.array_equal(fitsio.read(tmp_path / "b.fits", ext="GCM_FILL"), mask)


def test_two_leading_axes_and_noise_and_mask_of_the_same_shape_or_of_one_plane(tmp_path):
    data, mask = cube(lead=(2, 3))
    error = np.full(data.shape, 5, np.float32)
    for dq in (mask.astype(np.int16), mask[0, 0].astype(np.int16)):
        hdus = [fits.ImageHDU(array, name=name) for array, name in ((data, "SCI"), (error, "ERR"), (dq, "DQ"))]
        path = write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus)
        repair(path, tmp_path / "b.fits", options=WriteOptions(overwrite=True))
        where = np.broadcast_to(dq != 0, data.shape)
        with checked(tmp_path / "b.fits") as out:
            assert np.array_equal(out["SCI"].data, np.where(where, np.float32(123.25), data))
            assert np.array_equal(out["ERR"].data, np.where(where, np.float32(2), 5))
            assert out["GCM_FILL"].data.shape == (6, *SHAPE)


@pytest.mark.parametrize(("dtype", "room"), [("i2", False), ("u4", True)])
def test_a_mask_type_without_room_for_the_estimated_bit_stays_whole(tmp_path, dtype, room):
    data, mask = cube(empty=(0,))
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "JWST"
    dq = mask.astype(dtype)
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(data, name="SCI"), fits.ImageHDU(dq, name="DQ"))
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as out:
        assert np.array_equal(out["DQ"].data, np.where(mask, dq | 1 << 28, dq) if room else dq)
        assert np.array_equal(out["GCM_FILL"].data, mask)


def test_a_noise_plane_for_all_planes_stays(tmp_path):
    data, mask = cube()
    data[mask] = np.nan
    hdus = [fits.ImageHDU(data, name="SCI"), fits.ImageHDU(np.full(SHAPE, 5, np.float32), name="ERR")]
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus)
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as out:
        assert (out["ERR"].data == 5).all(), "which plane's spread should it take?"
        assert np.array_equal(out["GCM_STD"].data > 0, mask)


def test_another_number_of_planes_is_refused(tmp_path):
    data, _ = cube()
    path = plain_file(tmp_path / "a.fits", data)
    other = plain_file(tmp_path / "m.fits", np.zeros((3, *SHAPE), np.uint8))
    with pytest.raises(InputError, match="mask is 3x40x56, image is 5x40x56") as caught:
        repair(path, tmp_path / "b.fits", mask=other)
    assert caught.value.code == "shape_mismatch"


def test_integers_become_floats_of_one_type_in_all_planes(tmp_path):
    data, mask = cube("i4")
    data[3, 0, 0] = 2**30 + 1  # needs float64; the other planes do not
    path = plain_file(tmp_path / "a.fits", data)
    named = plain_file(tmp_path / "m.fits", mask.astype(np.uint8))
    repair(path, tmp_path / "b.fits", mask=named, value=0.125, options=WriteOptions(floating=True))
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus[0].data.dtype == np.dtype(">f8")
        assert np.array_equal(hdus[0].data, np.where(mask, 0.125, data))


def test_blank_and_scaling_in_a_cube(tmp_path):
    data, mask = cube("i2")
    data[mask] = -99
    hdu = fits.PrimaryHDU(data)
    hdu.header["BLANK"], hdu.header["BSCALE"], hdu.header["BZERO"] = -99, 0.5, 10
    path = write(tmp_path / "a.fits", hdu)
    repair(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", do_not_scale_image_data=True) as hdus:
        assert np.array_equal(hdus[0].data, np.where(mask, round((123.25 - 10) / 0.5), data))


def test_sections_of_a_plane(tmp_path):
    data, _ = cube()
    for packing in ("plain", "gz", "RICE_1"):
        path = packed(tmp_path / f"{packing}.fits", data, packing)
        whole = gio.read(path).data
        with open_fits(path) as file:
            layout = prepare(file, ReadOptions())[3]
            part = read_plane(file, layout, ReadOptions(), (slice(5, 25), slice(10, 30)))
            again = read_plane(file, layout, ReadOptions())
        assert np.array_equal(part.data[0], whole[3, 5:25, 10:30])
        assert (part.shape, part.origin, part.meta["plane"]) == ((1, 20, 20), (5, 10), 3)
        assert np.array_equal(again.data[0], whole[3])


def test_a_cube_read_whole_is_written_like_its_file(tmp_path):
    data, mask = cube(empty=(0,))
    data[mask] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    image = gio.read(path)
    assert image.shape == (PLANES, *SHAPE)
    gio.write(tmp_path / "b.fits", fill(image), like=path, image=image)
    with checked(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus[0].data, np.where(mask, np.float32(123.25), data))
        assert np.array_equal(hdus["GCM_FILL"].data, mask)


def test_samples_of_a_cube(tmp_path):
    from dataclasses import replace

    data, mask = cube()
    data[mask] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    image = gio.read(path)
    plain = fill(image)
    samples = np.stack([plain.mean + s for s in range(3)])
    gio.write(tmp_path / "b.fits", replace(plain, samples=samples), like=path, image=image)
    assert np.array_equal(fits.getdata(tmp_path / "b.fits", "GCM_SAMP"), samples)


def test_limits_count_the_pixels_of_a_plane(tmp_path):
    data, _ = cube()
    for packing in ("plain", "gz", "RICE_1"):
        path = packed(tmp_path / f"{packing}.fits", data, packing)
        limits = Limits(pixels=SHAPE[0] * SHAPE[1])
        with open_fits(path, limits) as file:
            layouts = prepare(file, ReadOptions(limits=limits))
            assert read_plane(file, layouts[-1], ReadOptions(limits=limits)).shape == (1, *SHAPE)
        with pytest.raises(TooLargeError):
            gio.read(path, max_pixels=SHAPE[0] * SHAPE[1])


@pytest.mark.usefixtures("stand_in")
def test_planes_without_a_value_stay_and_are_told(tmp_path):
    data, mask = cube(empty=(1, 2))
    data[mask] = np.nan
    data[2] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    report = process_file(path, tmp_path / "b.fits")
    assert [entry["code"] for entry in report.warnings if entry["code"] != "large_holes"] == ["empty_planes"]
    assert report.warnings[0]["message"] == "1 of 5 planes have no finite pixel and stay as they are: 3"
    assert (report.status, report.filled, len(report.planes)) == ("done", int(mask.sum()), 4)
    with checked(tmp_path / "b.fits") as hdus:
        assert np.isnan(hdus[0].data[2]).all()
        assert np.isfinite(np.delete(hdus[0].data, 2, axis=0)).all()
    lines = check_lines(check_file(path, Job()))
    assert "science HDU 0 plane 1: 40x56 px, unit not given" in lines
    assert any(line.startswith("  plane 2: 0 px (0 %) in 0 holes") for line in lines)
    with pytest.raises(InputError, match="no plane of HDU 0") as caught:
        process_file(plain_file(tmp_path / "n.fits", np.full((3, *SHAPE), np.nan)), tmp_path / "c.fits")
    assert caught.value.code == "no_signal"


def test_decoded_planes_are_dropped_when_there_is_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_ROOM", 3 * 4 * SHAPE[0] * SHAPE[1])
    data, _ = cube()
    path = packed(tmp_path / "a.fits", data, "GZIP_2")
    with open_fits(path) as file:
        for layout in prepare(file, ReadOptions()):
            read_plane(file, layout, ReadOptions())
            assert len(file.decoded) <= 3
        assert [plane for _, plane in file.decoded] == [2, 3, 4]


# One processor: the stacks of threads count as data, 8 MB each.
MEMORY = """
import os, resource, sys, warnings
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
sys.path.insert(0, {root!r})
import astropy.io.fits, gencosmo._core
import gencosmo.io as gio
import gencosmo.io.build as build, gencosmo.io.decode as decode, gencosmo.io.hdus as hdus, gencosmo.io.source as source
from tests.io.files import fill
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.fits_write import WriteOptions, write_filled
from gencosmo.io.filled import keep_filled
warnings.simplefilter("ignore")
decode._ROOM = build._IN_MEMORY = source._IN_MEMORY = source._STEP = build._STEP = hdus._PIECE = 1 << 21
before = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (before + {room}, before + {room}))
if {whole}:
    gio.read({path!r})
with hdus.open_fits({path!r}) as file:
    done = []
    for layout in prepare(file, ReadOptions()):
        image = read_plane(file, layout, ReadOptions())
        done.append(keep_filled(layout, image, fill(image), {{"GCMVERS": "1"}}))
        del image
    write_filled(file, done, {out!r}, WriteOptions())
print(len(done))
"""


def long_cube(path, packing):
    data = np.random.default_rng(0).normal(100, 5, (64, 256, 256)).astype(np.float32)
    data[:, 100:103, 200:230] = np.nan
    if packing == "RICE_1":
        hdu = fits.CompImageHDU(data, compression_type=packing, tile_shape=(1, 64, 256))
        return data, write(path, fits.PrimaryHDU(), hdu)
    plain = plain_file(path, data)
    if packing == "plain":
        return data, plain
    raw = path.read_bytes()
    path.write_bytes(gzip.compress(raw, 1))
    return data, plain


@pytest.mark.parametrize("packing", ["plain", "gz", "RICE_1"])
def test_memory_does_not_grow_with_the_number_of_planes(tmp_path, packing):
    """A cube of 17 MB in 12 MB, which the kernel guards (RLIMIT_DATA); read whole it does not fit."""
    data, path = long_cube(tmp_path / "a.fits", packing)
    words = {"root": __file__.split("/tests/")[0], "room": 12 << 20, "path": path, "out": str(tmp_path / "b.fits")}
    codes = []
    for whole in (False, True):
        command = [sys.executable, "-c", MEMORY.format(whole=whole, **words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        codes.append(done.returncode)
        if not whole:
            assert done.stdout == "64\n", done.stderr[-2000:]
    assert codes == [0, 1]
    assert "Unable to allocate" in done.stderr or "MemoryError" in done.stderr
    got = fits.getdata(tmp_path / "b.fits", 1 if packing == "RICE_1" else 0)
    assert (got[:, 100:103, 200:230] == 123.25).all()
    if packing != "RICE_1":
        assert np.array_equal(got[~np.isnan(data)], data[~np.isnan(data)])
