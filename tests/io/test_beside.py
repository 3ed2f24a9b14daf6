"""Files beside a TIFF: told before anything is computed, left over by a kill, left over by an earlier run."""

import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from gencosmo.batch import OPS, Job, process_file, run_file
from gencosmo.batch.job import Finer
from gencosmo.errors import UsageError
from gencosmo.io import read, write
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead

from ..test_batch_finer_stack import twice
from .stacks import DATE, DATED, SIZE, mask_file, quick_task, run, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")


def never(image, job, seed, hooks):
    raise AssertionError("computed")


@pytest.fixture
def source(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    return tmp_path / "in.tif"


def names(tmp_path):
    return sorted(one.name for one in tmp_path.iterdir() if one.name not in ("in.tif", "mask.tif"))


@pytest.mark.parametrize("layer", ["std", "fill"])
def test_what_lies_in_the_way_is_told_at_once(tmp_path, source, monkeypatch, layer):
    monkeypatch.setitem(OPS, "inpaint", never)
    tifffile.imwrite(tmp_path / f"out.{layer}.ome.tif", values(SIZE))
    with pytest.raises(UsageError, match=rf"out\.{layer}\.ome\.tif exists, and would be written beside") as caught:
        run(tmp_path, source)
    assert caught.value.code == "exists" and names(tmp_path) == [f"out.{layer}.ome.tif"]


def test_the_same_of_a_finer_stack(tmp_path, source, monkeypatch):
    monkeypatch.setitem(OPS, "super_resolve", never)
    tifffile.imwrite(tmp_path / "out.prior_share.ome.tif", values(SIZE))
    task = Job(op="super_resolve", finer=Finer(psf="gaussian:2", noise=3.0), write=DATED)
    with pytest.raises(UsageError, match="prior_share"):
        run_file(str(source), str(tmp_path / "out.tif"), task)


def test_a_run_killed_between_its_files_goes_on(tmp_path, source, monkeypatch):
    renamed = os.rename

    def rename(part, path):
        if str(path).endswith("out.tif"):
            raise KeyboardInterrupt
        renamed(part, path)

    monkeypatch.setattr("gencosmo.io.storage.os.rename", rename)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, source)
    monkeypatch.undo()
    monkeypatch.setitem(OPS, "inpaint", never)  # its block is done
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)
    assert "out.std.ome.tif" in names(tmp_path) and "out.tif" not in names(tmp_path)
    read_with = StackRead(mask=str(tmp_path / "mask.tif"))
    report = process_file(source, tmp_path / "out.tif", read=read_with, write=DATED, resume=True)
    assert report.status == "done" and names(tmp_path) == ["out.fill.ome.tif", "out.std.ome.tif", "out.tif"]


def test_with_overwrite_nothing_of_the_earlier_run_stays(tmp_path, source):
    again = replace(DATED, overwrite=True)
    run(tmp_path, source, saturation=140.0)
    assert "out.flags.ome.tif" in names(tmp_path)
    run(tmp_path, source, write=again)
    assert names(tmp_path) == ["out.fill.ome.tif", "out.std.ome.tif", "out.tif"]
    tifffile.imwrite(tmp_path / "out.flags.ome.tif", values(SIZE))  # of somebody else
    run(tmp_path, source, write=again)
    assert "out.flags.ome.tif" in names(tmp_path)
    nothing = np.zeros(SIZE, bool)
    run(tmp_path, source, write=again, mask=nothing)
    assert names(tmp_path) == ["out.flags.ome.tif", "out.tif"], "a copy has nothing beside it"


def test_pixel_sizes_are_tags_too_for_programs_that_read_no_ome(tmp_path):
    image = read(_sized(tmp_path / "in.ome.tif"))
    write(tmp_path / "out.ome.tif", image)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        tags = file.pages[0].tags
        ratio = tags["XResolution"].value
        assert tags["ResolutionUnit"].value == 3 and ratio[0] / ratio[1] == pytest.approx(1e4 / 0.325)
    tifffile.imwrite(tmp_path / "bare.tif", values(SIZE))
    write(tmp_path / "bare.ome.tif", read(tmp_path / "bare.tif"))
    with tifffile.TiffFile(tmp_path / "bare.ome.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == 1, "none"


def _sized(path):
    tifffile.imwrite(path, values(SIZE), ome=True, metadata={"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325})
    return path


def test_progress_of_a_finer_stack_is_that_of_the_file(tmp_path, monkeypatch):
    from gencosmo.batch import Hooks

    def stepping(image, job, seed, hooks):
        hooks.progress(1, 2)
        hooks.progress(2, 2)
        return twice(image, job, seed, hooks)

    monkeypatch.setitem(OPS, "super_resolve", stepping)
    tifffile.imwrite(tmp_path / "in.tif", values((2, *SIZE)), metadata={"axes": "ZYX"})
    seen = []
    task = Job(op="super_resolve", finer=Finer((2, 3), "gaussian:2", noise=3.0), write=WriteOptions(date=DATE))
    run_file(str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), task, Hooks(lambda *step: seen.append(step)))
    assert seen == [(500, 2000), (1000, 2000), (1500, 2000), (2000, 2000)]
