"""The command line. Files here only declare options; what a command does is in `gencosmo.commands`.

Nothing heavy is imported here, so that `gencosmo --help` answers at once. Exit codes: 0 done, 1 fault of
ours, 2 usage or existing output, 3 bad input, 4 some of many inputs failed, 5 device or disk, 130
interrupted.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli import anomaly, denoising, machine, priors, quality, repair, resolve

__all__ = ["app", "main"]

app = typer.Typer(
    name="gencosmo",
    help="Repair astronomical and microscopy images with a generative prior.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    repair.inpaint,
    denoising.denoise,
    resolve.super_resolve,
    repair.check,
    anomaly.score,
    anomaly.rank,
    quality.validate,
    machine.info,
    machine.doctor,
    machine.demo,
    priors.pack,
    priors.train,
    machine.tune,
)
"""In the order of `--help`; an underscore in a function's name is a hyphen in the command's."""

for _command in COMMANDS:
    app.command()(_command)


def _version(value: bool) -> None:
    if value:
        from gencosmo.io.provenance import package_version

        print(f"gencosmo {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Repair astronomical and microscopy images with a generative prior."""


def main() -> None:
    """Entry point of the `gencosmo` command."""
    app()
