"""The bases alone, and beside a prior: what each leaves of hidden pixels of held-out frames.

``python -m benchmarks.surfaces runs/sky.packed.npz --from sky`` fills by the pyramid, the biharmonic surface,
kriging, the prior, and by two thirds of the prior's mean and a third of a surface: where that is better than the prior,
the surface knows something that the prior does not. Questions and rivals are those of `benchmarks.architecture`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch

import gencosmo
from benchmarks.architecture import MIN_PART, Question, excess, questions
from gencosmo.errors import GencosmoError
from gencosmo.priors.bases import SURFACES, tile_windows
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.training.data import hold_out
from gencosmo.training.pack import read_packed

BASE, SMOOTH = 2, 4
SHARE = 1 / 3


def fills(question: Question, prior: DiffusionPrior) -> dict[str, np.ndarray]:
    """Errors of the hidden pixels, by filler."""
    holed = np.where(question.mask, np.float32(np.median(question.flux[~question.mask])), question.flux)
    hidden = torch.from_numpy(question.mask)
    z = torch.where(hidden, 0.0, torch.from_numpy(question.flux))[None]
    sigma = torch.where(hidden, math.inf, 0.0)[None]
    found = {f"prior {prior.card.name}": gencosmo.inpaint(holed, question.mask, prior=prior, recalibrate=False).mean}
    for surface in SURFACES:
        win = tile_windows(z, sigma, prior.card.prior_var, surface)[0].numpy()
        found.setdefault("pyramid", win[BASE])  # kriging puts the biharmonic surface there
        found[surface] = win[SMOOTH]
    mine = next(iter(found.values()))
    found |= {f"prior, a third {name}": mine + SHARE * (found[name] - mine) for name in SURFACES}
    return {name: (mean - question.flux)[question.mask].astype(float) for name, mean in found.items()}


def main() -> None:
    """Fill, and print geometric means of the ratios to the best rival."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("frames", type=Path, nargs="+", help="packed frames")
    parser.add_argument("--from", dest="start", default="sky", help="prior, by name or card")
    parser.add_argument("--every", type=int, default=3, help="ask only every so many questions")
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    prior = DiffusionPrior.load(given.start)
    asked = questions(hold_out(read_packed(given.frames))[1])[:: given.every]
    logs: dict[str, dict[str, list[float]]] = {}
    refused = 0
    for one in asked:
        try:
            errors = fills(one, prior)
        except GencosmoError:  # a crop of one value has nothing to fill
            refused += 1
            continue
        for part, here in (("all", np.ones_like(one.bright)), ("sources", one.bright), ("blank", ~one.bright)):
            if here.sum() < MIN_PART:
                continue
            best = min(excess(e[here], one.noise) for e in one.errors.values())
            for name, error in errors.items():
                ratio = excess(error[here], one.noise) / best
                logs.setdefault(name, {}).setdefault(part, []).append(math.log(ratio))
    print(f"{len(asked) - refused} crops and holes, {prior.card.name} {prior.card.weights_sha256[:12]}")
    print("| | all | on sources | blank sky |\n|---|---|---|---|")
    for name, parts in logs.items():
        cells = [f"{math.exp(np.mean(v)):.3f} ± {np.std(v) / math.sqrt(len(v)):.3f}" for v in parts.values()]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
