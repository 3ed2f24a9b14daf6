"""Writes the pages of `docs/` that are made from the code: `make docs`. `tests/test_docs.py` compares."""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo

from gencosmo.cli import app
from gencosmo.flags import documentation_table
from gencosmo.io.profiles import PROFILES, bits_table

HERE = Path(__file__).resolve().parent

FLAGS_HEAD = """# Mask bits by name

`Image.flags` and `Result.flags` are `uint32` arrays of these bits; `Image.mask` is True where a bit asks for
filling. The mask planes of surveys are translated to these names when a file is read. Names work wherever bits
are asked for: `gencosmo.flags.bits("SATURATED", "BLEED")`, `gencosmo inpaint --grow SATURATED=3`.

"""

SURVEYS_HEAD = """
## What the masks of surveys become

Numbers are bits or, where it says so, codes. A plane that is told marks pixels without asking for filling. LSST and
Legacy Surveys write their names into the header, where they are read; other files of that form: every bit is BAD.

| survey | filled | told |
|---|---|---|
"""

CLI_HEAD = """# Command line

Data and JSON go to standard output, everything else to standard error. `FILE[HDU]` names an HDU of a file by number,
`NAME` or `NAME,VERSION`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a fault of gencosmo; `--debug` shows where |
| 2 | wrong usage, or an output that exists |
| 3 | a file or an array that cannot be used as it is |
| 4 | some of many inputs failed, the others are done |
| 5 | accelerator missing or out of memory, disk full |
| 130 | interrupted; finished outputs are kept |
"""


def _row(name: str, default: Any, told: Any) -> str:
    """One argument or option as a line of the table."""
    needed = default is Parameter.empty
    value = "required" if needed else "" if default is None or default is False else f"`{default}`"
    metavar = (told.metavar or "").replace("|", "\\|")
    if isinstance(told, ArgumentInfo):
        shown = f"`{metavar or name.upper()}`"
    else:
        # in Annotated[...] typer takes the first name of an option for its default, and sorts that out later
        names = [word for word in (told.default, *(told.param_decls or ())) if isinstance(word, str)]
        shown = ", ".join(f"`{word}`" for word in names or ["--" + name.replace("_", "-")])
        shown += f" {metavar}" if metavar else ""
    return f"| {shown} | {value} | {(told.help or '').replace('|', chr(92) + '|')} |"


def _section(command: Any) -> str:
    callback = command.callback
    hints = get_type_hints(callback, include_extras=True)
    rows = [
        _row(name, parameter.default, hints[name].__metadata__[0])
        for name, parameter in signature(callback).parameters.items()
    ]
    name = command.name or callback.__name__.replace("_", "-")
    table = ["| argument or option | default | meaning |", "|---|---|---|", *rows]
    return "\n".join([f"\n## gencosmo {name}\n", f"{callback.__doc__}\n", *table, ""])


def cli_page() -> str:
    """Every command with its arguments and options, from the declarations that the command line itself uses."""
    return CLI_HEAD + "".join(_section(command) for command in app.registered_commands)


FILES_HEAD = """# Files

## Layouts

The first of these that recognises a file is used; `--profile NAME` names one. Special ones stand before general ones.

| profile | science, noise and mask |
|---|---|
"""

FILES_TAIL = """
A mask pixel is filled when the survey says that its value must not be used: DO_NOT_USE of JWST, saturated, hit or bad
bits of others, NaN, BLANK, and an inverse variance that is not positive. `--mask-planes` chooses other planes,
`--mask` adds one of yours, `--grow` widens flags, `--find` flags defects that nobody masked. `gencosmo check FILE`
tells what was understood, plane by plane, and whether the checksums of the file hold.

## What a filled pixel looks like

| where | what |
|---|---|
| science | the posterior mean in the plane's stored type (`--float`: integers as floats); other pixels bit for bit |
| ERR, VARIANCE, IVAR | the posterior spread in that plane's own kind; `VAR_*` of JWST still add up |
| mask | its causes stay and the survey's own "estimated" bit is set (FLUX_ESTIMATED, INTRP, bit 4 of DES); \
`--dq jwst` clears DO_NOT_USE, `--dq none` leaves the plane alone; codes, which do not combine, stay as they are |
| `GCM_FILL` | 1 filled, + 2 in a hole larger than the prior was validated for, + 4 by a prior out of its domain |
| `GCM_STD` | the posterior standard deviation of filled pixels, 0 elsewhere |
| `GCM_FLAG` | with `--find`: why each pixel was filled, in the bits of [flags.md](flags.md) |
| `GCM_SAMP` | with `--samples` (`super-resolve`: `--keep-samples`): the posterior samples |
| `GCM_PROV` | a row per plane and run: version, prior and its hash, seeds, options, hash of the input |

Every other HDU is copied byte for byte: tables, foreign HDUs, the ASDF tree of JWST and the JSON tree of lsst.images,
which name HDUs and stay true. Only the INDEX of lsst.images is dropped, with a warning: it holds byte addresses.
HISTORY gets a line, DATE and the checksums are made anew, DATE-OBS and all other cards stay.

A changed plane that came tile-compressed goes back as GZIP_2 without loss. `--compress none` and `gzip` choose for all
planes; `rice` rounds floats (a sixteenth of the noise, exact zeros kept), warns, and is recorded.

## Noise and mask in files of their own

When a survey names them after the image (`_oow_` and `_ood_` of `_ooi_`, `-invvar-`, `-ivar-` and `-maskbits` of
`-image-`) and the output's name follows the same pattern, they are written beside the output under the names that
belong to it: `-o out/` makes a set of a set. Noise takes the spread of filled pixels, bits take the survey's
"estimated" bit; a mask of codes, or one that all bands share, is copied as it is. All files of a set appear together
or not at all, and a warning `companion` names each. An output of another name, and planes that `--ivar`, `--weight` or
`--mask` named, leave those files where they are: the spread is in `GCM_STD`, and a warning says so.

## Cubes

A cube is read, filled and written plane by plane, so its size does not matter to the memory: `gencosmo inpaint` holds
one plane and the filled pixels of the others (`--compress rice` and samples hold it whole). Each plane has its
own seed and its row in `GCM_PROV` (`GCMPLANE`), and `GCM_FILL` and `GCM_STD` are cubes too. Noise and mask are cubes
of the same shape, or one plane for all; a noise plane for all stays as it is. Planes without any value are left alone,
and told. `gencosmo.io.read` gives the whole cube as channels.

## Denoised files

`gencosmo denoise frame.fits -o out.fits` writes the file with the noise-free scene in place of every pixel: WCS, BUNIT,
masks, tables and all other HDUs stay as above. Integers become float32 (float64 where that is not exact). Reference
pixels and empty planes stay. `GCM_STD` holds the spread of every pixel, and so does the file's own noise plane;
`GCM_FILL` and the survey's "estimated" bit mark masked pixels alone. Results wait on the disk of the output, in files
without a name: a file that was stopped begins anew, finished ones stay with `--resume`.

The noise must be known: from the file's noise plane, `--ivar` or `--weight`, or from a camera:

| option | noise of a pixel |
|---|---|
| `--noise 5` | the same everywhere |
| `--noise estimate` | a photon law fitted to each plane, see [microscopy-noise.md](microscopy-noise.md) |
| `--gain 4 --read-noise 2 --offset 0` | electrons per unit, electrons, value without light (minus a subtracted sky) |
| `--noise file` | GAIN and RDNOISE of the header, for BUNIT in counts or electrons |

A law from numbers is compared with the scatter of neighbouring pixels; `noise_doubt` warns when they differ by a factor
of more than 1.4. The same options serve `inpaint --target scene`, `check`, `validate`, `score` and `super-resolve`.

## Outputs read again

Pixels that `GCM_FILL` names carry the flag FILLED; they are not filled again unless a mask says so. A second run joins
what the first one wrote: `GCM_FILL` and `GCM_STD` keep its values where nothing new was filled, `GCM_FLAG` holds the
causes of both, `GCM_PROV` a row of each. In files that `gencosmo.io.write` makes of an `Image`, ERR 0 means that the
noise is unknown; an exact value (`ivar` infinite) holds the tiny error that the card GCMEXACT names.
"""


def files_page() -> str:
    """Layouts from their table, and what an output holds."""
    rows = [f"| `{name}` | {profile.about} |\n" for name, profile in PROFILES.items()]
    return FILES_HEAD + "".join(rows) + FILES_TAIL


def pages() -> dict[Path, str]:
    """Text of each generated page by its path."""
    return {
        HERE / "files.md": files_page(),
        HERE / "flags.md": FLAGS_HEAD + documentation_table() + SURVEYS_HEAD + bits_table(),
        HERE / "cli.md": cli_page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(path.name)
