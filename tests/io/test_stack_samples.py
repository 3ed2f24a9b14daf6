"""Posterior samples of stacks, and estimates of every pixel: what is written, and that it reads back."""

import numpy as np
import pytest
import tifffile
import zarr

import gencosmo
from gencosmo.batch import OPS, process_file, run_file
from gencosmo.batch.job import Finer, Job
from gencosmo.errors import UsageError
from gencosmo.flags import bits
from gencosmo.io import read
from gencosmo.io.camera import Camera
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead, StackWrite
from gencosmo.result import Result

from .stacks import (  # noqa: F401
    DATE,
    SIZE,
    holes,
    mask_file,
    ome_schema,
    small_blocks,
    truth,
    values,
    zarr_file,
)

KEEP = WriteOptions(date=DATE, samples=True)
DRAWS = 3
TOLD = Camera(std=3.0)


def drawn(image, job, seed, hooks):
    """Samples stand s units above the mean, which is a number made of a pixel's place; of all pixels when denoising."""
    mask = image.mask
    chosen = np.ones_like(mask) if job.op == "denoise" else mask
    rows, cols = np.indices(mask.shape[1:]) + np.array(image.origin)[:, None, None]
    mean = np.where(chosen, truth(rows, cols), image.data).astype(np.float32)
    steps = np.arange(DRAWS, dtype=np.float32)[:, None, None, None]
    return Result(
        image.restore(mean),
        image.restore(np.where(chosen, np.float32(2), np.float32(0))),
        samples=image.restore((mean + steps * chosen).astype(np.float32)),
        filled=image.restore(mask),
        flags=image.restore(image.flags | np.where(mask, np.uint32(bits("FILLED")), np.uint32(0))),
        target="scene" if job.op == "denoise" else "frame",
        provenance={"prior": "drawn"},
    )


@pytest.fixture(autouse=True)
def _drawn(monkeypatch):
    for op in ("inpaint", "denoise"):
        monkeypatch.setitem(OPS, op, drawn)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)


def wanted(array, mask, sample):
    found = array.astype(np.float32)
    return np.where(mask, truth(*np.indices(SIZE)) + sample, found)


@pytest.mark.parametrize(
    ("letters", "shape", "told"),
    [("YX", (), "QYX"), ("TCYX", (2, 2), "TQCYX"), ("CZYX", (2, 3), "QCZYX"), ("CTYX", (2, 2), "CTQYX")],
)
def test_samples_of_a_tiff_are_a_modulo_dimension(tmp_path, letters, shape, told):
    array, path = values((*shape, *SIZE)), str(tmp_path / "in.ome.tif")
    words = {"axes": letters, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    if "C" in letters:
        words["Channel"] = {"Name": ["a", "b"]}
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata=words)
    mask = holes()
    options = StackRead(mask=mask_file(tmp_path, mask))
    process_file(path, tmp_path / "out.ome.tif", samples=DRAWS, read=options, write=KEEP)
    with tifffile.TiffFile(tmp_path / "out.samples.ome.tif") as file:
        xml, got, axes = file.ome_metadata, file.asarray(), file.series[0].axes
    ome_schema().validate(xml)
    assert axes == told and got.dtype == np.float32
    assert f'ModuloAlongT Type="other" TypeDescription="posterior sample" Start="0" End="{DRAWS - 1}"' in xml
    assert f'SizeT="{DRAWS * (2 if "T" in letters else 1)}"' in xml and 'PhysicalSizeX="0.5"' in xml
    assert ('Name="b"' in xml) == ("C" in letters)
    first = np.moveaxis(got, told.index("Q"), 0)
    for sample in range(DRAWS):
        assert np.array_equal(first[sample], wanted(array, mask, sample))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_samples_of_a_zarr_are_a_collection_of_images(tmp_path, small_blocks, version):  # noqa: F811
    array, mask = values((2, *SIZE)), holes()
    path = zarr_file(tmp_path / "in.zarr", array, "CYX", version=version, levels=2)
    options = StackRead(mask=mask_file(tmp_path, mask))
    process_file(path, tmp_path / "out.zarr", samples=DRAWS, read=options, write=KEEP)
    group = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    told = group["gcm_samples"].attrs
    assert (told if version == "0.4" else told["ome"])["bioformats2raw.layout"] == 3
    for sample in range(DRAWS):
        image = read(tmp_path / "out.zarr", hdu=f"gcm_samples/{sample}")
        assert np.array_equal(image.data, wanted(array, mask, sample)) and image.pixel_scale == pytest.approx(0.4)
        full, half = (group[f"gcm_samples/{sample}/s{level}"][:] for level in (0, 1))
        assert np.allclose(half[:, 0, 0], full[:, :2, :2].mean((1, 2)), rtol=1e-6)


def test_without_the_option_nothing_is_added_and_no_samples_are_drawn_for_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    options = StackRead(mask=mask_file(tmp_path))
    with pytest.raises(UsageError, match=r"3 samples would be drawn and thrown away.*WriteOptions\(samples=True\)"):
        process_file(tmp_path / "in.tif", tmp_path / "out.tif", samples=DRAWS, read=options)
    assert not (tmp_path / "out.tif").exists()
    process_file(tmp_path / "in.tif", tmp_path / "out.tif", read=options, write=WriteOptions(date=DATE))
    assert (tmp_path / "out.tif").exists() and not (tmp_path / "out.samples.ome.tif").exists()


@pytest.mark.parametrize(("dtype", "stored"), [(np.uint16, np.float32), (np.uint32, np.float64), (np.float32,) * 2])
@pytest.mark.parametrize("ending", ["ome.tif", "zarr"])
def test_every_pixel_of_chosen_channels_is_an_estimate(tmp_path, small_blocks, ending, dtype, stored):  # noqa: F811
    """Blocks are put together again; the channel that was not chosen stays, in a type that holds it."""
    array = values((2, *SIZE), dtype)
    if dtype == np.uint32:
        array += 4_000_000_001
    path = zarr_file(tmp_path / "in.zarr", array, "CYX", names=("a", "b"))
    out = tmp_path / f"out.{ending}"
    report = process_file(
        path, out, op="denoise", samples=DRAWS, read=StackRead(channels=(1,), camera=TOLD), write=KEEP
    )
    assert report.status == "done" and report.filled == np.prod(SIZE) and report.warnings == []
    place = truth(*np.indices(SIZE))
    if ending == "zarr":
        group = zarr.open_group(str(out), mode="r")
        got, std, draws = group["0"][:], group["gcm_std/0"][:], group["gcm_samples/2/0"][:]
        assert sorted(group) == ["0", "gcm_samples", "gcm_std"]
    else:
        got, std = tifffile.imread(out), tifffile.imread(tmp_path / "out.std.ome.tif")
        draws = tifffile.imread(tmp_path / "out.samples.ome.tif")[2]
        names = {"in.zarr", "out.ome.tif", "out.std.ome.tif", "out.samples.ome.tif"}
        assert {one.name for one in tmp_path.iterdir()} == names
    assert got.dtype == stored
    assert np.array_equal(got[0], array[0]) and np.array_equal(got[1], place)
    assert (std[0] == 0).all() and (std[1] == 2).all()
    assert np.array_equal(draws[0], array[0].astype(np.float32)) and np.array_equal(draws[1], place + 2)


def test_masked_pixels_of_an_estimate_are_told(tmp_path):
    mask = holes()
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    options = StackRead(mask=mask_file(tmp_path, mask), camera=TOLD)
    process_file(tmp_path / "in.tif", tmp_path / "out.tif", op="denoise", read=options)
    assert np.array_equal(tifffile.imread(tmp_path / "out.fill.ome.tif") == 1, mask)
    again = process_file(tmp_path / "in.tif", tmp_path / "out.tif", op="denoise", read=options, resume=True)
    assert again.status == "skipped"


def test_large_planes_get_smaller_copies_of_mean_and_spread(tmp_path, small_blocks, monkeypatch):  # noqa: F811
    monkeypatch.setattr("gencosmo.io.tiff_new.TILED", 1000)
    monkeypatch.setattr("gencosmo.io.tiff_new.level_sizes", lambda h, w: [(h // 2, w // 2)])
    path = zarr_file(tmp_path / "in.zarr", values(SIZE), "YX")
    process_file(
        path, tmp_path / "out.ome.tif", op="denoise", read=StackRead(camera=TOLD), write=WriteOptions(date=DATE)
    )
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        full, half = (level.asarray() for level in file.series[0].levels)
    assert np.array_equal(full, truth(*np.indices(SIZE)))
    assert np.allclose(half, full.reshape(24, 2, 32, 2).mean((1, 3)))
    process_file(
        path, tmp_path / "out.zarr", op="denoise", read=StackRead(camera=TOLD), write=StackWrite(date=DATE, ngff="0.4")
    )
    assert read(tmp_path / "out.zarr").shape == (1, *SIZE)


def test_finer_stacks_keep_their_samples(tmp_path, monkeypatch):
    def twice(image, job, seed, hooks):
        big = np.kron(image.data, np.ones((1, 2, 2), np.float32)).astype(np.float32)
        draws = big[None] + np.arange(DRAWS, dtype=np.float32)[:, None, None, None]
        std = np.full_like(big, 2)
        return Result(image.restore(big), image.restore(std), samples=image.restore(draws), target="scene")

    monkeypatch.setitem(OPS, "super_resolve", twice)
    array, path = values((2, *SIZE)), tmp_path / "in.ome.tif"
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    job = Job(op="super_resolve", finer=Finer(psf="gaussian:2.5", noise=3.0), samples=DRAWS, write=KEEP)
    run_file(str(path), str(tmp_path / "fine.ome.tif"), job)
    got = tifffile.imread(tmp_path / "fine.samples.ome.tif")
    assert got.shape == (DRAWS, 2, 96, 128)
    assert np.array_equal(got[2, 1, ::2, ::2], array[1].astype(np.float32) + 2)


def result_of(array, mask, *, everywhere):
    chosen = np.ones_like(mask) if everywhere else mask
    mean = np.where(chosen, truth(*np.indices(SIZE)), array).astype(np.float32)
    draws = (mean + np.arange(DRAWS, dtype=np.float32)[:, None, None, None] * chosen).astype(np.float32)
    filled = np.broadcast_to(mask, mean.shape).copy()
    std = np.where(np.broadcast_to(chosen, mean.shape), np.float32(2), np.float32(0))
    return Result(mean, std, samples=draws, filled=filled)


def test_results_from_python_are_written_as_what_they_are(tmp_path):
    """One that fills goes into a copy, with its samples; one of every pixel is an image of its own."""
    array, mask = values((2, *SIZE)), holes()
    path = tmp_path / "in.ome.tif"
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    gencosmo.write(tmp_path / "a.ome.tif", result_of(array, mask, everywhere=False), like=path)
    got, draws = tifffile.imread(tmp_path / "a.ome.tif"), tifffile.imread(tmp_path / "a.samples.ome.tif")
    assert got.dtype == np.uint16 and np.array_equal(got[:, ~mask], array[:, ~mask])
    assert draws.shape == (DRAWS, 2, *SIZE) and np.array_equal(draws[2, 1], wanted(array[1], mask, 2))
    gencosmo.write(tmp_path / "b.ome.tif", result_of(array, mask, everywhere=True), like=path)
    got = tifffile.imread(tmp_path / "b.ome.tif")
    assert got.dtype == np.float32 and np.array_equal(got[0], truth(*np.indices(SIZE)))
