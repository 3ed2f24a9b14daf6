"""`gencosmo validate`: how good a prior is on the user's own image."""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli.options import (
    AsJson,
    AutoPrior,
    Axes,
    Channels,
    Debug,
    Depths,
    Device,
    Find,
    Gain,
    Grow,
    Hdu,
    Illumination,
    Ivar,
    Mask,
    MaskPlanes,
    MaxPixels,
    Noise,
    Offset,
    Profile,
    Progress,
    ReadNoise,
    Region,
    Saturation,
    Times,
    Turns,
    Weight,
    WeightType,
)
from gencosmo.commands.console import reporting

__all__ = ["validate"]


def validate(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image with good pixels.", show_default=False)],
    mask: Mask = None,
    ivar: Ivar = None,
    weight: Weight = None,
    weight_type: WeightType = "weight",
    hdu: Hdu = None,
    profile: Profile = "auto",
    mask_planes: MaskPlanes = None,
    grow: Grow = None,
    find: Find = None,
    channels: Channels = None,
    times: Times = None,
    depths: Depths = None,
    axes: Axes = None,
    saturation: Saturation = None,
    noise: Noise = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    illumination: Illumination = None,
    region: Region = None,
    prior: AutoPrior = "auto",
    kinds: Annotated[
        str | None, typer.Option(metavar="A,B", help="Holes: own, hits, cosmic, columns, bleed, discs, random.")
    ] = None,
    pixels: Annotated[int, typer.Option(help="Hidden pixels per kind of hole to aim at.")] = 4000,
    minutes: Annotated[float, typer.Option(help="Time after which no new round starts.")] = 3.0,
    turns: Turns = 1,
    seed: Annotated[int, typer.Option(help="Seed of places and shapes.")] = 0,
    device: Device = "auto",
    max_pixels: MaxPixels = None,
    report: Annotated[str | None, typer.Option(metavar="PNG", help="Picture.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    as_json: AsJson = False,
    progress: Progress = "auto",
    debug: Debug = False,
) -> None:
    """Hide good pixels of an image, fill them, and tell how well that went beside classical fillers."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.reading import parse_camera, prior_for, read_options
        from gencosmo.commands.validate import Asked, run_validate
        from gencosmo.io.region import parse_region

        part = None if region is None else parse_region(region)
        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, saturation=saturation, illumination=illumination,
            camera=parse_camera(noise, gain, offset, read_noise),
        )  # fmt: skip
        names = None if kinds is None else tuple(kind.strip() for kind in kinds.split(","))
        asked = Asked(
            prior=prior_for([image], prior),
            kinds=names,
            pixels=pixels,
            minutes=minutes,
            turns=turns,
            seed=seed,
            device=device,
        )
        run_validate(
            image, read, asked, region=part, picture=report, overwrite=overwrite, as_json=as_json, progress=progress
        )
