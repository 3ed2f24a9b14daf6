"""One call of a command over files: where outputs and pictures go, a file after the other, what is told of each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gencosmo.batch import FileReport, Hooks, Job, output_path, run_file
from gencosmo.commands.console import note, print_error, print_json, print_warning, progress_display, stop_on_signal
from gencosmo.errors import Cancelled, GencosmoError, PartialFailure, UsageError
from gencosmo.io.atomic import check_output
from gencosmo.io.registry import named_format

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.result import Result

__all__ = ["Run", "Task", "run_files"]

OnPlane = Callable[["Image", "Result"], None]


@dataclass(frozen=True)
class Run:
    """One call of a command: inputs, where outputs go, and how to tell about it."""

    inputs: tuple[str, ...]
    out: str
    picture: str | None = None
    as_json: bool = False
    resume: bool = False
    dry_run: bool = False
    progress: str = "auto"


@dataclass(frozen=True)
class Task:
    """What differs between commands: who draws (path of the PNG, title, overwrite), and the words of a report."""

    draws: Callable[[str, str, bool], OnPlane]
    words: Callable[[FileReport], str]


def run_files(run: Run, job: Job, task: Task) -> None:
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
            report = _one(path, out, run, job, task, cancel, many=len(tasks) > 1)
            reports.append(report)
            _tell(report, task)
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
    named = named_format(run.out)
    whole = named is not None and bool(named.folder)  # an output that is a folder itself
    folder = len(run.inputs) > 1 or (not whole and (os.path.isdir(run.out) or run.out.endswith(os.sep)))
    if not folder:
        tasks = [(run.inputs[0], run.out)]
    else:
        if os.path.isfile(run.out):
            raise UsageError(f"{run.out} is a file, {len(run.inputs)} inputs need a folder")
        if not run.dry_run:
            os.makedirs(run.out, exist_ok=True)
        tasks = [(path, output_path(path, run.out)) for path in run.inputs]
    names = [out for _, out in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two inputs would both be written to {twice}", hint="run them into different folders")
    return tasks


def _one(path: str, out: str, run: Run, job: Job, task: Task, cancel: threading.Event, *, many: bool) -> FileReport:
    try:
        picture = _picture_path(path, run, many=many)
        if picture is not None and not (run.resume and os.path.exists(out)):
            check_output(picture, overwrite=job.write.overwrite)
        name = os.path.basename(path)
        shown = None if picture is None else task.draws(picture, name, job.write.overwrite)
        with progress_display(run.progress, name) as progress:
            return run_file(path, out, job, Hooks(progress, cancel, shown), resume=run.resume, dry_run=run.dry_run)
    except Cancelled:
        raise
    except GencosmoError as error:
        if not many:
            raise
        return FileReport(path, out, status="failed", error=error)


def _picture_path(path: str, run: Run, *, many: bool) -> str | None:
    if run.picture is None:
        return None
    if not many and not os.path.isdir(run.picture):
        from gencosmo.io.png import check_png

        check_png(run.picture)
        return run.picture
    if run.picture.lower().endswith(".png"):
        raise UsageError(f"--report {run.picture} is one picture for many inputs", hint="give a folder")
    os.makedirs(run.picture, exist_ok=True)
    return os.path.join(run.picture, f"{os.path.basename(path)}.png")


def _tell(report: FileReport, task: Task) -> None:
    for entry in report.warnings:
        print_warning(entry["code"], f"{report.path}: {entry['message']}")
    if report.error is not None:
        print_error(report.error, where=report.path)
    else:
        note(f"{report.path}: {task.words(report)}")
