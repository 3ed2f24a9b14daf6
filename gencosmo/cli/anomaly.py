"""`gencosmo score` and `rank`: what does not belong in images, and which cutouts are odd."""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli.options import (
    AsJson,
    Axes,
    Channels,
    Debug,
    Depths,
    Device,
    Find,
    Gain,
    Grow,
    Hdu,
    Inputs,
    Ivar,
    Mask,
    MaskPlanes,
    MaxPixels,
    Noise,
    Offset,
    Overwrite,
    Profile,
    Progress,
    ReadNoise,
    Region,
    ScorePrior,
    Times,
    Weight,
    WeightType,
)
from gencosmo.commands.console import reporting

__all__ = ["rank", "score"]

Target = Annotated[str, typer.Option(help="frame (as seen again) or scene (noise-free, needs the noise).")]
Normals = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder of normal images: p-values then hold by counting them.")
]
Detector = Annotated[str | None, typer.Option(metavar="FILE", help="A detector fitted before, instead of --normals.")]
SaveDetector = Annotated[str | None, typer.Option(metavar="FILE", help="Keep the fitted detector (.safetensors).")]
Tile = Annotated[int, typer.Option(help="Side of the tiles, in pixels.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep passes on disk, and go on from those of a killed run.")]


def score(
    inputs: Inputs,
    out: Annotated[str, typer.Option("-o", "--out", help="Folder of the outputs; made when it is not there.")],
    catalog: Annotated[str, typer.Option(help="Catalogue: ecsv, csv, vot, fits, parquet, or none.")] = "ecsv",
    regions: Annotated[bool, typer.Option("--regions", help="DS9 regions, NAME.reg.")] = False,
    maps: Annotated[bool, typer.Option("--map", help="Anomaly map, NAME.map.fits or NAME.map.ome.tif.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Strips that explain the detections, NAME.png.")] = False,
    normals: Normals = None,
    detector: Detector = None,
    save_detector: SaveDetector = None,
    threshold: Annotated[float, typer.Option(help="Deviation of the regions, in sigmas.")] = 5.0,
    least_pixels: Annotated[int, typer.Option(help="Smallest region.")] = 1,
    rate: Annotated[float, typer.Option(help="False discovery rate of the column `believed`.")] = 0.05,
    tile: Tile = 64,
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
    noise: Noise = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    max_pixels: MaxPixels = None,
    region: Region = None,
    prior: ScorePrior = "auto",
    target: Target = "frame",
    seed: Annotated[int, typer.Option(help="Seed of the noise under which soft scales look.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
    progress: Progress = "auto",
    debug: Debug = False,
) -> None:
    """Find what does not belong in images: maps, catalogues, regions, and pictures that say why."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.reading import parse_camera, prior_for, read_options
        from gencosmo.commands.score import Outputs, Scoring, run_score
        from gencosmo.io.region import parse_region

        part = None if region is None else parse_region(region)
        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
            channels=channels, times=times, depths=depths, axes=axes,
            camera=parse_camera(noise, gain, offset, read_noise),
        )  # fmt: skip
        run_score(
            list(inputs),
            Outputs(out, catalog, regions, maps, report, threshold, least_pixels, rate, overwrite),
            Scoring(
                prior_for(inputs, prior, "scores"),
                target,
                tile,
                seed,
                device,
                normals,
                detector,
                save_detector,
                part,
                resume,
            ),
            read,
            as_json=as_json,
            progress=progress,
        )


def rank(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Folder of cutouts or of a plate (wells are read from names), OME-Zarr plate, or a slide.",
            show_default=False,
        ),
    ],
    out: Annotated[str, typer.Option("-o", "--out", help="Folder of the tables, the contact sheet, the heat maps.")],
    normals: Normals = None,
    detector: Detector = None,
    save_detector: SaveDetector = None,
    table: Annotated[str, typer.Option(help="Table: ecsv, csv, vot, fits, parquet.")] = "ecsv",
    top: Annotated[int, typer.Option(help="Cutouts on the contact sheet.")] = 40,
    tile: Tile = 64,
    cut: Annotated[int, typer.Option(help="Side of the pieces that a slide is cut into, in pixels.")] = 256,
    region: Region = None,
    channels: Channels = None,
    times: Times = None,
    depths: Depths = None,
    axes: Axes = None,
    noise: Noise = None,
    gain: Gain = None,
    offset: Offset = None,
    read_noise: ReadNoise = None,
    max_pixels: MaxPixels = None,
    prior: ScorePrior = "auto",
    target: Target = "frame",
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Rank images by how abnormal they are, channel by channel; without --normals each is judged by the others."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.cutouts import named_files
        from gencosmo.commands.rank import run_rank
        from gencosmo.commands.reading import parse_camera, prior_for, read_options
        from gencosmo.commands.score import Scoring
        from gencosmo.io.region import parse_region

        read = read_options(
            hdu=None, profile="auto", mask=None, ivar=None, weight=None, weight_type="weight", mask_planes=None,
            grow=None, find=None, max_pixels=max_pixels, channels=channels, times=times, depths=depths, axes=axes,
            camera=parse_camera(noise, gain, offset, read_noise),
        )  # fmt: skip
        part = None if region is None else parse_region(region)
        name = prior_for(named_files(source), prior, "scores")
        scoring = Scoring(name, target, tile, seed, device, normals, detector, save_detector, part)
        run_rank(source, out, scoring, ending=table, top=top, overwrite=overwrite, as_json=as_json, read=read, side=cut)
