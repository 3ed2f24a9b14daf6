"""`gencosmo super-resolve`: files through `gencosmo.batch`, pictures, messages, exit codes."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass

from gencosmo.batch import FileReport, Hooks, Job, output_path, run_file
from gencosmo.batch.finer_picture import FinerPictures
from gencosmo.commands.console import (
    note,
    print_error,
    print_json,
    print_warning,
    progress_display,
    stop_on_signal,
)
from gencosmo.errors import Cancelled, GencosmoError, PartialFailure, UsageError
from gencosmo.io.atomic import check_output

__all__ = ["Run", "parse_scale", "run_super_resolve"]


@dataclass(frozen=True)
class Run:
    """One call of the command: inputs, where outputs go, and how to tell about it."""

    inputs: tuple[str, ...]
    out: str
    picture: str | None = None
    as_json: bool = False
    resume: bool = False
    dry_run: bool = False
    progress: str = "auto"


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
    """Process the inputs and tell about each.

    Raises
    ------
    GencosmoError
        The error of a single input; `PartialFailure` when some of many failed.
    """
    tasks = _outputs(run)
    reports: list[FileReport] = []
    with stop_on_signal() as cancel:
        for path, out in tasks:
            if cancel.is_set():
                raise Cancelled("stopped; finished outputs are kept", hint="run again with --resume")
            report = _one(path, out, run, job, cancel, many=len(tasks) > 1)
            reports.append(report)
            _tell(report)
    failed = {report.path: report.error for report in reports if report.error is not None}
    if run.as_json:
        print_json({"files": [report.as_dict() for report in reports], "failed": len(failed)})
    if failed:
        raise PartialFailure(
            f"{len(failed)} of {len(reports)} files failed: {', '.join(failed)}",
            failures=failed,
            hint="mend them and run again with --resume",
        )


def _outputs(run: Run) -> list[tuple[str, str]]:
    """Decide whether `out` is a file or a folder, and refuse what cannot work before anything is computed."""
    if len(run.inputs) == 1 and not (os.path.isdir(run.out) or run.out.endswith(os.sep)):
        return [(run.inputs[0], run.out)]
    if os.path.isfile(run.out):
        raise UsageError(f"{run.out} is a file, {len(run.inputs)} inputs need a folder")
    if run.picture is not None and run.picture.lower().endswith(".png"):
        raise UsageError(f"--report {run.picture} is one picture for many inputs", hint="give a folder")
    if not run.dry_run:
        os.makedirs(run.out, exist_ok=True)
    tasks = [(path, output_path(path, run.out)) for path in run.inputs]
    names = [out for _, out in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two inputs would both be written to {twice}", hint="run them into different folders")
    return tasks


def _one(path: str, out: str, run: Run, job: Job, cancel: threading.Event, *, many: bool) -> FileReport:
    try:
        picture = run.picture
        if picture is not None and (many or os.path.isdir(picture)):
            os.makedirs(picture, exist_ok=True)
            picture = os.path.join(picture, f"{os.path.basename(path)}.png")
        if picture is not None and not picture.lower().endswith(".png"):
            raise UsageError(f"report {picture} must end in .png")
        if picture is not None and not (run.resume and os.path.exists(out)):
            check_output(picture, overwrite=job.write.overwrite)
        with progress_display(run.progress, os.path.basename(path)) as progress:
            shown = None if picture is None else FinerPictures(picture, overwrite=job.write.overwrite)
            return run_file(path, out, job, Hooks(progress, cancel, shown), resume=run.resume, dry_run=run.dry_run)
    except Cancelled:
        raise
    except GencosmoError as error:
        if not many:
            raise
        return FileReport(path, out, status="failed", error=error)


def _tell(report: FileReport) -> None:
    for entry in report.warnings:
        print_warning(entry["code"], f"{report.path}: {entry['message']}")
    if report.error is not None:
        print_error(report.error, where=report.path)
        return
    fits = ", ".join(f"{plane['chi2']:.2f}" for plane in report.planes if plane.get("chi2") is not None)
    text = {
        "done": f"{report.filled} fine pixels, chi2 {fits}, {report.seconds:.1f} s -> {report.out}",
        "skipped": f"already done: {report.out}",
        "planned": f"{len(report.planes)} images, profile {report.profile}; dry run, no output",
    }[report.status]
    note(f"{report.path}: {text}")
