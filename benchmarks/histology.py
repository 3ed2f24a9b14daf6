"""Stained tissue in transmitted light: filled per colour as stored, in optical density, or along the main colours.

``GENCOSMO_TEST_DATA=... python -m benchmarks.histology --more FOLDER`` (training groups)
``GENCOSMO_TEST_DATA=... python -m benchmarks.histology --test`` (the test group, looked at once)
``python -m benchmarks.histology --file a.png b.tif`` (RGB images of your own)

Light behind a stain is an exponential of how much stain there is (Beer-Lambert), so that what is smooth in the stain is
bent in the picture; and three colours of two dyes are two pictures in three mixtures. Hidden pixels of RGB images are
filled four ways with the same prior: *colours*, each as it is stored, as `inpaint` does; *density*, each as
``-ln((v + 1) / (white + 1))``, taken back with the spread's term of a log-normal mean; *main colours* and *main
densities*, the same after a rotation to the principal axes of the good pixels. Hidden is the same in all three colours.
Figures: rms error of the three colours in grey levels, beside what a biharmonic fill leaves, and the share of colour
values inside the stated 68 and 95 % intervals.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gencosmo
from benchmarks.quality.frames import SPLIT
from benchmarks.quality.more import TABLES, listed
from benchmarks.quality.sources import data_root
from gencosmo.errors import GencosmoWarning
from gencosmo.tasks.classical import CLASSICAL
from gencosmo.tasks.hiding import PATTERNS

SIDE, TISSUE = 192, 8.0
SHAPES = ("random", "cosmic", "discs")


@dataclass
class Filled:
    """What a way says of all pixels: mean (3, H, W), and where its intervals end, by level."""

    mean: np.ndarray
    inside: dict[float, tuple[np.ndarray, np.ndarray]]


def _fill(planes: np.ndarray, mask: np.ndarray, prior: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        return gencosmo.inpaint(planes.astype(np.float32), np.broadcast_to(mask, planes.shape), prior=prior)


def _axes(planes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Principal axes (3, 3) of the good pixels, one in each row."""
    return np.linalg.eigh(np.cov(planes[:, ~mask]))[1].T[::-1]


def _levels(result: Any, mean: np.ndarray, std: np.ndarray) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    return {level: (mean - half * std, mean + half * std) for level, half in result.quantiles.items()}


def colours(image: np.ndarray, mask: np.ndarray, prior: Any, *, turned: bool) -> Filled:
    """Linear in the stored values."""
    axes = _axes(image, mask) if turned else np.eye(3)
    result = _fill(np.einsum("ij,jhw->ihw", axes, image), mask, prior)
    mean = np.einsum("ij,ihw->jhw", axes, result.mean)
    std = np.sqrt(np.einsum("ij,ihw->jhw", axes**2, result.std**2))
    return Filled(mean, _levels(result, mean, std))


def density(image: np.ndarray, mask: np.ndarray, prior: Any, *, turned: bool) -> Filled:
    """Linear in the optical density."""
    dense = -np.log((image + 1) / 256)
    axes = _axes(dense, mask) if turned else np.eye(3)
    result = _fill(np.einsum("ij,jhw->ihw", axes, dense), mask, prior)
    mean = np.einsum("ij,ihw->jhw", axes, result.mean).astype(np.float64)
    var = np.einsum("ij,ihw->jhw", axes**2, result.std.astype(np.float64) ** 2)
    ends = _levels(result, mean, np.sqrt(var))
    light = np.clip(256 * np.exp(np.minimum(var, 1) / 2 - mean) - 1, 0, 255)
    return Filled(light, {n: (256 * np.exp(-high) - 1, 256 * np.exp(-low) - 1) for n, (low, high) in ends.items()})


WAYS = {
    "colours": lambda *given: colours(*given, turned=False),
    "density": lambda *given: density(*given, turned=False),
    "main colours": lambda *given: colours(*given, turned=True),
    "main densities": lambda *given: density(*given, turned=True),
}


def images(given: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Names and RGB images (3, H, W)."""
    from skimage.io import imread

    paths = [Path(name) for name in given.file]
    if given.test:
        named = SPLIT["micro"]["modality"]
        paths += [data_root() / "micro" / name for name, kind in named.items() if kind == "histology" and "/" in name]
    if given.more:
        chosen = [row for row in listed(TABLES["micro"]) if row.modality == "histology"]
        faults = [row.fault(given.more) for row in chosen]
        if any(faults):
            raise SystemExit("\n".join(filter(None, faults)))
        paths += [row.place(given.more) for row in chosen]
    for path in paths:
        yield path.name, np.moveaxis(np.asarray(imread(path), np.float64)[..., :3], -1, 0)


def cuts(image: np.ndarray, count: int) -> list[np.ndarray]:
    """The busiest squares of an image that do not overlap."""
    height, width = image.shape[1:]
    corners = [(r, c) for r in range(0, height - SIDE + 1, SIDE) for c in range(0, width - SIDE + 1, SIDE)]
    found = [image[:, r : r + SIDE, c : c + SIDE] for r, c in corners]
    found = [cut for cut in found if cut.std((1, 2)).min() > TISSUE]
    return sorted(found, key=lambda cut: -float(cut.std()))[:count]


def compare(cut: np.ndarray, mask: np.ndarray, prior: Any) -> dict[str, list[float]]:
    """By way: squared error, then the share inside 68 and 95 % intervals."""
    at = np.broadcast_to(mask, cut.shape)
    hidden = np.where(at, np.median(cut[:, ~mask], axis=1)[:, None, None], cut)
    rows = {}
    for name, way in WAYS.items():
        filled = way(hidden, mask, prior)
        within = [((cut >= low - 0.5) & (cut <= high + 0.5))[at].mean() for low, high in filled.inside.values()]
        rows[name] = [float(((filled.mean - cut)[at] ** 2).mean()), *map(float, within[:2])]
    smooth = np.stack([CLASSICAL["biharmonic"](plane, mask) for plane in hidden])
    rows["biharmonic"] = [float(((smooth - cut)[at] ** 2).mean())]
    return rows


def main() -> None:
    """Print a row for each image and kind of hole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="cells")
    parser.add_argument("--more", type=Path, metavar="FOLDER", help="fetched training images, see docs/training.md")
    parser.add_argument("--test", action="store_true", help="the test group")
    parser.add_argument("--file", nargs="*", default=[], metavar="RGB")
    parser.add_argument("--cuts", type=int, default=2, help="squares of each image")
    given = parser.parse_args()
    prior = gencosmo.load_prior(given.prior)
    print("| image | holes | " + " | ".join(WAYS) + " | biharmonic |")
    print("|---|---|" + "---|" * (len(WAYS) + 1))
    errors: dict[str, list[float]] = {way: [] for way in (*WAYS, "biharmonic")}
    for name, image in images(given):
        pieces = cuts(image, given.cuts)
        for shape in SHAPES:
            rng = np.random.default_rng(5)
            found = [compare(cut, PATTERNS[shape](rng, cut.shape[1:]), prior) for cut in pieces]
            if not found:
                continue
            cells = []
            for way in (*WAYS, "biharmonic"):
                mean = np.mean([rows[way] for rows in found], axis=0)
                more = f", {100 * mean[1]:.0f} / {100 * mean[2]:.0f}" if len(mean) > 1 else ""
                cells.append(f"{np.sqrt(mean[0]):.2f}{more}")
                errors[way].append(float(np.sqrt(mean[0])))
            print(f"| {name} | {shape} | " + " | ".join(cells) + " |", flush=True)
    first = np.log(errors["colours"])
    ratios = [f"{np.exp(np.mean(np.log(found) - first)):.3f}" for found in errors.values()]
    print("| all, error over that of colours | | " + " | ".join(ratios) + " |")


if __name__ == "__main__":
    main()
