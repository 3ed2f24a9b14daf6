"""`gencosmo info`, `doctor`, `demo` and `tune`: this installation and what it can do."""

from __future__ import annotations

from typing import Annotated

import typer

from gencosmo.cli.options import AsJson, Debug, Prior
from gencosmo.commands.console import print_json, reporting

__all__ = ["demo", "doctor", "info", "tune"]


def info(
    prior: Annotated[str | None, typer.Argument(help="Show the card of this prior.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List priors, file layouts and mask flags, or show the card of one prior."""
    with reporting(debug=debug, as_json=as_json):
        from gencosmo.commands.info import card_lines, card_words, info_lines, info_words

        if prior is not None and as_json:
            print_json(card_words(prior))
        elif prior is not None:
            print("\n".join(card_lines(card_words(prior))))
        elif as_json:
            print_json(info_words())
        else:
            print("\n".join(info_lines(info_words())))


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


def demo(
    out: Annotated[str, typer.Option("-o", "--out", help="Folder for files and pictures.")] = "gencosmo-demo",
    prior: Prior = "sky",
    debug: Debug = False,
) -> None:
    """Damage a real frame, repair it, and show how well it went."""
    with reporting(debug=debug):
        from gencosmo.demo import run

        run(out, prior=prior)


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
