"""Commands on files with defects: finders, compression, and what `check` tells about them."""

import json

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.cli import app

from .io.files import SHAPE, damaged, holes, plain_file, sip_header, sky, stsci_file, write
from .stand_in import stand_in  # noqa: F401

pytestmark = pytest.mark.usefixtures("stand_in")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def hot_frame(path):
    data = sky()
    data[12, 40] += 5000
    data[30, 8:10] = 30000
    header = sip_header()
    header["SATURATE"] = 25000.0
    return plain_file(path, data, header)


def test_finders_flag_fill_and_record(tmp_path):
    path, out = hot_frame(tmp_path / "a.fits"), tmp_path / "b.fits"
    done = run("inpaint", path, "-o", out, "--find", "sat,hot", "--grow", "sat=1", "--json")
    assert done.exit_code == 0, done.stderr
    (report,) = json.loads(done.stdout)["files"]
    assert report["planes"][0]["flags"] == {"SATURATED": 8, "HOT": 1}
    with fits.open(out) as hdus:
        assert hdus[0].data[12, 40] < 200
        assert np.count_nonzero(hdus["GCM_FLAG"].data) == 9
        assert hdus["GCM_PROV"].data["GCMFIND"][0] == "sat,hot"


def test_check_counts_what_finders_find(tmp_path):
    done = run("check", hot_frame(tmp_path / "a.fits"), "--find", "hot,sat")
    assert done.exit_code == 0, done.stderr
    assert "finders: hot 1, sat 2" in done.stdout


def test_finders_that_do_not_exist_exit_2(tmp_path):
    done = run("check", hot_frame(tmp_path / "a.fits"), "--find", "ghosts")
    assert done.exit_code == 2
    assert "error[finder]: finder 'ghosts' is not known" in done.stderr


def test_other_finders_are_another_job(tmp_path):
    path, out = hot_frame(tmp_path / "a.fits"), tmp_path / "b.fits"
    assert run("inpaint", path, "-o", out, "--find", "sat,hot").exit_code == 0
    assert run("inpaint", path, "-o", out, "--find", "sat,hot", "--resume").exit_code == 0
    done = run("inpaint", path, "-o", out, "--find", "hot", "--resume")
    assert done.exit_code == 2
    assert "is not this job's output" in done.stderr


@pytest.mark.parametrize(("compress", "kind"), [("none", None), ("gzip", "GZIP_2"), ("rice", "RICE_1")])
def test_compression_is_chosen_and_recorded(tmp_path, compress, kind):
    out = tmp_path / "b.fits"
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", out, "--compress", compress)
    assert done.exit_code == 0, done.stderr
    assert ("warning[lossy]" in done.stderr) == (compress == "rice")
    with fits.open(out) as hdus:
        assert getattr(hdus[1 if kind else 0], "compression_type", None) == kind
        assert hdus["GCM_PROV"].data["GCMCOMP"][0] == compress


def test_an_unknown_compression_exits_2(tmp_path):
    done = run("inpaint", damaged(tmp_path / "a.fits"), "-o", tmp_path / "b.fits", "--compress", "zip")
    assert done.exit_code == 2
    assert "expected auto, none, gzip, rice" in done.stderr


def test_check_doubts_the_numbers_and_the_sums(tmp_path):
    error = fits.ImageHDU(np.full(SHAPE, 50, np.float32), name="ERR")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(sky(), name="SCI", header=sip_header()), error)
    done = run("check", path)
    assert done.exit_code == 0
    assert "warning[noise_mismatch]: the noise plane says 50, neighbouring pixels say " in done.stderr
    assert run("check", path, "--strict").exit_code == 3
    plain = plain_file(tmp_path / "b.fits", sky(), sip_header(), checksum=True)
    assert "checksum" not in run("check", plain).stderr
    raw = bytearray((tmp_path / "b.fits").read_bytes())
    raw[-2600] ^= 1
    (tmp_path / "b.fits").write_bytes(raw)
    assert "warning[checksum]: DATASUM of HDU 0 PRIMARY (40x56) does not hold" in run("check", plain).stderr


def test_check_tells_the_wcs_and_the_memory(tmp_path):
    header = sip_header()
    for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        header[key] = 1e-5
    done = run("check", plain_file(tmp_path / "a.fits", sky(), header))
    assert done.exit_code == 0
    assert "warning[singular_wcs]" in done.stderr
    assert "memory: about 0.2 MB" in done.stdout
    assert "pixel scale: unknown" in done.stdout


def test_memory_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("gencosmo.commands.check.os.sysconf", lambda name: 100)
    done = run("check", stsci_file(tmp_path / "a.fits"))
    assert "warning[memory]: needs about " in done.stderr
    assert holes().any()
