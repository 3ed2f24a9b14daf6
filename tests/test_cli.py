"""The commands as a user meets them: what is printed where, and the exit status."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.cli import app
from gencosmo.errors import UsageError

from .io.files import (
    SHAPE,
    damaged,
    decam_files,
    holes,
    lsst_file,
    plain_file,
    sha,
    sip_header,
    sky,
    stsci_file,
    write,
)
from .stand_in import stand_in  # noqa: F401

pytestmark = pytest.mark.usefixtures("stand_in")
ROOT = Path(__file__).parent.parent


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_inpaint_writes_a_file_a_picture_and_one_line(tmp_path):
    path, out, png = damaged(tmp_path / "a.fits"), tmp_path / "b.fits", tmp_path / "b.png"
    done = run("inpaint", path, "-o", out, "--report", png)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    number = int(np.isnan(fits.getdata(path)).sum())
    assert done.stderr.startswith(f"{path}: {number} pixels filled")
    assert str(out) in done.stderr
    assert np.isfinite(fits.getdata(out)).all()
    assert png.read_bytes()[:4] == b"\x89PNG"


def test_json_goes_to_stdout_and_words_to_stderr(tmp_path):
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--json")
    words = json.loads(done.stdout)
    assert words["failed"] == 0
    (report,) = words["files"]
    assert (report["status"], report["profile"], report["error"]) == ("done", "plain", None)
    assert report["planes"][0]["flags"]["NO_DATA"] == report["filled"]


def bad_header(path):
    raw = (
        Path(plain_file(path))
        .read_bytes()
        .replace(b"BITPIX  =                  -32", b"BITPIX  =                    7")
    )
    Path(path).write_bytes(raw)
    return path


def truncated(path):
    Path(path).write_bytes(Path(plain_file(path)).read_bytes()[:8640])
    return path


def png(path):
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


def table(path):
    return write(
        path,
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0])], name="CAT"),
    )


def all_nan(path):
    return plain_file(path, np.full(SHAPE, np.nan, np.float32))


def constant(path):
    data = np.ones(SHAPE, np.float32)
    data[3, 3] = np.nan
    return plain_file(path, data)


def mostly_bad(path):
    data = sky()
    data[:39] = np.nan
    return plain_file(path, data)


def small(path):
    data = sky((7, 9))
    data[1, 1] = np.nan
    return plain_file(path, data)


TABLE = [
    (png, "not_fits", "is not a FITS file: it starts with b'\\x89PNG"),
    (truncated, "truncated", "HDU PRIMARY needs 8 960 bytes of data, file has 5 760"),
    (bad_header, "bad_header", "BITPIX=7 is not one of 8,16,32,64,-32,-64"),
    (table, "no_image", "no image HDU; HDUs: 0 PRIMARY (empty), 1 CAT (table)"),
    (all_nan, "no_signal", "image has no finite pixel"),
    (constant, "no_signal", "all 2239 observed pixels have the value 1"),
    (
        mostly_bad,
        "nothing_observed",
        "97.5 % of pixels masked, limit 60 %: an inpainting from so little data",
    ),
    (small, "too_small", "image is 7x9 pixels, the smallest is 8x8"),
    (lambda path: str(path), "not_found", "no such file"),
]


@pytest.mark.parametrize(("make", "code", "text"), TABLE, ids=[f"{row[1]}-{i}" for i, row in enumerate(TABLE)])
def test_bad_input_exits_3_with_code_and_text_and_no_traceback(tmp_path, make, code, text):
    path = make(tmp_path / "a.fits")
    done = run("inpaint", path, "-o", tmp_path / "b.fits")
    assert done.exit_code == 3
    assert f"error[{code}]: " in done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "b.fits").exists()


def test_wrong_hdu_and_wrong_mask_tell_what_to_do(tmp_path):
    path = damaged(tmp_path / "a.fits")
    done = run("inpaint", path, "-o", tmp_path / "b.fits", "--hdu", "SCI")
    assert done.exit_code == 3
    assert "error[hdu_not_found]: no HDU 'SCI'; image HDUs: 'PRIMARY'\n  hint: use --hdu PRIMARY\n" in done.stderr
    mask = plain_file(tmp_path / "m.fits", holes().T.astype(np.uint8))
    done = run("inpaint", path, "-o", tmp_path / "b.fits", "--mask", mask)
    assert done.exit_code == 3
    assert "error[shape_mismatch]: mask is 56x40, image is 40x56 (transposed?)" in done.stderr


def test_usage_exits_2(tmp_path):
    path, out = damaged(tmp_path / "a.fits"), tmp_path / "b.fits"
    (tmp_path / "there.fits").write_text("mine")
    for words, text in [
        (("-o", tmp_path / "there.fits"), "error[exists]: "),
        (("-o", path, "--overwrite"), "would overwrite the input"),
        (("-o", out, "--seed", "-1"), "seed is -1"),
        (("-o", out, "--steps", "1000000000"), "expected a whole number from 2 to 4096"),
        (("-o", out, "--samples", "many"), "--samples"),
        (("-o", out, "--profile", "hubble"), "no profile 'hubble'"),
        (("-o", out, "--grow", "sat"), "--grow 'sat' is not NAME=PIXELS"),
        (("-o", out, "--mask-planes", "CR"), "the file has no mask plane"),
        (("-o", out, "--dq", "all"), "expected keep, jwst, none"),
        (("-o", out, "--target", "truth"), "expected frame or scene"),
        (("-o", out, "--progress", "loud"), "expected auto, plain, json, none"),
        (("-o", out, "--report", tmp_path / "a.gif"), "must end in .png"),
        (("-o", out, "--max-pixels", "3"), "is not at least 64"),
        ((), "--out"),
    ]:
        done = run("inpaint", path, *words)
        assert done.exit_code == 2, (words, done.stderr)
        assert text in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
    assert (tmp_path / "there.fits").read_text() == "mine"
    assert not out.exists()


def test_an_existing_picture_is_noticed_before_the_work(tmp_path):
    (tmp_path / "b.png").write_text("mine")
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--report", tmp_path / "b.png")
    assert done.exit_code == 2
    assert not (tmp_path / "b.fits").exists()


def test_too_large_is_told_with_numbers(tmp_path):
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--max-pixels", "1000")
    assert done.exit_code == 3
    assert "error[too_large]: decoded image is 2.2e+03 pixels" in done.stderr
    assert "--max-pixels" in done.stderr


def test_nothing_to_fill_is_a_copy_and_a_warning(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    done = run("inpaint", path, "-o", tmp_path / "b.fits")
    assert done.exit_code == 0
    assert "warning[nothing_to_fill]: " in done.stderr
    assert "nothing to fill, copied" in done.stderr
    assert sha(path) == sha(tmp_path / "b.fits")


def test_many_files_some_bad_exit_4_and_resume(tmp_path):
    paths = [
        damaged(tmp_path / "a.fits"),
        str(png(tmp_path / "b.fits")),
        stsci_file(tmp_path / "c.fits", versions=2),
    ]
    out, pictures = tmp_path / "out", tmp_path / "png"
    done = run("inpaint", *paths, "-o", out, "--report", pictures, "--json")
    assert done.exit_code == 4
    assert f"error[not_fits]: {paths[1]} is not" in done.stderr
    assert "error[partial]: 1 of 3 files failed" in done.stderr
    assert sorted(os.listdir(out)) == ["a.fits", "c.fits"]
    assert sorted(os.listdir(pictures)) == ["a.fits.png", "c.fits-2.png", "c.fits.png"]
    first = json.loads(done.stdout)
    assert [report["status"] for report in first["files"]] == ["done", "failed", "done"]
    damaged(tmp_path / "b.fits", seed=5)
    again = run("inpaint", *paths, "-o", out, "--report", pictures, "--resume")
    assert again.exit_code == 0, again.stderr
    assert again.stderr.count("already done") == 2


def test_dry_run_writes_nothing(tmp_path):
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "x" / "b.fits", "--dry-run")
    assert done.exit_code == 5, "a folder that is not there would fail, so it is told now"
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--dry-run")
    assert done.exit_code == 0
    assert "pixels to fill" in done.stderr
    assert os.listdir(tmp_path) == ["a.fits"]


def test_progress_lines(tmp_path):
    path = damaged(tmp_path / "a.fits")
    assert "a.fits: 1/1" in run("inpaint", path, "-o", tmp_path / "b.fits", "--progress", "plain").stderr
    done = run("inpaint", path, "-o", tmp_path / "c.fits", "--progress", "json")
    assert json.loads(done.stderr.splitlines()[0]) == {"file": "a.fits", "done": 1, "total": 1}
    assert "1/1" not in run("inpaint", path, "-o", tmp_path / "d.fits").stderr, "no bar where there is no terminal"


def test_strict_and_debug(tmp_path):
    data = sky()
    data[5:8, :14] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    done = run("inpaint", path, "-o", tmp_path / "b.fits", "--strict", "--debug")
    assert done.exit_code == 3
    assert "error[hole_too_large]" in done.stderr
    assert "Traceback" in done.stderr
    done = run("inpaint", path, "-o", tmp_path / "b.fits")
    assert done.exit_code == 0
    assert "warning[hole_too_large]" in done.stderr


def test_a_fault_of_ours_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("gencosmo.io.fits_session.write_filled", lambda *a: 1 / 0)
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits")
    assert done.exit_code == 1
    assert "error[internal]: ZeroDivisionError" in done.stderr
    assert "--debug" in done.stderr


def test_check_tells_what_is_understood(tmp_path):
    done = run("check", decam_files(tmp_path))
    assert done.exit_code == 0, done.stderr
    for words in (
        "profile decam",
        "SATURATED: 10",
        "COSMIC_RAY: 9",
        "noise: plane ivar, median 5",
        "in 3 holes",
    ):
        assert words in done.stdout, words
    found = json.loads(run("check", lsst_file(tmp_path / "a.fits"), "--json").stdout)
    assert found["profile"] == "lsst-v1"
    assert found["planes"][0]["masked"] == 19
    assert found["planes"][0]["largest_hole"] == [1, 10]
    assert found["planes"][0]["noise_measured"] == pytest.approx(5, rel=0.15)


def test_check_tells_doubts_and_strict_refuses_them(tmp_path):
    header = sip_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    path = plain_file(tmp_path / "a.fits", sky(), header)
    done = run("check", path)
    assert done.exit_code == 0
    assert "warning[sip_ignored]" in done.stderr
    done = run("check", path, "--strict")
    assert done.exit_code == 3
    assert "error[sip_ignored]" in done.stderr
    done = run("check", path, png(tmp_path / "b.fits"))
    assert done.exit_code == 4
    assert "profile plain" in done.stdout
    both = json.loads(run("check", path, png(tmp_path / "b.fits"), "--json").stdout)
    assert [entry.get("profile") for entry in both["files"]] == ["plain", None]
    assert both["files"][1]["error"]["code"] == "not_fits"


def test_info_lists_priors_layouts_and_flags():
    done = run("info")
    assert done.exit_code == 0
    for words in ("priors:", "lsst-v1", "`COSMIC_RAY`"):
        assert words in done.stdout
    assert "decam" in json.loads(run("info", "--json").stdout)["profiles"]
    done = run("info", "no-such-prior")
    assert done.exit_code == 3
    assert "error[model_not_found]" in done.stderr


def test_doctor_tells_each_finding_and_fails_for_a_broken_prior():
    done = run("doctor", "--prior", "no-such-prior")
    assert done.exit_code == 5
    assert "FAIL prior no-such-prior" in done.stdout
    assert "ok   file reading: compiled reader and its reference agree" in done.stdout
    findings = json.loads(run("doctor", "--prior", "no-such-prior", "--json").stdout.split("\n}\n")[0] + "}")
    assert {entry["name"] for entry in findings["findings"]} >= {"python", "torch", "core", "cuda"}


def test_pack_makes_planes_of_network_flux(tmp_path):
    done = run("pack", damaged(tmp_path / "a.fits"), stsci_file(tmp_path / "b.fits"), "-o", tmp_path / "p.npz")
    assert done.exit_code == 0, done.stderr
    with np.load(tmp_path / "p.npz") as store:
        assert store["shapes"].tolist() == [list(SHAPE)] * 2
        flux = store["pixels"].reshape(2, *SHAPE)
    assert np.array_equal(np.isnan(flux[1]), holes(seed=1))
    assert 0.7 < np.nanstd(flux[0][:10]) < 1.5, "noise one, background zero"
    assert abs(np.nanmedian(flux[0])) < 0.5
    assert run("pack", damaged(tmp_path / "a.fits"), "-o", tmp_path / "p.npz").exit_code == 2


def test_the_prior_follows_the_format_of_the_inputs():
    from gencosmo.commands.reading import prior_for

    assert prior_for(["a.fits", "b.fits.gz"], "auto") == "sky"
    assert prior_for(["a.ome.tif", "b.zarr/"], "auto") == "cells"
    assert prior_for(["a.tif"], "sky") == "sky"
    assert [prior_for(["a.fits"], "auto", use) for use in ("scenes", "scores")] == ["sky-scenes", "sky-small"]
    assert [prior_for(["a.tif"], "auto", use) for use in ("scenes", "scores")] == ["cells", "cells"]
    with pytest.raises(UsageError, match="different priors: cells, sky"):
        prior_for(["a.fits", "b.tif"], "auto")
