"""Options that several commands share; each says the same in all of them."""

from __future__ import annotations

from typing import Annotated

import typer

Inputs = Annotated[
    list[str], typer.Argument(metavar="IN", help="FITS, TIFF, OME-Zarr, PNG or JPEG files.", show_default=False)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON report to stdout.")]
Prior = Annotated[str, typer.Option(help="Prior by name, or path of its card.")]
AutoPrior = Annotated[
    str, typer.Option("--prior", help="Prior by name, or path of its card; auto: sky for FITS, cells for others.")
]
ScenePrior = Annotated[
    str,
    typer.Option("--prior", help="Prior by name, or path of its card; auto: sky-scenes for FITS, cells for others."),
]
ScorePrior = Annotated[
    str,
    typer.Option("--prior", help="Prior by name, or path of its card; auto: sky-small for FITS, cells for others."),
]
Hdu = Annotated[
    str | None,
    typer.Option(help="Science HDU: number, NAME, NAME,VERSION, or all. TIFF series, path in an OME-Zarr, scene."),
]
Channels = Annotated[
    str | None,
    typer.Option(
        metavar="0,DAPI", help="TIFF, OME-Zarr: only these channels, by number from 0 (0:3 is 0,1,2) or name."
    ),
]
Times = Annotated[str | None, typer.Option(metavar="0:10", help="TIFF, OME-Zarr: only these times.")]
Depths = Annotated[str | None, typer.Option(metavar="3,5", help="TIFF, OME-Zarr: only these depths (z).")]
Gain = Annotated[float | None, typer.Option(help="Electrons per grey level (unit of the image) of the camera.")]
Offset = Annotated[
    float | None, typer.Option(help="Grey level without light; where the sky was subtracted, minus that sky.")
]
ReadNoise = Annotated[float | None, typer.Option(help="Read noise of the camera, in electrons.")]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="estimate|file|NUMBER",
        help="Photon noise fitted to the image, or of the camera that the file names (FITS: GAIN, RDNOISE); "
        "or the standard deviation of every pixel.",
    ),
]
Illumination = Annotated[
    int | None,
    typer.Option(metavar="ORDER", help="TIFF, OME-Zarr: uneven light, as a surface of this order (0 to 6)."),
]
Region = Annotated[
    str | None, typer.Option(metavar="Y0:Y1,X0:X1", help="Only these rows and columns, ends not included.")
]
Axes = Annotated[str | None, typer.Option(metavar="ZCYX", help="TIFF, OME-Zarr: what the stored axes are.")]
Saturation = Annotated[float | None, typer.Option(help="TIFF, OME-Zarr: value from which a pixel is saturated.")]
Profile = Annotated[str, typer.Option(help="File layout; `gencosmo info` lists them.")]
Mask = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Mask, non-zero = bad; added to the file's own.")]
Ivar = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Inverse variance, 0 = bad.")]
Weight = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Weight map, see --weight-type.")]
WeightType = Annotated[str, typer.Option(help="weight (relative), ivar, variance, or rms.")]
MaskPlanes = Annotated[str | None, typer.Option(metavar="A,B", help="Mask planes of the file to fill, by name.")]
Grow = Annotated[str | None, typer.Option(metavar="FLAG=PIXELS,...", help="Widen flags, e.g. sat=3,cr=1.")]
Find = Annotated[str | None, typer.Option(metavar="A,B", help="Flag unmasked defects: cr, sat, hot, dead, bleed.")]
MaxPixels = Annotated[int | None, typer.Option(help="Largest image that is decoded (default 67 million).")]
MaxFill = Annotated[float, typer.Option(help="Largest share of masked pixels.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse what is doubtful instead of warning.")]
Out = Annotated[str, typer.Option("-o", "--out", help="Output file; a folder for many inputs.")]
Samples = Annotated[int, typer.Option(help="Posterior samples to write, beside mean and spread of one pass.")]
Steps = Annotated[int | None, typer.Option(help="Steps of the sampler.")]
Turns = Annotated[
    int,
    typer.Option(metavar="1|2|4|8", help="Mean over so many orientations of the image: better, as many times as long."),
]
RunSeed = Annotated[int, typer.Option(help="Seed of the run; every plane gets its own from it.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")]
Ngff = Annotated[str | None, typer.Option(help="OME-Zarr version, 0.4 or 0.5; the input's, else 0.5.")]
KeepSamples = Annotated[bool, typer.Option("--keep-samples", help="Write the samples too.")]
Report = Annotated[str | None, typer.Option(metavar="PNG", help="Picture; a folder for many inputs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Leave outputs that this run already made.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check, write nothing.")]
Progress = Annotated[str, typer.Option(help="auto (bar on a terminal), plain, json, none.")]
