"""`gencosmo pack`: how priors are made."""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli.options import Debug, Inputs
from gencosmo.commands.console import note, reporting

__all__ = ["pack"]


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
