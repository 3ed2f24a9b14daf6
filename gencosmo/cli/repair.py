"""`gencosmo inpaint` and `check`: files in, files out."""

from __future__ import annotations

from typing import Annotated, Literal, cast

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

__all__ = ["check", "inpaint"]


def inpaint(
    inputs: Inputs,
    out: Out,
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
    prior: AutoPrior = "auto",
    target: Annotated[str, typer.Option(help="frame (as seen again) or scene (noise-free).")] = "frame",
    samples: Samples = 0,
    steps: Steps = None,
    turns: Turns = 1,
    seed: RunSeed = 0,
    device: Device = "auto",
    dq: Annotated[str, typer.Option(help="Mask plane: keep causes, jwst (clear DO_NOT_USE), none.")] = "keep",
    floating: Annotated[bool, typer.Option("--float", help="Write integer images as floats.")] = False,
    compress: Annotated[
        str, typer.Option(help="auto (compressed stays so, without loss), none, gzip, rice (FITS, with loss).")
    ] = "auto",
    ngff: Ngff = None,
    max_fill: MaxFill = 0.6,
    max_pixels: MaxPixels = None,
    report: Report = None,
    recalibrate: Annotated[
        bool,
        typer.Option(help="Correct fills by good pixels, hidden in the shapes of the holes; --no-recalibrate."),
    ] = True,
    score: Annotated[bool, typer.Option("--score", help="An anomaly catalogue and map beside each output.")] = False,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    progress: Progress = "auto",
    debug: Debug = False,
) -> None:
    """Fill masked pixels of files; all other pixels, and everything else in the file, stay as they are."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.inpaint import Run, run_inpaint
        from gencosmo.commands.reading import parse_camera, prior_for, read_options, write_options

        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, saturation=saturation, illumination=illumination,
            camera=parse_camera(noise, gain, offset, read_noise),
        )  # fmt: skip
        job = Job(
            prior=prior_for(inputs, prior),
            target=cast(Literal["frame", "scene"], target),  # Job refuses anything else
            samples=samples,
            steps=steps,
            turns=turns,
            recalibrate=recalibrate,
            seed=seed,
            device=device,
            max_fill=max_fill,
            strict=strict,
            read=read,
            write=write_options(
                ngff, overwrite=overwrite, dq=dq, floating=floating, samples=samples > 0, compress=compress
            ),
        )
        run_inpaint(Run(tuple(inputs), out, report, as_json, resume, dry_run, progress), job, score=score)


def check(
    inputs: Inputs,
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
    prior: AutoPrior = "auto",
    max_fill: MaxFill = 0.6,
    max_pixels: MaxPixels = None,
    noise_picture: Annotated[
        str | None, typer.Option(metavar="PNG", help="Variance against level with the law of --noise, of one input.")
    ] = None,
    as_json: AsJson = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Tell what would be understood of files; exit code 0 = usable."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.check import run_check
        from gencosmo.commands.reading import parse_camera, prior_for, read_options

        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, saturation=saturation, illumination=illumination,
            camera=parse_camera(noise, gain, offset, read_noise),
        )  # fmt: skip
        job = Job(prior=prior_for(inputs, prior), max_fill=max_fill, read=read)
        run_check(list(inputs), job, as_json=as_json, strict=strict, noise_picture=noise_picture, overwrite=overwrite)
