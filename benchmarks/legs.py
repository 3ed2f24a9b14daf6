"""Short legs of training with other settings, side by side: the same prior to begin with, tiles and steps.

``python -m benchmarks.legs runs/sky.packed.npz --arms reach=10 reach=3 --tiles 16800`` trains a leg for each arm, then
fills hidden pixels of frames that the training held out, beside the classical fillers (`benchmarks.architecture`); no
test group is touched. An arm is one or more `name=value` of `gencosmo.training.trainer.Settings`, with commas.
``turns=8`` trains nothing by itself: the prior, or the arm's leg, is asked in so many orientations.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

import gencosmo
from benchmarks.architecture import Question, questions, score
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.training.data import hold_out
from gencosmo.training.pack import Frame, read_packed
from gencosmo.training.trainer import Settings, Trainer, sky_draws

RATE, AVERAGE = 5e-4, 0.998
"""Of a short leg from a trained prior."""


class Leg(Trainer):
    """A trainer with a budget in tiles, so that another load of the machine changes nothing."""

    tiles = 0

    def progress(self) -> float:
        return min(1.0, self.step * self.settings.batch / self.tiles)


def parsed(arm: str) -> tuple[dict[str, float], int]:
    """Settings and turns of an arm."""
    given = dict(part.split("=") for part in arm.split(",") if part)
    known = {field.name for field in fields(Settings)} | {"turns"}
    if other := set(given) - known:
        raise SystemExit(f"{arm}: no setting {', '.join(other)}; there are {', '.join(sorted(known))}")
    turns = int(given.pop("turns", 1))
    return {name: float(value) for name, value in given.items()}, turns


def trained(start: DiffusionPrior, frames: Sequence[Frame], changes: dict[str, float], tiles: int) -> DiffusionPrior:
    """The prior after a leg; without a calibration, which the leg has not measured. As it is, without changes."""
    if not changes:
        return DiffusionPrior(start.network, start.card)
    plain = Settings(minutes=math.inf, rate=RATE, average=AVERAGE, seed=5, surface=start.card.surface)
    settings = replace(plain, **changes)  # type: ignore[arg-type]
    leg = Leg(sky_draws(frames, settings, settings.seed), start.network.shape, settings)
    leg.tiles = tiles
    leg.start_from(start.network)
    while leg.progress() < 1:
        leg.update(leg.draws.draw())
        if leg.step % 100 == 0:
            print(f"{changes} step {leg.step}", flush=True)
    return DiffusionPrior(leg.average, start.card)


def answered(question: Question, prior: DiffusionPrior) -> dict[str, np.ndarray]:
    """Errors, over std, and negative log density of the hidden pixels."""
    holed = np.where(question.mask, np.float32(np.median(question.flux[~question.mask])), question.flux)
    found = gencosmo.inpaint(holed, question.mask, prior=prior, recalibrate=False)
    error, std = ((x[question.mask]).astype(float) for x in (found.mean - question.flux, found.std))
    return {"error": error, "pull": error / std, "nll": 0.5 * (error / std) ** 2 + np.log(std)}


def table(rows: list[dict[str, object]], arms: Sequence[str]) -> str:
    """Geometric means of the ratios to the best rival, with standard errors over crops and holes."""
    lines = [
        "| arm | excess | on sources | raw rms | blank sky, raw rms | blank sky, bias | above 1.25 | within 1 std |"
    ]
    lines.append("|---" * 8 + "|")
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm]
        cells = []
        for key in ("all ratio", "sources ratio", "all raw", "blank raw"):
            logs = np.log([float(row[key]) for row in mine if key in row])  # type: ignore[arg-type]
            cells.append(f"{np.exp(logs.mean()):.3f} ± {logs.std() / math.sqrt(logs.size):.3f}")
        bias = np.median([float(row["blank bias"]) for row in mine if "blank bias" in row])  # type: ignore[arg-type]
        worse = sum(float(row["all ratio"]) > 1.25 for row in mine)  # type: ignore[arg-type]
        within = np.median([float(row["within 1"]) for row in mine])  # type: ignore[arg-type]
        lines.append(f"| {arm or 'as it is'} | {' | '.join(cells)} | {bias:+.3f} | {worse} | {100 * within:.0f} % |")
    return "\n".join(lines)


def main() -> None:
    """Train the arms, fill, compare."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("frames", type=Path, nargs="+", help="packed frames")
    parser.add_argument("--from", dest="start", default="sky", help="prior to begin with")
    parser.add_argument("--arms", nargs="+", default=["", "reach=10", "reach=3"])
    parser.add_argument("--tiles", type=int, default=16_800)
    parser.add_argument("--crops", type=int, help="only the first so many")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    start = DiffusionPrior.load(given.start)
    learn, held = hold_out(read_packed(given.frames))
    asked, rows = questions(held, given.crops), []
    legs: dict[str, DiffusionPrior] = {}
    for arm in given.arms:
        changes, turns = parsed(arm)
        if str(changes) not in legs:
            legs[str(changes)] = trained(start, learn, changes, given.tiles)
        leg = legs[str(changes)].with_turns(turns)
        for one in asked:
            rows += score(one, {arm: answered(one, leg)})
    weights = start.card.weights_sha256
    print(f"From {start.card.name} ({weights[:12]}), {given.tiles} tiles a leg, {len(asked)} crops and holes")
    print(table(rows, given.arms))
    if given.json:
        facts = {"from": weights, "tiles": given.tiles, "rows": rows}
        given.json.write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
