"""One file through a task: read every science plane, run, write the file again with the filled pixels."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gencosmo.batch.job import EVERYWHERE, OPS, FileReport, Hooks, Job, OnPlane, Progress, Target, part_seed, plane_seed
from gencosmo.batch.rims import bright_rims
from gencosmo.batch.spreads import Spreads
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import count
from gencosmo.image import Image
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.provenance import package_version
from gencosmo.io.registry import format_of, open_session
from gencosmo.io.session import Session
from gencosmo.result import Result

__all__ = ["STRICT", "process_file", "run_file"]

STRICT = ("out_of_domain", "hole_too_large")
"""Warnings that `strict` turns into errors: the prior was not validated for what it did."""

MARKS = "--mask FILE and --find sat,hot mark more"
NO_NOISE = (
    "--noise NUMBER (standard deviation of a pixel), --noise estimate (photon noise fitted to the image), --gain and "
    "--read-noise, --ivar FILE, or --weight FILE --weight-type rms"
)


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
    passes: int = 1,
    turns: int = 1,
    recalibrate: bool = True,
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
    passes : int
        Of `denoise`: with 2 the variance is taken once more, at the light that the first pass found.
    turns : int
        Orientations that the prior is asked in: 1, 2, 4 or 8.
    recalibrate : bool
        Of `inpaint`: correct means and spreads by the image itself, as the task does; of a plane that runs in blocks by
        that with most masked pixels.
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
        passes=passes,
        turns=turns,
        recalibrate=recalibrate,
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
    if job.op == "super_resolve" and format_of(path_in).name != "fits":
        from gencosmo.batch.finer_stack import run_finer_stack

        return run_finer_stack(path_in, path_out, job, hooks or Hooks(), resume=resume, dry_run=dry_run)
    if job.op == "super_resolve":
        from gencosmo.batch.finer import run_finer

        return run_finer(path_in, path_out, job, hooks or Hooks(), resume=resume, dry_run=dry_run)
    report = FileReport(path_in, path_out)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        with open_session(path_in, job.read) as session:
            _run_open(session, report, job, hooks or Hooks(), resume=resume, dry_run=dry_run)
    report.warnings = _pass_on(caught)
    report.seconds = time.perf_counter() - start
    return report


def _run_open(session: Session, report: FileReport, job: Job, hooks: Hooks, *, resume: bool, dry_run: bool) -> None:
    report.profile = session.profile
    if resume and os.path.exists(report.out):
        _check_finished(session, report, job)
        report.status = "skipped"
        return
    session.check_output(report.out, job.write)
    if not dry_run:
        run = job.digest(session.companions)
        session.begin(report.out, job.write, run, resume=resume, everywhere=job.op in EVERYWHERE)
    units = session.units()
    blank: dict[str, InputError] = {}
    spreads = Spreads(session, job)
    for number, unit in enumerate(units):
        if hooks.cancel is not None and hooks.cancel.is_set():
            raise Cancelled(f"stopped before {report.path} was finished")
        name = session.name(unit)
        try:
            if name not in blank and (dry_run or session.pending(unit)):
                shown = hooks.part(number, len(units)) if session.quiet else hooks
                _run_unit(session, unit, report, job, shown, None if dry_run else spreads)
        except InputError as error:
            blank[name] = _blank(error, name, units, session, job)
    _tell_blank(blank, {session.name(unit) for unit in units})
    quiet = session.quiet and job.op not in EVERYWHERE
    if quiet and not any(plane["masked"] for plane in report.planes) and not resume:
        _warn(f"nothing to fill (0 masked pixels); {MARKS}", "nothing_to_fill")
    if dry_run:
        return
    report.filled = session.finish()
    report.status = "done" if report.filled else "copied"


def _run_unit(session: Session, unit: Any, report: FileReport, job: Job, hooks: Hooks, spreads: Spreads | None) -> None:
    """Read, check and compute one unit; only check without `spreads`."""
    image, label = session.read(unit), session.label(unit)
    for code, text in image.meta["doubts"]:
        if job.strict and code == "ambiguous_wcs":
            raise InputError(f"{label}: {text}", code=code, hint="mend the header, or leave --strict out")
        _warn(f"{label}: {text}", code)
    masked = int(image.mask[image.meta.get("core", ...)].sum())
    report.planes.append(_describe(image, masked))
    if masked == 0 and job.op not in EVERYWHERE:
        if not session.quiet:
            _warn(f"{label}: nothing to fill (0 masked pixels); {MARKS}", "nothing_to_fill")
        return
    session.check(unit, image, job.max_fill)
    if job.op in EVERYWHERE and image.ivar is None:
        raise InputError(f"{label}: the noise of the pixels is not known", code="no_noise", hint=NO_NOISE)
    if spreads is None:
        return
    image = spreads.told(unit, image)
    key = session.plane_hash(unit)
    seed = plane_seed(job.seed, image) if key is None else part_seed(job.seed, key)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        result = OPS[job.op](image, job, seed, hooks)
    _judge(caught, strict=job.strict)
    rims = 0 if job.op in EVERYWHERE else bright_rims(image, result)
    if rims:
        hint = "the mask may be too small, see --grow"
        _warn(f"{label}: around {rims} holes the image is far above what was filled in; {hint}", "bright_rim")
    if hooks.on_plane is not None:
        hooks.on_plane(image, result)
    session.keep(unit, image, result, _provenance(session, unit, job, seed, result))


def _blank(error: InputError, name: str, units: Sequence[Any], session: Session, job: Job) -> InputError:
    """Return what is wrong with a plane of one value, such as a stack has where nothing was taken; raise all else."""
    if error.code != "no_signal" or error.hint or not session.quiet or len(units) == 1:
        raise error
    hint = "choose others with --times, --depths or --channels"
    named = InputError(f"plane {name}: {error.message}", code=error.code, hint=hint)
    if job.strict or job.op in EVERYWHERE:
        raise named from None
    return named


def _tell_blank(blank: Mapping[str, InputError], names: set[str]) -> None:
    """Tell of the planes that stay as they are, and raise when none is left."""
    if blank and len(blank) == len(names):
        raise next(iter(blank.values()))
    for error in blank.values():
        _warn(f"{error.message}: its masked pixels stay as they are", "no_signal")


def _describe(image: Image, masked: int) -> dict[str, Any]:
    channels, height, width = image.data[image.meta.get("core", ...)].shape
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


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=3)


def _judge(caught: Sequence[warnings.WarningMessage], *, strict: bool) -> None:
    for entry in caught:
        told = entry.message
        if strict and isinstance(told, GencosmoWarning) and told.code in STRICT:
            raise InputError(told.message, code=told.code, hint="leave --strict out to accept it")
        warnings.warn_explicit(told, entry.category, entry.filename, entry.lineno)


def _pass_on(caught: Sequence[warnings.WarningMessage]) -> list[dict[str, str]]:
    """Our own warnings go into the report, what is said alike of many planes once; others go where they were going."""
    told: list[dict[str, str]] = []
    for entry in caught:
        if isinstance(entry.message, GencosmoWarning):
            row = {"code": entry.message.code, "message": entry.message.message}
            told += [] if row in told else [row]
        else:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    return told


def _provenance(session: Session, unit: Any, job: Job, seed: int, result: Result) -> dict[str, str]:
    known: Mapping[str, Any] = result.provenance
    camera = job.read.camera
    counts = {"GCMPASS": job.passes, "GCMTURN": job.turns}
    return (
        {name: str(count) for name, count in counts.items() if count > 1}
        | ({} if camera is None else {"GCMNOISE": str(camera)})
        | {
            "GCMVERS": package_version(),
            "GCMOP": job.op,
            "GCMMODEL": str(known.get("prior", job.prior)),
            "GCMHASH": str(known.get("prior_hash", known.get("hash", ""))),
            "GCMSEED": str(job.seed),
            "GCMPSEED": str(seed),
            "GCMSAMP": str(job.samples),
            "GCMSTEP": str(known.get("steps", job.steps or "")),
            "GCMTARG": result.target,
            "GCMRUN": job.digest(session.companions),
            "GCMPARNT": session.fingerprint.sha256(),
            "GCMOF": session.name(unit),
            "GCMCOMP": job.write.compress,
            "GCMFIND": ",".join(job.read.find),
            "GCMSTDF": ",".join(f"{factor:.3f}" for factor in known.get("std_factors", ())),
            "GCMDATE": job.write.date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        }
    )


def _check_finished(session: Session, report: FileReport, job: Job) -> None:
    """Raise `exists` unless the output was made from this input by this job (or is its copy)."""
    if session.finished(report.out, session.fingerprint.sha256(), job.digest(session.companions)):
        return
    raise UsageError(
        f"{report.out} exists and is not this job's output for {report.path}",
        code="exists",
        hint="it comes from another input or other options; --overwrite replaces it",
    )
