"""Real microscopy files: every one is opened, and written again with nothing changed outside the mask."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

import gencosmo
from gencosmo.batch import process_file
from gencosmo.errors import GencosmoError
from gencosmo.io.stack_options import StackRead

from .io.stacks import DATED, mask_file, ome_schema, quick_task, run  # noqa: F401

DATA = Path(os.environ.get("GENCOSMO_TEST_DATA", "")) / "micro"
pytestmark = pytest.mark.skipif(
    not os.environ.get("GENCOSMO_TEST_DATA") or not DATA.is_dir(), reason="GENCOSMO_TEST_DATA is not set"
)


def real_files():
    return sorted(path for path in DATA.rglob("*") if path.suffix.lower() in (".tif", ".png"))


def test_every_real_file_is_read_and_written(tmp_path, quick_task):  # noqa: F811
    """Outside the mask nothing changes, whatever the file; every file is opened, two of each folder written."""
    refused, done, folders = {}, 0, []
    for path in real_files():
        folders.append(path.parent)
        if folders.count(path.parent) > 2:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                size = _size(path)
                part = (slice(size[0] - 9, size[0]), slice(0, 11))
                assert gencosmo.read(path, section=part).shape[1:] == (9, 11)
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shape = _size(path)
                mask = np.zeros(shape, bool)
                mask[shape[0] // 2, 3:9] = True
                out = f"{done}.ome.tif" if path.suffix == ".png" else f"{done}.tif"
                report = run(tmp_path, path, out, mask=mask)
        except GencosmoError as error:
            refused[path.name] = error.code
            continue
        done += 1
        if path.suffix == ".png" or path.name.startswith("masks"):
            continue
        was, now = tifffile.imread(path), tifffile.imread(tmp_path / out)
        assert now.dtype == was.dtype and now.shape == was.shape
        assert 0 < (now != was).sum() <= report.filled, path
    assert len(folders) == 58 and done == 29 and refused == {}, (len(folders), done, refused)


def _size(path):
    if path.suffix == ".png":
        from PIL import Image as Pillow

        return Pillow.open(path).size[::-1]
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        return tuple(series.shape[series.axes.index(a)] for a in "YX")


def test_a_real_ome_tiff_stays_valid(tmp_path, quick_task):  # noqa: F811
    path = DATA / "ome_multi/test_image.ome.tif"
    mask = np.zeros((513, 639), bool)
    mask[100:110, 200:230] = True
    run(tmp_path, path, "out.ome.tif", mask=mask)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file, tifffile.TiffFile(path) as was:
        assert (file.series[0].axes, file.series[0].shape) == (was.series[0].axes, was.series[0].shape)
        assert np.array_equal(file.asarray()[:, ~mask], was.asarray()[:, ~mask])
        xml = file.ome_metadata
    if "2016-06" in xml:
        ome_schema().validate(xml)


def test_a_real_stack_is_filled_by_the_prior(tmp_path):
    """Three planes of a bead stack, ImageJ, at sizes that the file tells."""
    path = DATA / "misc_haes_dev/Bead_Image1_crop.tif"
    mask = np.zeros((150, 150), bool)
    mask[70, 40:110], mask[20:30, 20:30] = True, True
    report = process_file(
        path, tmp_path / "out.tif", read=StackRead(mask=mask_file(tmp_path, mask), depths=(10, 20, 30)), write=DATED
    )
    assert report.filled == 3 * mask.sum()
    was, now = tifffile.imread(path), tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(now[:, ~mask], was[:, ~mask])
    assert np.array_equal(np.delete(now, (10, 20, 30), 0), np.delete(was, (10, 20, 30), 0))
    off = np.abs(now[20][mask].astype(float) - was[20][mask])
    assert np.median(off) < 3 * max(1.0, np.median(np.abs(np.diff(was[20].astype(float)))))
