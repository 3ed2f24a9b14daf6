"""`gencosmo super-resolve`: files through `gencosmo.batch`, pictures and words."""

from __future__ import annotations

import re

from gencosmo.batch import FileReport, Job
from gencosmo.batch.finer_picture import FinerPictures
from gencosmo.commands.runs import Run, Task, run_files
from gencosmo.errors import UsageError

__all__ = ["Run", "parse_scale", "run_super_resolve"]


def parse_scale(text: str) -> tuple[int, int]:
    """Read `2` or `3x2` (rows x columns).

    Raises
    ------
    UsageError
        `bad_scale`.
    """
    match = re.fullmatch(r"(\d)(?:x(\d))?", text.strip())
    if match is None or not all(1 <= int(n or match[1]) <= 8 for n in match.groups()):
        raise UsageError(f"scale is {text!r}, expected 1 to 8, or ROWSxCOLUMNS", code="bad_scale")
    return int(match[1]), int(match[2] or match[1])


def run_super_resolve(run: Run, job: Job) -> None:
    """Process the inputs and tell about each; raises as :func:`gencosmo.commands.runs.run_files`."""
    run_files(run, job, Task(_pictures, _words))


def _pictures(path: str, title: str, overwrite: bool) -> FinerPictures:
    return FinerPictures(path, overwrite=overwrite)


def _words(report: FileReport) -> str:
    fits = ", ".join(f"{plane['chi2']:.2f}" for plane in report.planes if plane.get("chi2") is not None)
    return {
        "done": f"{report.filled} fine pixels, chi2 {fits}, {report.seconds:.1f} s -> {report.out}",
        "skipped": f"already done: {report.out}",
        "planned": f"{len(report.planes)} images, profile {report.profile}; dry run, no output",
    }[report.status]
