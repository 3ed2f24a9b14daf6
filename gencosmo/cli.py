"""The command line. This file only declares options; what a command does is in `gencosmo.commands`.

Nothing heavy is imported here, so that `gencosmo --help` answers at once. Exit codes: 0 done, 1 fault of
ours, 2 usage or existing output, 3 bad input, 4 some of many inputs failed, 5 device or disk, 130
interrupted.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from gencosmo.commands.console import note, print_json, reporting

__all__ = ["app", "main"]

app = typer.Typer(
    name="gencosmo",
    help="Repair astronomical and microscopy images with a generative prior.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Inputs = Annotated[list[str], typer.Argument(metavar="IN", help="FITS files, plain or gzip.", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON report to stdout.")]
Prior = Annotated[str, typer.Option(help="Prior by name, or path of its card.")]
Hdu = Annotated[str | None, typer.Option(help="Science HDU: number, NAME, NAME,VERSION, or all.")]
Profile = Annotated[str, typer.Option(help="File layout; `gencosmo info` lists them.")]
Mask = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Mask, non-zero = bad; added to the file's own.")]
Ivar = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Inverse variance, 0 = bad.")]
Weight = Annotated[str | None, typer.Option(metavar="FILE[HDU]", help="Weight map, see --weight-type.")]
WeightType = Annotated[str, typer.Option(help="weight (relative), ivar, variance, or rms.")]
MaskPlanes = Annotated[str | None, typer.Option(metavar="A,B", help="Mask planes of the file to fill, by name.")]
Grow = Annotated[str | None, typer.Option(metavar="FLAG=PIXELS,...", help="Widen flags, e.g. sat=3,cr=1.")]
Find = Annotated[str | None, typer.Option(metavar="A,B", help="Flag unmasked defects: cr, sat, hot, bleed.")]
MaxPixels = Annotated[int | None, typer.Option(help="Largest image that is decoded (default 67 million).")]
MaxFill = Annotated[float, typer.Option(help="Largest share of masked pixels.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse what is doubtful instead of warning.")]


def _version(value: bool) -> None:
    if value:
        from gencosmo.batch.one import package_version

        print(f"gencosmo {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Repair astronomical and microscopy images with a generative prior."""


@app.command()
def inpaint(
    inputs: Inputs,
    out: Annotated[str, typer.Option("-o", "--out", help="Output file; a folder for many inputs.")],
    mask: Mask = None,
    ivar: Ivar = None,
    weight: Weight = None,
    weight_type: WeightType = "weight",
    hdu: Hdu = None,
    profile: Profile = "auto",
    mask_planes: MaskPlanes = None,
    grow: Grow = None,
    find: Find = None,
    prior: Prior = "sky",
    target: Annotated[str, typer.Option(help="frame (as seen again) or scene (noise-free).")] = "frame",
    samples: Annotated[int, typer.Option(help="Posterior samples; 0 = mean and spread of one pass.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run; every plane gets its own from it.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    dq: Annotated[str, typer.Option(help="Mask plane: keep causes, jwst (clear DO_NOT_USE), none.")] = "keep",
    floating: Annotated[bool, typer.Option("--float", help="Write integer images as floats.")] = False,
    compress: Annotated[
        str, typer.Option(help="auto (compressed stays so, without loss), none, gzip, rice (with loss).")
    ] = "auto",
    keep_samples: Annotated[bool, typer.Option("--keep-samples", help="Write samples as GCM_SAMP.")] = False,
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
    """Fill masked pixels of FITS files; all other pixels and HDUs stay as they are."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.inpaint import Run, run_inpaint
        from gencosmo.commands.reading import read_options
        from gencosmo.io.fits_write import WriteOptions

        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
        )  # fmt: skip
        job = Job(
            prior=prior,
            target=cast(Literal["frame", "scene"], target),  # Job refuses anything else
            samples=samples,
            steps=steps,
            seed=seed,
            device=device,
            max_fill=max_fill,
            strict=strict,
            read=read,
            write=WriteOptions(overwrite, dq, floating, keep_samples, compress=compress),
        )
        run_inpaint(Run(tuple(inputs), out, report, as_json, resume, dry_run, progress), job)


@app.command()
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
    prior: Prior = "sky",
    max_fill: MaxFill = 0.6,
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Tell what would be understood of files; exit code 0 = usable."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.batch import Job
        from gencosmo.commands.check import run_check
        from gencosmo.commands.reading import read_options

        read = read_options(
            hdu=hdu, profile=profile, mask=mask, ivar=ivar, weight=weight, weight_type=weight_type,
            mask_planes=mask_planes, grow=grow, find=find, max_pixels=max_pixels,
        )  # fmt: skip
        run_check(list(inputs), Job(prior=prior, max_fill=max_fill, read=read), as_json=as_json, strict=strict)


@app.command()
def info(
    prior: Annotated[str | None, typer.Argument(help="Show the card of this prior.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List priors, file layouts and mask flags, or show the card of one prior."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.info import card_words, info_lines, info_words

        if prior is not None:
            print_json(card_words(prior))
        elif as_json:
            print_json(info_words())
        else:
            print("\n".join(info_lines(info_words())))


@app.command()
def doctor(prior: Prior = "sky", as_json: AsJson = False, debug: Debug = False) -> None:
    """Examine this installation; exit code 5 when something needed does not work."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.doctor import examine

        findings = examine(prior)
        if as_json:
            print_json({"findings": [vars(finding) for finding in findings]})
        else:
            for finding in findings:
                word = "ok  " if finding.good else ("FAIL" if finding.needed else "note")
                print(f"{word} {finding.name}: {finding.text}")
        if any(finding.needed and not finding.good for finding in findings):
            raise typer.Exit(5)


@app.command()
def demo(
    out: Annotated[str, typer.Option("-o", "--out", help="Folder for files and pictures.")] = "gencosmo-demo",
    prior: Prior = "sky",
    debug: Debug = False,
) -> None:
    """Damage a real frame, repair it, and show how well it went."""
    with reporting(debug=debug):
        from gencosmo.demo import run

        run(out, prior=prior)


@app.command()
def pack(
    inputs: Inputs,
    out: Annotated[str, typer.Option("-o", "--out", help="Packed file (.npz).")],
    group: Annotated[str, typer.Option(help="Group that the frames belong to.")] = "user",
    debug: Debug = False,
) -> None:
    """Pack frames into one file of training tiles."""
    with reporting(debug=debug):
        from gencosmo.commands.pack import pack_files

        note(f"{pack_files(list(inputs), out, group)} planes packed -> {out}")


@app.command()
def tune(
    bench: Annotated[
        str | None, typer.Option(metavar="JSON", help="Run the benchmarks of all ops; write this.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="BASE.json", help="Run them and say what got slower than this run.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Measure how this machine runs the kernels best and remember it; or run their benchmarks.

    Exit code 4 when something got slower than in the run compared with.
    """
    with reporting(debug=debug):
        from gencosmo.commands import tune as work

        if bench is None and compare is None:
            print("\n".join(work.tune()))
            return
        with work.kept(bench) as path:
            work.run_benchmarks(path)
            lines, slower = work.compare_runs(compare, path) if compare is not None else ([], False)
        print("\n".join(lines or [f"wrote {bench}"]))
        if slower:
            raise typer.Exit(4)


def main() -> None:
    """Entry point of the `gencosmo` command."""
    app()


if __name__ == "__main__":
    main()
