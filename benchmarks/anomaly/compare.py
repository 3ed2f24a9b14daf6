"""Completeness at 1 % false alarms per tile: anomalies injected into real frames that trained no prior.

``GENCOSMO_TEST_DATA=... python -m benchmarks.anomaly.compare --fields viking emmi --normals 80 --null 100 --each 30``

For every field: tiles of 64 pixels from one half of the frames (a chequerboard of blocks, or the left) are the
normals, tiles of the other half are the null and carry the injections. Everybody is fitted on the same normals and
judged by the same null: the threshold of a method is the score that 1 % of the null tiles exceed. Prints completeness
and AUROC with bootstrap intervals, by kind. The row `untold` leaves out the filters of known anomalies that are near.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.anomaly.injections import KINDS
from benchmarks.anomaly.kept import KeptDetector, weights_of
from benchmarks.anomaly.rivals import RIVALS
from benchmarks.anomaly.spots import has_lone_pixel
from benchmarks.quality.frames import frames
from gencosmo.anomaly.combination import combine_margins

FIELDS = {"viking": ("viking_multiband", 64), "emmi": ("emmi_field", 64), "kids": ("profit_kids", 24)}
"""Group and stride of the tiles: the small KiDS frames give overlapping ones."""
Cut = tuple[np.ndarray, int]
TILE = 64
BLOCK = 256
"""Side of the squares of a chequerboard that go to the normals and to the null."""
UNTOLD = {
    "trail": {"streak", "fibre"}, "ghost": {"reflection", "shadow", "body"}, "lens arc": {"arc"}, "double": {"pair"},
    "trailed PSF": {"trailed", "dragged", "blurred"}, "trailed stars": {"trailed", "dragged", "blurred"},
    "cosmic ray": {"debris", "hit"}, "hot pixels": {"debris", "hit"},
}  # fmt: skip
"""Staged kinds (`gencosmo.anomaly.staged`) that are near an injected one, and left out in the row `untold`."""


def tiles_of(group: str, stride: int, split: str) -> tuple[list[Cut], list[Cut]]:
    """Tiles for the normals and for the null, in flux, without bad pixels, each with the number of its neighbourhood: a
    square of a chequerboard, in all bands, or a small frame. No pixel is in both.

    `split`: ``halves`` (left and right of every frame), ``blocks`` (a chequerboard), whole frames in turn where there
    are many small ones.
    """
    sides: tuple[list[Cut], list[Cut]] = ([], [])
    for number, frame in enumerate(frame for _, frame in frames("test") if frame.group == group):
        height, width = frame.flux.shape
        for row in range(0, height - TILE + 1, stride):
            for col in range(0, width - TILE + 1, stride):
                cut = frame.flux[row : row + TILE, col : col + TILE]
                if not np.isfinite(cut).all():
                    continue
                side = {"halves": int(col + TILE > width // 2), "blocks": (row // BLOCK + col // BLOCK) % 2}[split]
                near = number if stride != TILE else row // BLOCK * 1000 + col // BLOCK
                sides[side if stride == TILE else number % 2].append((np.ascontiguousarray(cut), near))
    return sides


def draw(rng: np.random.Generator, tiles: list[np.ndarray], count: int) -> np.ndarray:
    """Some of the tiles, without repeats."""
    return np.array([tiles[k] for k in rng.permutation(len(tiles))[:count]])


def draw_near(rng: np.random.Generator, tiles: list[Cut], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, and the neighbourhood of each."""
    chosen = rng.permutation(len(tiles))[:count]
    return np.array([tiles[k][0] for k in chosen]), np.array([tiles[k][1] for k in chosen])


def auroc(null: np.ndarray, found: np.ndarray) -> float:
    """Probability that an anomaly scores above a normal."""
    order = np.sort(null)
    below, upto = np.searchsorted(order, found, "left"), np.searchsorted(order, found, "right")
    return float((0.5 * (below + upto) / len(null)).mean())


def interval(rng: np.random.Generator, null: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Central 90 % of the AUROC over bootstrap draws."""
    drawn = [auroc(rng.choice(null, len(null)), rng.choice(found, len(found))) for _ in range(300)]
    low, high = np.percentile(drawn, (5, 95))
    return float(low), float(high)


def wilson(found: int, of: int) -> tuple[float, float]:
    """Central 90 % of a share (Wilson 1927)."""
    z = 1.645
    middle = (found + z * z / 2) / (of + z * z)
    half = z * np.sqrt(found * (of - found) / of + z * z / 4) / (of + z * z)
    return float(middle - half), float(middle + half)


def measured(rng: np.random.Generator, null: np.ndarray, found: np.ndarray) -> dict[str, object]:
    """Completeness at the score that 1 % of the null exceed, and AUROC."""
    limit = np.quantile(null, 0.99, method="higher")
    return {
        "complete": float((found > limit).mean()),
        "complete_interval": wilson(int((found > limit).sum()), len(found)),
        "auroc": auroc(null, found),
        "interval": interval(rng, null, found),
    }


Scores = dict[str, dict[str, np.ndarray]]
"""By method, and by kind or ``null``."""


def tables(rng: np.random.Generator, scores: Scores, null: np.ndarray, kinds: list[str]) -> dict[str, object]:
    """Everything `measured` by method and kind: on all null tiles, and on those without a defect of their own."""
    whole = np.array([not has_lone_pixel(tile) for tile in null])
    rows: dict[str, dict[str, dict[str, object]]] = {"rows": {}, "spotless": {}}
    for method, by_kind in scores.items():
        for name, chosen in (("rows", slice(None)), ("spotless", whole)):
            rows[name][method] = {kind: measured(rng, _null(by_kind, kind)[chosen], by_kind[kind]) for kind in kinds}
    return {**rows, "null": len(null), "null_spotless": int(whole.sum())}


def _null(by_kind: dict[str, np.ndarray], kind: str) -> np.ndarray:
    """Scores of the null tiles; of a method that is another for every kind, those of that one."""
    return by_kind.get(f"null {kind}", by_kind.get("null", np.zeros(0)))


def _untold(ours: dict, kinds: list[str]) -> dict[str, np.ndarray]:
    """Our scores with the views combined anew, for each kind without the filters of what is near it."""
    found = {}
    for kind in kinds:
        left_out = {f"like {name}" for name in UNTOLD[kind]}
        kept = [view for view in ours["null"][0].views if view not in left_out]
        for name, key in ((f"null {kind}", "null"), (kind, kind)):
            found[name] = combine_margins(np.array([[t.margins[view][0] for t in ours[key]] for view in kept]))
    return found


def field(name: str, given: argparse.Namespace) -> dict[str, object]:
    """All methods and kinds on one field."""
    rng = np.random.default_rng(11)
    left, both = tiles_of(*FIELDS[name], given.split)
    right = [cut for cut, _ in both]
    (normals, near), null = draw_near(rng, left, given.normals), draw(rng, right, given.null)
    injected = {kind: np.array([make(rng, t) for t in draw(rng, right, given.each)]) for kind, make in KINDS.items()}
    print(f"{name}: {len(normals)} normals, {len(null)} null tiles, {given.each} of each kind", flush=True)
    scorers = {}
    for rival, fit in RIVALS.items():
        try:
            scorers[rival] = fit(normals)
        except ImportError as error:
            print(f"  {rival} left out: {error}")
    detector = KeptDetector(given.keep, device="cpu").fit(list(normals.astype(np.float32)), groups=near)
    start = time.perf_counter()
    ours = {kind: detector.evaluate(list(x.astype(np.float32))) for kind, x in {"null": null, **injected}.items()}
    rate = (len(null) + given.each * len(KINDS)) / (time.perf_counter() - start)
    scores = {"gencosmo": {kind: np.array([t.score[0] for t in found]) for kind, found in ours.items()}}
    for view in ours["null"][0].views:
        scores[f"  {view}"] = {
            kind: -np.log(np.array([t.views[view][0] for t in found])) for kind, found in ours.items()
        }
    for rival, scorer in scorers.items():
        scores[rival] = {kind: scorer(x) for kind, x in {"null": null, **injected}.items()}
    scores["  untold"] = _untold(ours, list(KINDS))
    p = np.array([t.p_value[0] for t in ours["null"]])
    alarms = {str(a): float((p <= a).mean()) for a in (0.02, 0.05, 0.1, 0.5)}
    told = {"weights": weights_of("sky-small"), "normals": len(normals), "each": given.each}
    return {**tables(rng, scores, null, list(KINDS)), "alarms": alarms, "tiles_per_second": rate, **told}


def show(name: str, found: dict) -> str:
    """Markdown tables: completeness in per cent, AUROC in brackets; of the spotless null without the views."""
    methods = [method for method in found["rows"] if not method.startswith(" ") or method.strip() == "untold"]
    spotless = f"{name}, {found['null_spotless']} of {found['null']} null tiles"
    return "\n\n".join([_table(name, found["rows"], list(found["rows"])), _table(spotless, found["spotless"], methods)])


def _table(name: str, rows: dict, methods: list[str]) -> str:
    kinds = list(rows["gencosmo"])
    lines = [f"| {name} | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for method in methods:
        cells = [f"{100 * rows[method][k]['complete']:.0f} ({rows[method][k]['auroc']:.2f})" for k in kinds]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the fields and write what was found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fields", nargs="+", default=["viking"], choices=list(FIELDS))
    parser.add_argument("--normals", type=int, default=150)
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--split", choices=["blocks", "halves"], default="blocks")
    parser.add_argument("--keep", type=Path, help="folder for what the passes left, to resume from")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    for name in given.fields:
        found[name] = field(name, given)
        print(show(name, found[name]))
        print("  share of null tiles with p <= a:", found[name]["alarms"])
        print(f"  {found[name]['tiles_per_second']:.2f} tiles/s", flush=True)
        if given.json:
            merge(given.json, {name: found[name]})


def merge(path: Path, found: dict[str, object]) -> None:
    """Write results by name, and leave those of other names that are there."""
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
