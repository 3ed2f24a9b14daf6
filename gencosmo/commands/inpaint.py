"""`gencosmo inpaint`: files through `gencosmo.batch`, pictures, messages, exit codes."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gencosmo.batch import FileReport, Hooks, Job, output_path, run_file
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
from gencosmo.io.registry import named_format

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.result import Result

__all__ = ["Run", "parse_grow", "run_inpaint"]


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


def parse_grow(text: str | None) -> dict[str, int]:
    """Read `sat=3,cr=1` as flag names and radii.

    Raises
    ------
    UsageError
    """
    short = {"sat": "SATURATED", "cr": "COSMIC_RAY"}
    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, _, radius = part.partition("=")
        if not radius.strip().isdigit():
            raise UsageError(f"--grow {part!r} is not NAME=PIXELS", hint="for example --grow sat=3,cr=1")
        found[short.get(name.strip().lower(), name.strip().upper())] = int(radius)
    return found


def run_inpaint(run: Run, job: Job) -> None:
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


def _one(path: str, out: str, run: Run, job: Job, cancel: threading.Event, *, many: bool) -> FileReport:
    try:
        picture = _picture_path(path, run, many=many)
        if picture is not None and not (run.resume and os.path.exists(out)):
            check_output(picture, overwrite=job.write.overwrite)
        shown = _Pictures(picture, os.path.basename(path), overwrite=job.write.overwrite)
        with progress_display(run.progress, os.path.basename(path)) as progress:
            hooks = Hooks(progress, cancel, shown if picture else None)
            return run_file(path, out, job, hooks, resume=run.resume, dry_run=run.dry_run)
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
        if not run.picture.lower().endswith(".png"):
            raise UsageError(f"report {run.picture} must end in .png")
        return run.picture
    if run.picture.lower().endswith(".png"):
        raise UsageError(f"--report {run.picture} is one picture for many inputs", hint="give a folder")
    os.makedirs(run.picture, exist_ok=True)
    return os.path.join(run.picture, f"{os.path.basename(path)}.png")


class _Pictures:
    """Writes one picture per science plane; the second one of a file is NAME-2.png."""

    def __init__(self, path: str | None, title: str, *, overwrite: bool) -> None:
        self._path, self._title, self._overwrite = path or "", title, overwrite
        self._number = 0

    def __call__(self, image: Image, result: Result) -> None:
        from gencosmo.report import picture

        self._number += 1
        stem = self._path[: -len(".png")]
        path = self._path if self._number == 1 else f"{stem}-{self._number}.png"
        title = f"{self._title}[{image.meta.get('hdu', 0)}]"
        picture(path, image, result, title=title, overwrite=self._overwrite)


def _tell(report: FileReport) -> None:
    for entry in report.warnings:
        print_warning(entry["code"], f"{report.path}: {entry['message']}")
    if report.error is not None:
        print_error(report.error, where=report.path)
        return
    masked = sum(plane["masked"] for plane in report.planes)
    sizes = sum(plane["size"][0] * plane["size"][1] * plane["size"][2] for plane in report.planes)
    share = 100 * masked / max(1, sizes)
    text = {
        "done": f"{report.filled} pixels filled ({share:.2g} %), {report.seconds:.1f} s -> {report.out}",
        "copied": f"nothing to fill, copied -> {report.out}",
        "skipped": f"already done: {report.out}",
        "planned": f"{masked} pixels to fill ({share:.2g} %), profile {report.profile}; dry run, no output",
    }[report.status]
    note(f"{report.path}: {text}")
