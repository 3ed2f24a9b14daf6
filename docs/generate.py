"""Writes the pages of `docs/` that are made from the code: `make docs`. `tests/test_docs.py` compares."""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo

from gencosmo.cli import app
from gencosmo.flags import documentation_table

HERE = Path(__file__).resolve().parent

FLAGS_HEAD = """# Mask bits by name

`Image.flags` and `Result.flags` are `uint32` arrays of these bits; `Image.mask` is True where a bit asks for
filling. The mask planes of surveys are translated to these names when a file is read. Names work wherever bits
are asked for: `gencosmo.flags.bits("SATURATED", "BLEED")`, `gencosmo inpaint --grow SATURATED=3`.

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


def pages() -> dict[Path, str]:
    """Text of each generated page by its path."""
    return {HERE / "flags.md": FLAGS_HEAD + documentation_table(), HERE / "cli.md": cli_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(path.name)
