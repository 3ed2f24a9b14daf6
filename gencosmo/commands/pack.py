"""`gencosmo pack`: frames of files as planes of network flux in one file, for training."""

from __future__ import annotations

from collections.abc import Sequence

from gencosmo.commands.console import note, print_warning
from gencosmo.commands.sources import read_sources
from gencosmo.errors import UsageError
from gencosmo.io.atomic import check_output
from gencosmo.training.pack import write_packed

__all__ = ["run_pack"]


def run_pack(inputs: Sequence[str], out: str, group: str, *, overwrite: bool) -> None:
    """Pack all science planes of the files, masked pixels as NaN, and tell which files were left out.

    Raises
    ------
    InputError
        No file is usable, or no plane is large enough.
    UsageError
        The output exists, is one of the files, or does not end in .npz.
    """
    if not out.endswith(".npz"):
        raise UsageError(f"output {out}, expected a name that ends in .npz", hint=f"-o {out}.npz")
    check_output(out, overwrite=overwrite, inputs=inputs)
    sources = read_sources(inputs, group)
    for path, why in sources.left_out.items():
        print_warning("left_out", f"{path}: {why}")
    note(f"{write_packed(out, sources.frames)} planes packed -> {out}")
