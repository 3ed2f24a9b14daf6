"""Stacks onto a finer grid: axes, sizes and names of the output; what is refused."""

import numpy as np
import pytest
import tifffile

from gencosmo.batch import OPS, Job, process_files, run_file
from gencosmo.batch.job import Finer
from gencosmo.errors import GencosmoError
from gencosmo.io import read
from gencosmo.io.stack_options import StackRead
from gencosmo.result import Result

from .io.stacks import DATED, SIZE, mask_file, ome_schema, tree, values, zarr_file


def twice(image, job, seed, hooks):
    """Every pixel as 2 x 3 pixels, plus the seed's last digit as a sign that planes have their own."""
    big = np.kron(image.data, np.ones((1, 2, 3), np.float32)).astype(np.float32)
    assert image.psf is not None and (image.ivar[~image.mask] == np.float32(1 / 9)).all()
    std, share = np.full_like(big, 2), np.full_like(big, 0.5)
    return Result(image.restore(big), image.restore(std), prior_share=image.restore(share), target="scene")


@pytest.fixture(autouse=True)
def _twice(monkeypatch):
    monkeypatch.setitem(OPS, "super_resolve", twice)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)


def job(tmp_path, finer=None, **options):
    finer = finer or Finer(scale=(2, 3), psf="gaussian:2.5", noise=3.0)
    options.setdefault("mask", mask_file(tmp_path))
    return Job(op="super_resolve", finer=finer, read=StackRead(**options), write=DATED)


def test_a_stack_gets_finer_pixels_smaller_sizes_and_its_own_axes(tmp_path):
    array = values((3, 2, *SIZE))
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.75, "PhysicalSizeY": 0.75, "PhysicalSizeZ": 2.0}
    metadata["Channel"] = {"Name": ["a", "b"]}
    path = tmp_path / "in.ome.tif"
    tifffile.imwrite(path, array, ome=True, metadata=metadata, photometric="minisblack")
    before = tree(path)
    report = run_file(str(path), str(tmp_path / "out.ome.tif"), job(tmp_path, channels=(1,)))
    assert report.status == "done" and len(report.planes) == 3 and tree(path) == before
    for layer, expected in (("", None), (".std", 2), (".prior_share", 0.5)):
        with tifffile.TiffFile(tmp_path / f"out{layer}.ome.tif") as file:
            got, xml = file.asarray(), file.ome_metadata
        ome_schema().validate(xml)
        assert got.shape == (3, 96, 192) and got.dtype == np.float32
        for words in ('PhysicalSizeX="0.25"', 'PhysicalSizeY="0.375"', 'PhysicalSizeZ="2.0"', 'Name="b"'):
            assert words in xml, words
        assert 'Name="a"' not in xml
        if expected is None:
            assert np.array_equal(got[:, ::2, ::3], array[:, 1].astype(np.float32))
        else:
            assert (got == expected).all()
    assert (
        run_file(str(path), str(tmp_path / "out.ome.tif"), job(tmp_path, channels=(1,)), resume=True).status
        == "skipped"
    )
    with pytest.raises(GencosmoError) as caught:
        run_file(str(path), str(tmp_path / "out.ome.tif"), job(tmp_path, channels=(0,)), resume=True)
    assert caught.value.code == "exists"


def test_rgb_and_zarr_and_many(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values((*SIZE, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", values(SIZE))
    reports = process_files([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out", job=job(tmp_path))
    assert [report.status for report in reports] == ["done", "done"]
    assert read(tmp_path / "out/a.tif").shape == (3, 96, 192)
    path = zarr_file(tmp_path / "in.zarr", values((2, *SIZE)), "CYX")
    run_file(path, str(tmp_path / "z.ome.tif"), job(tmp_path))
    assert read(tmp_path / "z.ome.tif").shape == (2, 96, 192)


def test_what_is_refused_leaves_nothing(tmp_path):
    path = str(tmp_path / "in.tif")
    tifffile.imwrite(path, values(SIZE))
    task = job(tmp_path)
    before = sorted(tmp_path.iterdir())
    no_psf = Job(op="super_resolve", finer=Finer(noise=3.0), read=task.read)
    for asked, out, code in (
        (no_psf, "out.tif", "no_psf"), (task, "out.zarr", "format"), (task, "out.fits", "format"),
        (task, "in.tif", "usage"), (job(tmp_path, finer=Finer(psf="gaussian:2", noise=-1.0)), "out.tif", "usage"),
    ):  # fmt: skip
        with pytest.raises(GencosmoError) as caught:
            run_file(path, str(tmp_path / out), asked)
        assert caught.value.code == code
    assert sorted(tmp_path.iterdir()) == before
    report = run_file(path, str(tmp_path / "out.tif"), task, dry_run=True)
    assert report.planes[0]["masked"] > 0 and sorted(tmp_path.iterdir()) == before
