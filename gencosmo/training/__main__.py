"""`python -m gencosmo.training`: train, export or calibrate a prior from packed frames."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gencosmo.priors.bases import SURFACES
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.priors.network import NetworkShape
from gencosmo.training.data import hold_out
from gencosmo.training.draws import SIMULATORS
from gencosmo.training.pack import Frame, read_packed
from gencosmo.training.trainer import Settings, Trainer, sky_draws


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m gencosmo.training", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train until the minutes are spent; resumes from the checkpoint")
    train.add_argument("--checkpoint", type=Path, required=True)
    train.add_argument("--frames", type=Path, nargs="*", default=[], help="packed files; none = simulated tiles only")
    train.add_argument("--simulator", choices=list(SIMULATORS), default=Settings.simulator)
    train.add_argument("--minutes", type=float, default=30.0)
    train.add_argument("--batch", type=int, default=Settings.batch)
    train.add_argument("--channels", type=int, nargs="+", help="width of each level; default 48 96 128, or as --from")
    train.add_argument(
        "--blocks", type=int, nargs="+", help="residual blocks of each level; default 1 2 2, or as --from"
    )
    train.add_argument("--from", dest="start", help="begin with the weights of this prior (name or path of its card)")
    train.add_argument("--surface", choices=SURFACES, default=Settings.surface, help="second base of the windows")
    train.add_argument("--rate", type=float, default=Settings.rate, help="highest learning rate")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="cpu")
    train.add_argument("--threads", type=int, default=0, help="0 = torch's choice")
    export = verbs.add_parser("export", help="checkpoint to weights, card and calibration")
    export.add_argument("--checkpoint", type=Path, required=True)
    export.add_argument("--facts", type=Path, required=True, help="TOML: name, licence, pixel scale, groups")
    export.add_argument("--folder", type=Path, required=True)
    redo = verbs.add_parser("calibrate", help="measure the calibration of exported priors anew")
    redo.add_argument("cards", type=Path, nargs="+")
    for verb in (export, redo):
        verb.add_argument("--frames", type=Path, nargs="+", required=True, help="packed frames of the training")
        verb.add_argument("--batches", type=int, default=300)
    return top


def train(given: argparse.Namespace, frames: list[Frame]) -> None:
    """Run the trainer on all but the held-out frames."""
    # subnormal numbers slow a CPU down a hundredfold and mean nothing in a gradient
    torch.set_flush_denormal(True)
    if given.threads:
        torch.set_num_threads(given.threads)
    settings = Settings(
        minutes=given.minutes,
        batch=given.batch,
        seed=given.seed,
        rate=given.rate,
        simulator=given.simulator,
        surface=given.surface,
    )
    kept = hold_out(frames)[0] if frames else []
    start = DiffusionPrior.load(given.start).network if given.start else None
    known = start.shape if start else NetworkShape((48, 96, 128), (1, 2, 2))
    shape = NetworkShape(tuple(given.channels or known.channels), tuple(given.blocks or known.blocks))
    trainer = Trainer(sky_draws(kept, settings, given.seed, given.device), shape, settings, given.device)
    if start:
        trainer.start_from(start)
    trainer.run(given.checkpoint, report=lambda line: print(line, flush=True))


def main() -> None:
    """Entry point."""
    given = parser().parse_args()
    frames = read_packed(given.frames) if given.frames else []
    if given.verb == "train":
        train(given, frames)
        return
    from gencosmo.training.export import export_prior, recalibrate

    if given.verb == "export":
        print(export_prior(given.checkpoint, given.facts, frames, given.folder, given.batches))
        return
    for card in given.cards:
        recalibrate(card, frames, given.batches)
        print(card)


if __name__ == "__main__":
    main()
