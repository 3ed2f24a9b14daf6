"""Many files: one after the other or on an executor, resumed where a run stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed, wait

from gencosmo.batch.job import FileReport, Hooks, Job
from gencosmo.batch.one import run_file
from gencosmo.errors import Cancelled, GencosmoError, StorageError, UsageError
from gencosmo.io.registry import output_name

__all__ = ["output_path", "process_files"]


def output_path(path_in: str, out_dir: str) -> str:
    """Return the name of an output in a folder: the input's name, `.fz` dropped (outputs are not fpacked); pictures and
    foreign formats become OME-TIFF.
    """
    return os.path.join(out_dir, output_name(path_in))


def process_files(
    paths: Sequence[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    *,
    job: Job | None = None,
    resume: bool = False,
    dry_run: bool = False,
    executor: Executor | None = None,
    hooks: Hooks | None = None,
    on_report: Callable[[FileReport], None] | None = None,
    cancel: threading.Event | None = None,
) -> list[FileReport]:
    """Run a job on many files; a file that fails is recorded and the others go on.

    Parameters
    ----------
    paths : sequence of path
        Inputs; their base names must differ, they name the outputs.
    out_dir : path
        Folder of the outputs; made when it is not there.
    job : Job, optional
        What to do; default: fill with the default prior.
    resume : bool
        Leave outputs that were made from the same input with the same job.
    dry_run : bool
        Read and check, write nothing.
    executor : concurrent.futures.Executor, optional
        Where to run; default: here, one after the other. `hooks` are for runs here.
    hooks : Hooks, optional
        Progress of each file, and its planes.
    on_report : callable, optional
        Called with each report as it comes.
    cancel : threading.Event, optional
        Set it to stop: files that are not begun are left, `Cancelled` is raised, outputs stay.

    Returns
    -------
    list of FileReport
        In the order of `paths`; `status` "failed" has the `error`.

    Raises
    ------
    UsageError
        Two inputs of one name.
    Cancelled
    """
    tasks = _name_outputs([os.fspath(path) for path in paths], os.fspath(out_dir))
    try:
        os.makedirs(out_dir, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {os.fspath(out_dir)}: {error.strerror}") from None
    hooks = hooks or Hooks(cancel=cancel)
    reports: dict[str, FileReport] = {}
    source = _here(tasks, job or Job(), hooks, cancel, (resume, dry_run))
    if executor is not None:
        source = _spread(tasks, job or Job(), executor, cancel, (resume, dry_run))
    for report in source:
        reports[report.path] = report
        if on_report is not None:
            on_report(report)
    return [reports[path] for path, _ in tasks]


def _name_outputs(paths: list[str], out_dir: str) -> list[tuple[str, str]]:
    tasks = [(path, output_path(path, out_dir)) for path in paths]
    seen: dict[str, str] = {}
    for path, out in tasks:
        if out in seen:
            raise UsageError(
                f"{seen[out]} and {path} would both be written to {out}",
                hint="run them into different folders",
            )
        seen[out] = path
    return tasks


def _here(
    tasks: list[tuple[str, str]],
    job: Job,
    hooks: Hooks,
    cancel: threading.Event | None,
    how: tuple[bool, bool],
) -> Iterator[FileReport]:
    for path, out in tasks:
        _check_stop(cancel)
        yield _guarded(path, out, job, hooks, how)


def _spread(
    tasks: list[tuple[str, str]],
    job: Job,
    executor: Executor,
    cancel: threading.Event | None,
    how: tuple[bool, bool],
) -> Iterator[FileReport]:
    futures: list[Future[FileReport]] = [executor.submit(_guarded, *task, job, Hooks(), how) for task in tasks]
    try:
        for future in as_completed(futures):
            _check_stop(cancel)
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)  # what is running ends whole before this returns


def _check_stop(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("stopped; finished outputs are kept", hint="run again with --resume")


def _guarded(path: str, out: str, job: Job, hooks: Hooks, how: tuple[bool, bool]) -> FileReport:
    resume, dry_run = how
    try:
        return run_file(path, out, job, hooks, resume=resume, dry_run=dry_run)
    except Cancelled:
        raise
    except GencosmoError as error:
        return FileReport(path, out, status="failed", error=error)
