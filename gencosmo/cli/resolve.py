"""`gencosmo super-resolve`: onto a finer grid."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from gencosmo.cli.options import (
    AsJson,
    Axes,
    Channels,
    Debug,
    Depths,
    Device,
    DryRun,
    Gain,
    Grow,
    Hdu,
    Ivar,
    KeepSamples,
    Mask,
    MaskPlanes,
    MaxFill,
    MaxPixels,
    Ngff,
    Offset,
    Overwrite,
    Profile,
    Progress,
    ReadNoise,
    Report,
    Resume,
    RunSeed,
    ScenePrior,
    Steps,
    Strict,
    Times,
    Weight,
    WeightType,
)
from gencosmo.commands.console import reporting

__all__ = ["super_resolve"]


def super_resolve(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", help="FITS, TIFF, OME-Zarr, PNG or JPEG files.", show_default=False)
    ],
    out: Annotated[
        str, typer.Option("-o", "--out", help="Output FITS, OME-TIFF or OME-Zarr; a folder for many inputs.")
    ],
    psf: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[HDU]",
            help="PSF: a file, gaussian:FWHM, moffat:FWHM,BETA (pixels), or airy:WAVELENGTH,NA,PIXEL.",
        ),
    ] = None,
    scale: Annotated[str, typer.Option(help="Finer pixels per pixel, 1 to 8; 1 sharpens; ROWSxCOLUMNS.")] = "2",
    psf_sampling: Annotated[int, typer.Option(help="PSF pixels per pixel of the image: 1, or the scale.")] = 1,
    flux_mode: Annotated[
        str,
        typer.Option(
            help="sum (flux per pixel), sb (flux per area: values stay what they are), "
            "auto (by BUNIT; sb for TIFF and OME-Zarr)."
        ),
    ] = "auto",
    mode: Annotated[
        str, typer.Option(help="fast, quality (7 network evaluations a step), or walk (each sample by itself).")
    ] = "fast",
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|estimate|file",
            help="Standard deviation of a pixel, for files that bring no noise; or photon noise fitted "
            "to the image, or of the camera that the file names.",
        ),
    ] = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    mask: Mask = None,
    ivar: Ivar = None,
    weight: Weight = None,
    weight_type: WeightType = "weight",
    hdu: Hdu = None,
    profile: Profile = "auto",
    mask_planes: MaskPlanes = None,
    grow: Grow = None,
    channels: Channels = None,
    times: Times = None,
    depths: Depths = None,
    axes: Axes = None,
    prior: ScenePrior = "auto",
    samples: Annotated[int, typer.Option(help="Posterior samples; 0 = deterministic mean.")] = 8,
    steps: Steps = None,
    seed: RunSeed = 0,
    device: Device = "auto",
    keep_samples: KeepSamples = False,
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
    """Bring images to a finer grid through their PSF; the output is a new file with spread and prior share."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.batch.job import Finer
        from gencosmo.commands.reading import noise_or_camera, prior_for, read_options, write_options
        from gencosmo.commands.super_resolve import Run, parse_scale, run_super_resolve

        std, camera = noise_or_camera(noise, gain, offset, read_noise)
        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=None, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes, camera=camera,
        )  # fmt: skip
        job = Job(
            op="super_resolve",
            prior=prior_for(inputs, prior, "scenes"),
            target="scene",
            samples=samples,
            steps=steps,
            seed=seed,
            device=device,
            max_fill=max_fill,
            strict=strict,
            read=read,
            write=write_options(ngff, overwrite=overwrite, samples=keep_samples),
            finer=Finer(
                parse_scale(scale),
                psf,
                psf_sampling,
                flux_mode,
                cast(Literal["fast", "quality", "walk"], mode),  # the task refuses anything else
                std,
            ),
        )
        run_super_resolve(Run(tuple(inputs), out, report, as_json, resume, dry_run, progress), job)
