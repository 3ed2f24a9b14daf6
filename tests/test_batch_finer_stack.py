"""Stacks onto a finer grid: axes, sizes and names of the output; what is refused; going on after a kill."""

import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

from gencosmo.batch import OPS, Hooks, Job, process_files, run_file
from gencosmo.batch.job import Finer
from gencosmo.errors import GencosmoError, GencosmoWarning
from gencosmo.io import read
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead, StackWrite
from gencosmo.io.zarr import read_attributes
from gencosmo.result import Result

from .io.stacks import DATE, DATED, SIZE, mask_file, ome_schema, tree, values, zarr_file


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
        (no_psf, "out.tif", "no_psf"), (task, "out.png", "format"), (task, "out.fits", "format"),
        (task, "in.tif", "usage"), (job(tmp_path, finer=Finer(psf="gaussian:2", noise=-1.0)), "out.tif", "usage"),
    ):  # fmt: skip
        with pytest.raises(GencosmoError) as caught:
            run_file(path, str(tmp_path / out), asked)
        assert caught.value.code == code
    assert sorted(tmp_path.iterdir()) == before
    report = run_file(path, str(tmp_path / "out.tif"), task, dry_run=True)
    assert report.planes[0]["masked"] > 0 and sorted(tmp_path.iterdir()) == before


def placed(path, array, letters, version):
    """Pixels of 0.4 um of a tile at (12, -7)."""
    zarr_file(path, array, letters, version=version, names=("a", "b", "c"))
    group = zarr.open_group(str(path), mode="a", zarr_format={"0.4": 2, "0.5": 3}[version])
    words = read_attributes(str(path))
    own = words.get("ome", words)
    shift = [{"Y": 12.0, "X": -7.0}.get(a, 0.0) for a in letters]
    own["multiscales"][0]["datasets"][0]["coordinateTransformations"].append(
        {"type": "translation", "translation": shift}
    )
    group.attrs.update(words)
    return str(path)


@pytest.mark.parametrize(("version", "asked"), [("0.4", None), ("0.5", None), ("0.5", "0.4"), ("0.4", "0.5")])
def test_a_zarr_gets_a_finer_one_that_lies_over_it(tmp_path, version, asked):
    models = pytest.importorskip("ome_zarr_models")
    array = values((2, 3, *SIZE))
    path = placed(tmp_path / "in.zarr", array, "ZCYX", version)
    task = replace(job(tmp_path, channels=("c", "a")), write=StackWrite(date=DATE, ngff=asked))
    report = run_file(path, str(tmp_path / "out.ome.zarr"), task)
    assert report.status == "done" and report.profile == "ome-zarr"
    attributes = read_attributes(str(tmp_path / "out.ome.zarr"))
    words = attributes.get("ome", attributes)
    assert ("ome" in attributes) == ((asked or version) == "0.5")
    assert attributes["gencosmo"][-1]["GCMOP"] == "super_resolve"
    models.open_ome_zarr(zarr.open_group(str(tmp_path / "out.ome.zarr"), mode="r"))  # raises for what is no OME-Zarr
    assert [row["label"] for row in words["omero"]["channels"]] == ["a", "c"]
    step, place = words["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert [row["name"] for row in words["multiscales"][0]["axes"]] == ["c", "z", "y", "x"]
    np.testing.assert_allclose(step["scale"], [1, 1, 0.2, 0.4 / 3])
    np.testing.assert_allclose(place["translation"], [0, 0, 12 - 0.1, -7 - 0.4 / 3])
    for name, expected in (("", None), ("gcm_std", 2), ("gcm_prior_share", 0.5)):
        with open_stack(str(tmp_path / "out.ome.zarr" / name), limit=1 << 20) as stack:
            assert stack.axes.letters == "CZYX" and stack.dtype == np.float32
            assert stack.details.y == pytest.approx(0.2) and stack.details.x == pytest.approx(0.4 / 3)
            for plane in stack.axes.planes():
                source = array[plane.z, (0, 2)[plane.c]].astype(np.float32)
                assert np.array_equal(
                    stack.read(plane)[::2, ::3], source if expected is None else source * 0 + expected
                )
    assert run_file(path, str(tmp_path / "out.ome.zarr"), task, resume=True).status == "skipped"


def test_many_zarrs_and_one_from_a_tiff(tmp_path):
    array = values((3, *SIZE))
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.6, "PhysicalSizeY": 0.6, "PhysicalSizeZ": 2.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, metadata=metadata, photometric="minisblack")
    run_file(str(tmp_path / "a.ome.tif"), str(tmp_path / "a.zarr"), job(tmp_path, depths=(0, 2)))
    with open_stack(str(tmp_path / "a.zarr"), limit=1 << 20) as stack:
        details = stack.details
        assert (details.y, details.x, details.z) == pytest.approx((0.3, 0.2, 4.0)) and stack.axes.shape == (2, 96, 192)
    paths = [zarr_file(tmp_path / f"{n}.ome.zarr", values(SIZE), "YX") for n in "bc"]
    reports = process_files(paths, tmp_path / "out", job=job(tmp_path))
    assert [report.status for report in reports] == ["done", "done"]
    assert read(tmp_path / "out/b.ome.zarr").shape == (1, 96, 192)


@pytest.mark.parametrize("out", ["out.ome.tif", "out.ome.zarr"])
def test_samples_and_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch, out):
    array, calls, stop = values((3, *SIZE)), [], threading.Event()
    tifffile.imwrite(tmp_path / "in.ome.tif", array, ome=True, metadata={"axes": "ZYX"}, photometric="minisblack")
    task = replace(job(tmp_path), write=replace(DATED, samples=True), samples=2)

    def counted(image, job, seed, hooks):
        calls.append(seed)
        if len(calls) == 2:
            stop.set()
        warnings.warn(GencosmoWarning(f"plane {len(calls)}", code="misfit"), stacklevel=2)
        found = twice(image, job, seed, hooks)
        return replace(found, samples=np.stack([found.mean, found.mean + 1]), chi2=float(len(calls)))

    monkeypatch.setitem(OPS, "super_resolve", counted)
    words = (str(tmp_path / "in.ome.tif"), str(tmp_path / out), task)
    with pytest.raises(GencosmoError) as caught:
        run_file(*words, Hooks(cancel=stop))
    assert caught.value.code == "cancelled" and not (tmp_path / out).exists()
    drawn = []
    hooks = Hooks(on_plane=lambda image, result: drawn.append((image.shape, result.mean.shape, result.meta["scale"])))
    report = run_file(*words, hooks, resume=True)
    assert len(calls) == 3 and len(drawn) == 3 and drawn[0] == (drawn[0][0], (96, 192), (2, 3))
    assert [plane["chi2"] for plane in report.planes] == [1.0, 2.0, 3.0]
    assert [row["message"] for row in report.warnings if row["code"] == "misfit"] == ["plane 1", "plane 2", "plane 3"]
    assert not list(tmp_path.glob(".*.part"))
    if out.endswith(".zarr"):
        sample = [zarr.open_array(str(tmp_path / out / "gcm_samples" / n / "0"), mode="r")[...] for n in "01"]
        assert np.array_equal(sample[0] + 1, sample[1]) and sample[0].shape == (3, 96, 192)
    else:
        with tifffile.TiffFile(tmp_path / "out.samples.ome.tif") as file:
            assert file.series[0].axes == "QZYX" and file.series[0].shape == (2, 3, 96, 192)
    run_file(*words[:2], replace(task, write=replace(task.write, overwrite=True)))
    assert len(calls) == 6, "without resume all of it is computed"


@pytest.mark.parametrize(("asked", "used"), [("auto", "sb"), ("sum", "sum")])
def test_grey_levels_stay_what_they_are(tmp_path, monkeypatch, asked, used):
    seen = []

    def told(image, job, seed, hooks):
        seen.append(job.finer.flux_mode)
        return twice(image, job, seed, hooks)

    monkeypatch.setitem(OPS, "super_resolve", told)
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    finer = Finer(scale=(2, 3), psf="gaussian:2.5", noise=3.0, flux_mode=asked)
    run_file(str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), job(tmp_path, finer))
    assert seen == [used]


def test_what_is_not_finite_is_never_written(tmp_path, monkeypatch):
    def broken(image, job, seed, hooks):
        found = twice(image, job, seed, hooks)
        found.mean[..., 3, 3] = np.nan
        return found

    monkeypatch.setitem(OPS, "super_resolve", broken)
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    with pytest.raises(GencosmoError) as caught:
        run_file(str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), job(tmp_path))
    assert caught.value.code == "non_finite"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.tif", "mask.tif"]
