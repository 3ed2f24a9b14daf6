"""`gencosmo validate` as a user meets it: a table, JSON, a picture."""

from __future__ import annotations

import json

import numpy as np
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.cli import app


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
    for words in ("own", "hits", "gencosmo", "biharmonic", "median", "interpolation", "intervals hold"):
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
