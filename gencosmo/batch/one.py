"""One file through a task: read every science plane, run, write the file again with the filled pixels."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from gencosmo.batch.job import OPS, FileReport, Hooks, Job, OnPlane, Progress, Target, plane_seed
from gencosmo.batch.rims import bright_rims
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import count
from gencosmo.image import Image, require_signal
from gencosmo.io.atomic import check_output
from gencosmo.io.filled import Filled, keep_filled
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.fits_write import WriteOptions, copy_file, write_filled
from gencosmo.io.hdus import FitsFile, open_fits
from gencosmo.io.layout import Layout
from gencosmo.io.provenance import read_provenance
from gencosmo.result import Result

__all__ = ["STRICT", "package_version", "process_file", "run_file"]

STRICT = ("out_of_domain", "hole_too_large")
"""Warnings that `strict` turns into errors: the prior was not validated for what it did."""


def process_file(
    path_in: str | os.PathLike[str],
    path_out: str | os.PathLike[str],
    *,
    op: str = "inpaint",
    prior: Any = "sky",
    target: Target = "frame",
    samples: int = 0,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    max_fill: float = 0.6,
    strict: bool = False,
    read: ReadOptions | None = None,
    write: WriteOptions | None = None,
    resume: bool = False,
    dry_run: bool = False,
    on_plane: OnPlane | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> FileReport:
    """Run a task on every science plane of a file and write the file again with the filled pixels.

    Parameters
    ----------
    path_in, path_out : path
        The input is only read; the output appears whole or not at all.
    op, prior, target, samples, steps, seed, device
        As in the task (`gencosmo.inpaint`); each plane's seed is made from `seed` and its pixels.
    max_fill : float
        Largest share of masked pixels in a channel.
    strict : bool
        Refuse what the prior was not validated for, instead of warning.
    read, write : ReadOptions, WriteOptions
        How to understand the input, and how to write.
    resume : bool
        When the output is there, made from this input with these options, leave it; else raise `exists`.
    dry_run : bool
        Read and check everything, run and write nothing.
    on_plane : callable, optional
        Called with image and result of each plane (for pictures).
    progress, cancel
        Passed to the task: `progress(done, total)`, a `threading.Event`.

    Returns
    -------
    FileReport

    Raises
    ------
    GencosmoError
        Nothing is written then.
    """
    job = Job(
        op=op,
        prior=prior,
        target=target,
        samples=samples,
        steps=steps,
        seed=seed,
        device=device,
        max_fill=max_fill,
        strict=strict,
        read=read or ReadOptions(),
        write=write or WriteOptions(),
    )
    hooks = Hooks(progress, cancel, on_plane)
    return run_file(os.fspath(path_in), os.fspath(path_out), job, hooks, resume=resume, dry_run=dry_run)


def run_file(
    path_in: str,
    path_out: str,
    job: Job,
    hooks: Hooks | None = None,
    *,
    resume: bool = False,
    dry_run: bool = False,
) -> FileReport:
    """Run a job on a file; `process_file` with its options packed."""
    job.digest()  # an unknown prior is told before anything is read
    report = FileReport(path_in, path_out)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        with open_fits(path_in, job.read.limits) as file:
            _run_open(file, report, job, hooks or Hooks(), resume=resume, dry_run=dry_run)
    report.warnings = _pass_on(caught)
    report.seconds = time.perf_counter() - start
    return report


def _run_open(file: FitsFile, report: FileReport, job: Job, hooks: Hooks, *, resume: bool, dry_run: bool) -> None:
    layouts = prepare(file, job.read)
    report.profile = layouts[0].profile
    if resume and os.path.exists(report.out):
        _check_finished(file, report, job)
        report.status = "skipped"
        return
    check_output(report.out, overwrite=job.write.overwrite, inputs=[report.path])
    done: list[Filled] = []
    for layout in layouts:
        if hooks.cancel is not None and hooks.cancel.is_set():
            raise Cancelled(f"stopped before {report.path} was finished")
        kept = _run_plane(file, layout, report, job, hooks, dry_run=dry_run)
        done += [kept] if kept is not None else []
    if dry_run:
        return
    report.filled = sum(item.count for item in done)
    if done:
        write_filled(file, done, report.out, job.write)
    else:
        copy_file(file, report.out, overwrite=job.write.overwrite)
    report.status = "done" if done else "copied"


def _run_plane(
    file: FitsFile, layout: Layout, report: FileReport, job: Job, hooks: Hooks, *, dry_run: bool
) -> Filled | None:
    image = read_plane(file, layout, job.read)
    for code, text in image.meta["doubts"]:
        if job.strict and code == "ambiguous_wcs":
            raise InputError(f"{_label(layout)}: {text}", code=code, hint="mend the header, or leave --strict out")
        _warn(f"{_label(layout)}: {text}", code)
    masked = int(image.mask.sum())
    report.planes.append(_describe(image, masked))
    if masked == 0:
        _warn(f"{_label(layout)}: nothing to fill (0 masked pixels)", "nothing_to_fill")
        return None
    require_signal(image, max_fill=job.max_fill)
    if dry_run:
        return None
    seed = plane_seed(job.seed, image)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        result = OPS[job.op](image, job, seed, hooks)
    _judge(caught, strict=job.strict)
    rims = bright_rims(image, result)
    if rims:
        hint = "the mask may be too small, see --grow"
        _warn(f"{_label(layout)}: around {rims} holes the image is far above what was filled in; {hint}", "bright_rim")
    if hooks.on_plane is not None:
        hooks.on_plane(image, result)
    return keep_filled(layout, image, result, _provenance(file, layout, job, seed, result), samples=job.write.samples)


def _describe(image: Image, masked: int) -> dict[str, Any]:
    channels, height, width = image.shape
    return {
        "hdu": image.meta["hdu"],
        "size": [channels, height, width],
        "masked": masked,
        "flags": {} if image.flags is None else count(image.flags),
        "planes": dict(image.meta["planes"]),
        "noise": image.meta["noise_source"],
        "pixel_scale": image.pixel_scale,
        "unit": image.unit,
        "notes": list(image.meta["notes"]),
    }


def _label(layout: Layout) -> str:
    return f"HDU {layout.science.index}" + (f" {layout.science.name}" if layout.science.name else "")


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=3)


def _judge(caught: Sequence[warnings.WarningMessage], *, strict: bool) -> None:
    for entry in caught:
        told = entry.message
        if strict and isinstance(told, GencosmoWarning) and told.code in STRICT:
            raise InputError(told.message, code=told.code, hint="leave --strict out to accept it")
        warnings.warn_explicit(told, entry.category, entry.filename, entry.lineno)


def _pass_on(caught: Sequence[warnings.WarningMessage]) -> list[dict[str, str]]:
    """Our own warnings go into the report; those of others go where they were going."""
    told = []
    for entry in caught:
        if isinstance(entry.message, GencosmoWarning):
            told.append({"code": entry.message.code, "message": entry.message.message})
        else:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    return told


def _provenance(file: FitsFile, layout: Layout, job: Job, seed: int, result: Result) -> dict[str, str]:
    known: Mapping[str, Any] = result.provenance
    return {
        "GCMVERS": package_version(),
        "GCMOP": job.op,
        "GCMMODEL": str(known.get("prior", job.prior)),
        "GCMHASH": str(known.get("prior_hash", known.get("hash", ""))),
        "GCMSEED": str(job.seed),
        "GCMPSEED": str(seed),
        "GCMSAMP": str(job.samples),
        "GCMSTEP": str(known.get("steps", job.steps or "")),
        "GCMTARG": job.target,
        "GCMRUN": job.digest(file.companions),
        "GCMPARNT": file.source.sha256(),
        "GCMOF": layout.science.name or str(layout.science.index),
        "GCMCOMP": job.write.compress,
        "GCMFIND": ",".join(job.read.find),
        "GCMDATE": job.write.date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }


def package_version() -> str:
    """Return the installed version, "uninstalled" in a bare checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gencosmo")
    except PackageNotFoundError:
        return "uninstalled"


def _check_finished(file: FitsFile, report: FileReport, job: Job) -> None:
    """Raise `exists` unless the output was made from this input by this job (or is its copy)."""
    with open_fits(report.out, job.read.limits) as output:
        rows = read_provenance(output)
        if rows:
            parent, run = file.source.sha256(), job.digest(file.companions)
            if rows[-1].get("GCMPARNT") == parent and rows[-1].get("GCMRUN") == run:
                return
        elif _content(output) == _content(file):
            return
    raise UsageError(
        f"{report.out} exists and is not this job's output for {report.path}",
        code="exists",
        hint="it comes from another input or other options; --overwrite replaces it",
    )


def _content(file: FitsFile) -> str:
    digest = sha256()
    for hdu in file.hdus:
        digest.update(file.raw(hdu))
    return digest.hexdigest()
