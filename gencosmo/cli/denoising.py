"""`gencosmo denoise`: the light behind noisy images."""

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
    DryRun,
    Find,
    Gain,
    Grow,
    Hdu,
    Illumination,
    Inputs,
    Ivar,
    Mask,
    MaskPlanes,
    MaxFill,
    MaxPixels,
    Ngff,
    Noise,
    Offset,
    Out,
    Overwrite,
    Profile,
    Progress,
    ReadNoise,
    Report,
    Resume,
    RunSeed,
    Samples,
    Saturation,
    Steps,
    Strict,
    Times,
    Turns,
    Weight,
    WeightType,
)
from gencosmo.commands.console import reporting

__all__ = ["denoise"]


def denoise(
    inputs: Inputs,
    out: Out,
    noise: Noise = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    illumination: Illumination = None,
    passes: Annotated[
        int, typer.Option(help="With 2 the variance is taken once more, at the light that the first pass found.")
    ] = 1,
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
    prior: AutoPrior = "auto",
    samples: Samples = 0,
    steps: Steps = None,
    turns: Turns = 1,
    seed: RunSeed = 0,
    device: Device = "auto",
    ngff: Ngff = None,
    max_fill: MaxFill = 0.6,
    max_pixels: MaxPixels = None,
    report: Report = None,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    progress: Progress = "auto",
    debug: Debug = False,
) -> None:
    """Estimate the noise-free light behind every pixel; the output is in floats, with the spread of every pixel.

    The noise is what the file says: its noise plane, or its camera in TIFF and OME-Zarr; unless --noise, --gain, --ivar
    or --weight say more.
    """
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.denoise import Run, camera_for, run_denoise
        from gencosmo.commands.reading import prior_for, read_options, write_options

        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, saturation=saturation, illumination=illumination,
            camera=camera_for(inputs, noise, gain, offset, read_noise, told=bool(ivar or weight)),
        )  # fmt: skip
        job = Job(
            op="denoise",
            prior=prior_for(inputs, prior),
            target="scene",
            samples=samples,
            steps=steps,
            turns=turns,
            seed=seed,
            device=device,
            max_fill=max_fill,
            strict=strict,
            passes=passes,
            read=read,
            write=write_options(ngff, overwrite=overwrite, samples=samples > 0),
        )
        run_denoise(Run(tuple(inputs), out, report, as_json, resume, dry_run, progress), job)
