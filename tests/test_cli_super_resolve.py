"""`gencosmo super-resolve` on small files: what is written, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from typer.testing import CliRunner

from gencosmo.batch.finer import load_psf
from gencosmo.cli import app
from gencosmo.commands.super_resolve import parse_scale
from gencosmo.errors import UsageError
from gencosmo.io.hdus import open_fits
from gencosmo.io.provenance import read_provenance
from gencosmo.operators.profiles import gaussian_psf

FAST = ["--samples", "0", "--steps", "2", "--progress", "none", "--device", "cpu"]


def run(*words):
    return CliRunner().invoke(app, ["super-resolve", *map(str, words)])


@pytest.fixture
def frame(tmp_path):
    """An image with its error plane, and a PSF file."""
    rng = np.random.default_rng(0)
    rows, cols = np.indices((16, 18))
    values = 20 + 300 * np.exp(-((rows - 7) ** 2 + (cols - 9) ** 2) / 5) + rng.normal(0, 2, rows.shape)
    header = fits.Header()
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 8.5, "CRPIX2": 9.0,
        "CD1_1": -7e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7e-5, "BUNIT": "adu", "OBJECT": "m 1",
        "DATASEC": "[1:18,1:16]",
    }.items():  # fmt: skip
        header[key] = value
    science = fits.ImageHDU(values.astype(np.float32), header, name="SCI")
    noise = fits.ImageHDU(np.full(values.shape, 2, np.float32), name="ERR")
    path = tmp_path / "frame.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), science, noise, fits.ImageHDU(np.zeros(values.shape, np.uint32), name="DQ")]
    ).writeto(path)
    psf = tmp_path / "psf.fits"
    fits.PrimaryHDU(7 * gaussian_psf(2.4, size=9)).writeto(psf)
    return path, psf, values


def test_a_file_on_the_finer_grid(frame, tmp_path):
    path, psf, values = frame
    out, picture = tmp_path / "out.fits", tmp_path / "out.png"
    told = run(path, "-o", out, "--psf", psf, "--report", picture, "--json", *FAST)
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout)["files"][0]
    assert report["status"] == "done" and report["planes"][0]["flux_mode"] == "sum"
    assert {entry["code"] for entry in report["warnings"]} >= {"cards_dropped"}
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with fits.open(out, checksum=True) as made:
        made.verify("exception")
        assert [hdu.name for hdu in made] == ["PRIMARY", "SCI", "GCM_STD", "GCM_PRSH", "GCM_RES", "GCM_PROV"]
        science, header = made["SCI"].data, made["SCI"].header
        assert science.shape == made["GCM_STD"].data.shape == made["GCM_PRSH"].data.shape == (32, 36)
        assert made["GCM_RES"].data.shape == (16, 18)
        assert science.sum() == pytest.approx(values.sum(), rel=0.02)
        assert (header["GCMFLUX"], header["OBJECT"], header["GCMCORR"]) == ("SUM", "m 1", True)
        assert "DATASEC" not in header and header["GCMCHI2"] > 0
        assert "super-resolve" in str(header["HISTORY"])
        coarse, fine = WCS(fits.getheader(path, "SCI")), WCS(header)
        np.testing.assert_allclose(
            fine.all_pix2world(2 * 3 + 0.5, 2 * 5 + 0.5, 0), coarse.all_pix2world(3, 5, 0), atol=1e-12
        )
        assert WCS(made["GCM_STD"].header).wcs.crpix[0] == header["CRPIX1"]
        row = made["GCM_PROV"].data[0]
        assert (row["GCMOP"], row["GCMMODEL"]) == ("super_resolve", "sky-scenes")


def test_resume_and_overwrite(frame, tmp_path):
    path, psf, _ = frame
    out = tmp_path / "out.fits"
    assert run(path, "-o", out, "--psf", psf, *FAST).exit_code == 0
    before = out.read_bytes()
    assert run(path, "-o", out, "--psf", psf, *FAST).exit_code == 2
    again = run(path, "-o", out, "--psf", psf, "--resume", *FAST)
    assert again.exit_code == 0 and "already done" in again.output
    other = run(path, "-o", out, "--psf", "gaussian:2.2", "--resume", *FAST)
    assert other.exit_code == 2 and "not this job's output" in other.output
    assert out.read_bytes() == before
    with open_fits(str(out)) as file:
        assert len(read_provenance(file)) == 1


def test_what_is_refused_leaves_nothing(frame, tmp_path):
    path, psf, values = frame
    out = tmp_path / "out.fits"
    no_psf = run(path, "-o", out, *FAST)
    assert no_psf.exit_code == 3 and "error[no_psf]" in no_psf.output
    bad = tmp_path / "unit.fits"
    fits.PrimaryHDU(values.astype(np.float32), fits.Header([("BUNIT", "ADU?")])).writeto(bad)
    unit = run(bad, "-o", out, "--psf", psf, "--noise", "2", *FAST)
    assert unit.exit_code == 3 and "error[flux_mode]" in unit.output
    noise = run(bad, "-o", out, "--psf", psf, "--flux-mode", "sb", *FAST)
    assert noise.exit_code == 3 and "error[no_noise]" in noise.output
    table = tmp_path / "table.fits"
    lookup = fits.Header([("CPDIS1", "LOOKUP"), ("CTYPE1", "RA---TAN")])
    fits.PrimaryHDU(values.astype(np.float32), lookup).writeto(table)
    wcs = run(table, "-o", out, "--psf", psf, "--noise", "2", *FAST)
    assert wcs.exit_code == 3 and "error[unsupported_wcs]" in wcs.output
    assert run(path, "-o", out, "--psf", psf, "--scale", "9", *FAST).exit_code == 2
    assert run(path, "-o", out, "--psf", "moffat:a", *FAST).exit_code == 2
    assert not out.exists()
    dry = run(path, "-o", out, "--psf", psf, "--dry-run", *FAST)
    assert dry.exit_code == 0 and not out.exists()


def test_noise_from_the_command_line_and_a_scale_of_two_numbers(frame, tmp_path):
    _, psf, values = frame
    plain, out = tmp_path / "plain.fits", tmp_path / "out.fits"
    fits.PrimaryHDU(values.astype(np.float32)).writeto(plain)
    told = run(plain, "-o", out, "--psf", psf, "--noise", "2", "--scale", "1x2", "--flux-mode", "sb", *FAST)
    assert told.exit_code == 0, told.output
    assert fits.getdata(out, 1).shape == (16, 36)


def test_psfs_by_name(frame):
    _, psf, _ = frame
    np.testing.assert_allclose(load_psf(str(psf)), gaussian_psf(2.4, size=9), atol=1e-7)
    for text in ("gaussian:3", "moffat:3,2.5", "airy:0.52,1.4,0.05"):
        assert load_psf(text).sum() == pytest.approx(1, abs=1e-5)
    assert parse_scale("3x2") == (3, 2)
    for wrong in ("0", "x2", "2x9", "2.5"):
        with pytest.raises(UsageError):
            parse_scale(wrong)
