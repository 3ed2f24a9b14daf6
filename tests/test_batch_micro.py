"""Microscopy files through batch and command line: blocks, kills, many files, real files, `write`."""

import json
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

import gencosmo
from gencosmo.batch import Hooks, Job, process_file, process_files, run_file
from gencosmo.cli import app
from gencosmo.errors import Cancelled, GencosmoError, InputError
from gencosmo.image import Image, as_image
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead

from .io.files import damaged
from .io.stacks import (  # noqa: F401
    DATED,
    SIZE,
    filled,
    holes,
    mask_file,
    ome_schema,
    quick_task,
    run,
    small_blocks,
    tree,
    values,
    zarr_file,
)

ROOT = Path(__file__).parent.parent


def call(*arguments, code=0):
    """Run the command line here."""
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    assert done.exit_code == code, done.stderr
    return done


SLOW = """
import time
import gencosmo.io.blocks as b
from gencosmo.batch import OPS, job
from gencosmo.cli import main
from tests.io.stacks import quick
b.WHOLE, b.BLOCK, b.MARGIN = 1000, 32, 16
job.prior_identity = str
def slowly(*words):
    time.sleep(0.3)
    return quick(*words)
OPS["inpaint"] = slowly
main()
"""
"""The command line with blocks of 32 pixels and a task that takes its time."""


def slide(side=(300, 420)):
    """Cells on a background with noise, as uint16."""
    rng = np.random.default_rng(0)
    rows, cols = np.indices(side)
    image = 400 + 60 * rng.standard_normal(side)
    for _ in range(side[0] * side[1] // 900):
        r, c, s = rng.uniform(0, side[0]), rng.uniform(0, side[1]), rng.uniform(2, 6)
        image += rng.uniform(300, 3000) * np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / (2 * s * s))
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, quick_task, small_blocks):  # noqa: F811
    """SIGKILL after the first blocks, then --resume; against a run that nobody disturbed."""
    side = (160, 128)
    path = zarr_file(tmp_path / "in.zarr", slide(side), "YX", chunks=(50, 50), levels=2)
    words = ["inpaint", path, "--mask", mask_file(tmp_path, holes(side)), "--progress", "json"]
    command = [sys.executable, "-c", SLOW, *words, "-o", str(tmp_path / "a.zarr")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, text=True)
    deadline = time.monotonic() + 240
    while len(done := list(tmp_path.glob(".a.zarr.*.part/*.npz"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "a.zarr").exists() and len(done) < 20
    (done[0].parent / "cut.tmp").write_bytes(b"half a block")
    told = call(*words, "-o", tmp_path / "a.zarr", "--resume", "--json")
    assert not done[0].parent.exists()
    (report,) = json.loads(told.stdout)["files"]
    assert report["filled"] == holes(side).sum()
    assert len(report["planes"]) <= 20 - len(done), "blocks that were done are not done again"
    call(*words, "-o", tmp_path / "b.zarr")
    first, second = tree(tmp_path / "a.zarr"), tree(tmp_path / "b.zarr")
    differ = [name for name in first if first[name] != second[name.replace("a.zarr", "b.zarr", 1)]]
    assert differ in ([], ["a.zarr/zarr.json"]), "only the date of provenance may differ"
    assert "already done" in call(*words, "-o", tmp_path / "a.zarr", "--resume").stderr


def test_without_resume_or_with_other_options_a_run_begins_anew(tmp_path, quick_task, small_blocks):  # noqa: F811
    path = zarr_file(tmp_path / "in.zarr", values(SIZE), "YX")
    stop = __import__("threading").Event()
    hooks = Hooks(progress=lambda done, total: stop.set() if done >= 1000 else None, cancel=stop)
    job = Job(read=StackRead(mask=mask_file(tmp_path)), write=DATED)
    with pytest.raises(Cancelled):
        run_file(path, str(tmp_path / "a.zarr"), job, hooks)
    (hidden,) = tmp_path.glob(".a.zarr.*.part")
    assert 0 < len(list(hidden.glob("*.npz"))) < 4
    other = Job(read=StackRead(mask=mask_file(tmp_path)), write=DATED, seed=1)
    report = run_file(path, str(tmp_path / "a.zarr"), other, resume=True)
    assert len(report.planes) == 4 and not hidden.exists()


def test_a_task_that_fails_leaves_nothing(tmp_path, quick_task, small_blocks, monkeypatch):  # noqa: F811
    from gencosmo.batch import OPS

    path = zarr_file(tmp_path / "in.zarr", values(SIZE), "YX")
    good, calls = OPS["inpaint"], []

    def fails(image, job, seed, hooks):
        calls.append(1)
        if len(calls) == 3:
            raise InputError("no more")
        return good(image, job, seed, hooks)

    monkeypatch.setitem(OPS, "inpaint", fails)
    with pytest.raises(InputError, match="no more"):
        run(tmp_path, path, "out.zarr")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.zarr", "mask.tif"]


def test_blocks_against_the_whole_plane_with_the_shipped_prior(tmp_path, monkeypatch):
    """What the margin cuts off is far below the spread; between different chunks there is no difference at all."""
    side = (128, 256)
    array, mask = slide(side), np.random.default_rng(2).random(side) < 0.002
    mask[100:112, 120:136], mask[:, 200] = True, True
    fills = {}
    for name, chunks in (("whole", side), ("blocks", side), ("chunks", (37, 111))):
        path = zarr_file(tmp_path / f"{name}.zarr", array, "YX", chunks=chunks)
        if name != "whole":
            for word, value in (("WHOLE", 1000), ("BLOCK", 128), ("MARGIN", 64)):
                monkeypatch.setattr(f"gencosmo.io.blocks.{word}", value)
        write = WriteOptions(floating=True, date="2026-01-01T00:00:00")
        read = StackRead(mask=mask_file(tmp_path, mask))
        process_file(path, tmp_path / f"{name}-out.zarr", read=read, write=write)
        group = zarr.open_group(tmp_path / f"{name}-out.zarr", mode="r")
        fills[name] = group["0"][...], group["gcm_std/0"][...]
    direct = gencosmo.inpaint(array, mask)
    assert fills["whole"][0].tobytes() == direct.mean.tobytes()
    assert fills["whole"][1].tobytes() == direct.std.tobytes()
    assert fills["blocks"][0].tobytes() == fills["chunks"][0].tobytes()
    assert fills["blocks"][1].tobytes() == fills["chunks"][1].tobytes()
    away = np.abs(fills["blocks"][0] - direct.mean)[mask] / direct.std[mask]
    assert np.sqrt(np.mean(away**2)) < 0.1
    assert np.array_equal(fills["blocks"][0][~mask], array[~mask])


def test_the_part_that_counts_is_the_same_without_windows_elsewhere():
    image = as_image(slide((200, 260)), holes((200, 260)))
    core = (slice(None), slice(60, 150), slice(100, 190))
    whole, part = gencosmo.inpaint(image, recalibrate=False), gencosmo.inpaint(image.replace(meta={"core": core}))
    assert part.mean[core[1:]].tobytes() == whole.mean[core[1:]].tobytes()
    assert part.std[core[1:]].tobytes() == whole.std[core[1:]].tobytes()


def test_many_files_of_many_formats(tmp_path, quick_task):  # noqa: F811
    array = values(SIZE, np.float32)
    array[holes()] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", array)
    zarr_file(tmp_path / "b.zarr", array, "YX")
    damaged(tmp_path / "c.fits")
    (tmp_path / "d.tif").write_bytes(b"II*\0")
    from PIL import Image as Pillow

    Pillow.fromarray(values(SIZE, np.uint8)).save(tmp_path / "e.png")
    names = ["a.tif", "b.zarr", "c.fits", "d.tif", "e.png"]
    with ThreadPoolExecutor(2) as executor:
        reports = process_files([tmp_path / name for name in names], tmp_path / "out", executor=executor)
    assert [report.status for report in reports] == ["done", "done", "done", "failed", "copied"]
    assert reports[3].error.code == "truncated"
    assert [report.profile for report in reports[:3]] == ["tiff", "ome-zarr", "plain"]
    assert (tmp_path / "out/e.ome.tif").is_file() and (tmp_path / "out/b.zarr").is_dir()
    again = process_files([tmp_path / name for name in names], tmp_path / "out", resume=True)
    assert [report.status for report in again] == ["skipped", "skipped", "skipped", "failed", "skipped"]


def test_pictures_are_read_with_a_warning(tmp_path, quick_task):  # noqa: F811
    from PIL import Image as Pillow

    for name, array in (
        ("a.png", values((*SIZE, 3), np.uint8)),
        ("b.png", values(SIZE) * 200),
        ("c.jpg", values(SIZE, np.uint8)),
    ):
        Pillow.fromarray(array).save(tmp_path / name)
        report = run(tmp_path, tmp_path / name, f"{name}.ome.tif")
        assert "picture" in [entry["code"] for entry in report.warnings]
        got = tifffile.imread(tmp_path / f"{name}.ome.tif")
        assert got.shape == array.shape and got.dtype == array.dtype
        if not name.endswith("jpg"):
            assert np.array_equal(got[~holes()], array[~holes()])
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(GencosmoError) as caught:
        run(tmp_path, tmp_path / "d.png", "d.tif")
    assert caught.value.code == "truncated"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(GencosmoError) as caught:
            gencosmo.read(tmp_path / "a.png", max_pixels=1000)
    assert caught.value.code == "too_large"


def test_the_command_line_on_channels_and_axes(tmp_path):
    array = np.stack([slide((64, 80))] * 3)
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="minisblack", metadata=None)
    mask = mask_file(tmp_path, holes((64, 80)))
    done = call("inpaint", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--mask", mask, code=3)
    assert "error[axes]" in done.stderr and "--axes CYX" in done.stderr
    words = ["--mask", mask, "--axes", "CYX", "--channels", "0,2"]
    call("inpaint", tmp_path / "in.tif", "-o", tmp_path / "out.tif", *words, "--progress", "none")
    got = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(got[1], array[1]) and np.array_equal(got[:, ~holes((64, 80))], array[:, ~holes((64, 80))])
    assert (got[0] != array[0]).sum() > 10 and np.array_equal(got[0], got[2])
    told = json.loads(call("check", tmp_path / "in.tif", *words, "--json").stdout)
    assert [plane["hdu"] for plane in told["planes"]] == ["T0C0Z0", "T0C2Z0"]
    assert told["planes"][0]["masked"] == holes((64, 80)).sum()
    done = call("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--channels", "0", code=2)
    assert "means nothing for a FITS file" in done.stderr
    done = call("inpaint", tmp_path / "in.tif", "-o", tmp_path / "b.tif", "--axes", "CYX", "--channels", "x", code=2)
    assert "has 3 channels, 0 to 2, without names" in done.stderr


def test_scoring_reads_stacks_with_the_options(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", slide((64, 80)), "YX")
    mask = mask_file(tmp_path, holes((64, 80)))
    report = json.loads(call("score", path, "-o", tmp_path / "out", "--mask", mask, "--json").stdout)
    assert list((tmp_path / "out").glob("in.zarr*.ecsv")) and "p_value" in json.dumps(report)
    done = call("score", path, "-o", tmp_path / "b", "--mask", tmp_path / "none.tif", code=3)
    assert "not_found" in done.stderr
    call("score", tmp_path / "nothing.tif", "-o", tmp_path / "out", code=3)


def test_images_and_results_are_written_alone(tmp_path):
    image = as_image(values((2, *SIZE), np.float32), holes()).replace(pixel_scale=0.5)
    for name in ("a.ome.tif", "a.ome.zarr"):
        gencosmo.write(tmp_path / name, image)
        again = gencosmo.read(tmp_path / name)
        assert np.array_equal(again.data, image.data) and again.pixel_scale == 0.5
    assert np.array_equal(tifffile.imread(tmp_path / "a.flags.ome.tif"), image.flags)
    assert np.array_equal(zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["gcm_flags/0"][...], image.flags)
    with pytest.raises(GencosmoError) as caught:
        gencosmo.write(tmp_path / "a.ome.tif", image)
    assert caught.value.code == "exists"


def test_a_result_goes_into_the_place_of_what_was_read(tmp_path):
    array = values((2, 3, *SIZE))
    metadata = {"axes": "TCYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(tmp_path / "in.ome.tif", array, ome=True, metadata=metadata, photometric="minisblack")
    image = gencosmo.read(tmp_path / "in.ome.tif", t=1, channels=(0, 2), mask=mask_file(tmp_path))
    result = gencosmo.inpaint(image)
    gencosmo.write(tmp_path / "out.ome.tif", result, like=tmp_path / "in.ome.tif", image=image)
    got = tifffile.imread(tmp_path / "out.ome.tif")
    assert np.array_equal(got[0], array[0]) and np.array_equal(got[1, 1], array[1, 1])
    assert np.array_equal(got[1, 2][~holes()], array[1, 2][~holes()])
    assert np.array_equal(got[1, 2][holes()], np.rint(result.mean[1][holes()]))
    finer = gencosmo.inpaint(Image(data=np.kron(image.data, np.ones((1, 2, 2), np.float32))))
    with pytest.raises(InputError, match="result has 2 channels"):
        gencosmo.write(tmp_path / "b.ome.tif", finer, like=tmp_path / "in.ome.tif")
    gencosmo.write(tmp_path / "b.ome.tif", finer, like=tmp_path / "in.ome.tif", image=image)
    again = gencosmo.read(tmp_path / "b.ome.tif")
    assert again.shape == (2, 96, 128) and again.pixel_scale == 0.25


@pytest.mark.parametrize("blocks", [False, True])
def test_planes_of_one_value_stay_as_they_are(tmp_path, quick_task, request, blocks):  # noqa: F811
    """Shutter closed, or a channel that was taken at one depth only: a black plane does not stop the stack."""
    if blocks:
        request.getfixturevalue("small_blocks")
    array = values((3, *SIZE))
    array[1] = 7
    tifffile.imwrite(tmp_path / "in.ome.tif", array, metadata={"axes": "TYX"})
    report = run(tmp_path, tmp_path / "in.ome.tif", "out.ome.tif")
    assert report.status == "done" and report.filled == 2 * holes().sum()
    (told,) = [one["message"] for one in report.warnings if one["code"] == "no_signal"]
    assert told.startswith("plane T1C0Z0: all ") and "have the value 7: its masked pixels stay" in told
    got = tifffile.imread(tmp_path / "out.ome.tif")
    assert (got[1] == 7).all() and (got[::2] != array[::2]).any((1, 2)).all()
    for times, strict in (((1,), False), (None, True)):
        options = {"read": StackRead(mask=mask_file(tmp_path), times=times), "strict": strict}
        with pytest.raises(InputError, match=r"have the value 7") as caught:
            process_file(tmp_path / "in.ome.tif", tmp_path / "no.ome.tif", **options)
        assert caught.value.code == "no_signal" and not (tmp_path / "no.ome.tif").exists()


@pytest.mark.parametrize("bits", [12, None])
def test_what_is_said_of_every_plane_is_told_once(tmp_path, quick_task, bits):  # noqa: F811
    """And nothing at all of full pixels where the file tells the camera's bits."""
    told = {} if bits is None else {"SignificantBits": bits}
    array = values((3, *SIZE)) % 3000
    tifffile.imwrite(tmp_path / "in.ome.tif", array, metadata={"axes": "ZYX"} | told)
    report = run(tmp_path, tmp_path / "in.ome.tif", "out.ome.tif", find=("sat",))
    assert [entry["code"] for entry in report.warnings].count("saturation") == (1 if bits is None else 0)
    assert report.filled == 3 * holes().sum()
