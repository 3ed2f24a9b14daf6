"""Large planes: what is read and held at a time, and regions of them that are scored."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

import gencosmo
from gencosmo.batch.rims import bright_rims
from gencosmo.cli import app
from gencosmo.errors import Cancelled, UsageError
from gencosmo.image import as_image
from gencosmo.io.region import parse_region
from gencosmo.io.zarr import ZarrStack
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.result import Result

from .io.stacks import filled, mask_file, quick_task, run, small_blocks, values, zarr_file  # noqa: F401

SIDE = (160, 128)
CHUNK = 32
PART = (slice(32, 96), slice(32, 96))
REGION = "32:96,32:96"


def call(*arguments, code=0):
    """Run the command line here."""
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    assert done.exit_code == code, done.stderr
    return done


@pytest.fixture
def sections(monkeypatch):
    """Rows and columns of every read of full-size pixels."""
    seen, read = [], ZarrStack.read

    def remember(stack, plane, section=None):
        seen.append((stack.path, tuple((s.start, s.stop) for s in section)))
        return read(stack, plane, section)

    monkeypatch.setattr(ZarrStack, "read", remember)
    return seen


def odd_slide():
    """Noise, and one pixel that does not belong there."""
    array = values(SIDE)
    array[60, 50] = 4000
    return array


def spoil(path: str, *, but: tuple[slice, slice]) -> int:
    """Make nonsense of all chunks outside a region; return how many."""
    spoiled = 0
    for chunk in Path(path, "s0/c").glob("*/*"):
        corner = [int(n) * CHUNK for n in (chunk.parent.name, chunk.name)]
        if any(at + CHUNK <= part.start or at >= part.stop for at, part in zip(corner, but, strict=True)):
            chunk.write_bytes(b"nonsense")
            spoiled += 1
    return spoiled


def test_a_region_is_scored_from_its_own_chunks_with_places_in_the_slide(tmp_path):
    """Every other chunk is nonsense: one that was read would be an error."""
    path = zarr_file(tmp_path / "in.zarr", odd_slide(), "YX", chunks=(CHUNK, CHUNK))
    assert spoil(path, but=PART) == 16
    out = tmp_path / "out"
    words = ["score", path, "-o", out, "--region", REGION, "--regions", "--map", "--report", "--json"]
    (told,) = json.loads(call(*words, "--device", "cpu").stdout)["files"]
    first = Table.read(told["outputs"]["catalog"], format="ascii.ecsv")[0]
    assert (round(first["x_0"]), round(first["y_0"])) == (50, 60)
    assert first["x_min"] <= 50 <= first["x_max"] and first["y_min"] <= 60 <= first["y_max"]
    assert "ellipse(51" in Path(told["outputs"]["regions"]).read_text()
    alone = gencosmo.score(gencosmo.read(path, section=PART), prior="cells", device="cpu")
    assert np.array_equal(tifffile.imread(told["outputs"]["map"]), alone.anomaly_map)
    assert Path(told["outputs"]["report"]).stat().st_size > 1000


def test_scoring_goes_on_from_the_passes_of_a_run_that_was_stopped(tmp_path, monkeypatch):
    """The folder of passes is all that is left of the first run, and the second makes only the others."""
    path = zarr_file(tmp_path / "in.zarr", odd_slide(), "YX", chunks=(CHUNK, CHUNK))
    denoise, asked = DiffusionPrior.denoise_, []

    def until_the_fourth(prior, canvas, plan, world):
        asked.append(world)
        if len(asked) == 4:
            raise Cancelled("killed")
        denoise(prior, canvas, plan, world)

    monkeypatch.setattr(DiffusionPrior, "denoise_", until_the_fourth)
    words = ["score", path, "--region", REGION, "--map", "--device", "cpu", "--json"]
    call(*words, "-o", tmp_path / "a", "--resume", code=130)
    (hidden,) = (tmp_path / "a").iterdir()
    assert len(list(hidden.glob("*.npy"))) == 3
    (hidden / "half.tmp").write_bytes(b"of an answer")
    told = json.loads(call(*words, "-o", tmp_path / "a", "--resume").stdout)["files"]
    goes_on = len(asked) - 4
    assert not hidden.exists() and len(list((tmp_path / "a").iterdir())) == 2
    whole = json.loads(call(*words, "-o", tmp_path / "b").stdout)["files"]
    assert goes_on == len(asked) - 4 - goes_on - 3 > 3
    assert told[0]["anomaly_score"] == whole[0]["anomaly_score"] and told[0]["detections"] == whole[0]["detections"]
    assert len({Path(files[0]["outputs"]["map"]).read_bytes() for files in (told, whole)}) == 1
    other = call(*words, "-o", tmp_path / "c", "--resume", "--normals", tmp_path, code=2)
    assert "a detector looks at more" in other.stderr


def test_the_map_of_a_part_of_a_fits_file_says_where_it_lies(tmp_path):
    fits.writeto(tmp_path / "a.fits", odd_slide().astype(np.float32))
    words = ["score", tmp_path / "a.fits", "-o", tmp_path / "out", "--region", "40:80,30:62", "--map", "--json"]
    (told,) = json.loads(call(*words, "--device", "cpu").stdout)["files"]
    with fits.open(told["outputs"]["map"]) as shown:
        header, found = shown["GCM_ANOM"].header, shown["GCM_ANOM"].data
    assert (header["LTV1"], header["LTV2"]) == (-30, -40), "IRAF: place in the map minus place in the file"
    assert np.unravel_index(np.abs(found).argmax(), found.shape) == (60 - 40, 50 - 30)
    first = Table.read(told["outputs"]["catalog"], format="ascii.ecsv")[0]
    assert (round(first["x_0"]), round(first["y_0"])) == (50, 60)


@pytest.mark.parametrize("text", ["5", "0:4", "0:4,0:4,0:4", "a:4,0:4", "-4:4,0:4", "4:4,0:4", "0:4,9:4", "0:4,:4"])
def test_words_that_are_no_region(text, tmp_path):
    with pytest.raises(UsageError) as caught:
        parse_region(text)
    assert caught.value.code == "region" and text in caught.value.message and caught.value.hint
    done = call("score", tmp_path / "none.zarr", "-o", tmp_path / "out", f"--region={text}", code=2)
    assert "error[region]" in done.stderr and not (tmp_path / "out").exists()


def test_regions_that_do_not_lie_in_the_image(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", values(SIDE), "YX")
    for text, name in (("0:161,0:20", "rows 0:161"), ("0:20,128:200", "columns 128:200")):
        done = call("score", path, "-o", tmp_path / "out", "--region", text, code=2)
        assert f"{name} do not lie in its 160 x 128 pixels" in done.stderr
    fits.writeto(tmp_path / "a.fits", values(SIDE, np.float32))
    done = call("score", tmp_path / "a.fits", "-o", tmp_path / "out", "--region", "0:161,0:20", code=2)
    assert "0:161 does not lie in an axis of 160 pixels" in done.stderr
    done = call("score", path, "-o", tmp_path / "out", "--region", "0:64,0:64", "--max-pixels", 1000, code=3)
    assert "the region is 4.1e+03 pixels" in done.stderr and "too_large" in done.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("quick_task", "small_blocks")
def test_no_more_than_a_block_and_its_margin_is_read_at_a_time(tmp_path, sections):
    """The plane is read once to be measured, then one block that holds the only hole; the output copies chunks."""
    mask = np.zeros(SIDE, bool)
    mask[70, 40:44] = True
    path = zarr_file(tmp_path / "in.zarr", values(SIDE), "YX", chunks=(CHUNK, CHUNK), levels=2)
    report = run(tmp_path, path, "out.zarr", mask=mask)
    assert report.filled == 4 and len(report.planes) == 1, "19 of 20 blocks hold nothing to fill"
    mine = [place for name, place in sections if name == path]
    blocks = [((r, r + 32), (c, c + 32)) for r in range(0, 160, 32) for c in range(0, 128, 32)]
    assert mine[:20] == blocks, "the survey, block by block"
    assert mine[20:] == [((0, 160), (0, 128)), ((48, 112), (16, 80))], "rows measured on; block with margin"
    got, was = (zarr.open_group(name, mode="r")["s0"][...] for name in (tmp_path / "out.zarr", path))
    assert np.array_equal(got[~mask], was[~mask]) and (got[mask] == filled(SIDE)[mask]).all()


def test_of_a_section_only_the_holes_of_its_core_have_rims():
    """What lies in the margin was not filled: nothing can be said of it."""
    data = np.full((60, 60), 100, np.float32) + np.random.default_rng(0).normal(0, 5, (60, 60)).astype(np.float32)
    mask = np.zeros((60, 60), bool)
    for row, col in ((10, 10), (30, 30)):
        data[row - 4 : row + 5, col - 4 : col + 5] += 2000
        mask[row - 1 : row + 2, col - 1 : col + 2] = True
    image = as_image(data, mask)
    result = Result(np.where(mask, np.float32(100), data), np.where(mask, np.float32(5), np.float32(0)), filled=mask)
    core = image.replace(meta={"core": (slice(None), slice(20, 60), slice(20, 60)), "scaling": ((100.0, 5.0),)})
    assert bright_rims(image, result) == 2
    assert bright_rims(core, result) == 1
