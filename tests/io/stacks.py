"""Small microscopy files, and a task that writes at each masked pixel a number made of its place."""

from __future__ import annotations

import hashlib
import importlib.resources
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from gencosmo.batch import OPS, Hooks, Job, process_file
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead
from gencosmo.result import Result

SIZE = (48, 64)
DATE = "2026-01-02T03:04:05"


def truth(rows, cols):
    """What the task writes at absolute rows and columns."""
    return (40 + (3 * rows + 5 * cols) % 97 + 0.25).astype(np.float32)


def quick(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    """The task: deterministic, blind to values, and sensitive to a wrong origin."""
    mask = image.mask
    rows, cols = np.indices(mask.shape[1:]) + np.array(image.origin)[:, None, None]
    mean = np.where(mask, truth(rows, cols), image.data).astype(np.float32)
    flags = image.flags | np.where(mask, np.uint32(bits("FILLED")), np.uint32(0))
    if hooks.progress is not None:
        hooks.progress(1, 1)
    return Result(
        image.restore(mean),
        image.restore(np.where(mask, np.float32(2), np.float32(0))),
        filled=image.restore(mask),
        flags=image.restore(flags),
        provenance={"prior": "quick", "prior_hash": "0" * 8, "steps": 1},
    )


@pytest.fixture
def quick_task(monkeypatch):
    monkeypatch.setitem(OPS, "inpaint", quick)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)


@pytest.fixture
def small_blocks(monkeypatch):
    """Planes of the tests are large ones: blocks of 32 pixels that see 16 around."""
    for name, value in (("WHOLE", 1000), ("BLOCK", 32), ("MARGIN", 16)):
        monkeypatch.setattr(f"gencosmo.io.blocks.{name}", value)


def values(shape, dtype=np.uint16, seed=0):
    numbers = np.random.default_rng(seed).normal(120, 12, shape)
    return numbers.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(np.clip(numbers, 0, 250)).astype(dtype)


def holes(size=SIZE, seed=1):
    mask = np.random.default_rng(seed).random(size) < 0.03
    mask[:, 17] = True
    mask[30:37, 40:49] = True
    return mask


def filled(size=SIZE, dtype=np.uint16):
    """What a filled plane holds at its masked pixels, everywhere."""
    found = truth(*np.indices(size))
    return np.rint(found).astype(dtype) if np.dtype(dtype).kind in "iu" else found.astype(dtype)


def mask_file(folder, mask=None) -> str:
    path = str(folder / "mask.tif")
    tifffile.imwrite(path, (holes() if mask is None else mask).astype(np.uint8) * 255)
    return path


DATED = WriteOptions(date=DATE)


def run(tmp_path, path, out="out.tif", write=DATED, mask=None, **options):
    options.setdefault("mask", mask_file(tmp_path, mask))
    return process_file(path, tmp_path / out, read=StackRead(**options), write=write)


def codes(report):
    return [entry["code"] for entry in report.warnings]


def zarr_file(path, array, letters, *, version="0.5", chunks=None, shards=None, levels=1, scale=0.4, names=()) -> str:
    """An OME-Zarr with levels of every second pixel, so that they differ from means."""
    number = {"0.4": 2, "0.5": 3}[version]
    group = zarr.open_group(str(path), mode="w", zarr_format=number)
    sets = []
    for level in range(levels):
        step = tuple(slice(None, None, 2**level) if a in "YX" else slice(None) for a in letters)
        part = array[step]
        more = {} if version == "0.4" else {"shards": shards, "dimension_names": list(letters.lower())}
        keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if version == "0.4" else {}
        own = chunks or tuple(20 if a in "YX" else 1 for a in letters)
        stored = group.create_array(f"s{level}", shape=part.shape, chunks=own, dtype=part.dtype, **more, **keys)
        stored[...] = part
        factor = [scale * 2**level if a in "YX" else 1.0 for a in letters]
        sets.append({"path": f"s{level}", "coordinateTransformations": [{"type": "scale", "scale": factor}]})
    kinds = {"T": "time", "C": "channel"}
    axes = [
        {"name": a.lower(), "type": kinds.get(a, "space")} | ({"unit": "micrometer"} if a in "YX" else {})
        for a in letters
    ]
    words = {"multiscales": [{"name": "made", "axes": axes, "datasets": sets}]}
    if names:
        window = {"min": 0, "max": 65535, "start": 0, "end": 4000}
        words["omero"] = {"channels": [{"label": name, "color": "00FF00", "window": window} for name in names]}
    if version == "0.4":
        words["multiscales"][0]["version"] = "0.4"
        group.attrs.update(words | {"mine": [1, 2]})
    else:
        group.attrs.update({"ome": {"version": "0.5", **words}, "mine": [1, 2]})
    return str(path)


def tree(path) -> dict[str, str]:
    """Hashes of all files below a folder, or of a file."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path.parent)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@lru_cache
def ome_schema():
    """The schema of OME-XML that ome-types brings along."""
    xmlschema = pytest.importorskip("xmlschema")
    pytest.importorskip("ome_types")
    return xmlschema.XMLSchema(str(importlib.resources.files("ome_types") / "ome-2016-06.xsd"))
