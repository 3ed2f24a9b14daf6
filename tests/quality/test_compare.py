"""The comparison: only images that the table of sources knows, rivals default and tuned, the table in a card."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from benchmarks.quality import compare, sources
from benchmarks.quality.frames import SPLIT, frames
from benchmarks.quality.holes import PATTERNS
from benchmarks.quality.rivals import RIVALS, SETTINGS, TUNED, rivals
from gencosmo.cli import app
from gencosmo.priors.cards import SHIPPED, Card

GROUP = "emmi_field"


@pytest.fixture
def collection(tmp_path, monkeypatch):
    """One image of one test group, and a table that knows it."""
    folder = tmp_path / "data" / "astro" / GROUP
    folder.mkdir(parents=True)
    image = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.float32)
    fits.PrimaryHDU(image).writeto(folder / "galaxies.fits")
    fits.PrimaryHDU(image + 1).writeto(folder / "stranger.fits")
    monkeypatch.setenv("GENCOSMO_TEST_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(SPLIT["test"], "groups", [GROUP])
    manifest = tmp_path / "MANIFEST.md"
    manifest.write_text(
        f"| path | origin |\n| astro/{GROUP}/galaxies.fits | someone/repo : images/galaxies.fits | x |\n"
    )
    monkeypatch.setattr(sources, "TABLE", tmp_path / "sources.toml")
    for cached in (sources.table, sources.fault):
        cached.cache_clear()
    assert sources.write(manifest, tmp_path / "data") == 1
    yield folder
    for cached in (sources.table, sources.fault):
        cached.cache_clear()


def test_only_known_and_unchanged_images_are_compared(collection, capsys):
    assert [path.name for path, _ in frames("test")] == ["galaxies.fits"]
    assert f"left out: astro/{GROUP}/stranger.fits is not in" in capsys.readouterr().err
    data = fits.getdata(collection / "galaxies.fits")
    data[3, 3] += 1
    fits.writeto(collection / "galaxies.fits", data, overwrite=True)
    sources.fault.cache_clear()
    assert compare.crops("sky", None) == []
    assert f"left out: astro/{GROUP}/galaxies.fits has sha256" in capsys.readouterr().err


def test_a_packed_copy_is_the_same_image(collection, tmp_path):
    import gzip

    raw = (collection / "galaxies.fits").read_bytes()
    (collection / "galaxies.fits.gz").write_bytes(gzip.compress(raw))
    packed, plain = (sources.content_sha256(collection / f"galaxies.fits{e}", "galaxies.fits") for e in (".gz", ""))
    assert packed == plain != sources.content_sha256(collection / "galaxies.fits.gz", "galaxies.fits.gz")


def test_the_table_names_every_group_of_the_split():
    table = tomllib.loads((sources.HERE / "sources.toml").read_text())
    assert {name.split("/")[1] for name in table if name.startswith("astro/")} >= set(SPLIT["test"]["groups"])
    for name, row in table.items():
        assert len(row["sha256"]) == 64 and "/" in row["repository"] and row["path"], name


def test_rivals_are_tuned_within_what_was_tried():
    pytest.importorskip("cv2", reason="the rivals come with the extra `bench`")
    pytest.importorskip("maskfill", reason="the rivals come with the extra `bench`")
    flux = np.random.default_rng(0).normal(0, 1, (48, 48)).astype(np.float32)
    mask = PATTERNS["discs"](np.random.default_rng(1), flux.shape)
    tuned = tomllib.loads(TUNED.read_text())
    assert set(tuned) == set(PATTERNS)
    for kind in PATTERNS:
        assert all(setting in SETTINGS[name] for name, setting in tuned[kind].items())
        assert rivals(kind, tuned=False) is RIVALS and set(rivals(kind, tuned=True)) == set(RIVALS)
    for name, fill in rivals("discs", tuned=True).items():
        filled = fill(np.where(mask, 0, flux), mask)
        assert np.isfinite(filled).all() and np.abs(filled[mask]).max() < 5, name


def test_defaults_of_the_rivals_are_their_own():
    import inspect

    maskfill = pytest.importorskip("maskfill", reason="the rivals come with the extra `bench`").maskfill

    theirs = inspect.signature(maskfill).parameters
    ours = inspect.signature(RIVALS["maskfill"]).parameters
    assert all(ours[key].default == theirs[key].default for key in ("size", "smooth"))


def test_the_table_goes_into_the_card_and_info_shows_it(tmp_path):
    for path in SHIPPED.glob("sky*"):
        shutil.copy(path, tmp_path)
    card_file = tmp_path / "sky.json"
    row = compare.Row(
        group=GROUP, modality="sky", file="a.fits", crop=0, kind="cosmic", hidden=300, noise=1.0, rms=1.1, excess=0.8,
        raw=0.95, sources=None, coverage68=0.68, coverage95=0.95, interval68=0.67, interval95=0.94, bias=0.01,
        rivals=dict.fromkeys(RIVALS, 1.0), seconds=0.1,
    )  # fmt: skip
    rows = [row, replace(row, excess=0.6, sources=0.9), replace(row, kind="discs", excess=1.2)]
    weights = Card.read(card_file).weights_sha256
    compare.put_into_card(card_file, rows, weights, 2, tuned=False)
    validation = Card.read(card_file).validation
    assert [(line["holes"], line["crops"]) for line in validation["table"]] == [("cosmic", 2), ("discs", 1)]
    assert validation["table"][0]["excess"] == 0.7 and validation["table"][0]["worst"] == 0.8
    assert validation["table"][0]["sources"] == 0.9 and validation["table"][1]["sources"] is None
    done = CliRunner().invoke(app, ["info", str(card_file)])
    assert done.exit_code == 0 and "validation (2 crops of emmi_field)" in done.stdout and "0.700" in done.stdout
    with pytest.raises(SystemExit, match="compared were 000000"):
        compare.put_into_card(card_file, rows, "0" * 64, 2, tuned=False)
