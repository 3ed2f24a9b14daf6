"""Which format a file has, and what hangs on it: the prior, the name of the output, images that are not the first."""

import shutil

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from gencosmo.cli import app
from gencosmo.commands.denoise import camera_for
from gencosmo.commands.reading import prior_for
from gencosmo.errors import UsageError
from gencosmo.io.camera import Camera
from gencosmo.io.registry import output_name

from .stacks import SIZE, codes, filled, holes, mask_file, quick_task, run, values, zarr_file  # noqa: F401


@pytest.fixture
def unnamed(tmp_path):
    """A TIFF as MetaMorph names it, one without an ending, and an OME-Zarr in a folder without one."""
    for name in ("a.stk", "scan"):
        tifffile.imwrite(tmp_path / name, values(SIZE))
    zarr_file(tmp_path / "slide", values(SIZE), "YX")
    return [str(tmp_path / name) for name in ("a.stk", "scan", "slide")]


def test_what_a_file_holds_chooses_the_prior_and_not_its_ending(unnamed):
    assert prior_for(unnamed, "auto") == "cells"
    for path in unnamed:
        assert prior_for([path], "auto", use="scenes") == "cells"
        assert camera_for([path], None, None, None, None, told=False) == Camera(source="file")
    with pytest.raises(UsageError, match="cells, sky"):
        prior_for([*unnamed, "not-there.fits"], "auto")


def test_outputs_in_a_folder_have_endings_that_can_be_written(tmp_path, unnamed, quick_task):  # noqa: F811
    assert [output_name(path) for path in unnamed] == ["a.ome.tif", "scan.ome.tif", "slide.ome.zarr"]
    mask = mask_file(tmp_path)
    done = CliRunner().invoke(
        app, ["inpaint", *unnamed, "-o", str(tmp_path / "out"), "--mask", mask, "--progress", "none"]
    )
    assert done.exit_code == 0, done.output
    expected = np.where(holes(), filled(), values(SIZE))
    for name in ("a.ome.tif", "scan.ome.tif"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / name), expected)
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "out" / "slide.ome.zarr"))["s0"][...], expected)


def test_other_images_of_a_file_are_told_and_can_be_chosen(tmp_path, quick_task):  # noqa: F811
    small = (SIZE[0] // 4, SIZE[1] // 4)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for seed in (0, 1):
            file.write(values(SIZE, seed=seed), metadata={"axes": "YX"})
        file.write(values(small), metadata={"axes": "YX"})
    report = run(tmp_path, tmp_path / "a.ome.tif", "b.ome.tif")
    told = [entry["message"] for entry in report.warnings if entry["code"] == "several_images"]
    assert len(told) == 1 and told[0].endswith(
        "holds 2 images, this is the first; the others stay as they are: --hdu 1"
    )
    second = run(tmp_path, tmp_path / "a.ome.tif", "c.ome.tif", hdu="1")
    assert "several_images" not in codes(second)
    with tifffile.TiffFile(tmp_path / "c.ome.tif") as file:
        np.testing.assert_array_equal(file.series[0].asarray(), values(SIZE))
        np.testing.assert_array_equal(file.series[1].asarray(), np.where(holes(), filled(), values(SIZE, seed=1)))


def test_other_images_of_a_collection_are_told(tmp_path, quick_task):  # noqa: F811
    place = tmp_path / "c.zarr"
    zarr.open_group(str(place), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for name in ("0", "1", "10"):
        zarr_file(place / name, values(SIZE), "YX", version="0.4")
    report = run(tmp_path, place, "d.zarr")
    assert any(entry["message"].endswith("holds 3 images, this is the first; the others stay as they are: --hdu 1, 10")
               for entry in report.warnings)  # fmt: skip
    shutil.rmtree(place / "1")
    shutil.rmtree(place / "10")
    assert "several_images" not in codes(run(tmp_path, place, "e.zarr"))
