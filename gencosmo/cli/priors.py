"""`gencosmo pack` and `train`: how priors are made."""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli.options import AsJson, Debug, Device, Overwrite
from gencosmo.commands.console import reporting

__all__ = ["pack", "train"]

Frames = Annotated[
    list[str],
    typer.Argument(metavar="IN", help="Packed files, images, folders, patterns in quotes.", show_default=False),
]


def pack(
    inputs: Frames,
    out: Annotated[str, typer.Option("-o", "--out", help="Packed file (.npz).")],
    group: Annotated[str, typer.Option(help="Group that the frames belong to.")] = "user",
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Pack frames into one file of training tiles."""
    with reporting(debug=debug):
        from gencosmo.commands.pack import run_pack

        run_pack(inputs, out, group, overwrite=overwrite)


def train(
    inputs: Frames,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER/NAME", help="The new prior.")],
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="PRIOR", help="Begin with this prior (name or card), for example sky."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time to train; default 30 without --tiles.")] = None,
    tiles: Annotated[int | None, typer.Option(help="Tiles to train on; gives the same weights every time.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the tiles.")] = 0,
    batch: Annotated[int, typer.Option(help="Tiles in one step.")] = 24,
    rate: Annotated[
        float | None, typer.Option(help="Highest learning rate; default 3e-4 with --from, else 1.5e-3.")
    ] = None,
    real_share: Annotated[
        float | None, typer.Option(help="Share of tiles from IN; the others are simulated. Default 0.75 with --from.")
    ] = None,
    simulator: Annotated[
        str | None, typer.Option(help="sky or cells, for the simulated tiles; default: that of --from, else sky.")
    ] = None,
    group: Annotated[str, typer.Option(help="Group that images belong to; packed frames have theirs.")] = "user",
    description: Annotated[str, typer.Option(help="Words for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the new weights, for the card.")] = "",
    pixel_scale: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Arcsec (or micrometres) per pixel; default: from the files.")
    ] = None,
    calibration: Annotated[
        int, typer.Option(help="Batches of held-out tiles that the calibration is measured on.")
    ] = 150,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a prior of that name.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train a prior on your own frames, or adapt one; the same command goes on after a kill."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.train import parse_scale, run_train
        from gencosmo.training.run import Plan

        plan = Plan(
            start=start, minutes=minutes, tiles=tiles, seed=seed, batch=batch, rate=rate, real_share=real_share,
            simulator=simulator, device=device, description=description, licence=licence,
            pixel_scale=parse_scale(pixel_scale), overwrite=overwrite, calibration=calibration,
        )  # fmt: skip
        run_train(inputs, out, group, plan, as_json=as_json)
