"""Fetched training images are packed when they are the listed ones, and named when they are not."""

import sys
import tomllib
from hashlib import sha256

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from benchmarks.quality import compare, frames
from benchmarks.quality import more as more_module
from benchmarks.quality.more import TABLES, listed, more_frames
from gencosmo.training.pack import read_packed

RNG = np.random.default_rng(7)
STACK = RNG.normal(300, 12, (3, 40, 50)).astype(np.uint16)


def row(folder, name, **more):
    """One image of the table for a file under `folder`, as it lies there now."""
    path = folder / "owner+data" / name
    told = {
        "group": "g",
        "repository": "owner/data",
        "path": name,
        "commit": "0" * 40,
        "licence": "MIT",
        "modality": "cells",
    }
    return {**told, "sha256": sha256(path.read_bytes()).hexdigest(), **more}


def write_table(path, rows):
    """The rows as the tables are written: lists and words as TOML has them."""
    lines = [
        "[[image]]\n" + "".join(f"{key} = {str(v) if not isinstance(v, str) else repr(v)}\n" for key, v in r.items())
        for r in rows
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of fetched files: a stack of three planes, a blank one, a FITS image with a bad pixel."""
    home = tmp_path / "fetched" / "owner+data" / "deep"
    home.mkdir(parents=True)
    tifffile.imwrite(home / "stack.tif", STACK, photometric="minisblack")
    tifffile.imwrite(home / "blank.tif", np.full((40, 50), 7, np.uint8))
    sky = RNG.normal(100, 5, (40, 50)).astype(np.float32)
    sky[3, 4] = np.nan
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(sky)]).writeto(home / "sky.fits")
    return tmp_path / "fetched"


def test_known_files_give_their_chosen_planes(folder, tmp_path):
    table = write_table(
        tmp_path / "t.toml", [row(folder, "deep/stack.tif", planes=[0, 2]), row(folder, "deep/blank.tif")]
    )
    kept, faults = more_frames(folder, table)
    assert faults == [] and [frame.group for frame in kept] == ["g", "g"]  # a blank plane is no image
    for frame, plane in zip(kept, STACK[[0, 2]], strict=True):
        assert np.corrcoef(frame.flux.ravel(), plane.ravel())[0, 1] > 0.9999
        assert frame.flux.std() == pytest.approx(1, abs=0.1)


def test_a_crop_of_one_hdu_keeps_bad_pixels_bad(folder, tmp_path):
    table = write_table(tmp_path / "t.toml", [row(folder, "deep/sky.fits", hdu=1, crop=[2, 30, 4, 40])])
    (frame,), faults = more_frames(folder, table)
    assert faults == [] and frame.flux.shape == (28, 36)
    assert np.argwhere(np.isnan(frame.flux)).tolist() == [[1, 0]]


def test_one_colour_of_a_mosaic_without_its_dead_pixels(folder, tmp_path):
    raw = np.empty((40, 60), np.float32)
    raw[0::2, 0::2], raw[1::2], raw[0::2, 1::2] = RNG.normal(500, 5, (20, 30)), 90, 40
    raw[6, 8] = -3000
    fits.PrimaryHDU(raw).writeto(folder / "owner+data" / "deep" / "raw.fits")
    table = write_table(tmp_path / "t.toml", [row(folder, "deep/raw.fits", crop=[0, 40, 0, 60], step=2, low=0.0)])
    (frame,), faults = more_frames(folder, table)
    assert faults == [] and frame.flux.shape == (20, 30)
    assert np.argwhere(np.isnan(frame.flux)).tolist() == [[3, 4]]
    assert np.nanstd(frame.flux) == pytest.approx(1, abs=0.15)


def test_missing_and_changed_files_are_named_and_left_out(folder, tmp_path):
    rows = [row(folder, "deep/stack.tif", sha256="1" * 64), {**row(folder, "deep/blank.tif"), "path": "deep/gone.tif"}]
    kept, faults = more_frames(folder, write_table(tmp_path / "t.toml", rows))
    assert kept == [] and len(faults) == 2
    assert "stack.tif has sha256" in faults[0] and "111111111111" in faults[0]
    assert faults[1] == "owner+data/deep/gone.tif is missing"


def test_the_command_adds_them_to_the_groups_and_counts_what_is_left_out(folder, tmp_path, monkeypatch, capsys):
    rows = [row(folder, "deep/stack.tif", group="new"), {**row(folder, "deep/blank.tif"), "path": "deep/gone.tif"}]
    monkeypatch.setitem(TABLES, "micro", write_table(tmp_path / "t.toml", rows))
    monkeypatch.setitem(frames.KINDS, "micro", ({"train": {"groups": ["old"]}}, lambda side: iter(())))
    output = tmp_path / "packed.npz"
    monkeypatch.setattr(sys, "argv", ["frames", "train", str(output), "--kind", "micro", "--more", str(folder)])
    frames.main()
    said = capsys.readouterr().out
    assert "left out: owner+data/deep/gone.tif is missing" in said and "3 more frames, 1 files left out" in said
    assert [frame.group for frame in read_packed([output])] == ["new"] * 3
    monkeypatch.setattr(sys, "argv", ["frames", "test", str(output), "--kind", "micro", "--more", str(folder)])
    with pytest.raises(SystemExit):  # a test side never holds them
        frames.main()


@pytest.mark.parametrize("kind", more_module.TABLES)
def test_the_tables_follow_their_rules(kind):
    images, split = listed(TABLES[kind]), frames.SPLIT if kind == "sky" else frames.SPLIT["micro"]
    known = tomllib.loads((frames.HERE / "sources.toml").read_text())
    taken = {line["sha256"] for line in known.values()}
    drawn = {
        line["repository"] for name, line in known.items() if name.startswith("astro" if kind == "sky" else "micro")
    }
    assert len({(image.sha256, image.hdu, image.planes, image.crop) for image in images}) == len(images)
    for image in images:
        assert image.sha256 not in taken and image.repository not in drawn, image.path
        assert image.group not in [*split["test"]["groups"], *split["train"]["groups"]]
        assert len(image.commit) == 40 and len(image.sha256) == 64
        assert image.licence in {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "CC-BY-4.0", "CC0-1.0"}
        assert kind == "sky" or (image.modality and not image.path.lower().endswith((".jpg", ".jpeg")))


def test_the_comparison_takes_listed_sky(folder, tmp_path, monkeypatch, capsys):
    """Frames that no prior has seen, in pieces without bad pixels; what is missing is named."""
    sky = row(folder, "deep/sky.fits", hdu=1, crop=[4, 40, 5, 50])
    gone = {**sky, "path": "deep/gone.fits"}
    monkeypatch.setitem(TABLES, "sky", write_table(tmp_path / "t.toml", [sky, gone]))
    (piece,) = compare.listed_crops(folder, None)
    assert piece.group == "g" and piece.modality == "sky"
    assert piece.flux.shape == (36, 45) and np.isfinite(piece.flux).all()
    assert "gone.fits is missing" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare", "--listed", str(folder), "--kind", "micro"])
    with pytest.raises(SystemExit):
        compare.main()
    assert "about the sky" in capsys.readouterr().err
