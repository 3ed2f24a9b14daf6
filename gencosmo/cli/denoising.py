"""`gencosmo denoise`: the light behind noisy stacks."""

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
    Find,
    Gain,
    Grow,
    Hdu,
    Illumination,
    Inputs,
    Ivar,
    Mask,
    MaxFill,
    MaxPixels,
    Noise,
    Offset,
    ReadNoise,
    Saturation,
    Strict,
    Times,
    Weight,
    WeightType,
)
from gencosmo.commands.console import reporting

__all__ = ["denoise"]


def denoise(
    inputs: Inputs,
    out: Annotated[str, typer.Option("-o", "--out", help="Output file; a folder for many inputs.")],
    noise: Noise = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    illumination: Illumination = None,
    mask: Mask = None,
    ivar: Ivar = None,
    weight: Weight = None,
    weight_type: WeightType = "weight",
    hdu: Hdu = None,
    grow: Grow = None,
    find: Find = None,
    channels: Channels = None,
    times: Times = None,
    depths: Depths = None,
    axes: Axes = None,
    saturation: Saturation = None,
    prior: AutoPrior = "auto",
    samples: Annotated[int, typer.Option(help="Posterior samples; 0 = mean and spread of one pass.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run; every plane gets its own from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    ngff: Annotated[str | None, typer.Option(help="OME-Zarr version, 0.4 or 0.5; the input's, else 0.5.")] = None,
    keep_samples: Annotated[bool, typer.Option("--keep-samples", help="Write the samples too.")] = False,
    max_fill: MaxFill = 0.6,
    max_pixels: MaxPixels = None,
    report: Annotated[str | None, typer.Option(metavar="PNG", help="Picture; a folder for many inputs.")] = None,
    as_json: AsJson = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Leave outputs that this run already made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check, write nothing.")] = False,
    strict: Strict = False,
    progress: Annotated[str, typer.Option(help="auto (bar on a terminal), plain, json, none.")] = "auto",
    debug: Debug = False,
) -> None:
    """Estimate the light behind every pixel of TIFF and OME-Zarr files; the output is float32, with its spread.

    The noise is what the file says of its camera, unless --noise, --gain, --ivar or --weight say more.
    """
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.denoise import Run, camera_for, run_denoise
        from gencosmo.commands.reading import prior_for, read_options, write_options

        read = read_options(
            hdu=hdu, profile="auto", mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=None, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, saturation=saturation, illumination=illumination,
            camera=camera_for(noise, gain, offset, read_noise, told=bool(ivar or weight)),
        )  # fmt: skip
        job = Job(
            op="denoise",
            prior=prior_for(inputs, prior),
            target="scene",
            samples=samples,
            steps=steps,
            seed=seed,
            device=device,
            max_fill=max_fill,
            strict=strict,
            read=read,
            write=write_options(ngff, overwrite=overwrite, samples=keep_samples),
        )
        run_denoise(Run(tuple(inputs), out, report, as_json, resume, dry_run, progress), job)
