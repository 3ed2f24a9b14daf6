"""Orientations from the job and from the command line: the same answer as in Python, told in the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from typer.testing import CliRunner

import gencosmo
from gencosmo.batch import Job, process_file
from gencosmo.batch.remembered import Remembering
from gencosmo.cli import app
from gencosmo.errors import UsageError
from gencosmo.priors import load_prior
from gencosmo.tasks.evidence import denoiser_of
from gencosmo.windows import Canvas


@pytest.fixture
def frame(tmp_path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """A field of blended stars with a dead column, as NaN."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:72, :80]
    flux = sum(
        rng.uniform(50, 900) * np.exp(-0.5 * ((rows - r) ** 2 + (cols - c) ** 2) / 2.25)
        for r, c in rng.uniform(2, 70, (25, 2))
    )
    data = (100 + flux + rng.normal(0, 3, flux.shape)).astype(np.float32)
    mask = np.zeros(data.shape, bool)
    mask[:, 33:36] = True
    path = tmp_path / "in.fits"
    fits.PrimaryHDU(np.where(mask, np.nan, data)).writeto(path)
    return str(path), data, mask


def test_a_job_asks_as_python_does(frame: tuple[str, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, data, mask = frame
    process_file(path, str(tmp_path / "four.fits"), turns=4)
    process_file(path, str(tmp_path / "one.fits"))
    wanted = gencosmo.inpaint(data, mask, prior=load_prior("sky", "cpu", turns=4))
    with fits.open(tmp_path / "four.fits") as four, fits.open(tmp_path / "one.fits") as one:
        np.testing.assert_allclose(four[0].data[mask], wanted.mean[mask], rtol=1e-6)
        assert not np.array_equal(four[0].data[mask], one[0].data[mask])
        assert four["GCM_PROV"].data["GCMTURN"][0] == "4"
        assert "GCMTURN" not in one["GCM_PROV"].columns.names


def test_another_number_of_turns_is_another_run() -> None:
    assert Job().digest() != Job(turns=2).digest()


@pytest.mark.parametrize("turns", [0, 3])
def test_a_job_refuses_other_numbers(turns: int) -> None:
    with pytest.raises(UsageError, match="expected one of 1, 2, 4, 8"):
        Job(turns=turns)


def test_from_the_command_line(frame: tuple[str, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, data, mask = frame
    out = str(tmp_path / "out.fits")
    refused = CliRunner().invoke(app, ["inpaint", path, "-o", out, "--turns", "3"])
    assert refused.exit_code == 2 and "turns is 3, expected one of 1, 2, 4, 8" in refused.output
    assert not Path(out).exists()
    done = CliRunner().invoke(app, ["inpaint", path, "-o", out, "--turns", "2", "--json"])
    assert done.exit_code == 0, done.output
    wanted = gencosmo.inpaint(data, mask, prior=load_prior("sky", "cpu", turns=2))
    np.testing.assert_allclose(fits.getdata(out)[mask], wanted.mean[mask], rtol=1e-6)


def test_a_score_listens_to_one_orientation() -> None:
    assert denoiser_of(load_prior("sky", "cpu", turns=8), "cpu").turns == 1  # type: ignore[attr-defined]


def test_a_loaded_prior_is_turned_too(frame: tuple[str, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, data, mask = frame
    process_file(path, str(tmp_path / "out.fits"), prior=load_prior("sky", "cpu"), turns=2)
    wanted = gencosmo.inpaint(data, mask, prior=load_prior("sky", "cpu", turns=2))
    np.testing.assert_allclose(fits.getdata(tmp_path / "out.fits")[mask], wanted.mean[mask], rtol=1e-6)


def test_what_was_kept_on_disk_is_of_its_own_turns(tmp_path: Path) -> None:
    z = torch.randn(40, 40, generator=torch.Generator().manual_seed(1))
    found = {}
    for turns in (1, 8):
        prior = load_prior("sky", "cpu", turns=turns)
        canvas = Canvas.from_planes([z], [torch.ones_like(z)], seeds=[0])
        plan = prior.plan(canvas, canvas.sigma_obs > 0)
        kept = Remembering(prior, str(tmp_path)).__enter__()  # never left: a killed run keeps its answers
        kept.denoise_(canvas, plan, "scene")
        found[turns] = canvas.mean.clone()
    assert not torch.equal(found[1], found[8])


def test_validate_in_turns(frame: tuple[str, np.ndarray, np.ndarray]) -> None:
    asked = ["validate", frame[0], "--kinds", "columns", "--pixels", "300", "--json"]
    one, two = (CliRunner().invoke(app, [*asked, *more]) for more in ([], ["--turns", "2"]))
    assert one.exit_code == 0 and two.exit_code == 0, two.output
    first, second = (json.loads(run.stdout)["kinds"][0] for run in (one, two))
    assert first["hidden"] == second["hidden"]
    assert first["fillers"] != second["fillers"]
