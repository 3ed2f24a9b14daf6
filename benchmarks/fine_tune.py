"""Does fine-tuning on one instrument's frames help on frames of that instrument that were held back?

``GENCOSMO_TEST_DATA=... python -m benchmarks.fine_tune --group profit_kids --minutes 10``

Every third frame of the group is held back whole (of a single frame: its lower third); the others go through
`gencosmo.training.train`, starting from a shipped prior. Then both priors fill the same hidden pixels of the held-back
frames. Figures: rms of the new over that of the old prior, crop by crop and kind by kind (median, and the share below
one), and how often the truth lies within 1 and 1.96 std.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import gencosmo
from benchmarks.quality.frames import SPLIT, data_root, to_flux
from benchmarks.quality.holes import PATTERNS
from benchmarks.quality.planes import planes
from gencosmo.training import Plan, train
from gencosmo.training.pack import Frame

CROP = 160
EVERY = 3
MIN_HIDDEN = 60


def group_frames(group: str) -> list[Frame]:
    """Science frames of one group."""
    found = []
    for path in sorted((data_root() / "astro" / group).iterdir()):
        if any(word in path.name.lower() for word in SPLIT["files"]["skip"]):
            continue
        for plane in planes(path):
            flux = to_flux(plane)
            if flux is not None:
                found.append(Frame(flux, group))
    return found


def hold_back(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Frames to train on, and frames that training never sees."""
    if len(frames) >= EVERY:
        return [f for i, f in enumerate(frames) if i % EVERY], frames[::EVERY]
    cuts = [(f, f.flux.shape[0] * (EVERY - 1) // EVERY) for f in frames]
    return [Frame(f.flux[:cut], f.group) for f, cut in cuts], [Frame(f.flux[cut:], f.group) for f, cut in cuts]


def crops(frames: list[Frame], count: int) -> list[np.ndarray]:
    """Cut-outs of up to 160x160 pixels without bad ones, evenly over the frames."""
    rng, found = np.random.default_rng(3), []
    for index in range(4 * count):
        flux = frames[index % len(frames)].flux
        height, width = (min(CROP, side) for side in flux.shape)
        row, col = rng.integers(0, flux.shape[0] - height + 1), rng.integers(0, flux.shape[1] - width + 1)
        cut = flux[row : row + height, col : col + width]
        if np.isfinite(cut).all():
            found.append(np.ascontiguousarray(cut))
    return found[:count]


def compare(old: object, new: object, cuts: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Ratios and coverage by kind of hole."""
    table = {}
    for kind, pattern in PATTERNS.items():
        ratios, inside = [], []
        for index, flux in enumerate(cuts):
            mask = pattern(np.random.default_rng(index), flux.shape)
            if mask.sum() < MIN_HIDDEN or mask.mean() > 0.5:
                continue
            holed = np.where(mask, np.float32(np.median(flux[~mask])), flux)
            before, after = (gencosmo.inpaint(holed, mask, prior=prior) for prior in (old, new))
            errors = [r.mean[mask] - flux[mask] for r in (before, after)]
            ratios.append(float(np.sqrt(np.mean(errors[1] ** 2) / np.mean(errors[0] ** 2))))
            inside.append(
                [
                    np.mean(np.abs(error) < k * r.std[mask])
                    for error, r in zip(errors, (before, after), strict=True)
                    for k in (1, 1.96)
                ]
            )
        if ratios:
            table[kind] = {"crops": len(ratios), "rms_ratio": float(np.median(ratios)),
                           "better": float(np.mean(np.array(ratios) < 1)),
                           **dict(zip(("old68", "old95", "new68", "new95"),
                                      np.median(np.array(inside), axis=0).tolist(), strict=True))}  # fmt: skip
    return table


def main() -> None:
    """Fine-tune and compare."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--group", default="profit_kids")
    parser.add_argument("--from", dest="start", default="sky")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tiles", type=int, help="instead of minutes")
    parser.add_argument("--crops", type=int, default=16)
    parser.add_argument("--out", type=Path, help="FOLDER/NAME of the prior, to keep it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    learn, back = hold_back(group_frames(given.group))
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder) / given.group
        plan = Plan(start=given.start, minutes=None if given.tiles else given.minutes, tiles=given.tiles, device="cpu")
        card = out.with_suffix(".json")
        if not card.exists():
            train(learn, out, plan, report=lambda line: print(line, flush=True))
        old, new = gencosmo.load_prior(given.start, "cpu"), gencosmo.load_prior(card, "cpu")
        table = compare(old, new, crops(back, given.crops))
    print(f"{given.group}: {len(learn)} frames trained on, {len(back)} held back, {new.card.training['tiles']} tiles")
    for kind, row in table.items():
        print(f"  {kind:8s} " + " ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if given.json:
        given.json.write_text(json.dumps({"group": given.group, "tiles": new.card.training["tiles"], "table": table}))


if __name__ == "__main__":
    main()
