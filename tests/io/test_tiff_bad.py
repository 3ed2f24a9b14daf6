"""TIFF files that are masked in all ways, and files that cannot be used: codes, and nothing left behind."""

import io
import struct
import warnings
from contextlib import suppress
from functools import lru_cache

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gencosmo.batch import process_file
from gencosmo.errors import GencosmoError, InputError, UsageError
from gencosmo.io import read
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead

from .stacks import SIZE, codes, holes, quick_task, run, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")


def test_nan_saturation_and_finders_ask_for_filling(tmp_path):
    array = values(SIZE, np.float32)
    array[3, 4], array[5, 6] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "in.tif", array)
    report = process_file(tmp_path / "in.tif", tmp_path / "a.tif")
    assert report.planes[0]["flags"] == {"NO_DATA": 2} and "non_finite" in codes(report)
    whole = values(SIZE, np.uint8)
    whole[8:11, 8:11], whole[30, 30] = 255, 254
    tifffile.imwrite(tmp_path / "b.tif", whole)
    report = process_file(tmp_path / "b.tif", tmp_path / "c.tif", read=StackRead(find=("sat",)))
    assert report.planes[0]["flags"] == {"SATURATED": 9}
    report = process_file(tmp_path / "b.tif", tmp_path / "d.tif", read=StackRead(saturation=254))
    assert report.planes[0]["flags"] == {"SATURATED": 10}
    report = process_file(tmp_path / "b.tif", tmp_path / "e.tif", read=StackRead(saturation=254, grow={"SATURATED": 1}))
    assert report.planes[0]["flags"]["SATURATED"] > 10


def test_masks_of_a_plane_of_all_planes_and_of_labels(tmp_path):
    array = values((3, *SIZE))
    tifffile.imwrite(tmp_path / "in.tif", array, imagej=True, metadata={"axes": "ZYX"})
    labels = np.zeros((3, *SIZE), np.uint16)
    labels[1, 4:8, 4:8] = 700
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack")
    report = process_file(tmp_path / "in.tif", tmp_path / "out.tif", read=StackRead(mask=str(tmp_path / "labels.tif")))
    assert report.filled == 16 and [plane["masked"] for plane in report.planes] == [0, 16, 0]
    got = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(got[[0, 2]], array[[0, 2]])
    with pytest.raises(InputError) as caught:
        run(tmp_path, tmp_path / "in.tif", "b.tif", mask=holes((64, 48)))
    assert caught.value.code == "shape_mismatch" and "transposed?" in caught.value.message
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((*SIZE, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError) as caught:
        process_file(tmp_path / "in.tif", tmp_path / "b.tif", read=StackRead(mask=str(tmp_path / "rgb.tif")))
    assert caught.value.code == "channels" and "RGB" in caught.value.message


def truncated(path):
    tifffile.imwrite(path, values(SIZE))
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_tiles(path):
    tifffile.imwrite(path, values(SIZE), tile=(16, 16), compression="zlib")
    raw = bytearray(path.read_bytes())
    raw[700:900] = bytes(200)
    path.write_bytes(raw)


def cut_header(path):
    tifffile.imwrite(path, values(SIZE), tile=(16, 16))
    path.write_bytes(path.read_bytes()[:40])


def not_a_tiff(path):
    path.write_bytes(b"hello, this is text" * 10)


def bomb(path):
    """A few hundred bytes that claim one strip of 60 000 x 60 000 pixels."""
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(60_000)


def huge(path):
    """The same with tiles of a decent size, and 10^11 pixels."""
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib", tile=(16, 16), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(400_000)


def strange_codec(path):
    tifffile.imwrite(path, values(SIZE), metadata=None)
    raw = path.read_bytes()
    at = raw.index(struct.pack("<HHI", 259, 3, 1)) + 8
    path.write_bytes(raw[:at] + struct.pack("<H", 4711) + raw[at + 2 :])


def no_axes(path):
    tifffile.imwrite(path, values((4, *SIZE)), photometric="minisblack", metadata=None)


def ambiguous(path):
    tifffile.imwrite(path, values((*SIZE, 4)), photometric="minisblack", metadata=None)


def complex_values(path):
    tifffile.imwrite(path, values(SIZE, np.float32).astype(np.complex64))


def half_floats(path):
    tifffile.imwrite(path, values(SIZE, np.float16))


def all_nan(path):
    tifffile.imwrite(path, np.full(SIZE, np.nan, np.float32))


def constant(path):
    array = np.ones(SIZE, np.float32)
    array[3, 3] = np.nan
    tifffile.imwrite(path, array)


def small(path):
    array = np.ones((7, 9), np.float32)
    array[3, 3] = np.nan
    tifffile.imwrite(path, array)


def broken_document(path):
    head = b'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    tifffile.imwrite(path, values(SIZE), metadata=None, description=head + b"<Image></OME>")


def laughing_document(path):
    head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">]><OME xmlns="http://www.openmicroscopy.org/Schemas/'
    text = head + b'OME/2016-06">&a;</OME>'
    tifffile.imwrite(path, values(SIZE), metadata=None, description=text)


TABLE = [
    (truncated, "truncated"), (truncated_tiles, "truncated"), (cut_header, "truncated"), (not_a_tiff, "not_tiff"),
    (bomb, "too_large"), (huge, "too_large"), (strange_codec, "compression"), (no_axes, "axes"), (ambiguous, "axes"),
    (complex_values, "dtype"), (half_floats, "dtype"), (all_nan, "nothing_observed"), (constant, "no_signal"),
    (small, "too_small"), (broken_document, "bad_header"), (laughing_document, "bad_header"),
    (lambda path: None, "not_found"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_bad_files_are_refused_with_a_code_and_leave_nothing(tmp_path, make, code):
    path = tmp_path / "x.tif"
    make(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(GencosmoError) as caught:
        process_file(path, tmp_path / "out.tif", read=StackRead(find=("hot",) if code == "truncated" else ()))
    assert caught.value.code == code, caught.value
    assert str(path) in caught.value.message or code in ("no_signal", "too_small", "nothing_observed")
    assert sorted(tmp_path.iterdir()) == before


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["plain", "tiles", "ome", "rgb"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=12))
def test_any_damage_gives_an_image_or_our_error(tmp_path_factory, kind, place, noise):
    raw = bytearray(sound_file(kind))
    place %= len(raw)
    raw[place : place + len(noise)] = noise
    path = tmp_path_factory.mktemp("damage") / "x.tif"
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(GencosmoError):  # any other kind fails the test
            assert read(path, max_pixels=1 << 16).data.size <= 1 << 16


@lru_cache
def sound_file(kind):
    how = {"plain": {}, "tiles": {"tile": (16, 16), "compression": "zlib"}, "rgb": {"photometric": "rgb"}}
    file = io.BytesIO()
    array = values((*SIZE, 3), np.uint8) if kind == "rgb" else values(SIZE)
    if kind == "ome":
        tifffile.imwrite(file, array, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.2})
    else:
        tifffile.imwrite(file, array, metadata=None, **how[kind])
    return file.getvalue()


def test_absurd_sizes_are_told_and_taken_as_unknown(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.0, "PhysicalSizeY": 9e99, "PhysicalSizeYUnit": "m"}
    tifffile.imwrite(tmp_path / "x.ome.tif", values(SIZE), ome=True, metadata=metadata)
    report = run(tmp_path, tmp_path / "x.ome.tif", "out.ome.tif")
    assert report.planes[0]["pixel_scale"] is None
    assert [note for note in report.planes[0]["notes"] if "absurd" in note]
    assert codes(report).count("pixel_size") == 2


def test_options_that_mean_nothing_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", values(SIZE))
    for options, code in (
        (StackRead(channels=(1,)), "channels"), (StackRead(profile="stsci"), "usage"), (StackRead(axes="ZYX"), "axes"),
        (StackRead(hdu="3"), "hdu_not_found"), (StackRead(mask_planes=("SAT",)), "mask_planes"),
    ):  # fmt: skip
        with pytest.raises(GencosmoError) as caught:
            process_file(tmp_path / "x.tif", tmp_path / "out.tif", read=options)
        assert caught.value.code == code
    for out in ("out.fits", "out.png", "out", "nowhere/out.tif", "x.tif"):
        with pytest.raises(GencosmoError):
            process_file(tmp_path / "x.tif", tmp_path / out)
    with pytest.raises(UsageError, match="rice"):
        process_file(tmp_path / "x.tif", tmp_path / "y.tif", write=WriteOptions(compress="rice"))
