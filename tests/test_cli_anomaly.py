"""`gencosmo score` and `rank` on files: what is written, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from gencosmo import catalog, inpaint
from gencosmo.cli import app
from gencosmo.commands.rank import run_rank
from gencosmo.commands.score import Outputs, Scoring, detector_of, run_score
from gencosmo.errors import InputError, StorageError, UsageError
from gencosmo.io.fits import ReadOptions
from gencosmo.tasks.few import Later

SIDE = 32


def write(path: Path, seed: int, *, hit: bool = False) -> Path:
    image = (100 + 5 * np.random.default_rng(seed).standard_normal((SIDE, SIDE))).astype(np.float32)
    if hit:
        image[20, 11] += 500
    fits.writeto(path, image)
    return path


def test_score_writes_what_is_asked_for(tmp_path: Path) -> None:
    path, out = write(tmp_path / "a.fits", 0, hit=True), tmp_path / "out"
    call = [sys.executable, "-m", "gencosmo.cli", "score", str(path), "-o", str(out), "--device", "cpu"]
    done = subprocess.run(
        [*call, "--regions", "--map", "--report", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["files"][0]
    assert told["detections"] >= 1 and told["p_value_kind"] == "nominal" and told["p_value"] < 1e-6
    assert {entry.name for entry in out.iterdir()} == {"a.fits.ecsv", "a.fits.reg", "a.fits.map.fits", "a.fits.png"}
    first = Table.read(out / "a.fits.ecsv", format="ascii.ecsv")[0]
    assert (round(first["x_0"]), round(first["y_0"])) == (11, 20) and "NOMINAL" in first["flags"]
    shown = fits.getdata(out / "a.fits.map.fits", "GCM_ANOM")
    assert np.unravel_index(np.abs(shown).argmax(), shown.shape) == (20, 11)
    again = subprocess.run(call, capture_output=True, text=True, check=False)
    assert again.returncode == 2 and "exists" in again.stderr


def test_rank_puts_the_odd_one_first_and_keeps_its_detector(tmp_path: Path) -> None:
    cutouts, normals = tmp_path / "cutouts", tmp_path / "normals"
    cutouts.mkdir()
    normals.mkdir()
    for seed in range(3):
        write(cutouts / f"c{seed}.fits", seed, hit=seed == 1)
    for seed in range(10, 22):
        write(normals / f"n{seed}.fits", seed)
    kept = str(tmp_path / "d.safetensors")
    run_rank(
        str(cutouts), str(tmp_path / "one"), Scoring(normals=str(normals), save=kept, tile=SIDE, device="cpu"),
        ending="ecsv", top=2, overwrite=False, as_json=False,
    )  # fmt: skip
    table = Table.read(tmp_path / "one" / "ranked.ecsv", format="ascii.ecsv")
    assert table["file"][0] == "c1.fits" and (np.diff(table["score"]) <= 0).all()
    assert {"p_peaks", "p_pattern", "p_norms"} <= set(table.colnames)
    assert (tmp_path / "one" / "ranked.png").is_file()
    run_rank(
        str(cutouts), str(tmp_path / "two"), Scoring(detector=kept, device="cpu"),
        ending="csv", top=2, overwrite=False, as_json=False,
    )  # fmt: skip
    again = Table.read(tmp_path / "two" / "ranked.csv", format="ascii.csv")
    assert np.allclose(again["score"], table["score"])


def test_rank_without_normals_judges_each_by_the_others(tmp_path: Path) -> None:
    cutouts = tmp_path / "cutouts"
    cutouts.mkdir()
    for seed in range(10):
        write(cutouts / f"c{seed}.fits", seed, hit=seed == 4)
    run_rank(
        str(cutouts), str(tmp_path / "out"), Scoring(tile=SIDE, device="cpu"),
        ending="ecsv", top=3, overwrite=False, as_json=False,
    )  # fmt: skip
    table = Table.read(tmp_path / "out" / "ranked.ecsv", format="ascii.ecsv")
    assert len(table) == 10 and table["file"][0] == "c4.fits" and table["p_value"].min() >= 0.09


def test_calls_that_cannot_work(tmp_path: Path) -> None:
    path, out = str(write(tmp_path / "a.fits", 0)), str(tmp_path / "out")
    with pytest.raises(UsageError, match="--catalog xlsx"):
        run_score([path], Outputs(out, "xlsx"), Scoring(), ReadOptions())
    with pytest.raises(UsageError, match="same name"):
        run_score([path, path], Outputs(out), Scoring(), ReadOptions())
    with pytest.raises(UsageError, match="two ways"):
        run_score([path], Outputs(out), Scoring(detector="a", normals="b"), ReadOptions())
    with pytest.raises(UsageError, match="needs --normals"):
        run_score([path], Outputs(out), Scoring(save="a"), ReadOptions())
    with pytest.raises(InputError, match="not a folder"):
        run_rank(path, out, Scoring(), ending="ecsv", top=1, overwrite=False, as_json=False)
    with pytest.raises(InputError, match="no such file"):
        run_score([str(tmp_path / "b.fits")], Outputs(out), Scoring(), ReadOptions())


def test_inpaint_repairs_and_scores_in_one_call(tmp_path: Path) -> None:
    path, out = write(tmp_path / "a.fits", 5, hit=True), tmp_path / "done" / "b.fits"
    image = fits.getdata(path)
    image[5:8, 5:9] = np.nan
    fits.writeto(path, image, overwrite=True)
    out.parent.mkdir()
    call = ["inpaint", str(path), "-o", str(out), "--score", "--device", "cpu"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.stderr
    assert {entry.name for entry in out.parent.iterdir()} == {"b.fits", "a.fits.ecsv", "a.fits.map.fits"}
    repaired, shown = fits.getdata(out), fits.getdata(out.parent / "a.fits.map.fits", "GCM_ANOM")
    assert np.isfinite(repaired).all() and (shown[5:8, 5:9] == 0).all()
    assert repaired[20, 11] == image[20, 11] and np.abs(shown).argmax() == 20 * SIDE + 11
    out.unlink()
    again = CliRunner().invoke(app, call)
    assert again.exit_code == 2 and "exists" in again.stderr and not out.exists()


def test_inpaint_gives_the_score_with_the_result() -> None:
    rng = np.random.default_rng(6)
    image = (100 + 5 * rng.standard_normal((SIDE, SIDE))).astype(np.float32)
    image[20, 11] += 500
    mask = np.zeros(image.shape, np.bool_)
    mask[4:7, 4:7] = True
    plain, scored = inpaint(image, mask, device="cpu"), inpaint(image, mask, score=True, device="cpu")
    assert plain.anomaly_map is None and np.array_equal(plain.mean, scored.mean)
    assert scored.anomaly_map is not None and np.abs(scored.anomaly_map).argmax() == 20 * SIDE + 11
    assert scored.p_value == scored.meta["scored"].p_value and scored.p_value < 1e-6
    assert len(catalog(scored.meta["scored"])) >= 1
    whole = inpaint(image, score=True, device="cpu")
    assert whole.anomaly_score is not None and np.array_equal(whole.mean, image)


def test_normals_are_read_as_the_inputs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HDU and the finders of the call count for them, too; the mask of an input does not."""
    seen = []

    class Fitted:
        def fit(self, images: list[Later]) -> None:
            seen.extend(images)

    monkeypatch.setattr("gencosmo.commands.score.new_detector", lambda scoring: Fitted())
    for seed in range(2):
        parts = [fits.ImageHDU(np.full((12, 12), k, np.float32) + np.eye(12, dtype=np.float32)) for k in range(2)]
        parts[1].data[4, 4] = 900
        fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(tmp_path / f"n{seed}.fits")
    read = ReadOptions(hdu=2, find=("hot",), mask="of the input.fits")
    detector_of(Scoring(normals=str(tmp_path)), read)
    assert [one.name for one in seen] == [str(tmp_path / f"n{seed}.fits") for seed in range(2)]
    image = seen[0].read()
    assert np.median(image.data) == 1 and image.mask[0, 4, 4] and seen[0].shape == (1, 12, 12)


def test_a_detector_that_cannot_be_kept_is_told_before_it_is_fitted(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("gencosmo.commands.score.new_detector", lambda scoring: pytest.fail("fitted"))
    kept = tmp_path / "d.safetensors"
    kept.touch()
    with pytest.raises(UsageError, match="exists"):
        detector_of(Scoring(normals=str(tmp_path), save=str(kept)), ReadOptions())
    with pytest.raises(StorageError, match="no folder"):
        detector_of(Scoring(normals=str(tmp_path), save=str(tmp_path / "none" / "d.safetensors")), ReadOptions())
