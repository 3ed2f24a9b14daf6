"""Completeness at 1 % false alarms per tile, and AUROC: anomalies injected into real tiles of microscopy.

``GENCOSMO_TEST_DATA=... python -m benchmarks.anomaly.micro --fields vitra --normals 100 --null 100 --each 20``

Tiles of 64 pixels of frames that trained no prior: squares of 128 pixels in a chequerboard go to the normals, and to
the null and the injections. Everybody is fitted on the same normals and judged by the same null.

``--small 16`` asks how well `rank` orders a small plate instead: of so many tiles one is injected, and its place is
told, by the detector's own order and by the order for small sets (`gencosmo.tasks.among`).

``fly``, ``illum``, ``track1`` and ``human`` are there to choose by: they trained the prior `cells`, and test nothing.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.anomaly.compare import Cut, draw, draw_near, merge, show, tables
from benchmarks.anomaly.kept import KeptDetector, weights_of
from benchmarks.anomaly.micro_injections import KINDS, cells_of, foreign
from benchmarks.anomaly.rivals import RIVALS
from benchmarks.quality.frames import micro_frames
from gencosmo.scaling import grey_step

FIELDS = {
    "vitra": ("test", "cp_vitra", "ilastik_nuclei"),
    "nuclei": ("test", "ilastik_nuclei", "cp_vitra"),
    "puncta": ("test", "cp_coloc", "ilastik_nuclei"),
    "electron": ("test", "isbi_em", "ilastik_nuclei"),
    "fly": ("train", "cp_fly", "cp_human"),
    "illum": ("train", "cp_illum", "bbbc007"),
    "track1": ("train", "cp_track1", "cp_human"),
    "human": ("train", "cp_human", "cp_fly"),
}
"""Side of the split, group, and the group whose cells are foreign."""
Kind = Callable[[np.random.Generator, np.ndarray], np.ndarray]
TILE, BLOCK = 64, 128
LIT = 3.0
"""A tile counts when its brightest smoothed half per cent stands this many noises above its ground."""


def tiles_of(side: str, group: str) -> tuple[list[Cut], list[Cut]]:
    """Tiles with something in them, for the normals and for the null, in flux, each with the number of its square: the
    same cells are seen in all channels and at all times. No pixel is in both.
    """
    sides: tuple[list[Cut], list[Cut]] = ([], [])
    for _, frame in micro_frames(side):
        if frame.group != group:
            continue
        height, width = frame.flux.shape
        for row in range(0, height - TILE + 1, TILE):
            for col in range(0, width - TILE + 1, TILE):
                cut = frame.flux[row : row + TILE, col : col + TILE]
                means = cut.reshape(TILE // 4, 4, TILE // 4, 4).mean((1, 3))
                if np.percentile(means, 99.5) - np.percentile(means, 10) > LIT:
                    near = row // BLOCK * 1000 + col // BLOCK
                    sides[(row // BLOCK + col // BLOCK) % 2].append((np.ascontiguousarray(cut), near))
    return sides


def seen(make: Kind) -> Kind:
    """The same injection, in the grey levels of the camera: light that lies between them would give itself away."""

    def put(rng: np.random.Generator, tile: np.ndarray) -> np.ndarray:
        changed = make(rng, tile)
        step = grey_step(tile, np.isfinite(tile))
        return tile + step * np.rint((changed - tile) / step) if step else changed

    return put


def kinds_of(side: str, other: str) -> dict[str, Kind]:
    """Injections by name, the foreign cell among them."""
    frames = [frame.flux for _, frame in micro_frames(side) if frame.group == other]
    return {name: seen(make) for name, make in {**KINDS, "foreign cell": foreign(cells_of(frames))}.items()}


def field(name: str, given: argparse.Namespace) -> dict[str, object]:
    """All methods and kinds on one field."""
    side, group, other = FIELDS[name]
    rng = np.random.default_rng(11)
    left, both = tiles_of(side, group)
    right = [cut for cut, _ in both]
    kinds = kinds_of(side, other)
    (normals, near), null = draw_near(rng, left, given.normals), draw(rng, right, given.null)
    injected = {kind: np.array([make(rng, t) for t in draw(rng, right, given.each)]) for kind, make in kinds.items()}
    print(f"{name}: {len(normals)} normals, {len(null)} null tiles, {given.each} of each kind", flush=True)
    sets = {"null": null, **injected}
    rivals = {}
    for rival, fit in RIVALS.items():
        scorer = fit(normals)
        rivals[rival] = {kind: scorer(tiles) for kind, tiles in sets.items()}
    detector = KeptDetector(given.keep, prior="cells", device="cpu").fit(list(normals.astype(np.float32)), groups=near)
    ours = {kind: detector.evaluate(list(tiles.astype(np.float32))) for kind, tiles in sets.items()}
    found = {"gencosmo": {kind: np.array([t.score[0] for t in tiles]) for kind, tiles in ours.items()}}
    for view in ours["null"][0].views:
        found[f"  {view}"] = {kind: -np.log([t.views[view][0] for t in tiles]) for kind, tiles in ours.items()}
    p = np.array([t.p_value[0] for t in ours["null"]])
    alarms = {str(a): float((p <= a).mean()) for a in (0.02, 0.05, 0.1, 0.5)}
    told = {"weights": weights_of("cells"), "normals": len(normals), "each": given.each}
    return {**tables(rng, found | rivals, null, list(kinds)), "alarms": alarms, **told}


def small(name: str, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median place, and share of first places, of the one injected tile in small sets; by both orders."""
    from gencosmo import AnomalyDetector
    from gencosmo.anomaly.calibration import Sample, calibrate
    from gencosmo.anomaly.views import evidence_of, own_widths
    from gencosmo.tasks.among import small_set_surprise
    from gencosmo.tasks.few import Shelf

    side, group, other = FIELDS[name]
    rng, n = np.random.default_rng(12), given.small
    left, right = ([cut for cut, _ in cuts] for cuts in tiles_of(side, group))
    kinds = kinds_of(side, other)
    normals = draw(rng, left, given.normals)
    odd = {kind: np.array([make(rng, t) for t in draw(rng, right, given.each)]) for kind, make in kinds.items()}
    detector, shelf = AnomalyDetector("cells", device="cpu"), Shelf()
    everything = [tile.astype(np.float32) for tile in np.concatenate([normals, *odd.values()])]
    plane_of, nuisances = detector._shelved(shelf, everything, None)
    # widths of all: of a set alone they would be measured on the same normals
    widths = own_widths(shelf)
    places: dict[str, dict[str, list[int]]] = {kind: {"detector": [], "small set": []} for kind in kinds}
    rows = [
        Sample.of([evidence_of(raw, widths, detector.how.views)], [place], row[None])
        for raw, place, row in zip(shelf, plane_of, nuisances, strict=True)
    ]
    for number, kind in enumerate(kinds):
        for k in range(given.each):
            chosen = [*rng.permutation(len(normals))[: n - 1].tolist(), len(normals) + number * given.each + k]
            sample = Sample.joined([rows[j] for j in chosen])
            five = calibrate(sample, widths, folds=5, seed=0)
            each = calibrate(sample, widths, folds=n, seed=0)
            for method, scores in (("detector", five.combined), ("small set", small_set_surprise(each.normal))):
                places[kind][method].append(1 + int((scores[:-1] >= scores[-1]).sum()))
    for kind, by_method in places.items():
        told = [
            f"{method} median {np.median(p):.1f}, first {np.mean(np.equal(p, 1)):.2f}, "
            f"in three {np.mean(np.less_equal(p, 3)):.2f}"
            for method, p in by_method.items()
        ]
        print(f"{name}, 1 of {n}: {kind:13s} " + "; ".join(told), flush=True)
    return {kind: {m: float(np.median(p)) for m, p in by.items()} for kind, by in places.items()}


def main() -> None:
    """Run the fields and write what was found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fields", nargs="+", default=["vitra"], choices=list(FIELDS))
    parser.add_argument("--normals", type=int, default=100)
    parser.add_argument("--null", type=int, default=100)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--small", type=int, help="order small sets of so many tiles instead")
    parser.add_argument("--keep", type=Path, help="folder for what the passes left, to resume from")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    for name in given.fields:
        if given.small:
            small(name, given)
            continue
        found[name] = field(name, given)
        print(show(name, found[name]))
        print("  share of null tiles with p <= a:", found[name]["alarms"], flush=True)
        if given.json:
            merge(given.json, {name: found[name]})


if __name__ == "__main__":
    main()
