"""`gencosmo validate` as a user meets it: a table, JSON, a picture."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.cli import app
from gencosmo.tasks.figures import Validation


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def starry(path, side=96):
    rng = np.random.default_rng(0)
    rows, cols = np.indices((side, side))
    data = rng.normal(100, 5, (side, side))
    for row, col in rng.uniform(14, side - 14, (8, 2)):
        data += 3000 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 5)
    data[30:33, 20:40] = np.nan
    fits.PrimaryHDU(data.astype(np.float32)).writeto(path)
    return path


def test_a_table_and_a_picture(tmp_path):
    path, png = starry(tmp_path / "a.fits"), tmp_path / "a.png"
    done = run("validate", path, "--pixels", 100, "--device", "cpu", "--report", png)
    assert done.exit_code == 0, done.stderr
    for words in ("own", "hits", "gencosmo", "biharmonic", "median", "interpolation", "typical", "intervals hold"):
        assert words in done.stdout
    assert png.read_bytes()[:4] == b"\x89PNG" and f"picture: {png}" in done.stderr
    again = run("validate", path, "--report", png)
    assert again.exit_code == 2 and "error[exists]" in again.stderr


def test_json_and_kinds(tmp_path):
    path = starry(tmp_path / "a.fits")
    done = run("validate", path, "--pixels", 60, "--device", "cpu", "--kinds", "random,own", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [kind["kind"] for kind in told["kinds"]] == ["random", "own"]
    assert set(told["kinds"][0]["fillers"]) == {"gencosmo", "biharmonic", "median", "interpolation"}
    assert told["prior"] == "sky" and 4 < told["noise"][0] < 6
    done = run("validate", path, "--kinds", "stripes")
    assert done.exit_code == 2 and "expected some of own, hits, cosmic" in done.stderr


def test_the_region_and_the_camera_of_a_frame(tmp_path, monkeypatch):
    seen = asked_about(monkeypatch)
    path = starry(tmp_path / "a.fits")
    for words in (["--region", "10:50,20:80"], ["--noise", "7"], ["--gain", "2", "--read-noise", "1"]):
        done = run("validate", path, *words)
        assert done.exit_code == 0, done.stderr
    part, same, camera = seen
    assert part.shape == (1, 40, 60) and part.origin == (10, 20)
    assert np.allclose(same.ivar[~same.mask], 7**-2) and camera.gain == 2
    told = stop("validate", path, "--channels", 0, "--times", 0)
    assert "channels, times means nothing for a FITS file" in told


def asked_about(monkeypatch):
    """Images that would be validated."""
    seen = []
    monkeypatch.setattr("gencosmo.commands.validate.validate", lambda image, **words: seen.append(image) or NOTHING)
    return seen


NOTHING = Validation([], [], {"prior": "none"}, [])


def stop(*words, code=2):
    done = run(*words)
    assert done.exit_code == code, done.stdout
    return done.stderr


def stack_file(path):
    """Two times, two channels, three depths, each plane at a level of its own, sky around it of 9 counts."""
    levels = 100 * np.arange(1, 13).reshape(2, 3, 2, 1, 1)
    array = np.rint(levels + np.random.default_rng(0).normal(0, 9, (2, 3, 2, 64, 72))).astype(np.uint16)
    array[..., 5, 6] = 65535
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": "TZCYX", "PhysicalSizeX": 0.3})
    return path, array


def test_a_plane_of_a_stack_is_chosen_with_its_noise(tmp_path, monkeypatch):
    seen = asked_about(monkeypatch)
    path, array = stack_file(tmp_path / "a.ome.tif")
    chosen = ["--channels", 1, "--times", 1, "--depths", 2]
    for words in (["--noise", "9"], ["--gain", "4", "--read-noise", "30", "--offset", "100"], ["--saturation", "65000"],
                  ["--illumination", "1"], ["--region", "0:32,8:40"]):  # fmt: skip
        done = run("validate", path, *chosen, *words)
        assert done.exit_code == 0, done.stderr
    same, camera, saturated, light, part = seen
    assert np.array_equal(same.data[0], array[1, 2, 1]) and np.allclose(same.ivar, 9**-2)
    assert camera.gain == 4 and np.median(1 / camera.ivar) == pytest.approx(1100 / 4 + 7.5**2, rel=0.05)
    assert saturated.mask.sum() == 1 and same.mask.sum() == 0
    assert light.background is not None and part.shape == (1, 32, 32) and part.origin == (0, 8)
    assert run("validate", path, "--times", 0, "--depths", 0).exit_code == 0
    assert seen[-1].shape == (2, 64, 72), "all channels of one time and depth"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--times", 0], r"error\[axes\]: .* has 3 planes along z, one image has one.*--depths"),
        (["--depths", 0], r"error\[axes\]: .* has 2 planes along t, one image has one.*--times"),
    ],
)
def test_several_planes_are_refused_with_the_option_that_chooses(tmp_path, words, told):
    path, _ = stack_file(tmp_path / "a.ome.tif")
    assert re.search(told, stop("validate", path, *words, code=3), re.DOTALL)


def test_wrong_choices_name_what_there_is(tmp_path):
    path, _ = stack_file(tmp_path / "a.ome.tif")
    assert "has 2 channels, 0 to 1" in stop("validate", path, "--channels", 7, "--times", 0, "--depths", 0)
    assert "error[bad_noise]" in stop("validate", path, "--gain", 2)
    assert "do not lie in its 64 x 72 pixels" in stop(
        "validate", path, "--times", 0, "--depths", 0, "--region", "0:99,0:9"
    )


def test_cells_are_validated_with_the_shipped_prior(tmp_path):
    from .photon.scenes import cells, counted

    frame = np.clip(np.rint(counted(cells(96, peak=60.0, seed=2), 0.5, 2.0, 100.0, 1)), 0, 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", frame)
    words = ["--pixels", 30, "--kinds", "random", "--gain", 0.5, "--read-noise", 2, "--offset", 100, "--json"]
    done = run("validate", tmp_path / "a.tif", *words)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["prior"] == "cells" and 0.3 < told["kinds"][0]["fillers"]["gencosmo"]["rms"] < 2.5
