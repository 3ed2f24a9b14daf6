"""A stack onto a finer grid: every plane through `super_resolve`, into a new OME-TIFF or OME-Zarr with its spread."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.batch.finer import STRICT, load_psf
from gencosmo.batch.job import OPS, FileReport, Finer, Hooks, Job, plane_seed
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.image import Image, require_signal
from gencosmo.io.axes import Plane
from gencosmo.io.registry import named_format
from gencosmo.io.stack import Stack
from gencosmo.io.stack_finer import FinerStack, write_finer_stack
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead, StackWrite
from gencosmo.io.stack_write import check_sides, read_rows
from gencosmo.io.storage import check_place
from gencosmo.result import Result

__all__ = ["run_finer_stack"]


def run_finer_stack(path_in: str, path_out: str, job: Job, hooks: Hooks, *, resume: bool, dry_run: bool) -> FileReport:
    """Super-resolve the chosen planes of a TIFF, OME-Zarr, PNG or JPEG file into an OME-TIFF or OME-Zarr.

    Raises
    ------
    GencosmoError
        Nothing is written then.
    """
    report, start = FileReport(path_in, path_out), time.perf_counter()
    asked = job.finer or Finer()
    psf = None if asked.psf is None else load_psf(asked.psf)
    axes = job.read.axes if isinstance(job.read, StackRead) else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        with open_stack(path_in, axes=axes, image=job.read.hdu, limit=job.read.limits.pixels) as stack:
            reader = StackReader(stack, job.read)
            try:
                _run_open(stack, reader, report, job, hooks, psf, resume=resume, dry_run=dry_run)
            finally:
                reader.close()
    told = [entry.message for entry in caught if isinstance(entry.message, GencosmoWarning)]
    report.warnings = [{"code": entry.code, "message": entry.message} for entry in told]
    report.seconds = time.perf_counter() - start
    return report


def _run_open(
    stack: Stack,
    reader: StackReader,
    report: FileReport,
    job: Job,
    hooks: Hooks,
    psf: NDArray[np.float32] | None,
    *,
    resume: bool,
    dry_run: bool,
) -> None:
    report.profile = stack.kind
    stack.check_size(whole=True)
    kernel = "" if psf is None else sha256(psf.tobytes()).hexdigest()[:8]
    run = job.digest([one.stack.fingerprint for one in reader.companions]) + kernel
    parent = stack.fingerprint.sha256()
    if resume and os.path.exists(report.out):
        rows = read_rows(report.out)
        if not rows or (rows[-1].get("GCMPARNT"), rows[-1].get("GCMRUN")) != (parent, run):
            raise UsageError(f"{report.out} exists and is not this job's output for {report.path}", code="exists")
        report.status = "skipped"
        return
    target = named_format(report.out)
    if target is None or target.name not in ("tiff", "zarr"):
        raise UsageError(
            f"{report.out}: a finer stack is written as OME-TIFF or OME-Zarr",
            code="format",
            hint="name it .ome.tif or .ome.zarr",
        )
    check_place(
        report.out, overwrite=job.write.overwrite, inputs=[report.path, *(c.stack.path for c in reader.companions)]
    )
    sides = ("std", "prior_share", *(("samples",) if job.write.samples else ()))
    check_sides(report.out, sides, overwrite=job.write.overwrite, run=(parent, run))
    if dry_run:
        for plane in reader.planes:
            _look(stack, reader, plane, job, psf, report)
        return
    state = sha256(f"{run}:{parent}".encode()).hexdigest()
    scale = (job.finer or Finer()).scale
    with FinerStack(
        report.out, stack, reader.planes, scale, state=state, resume=resume, samples=job.write.samples
    ) as finer:
        told: dict[str, Any] = {}
        for number, plane in enumerate(reader.planes):
            if hooks.cancel is not None and hooks.cancel.is_set():
                raise Cancelled(f"stopped before {report.path} was finished")
            image = _look(stack, reader, plane, job, psf, report)
            known, shown = finer.told(plane), hooks.part(number, len(reader.planes))
            told = _one(image, plane, job, shown, finer, run, parent) if known is None else known
            for code, text in () if known is None else known["warnings"]:
                warnings.warn(GencosmoWarning(text, code=code), stacklevel=2)
            report.planes[-1] |= {"chi2": told["chi2"], "flux_mode": told["flux_mode"]}
            report.filled += image.data.size * scale[0] * scale[1]
            if hooks.on_plane is not None:
                hooks.on_plane(image, finer.result(plane, {"scale": scale, "flux_mode": told["flux_mode"]}))
        version = job.write.ngff if isinstance(job.write, StackWrite) else None
        write_finer_stack(finer, told["words"], overwrite=job.write.overwrite, version=version)
        report.status = "done"


def _look(
    stack: Stack, reader: StackReader, plane: Plane, job: Job, psf: NDArray[np.float32] | None, report: FileReport
) -> Image:
    """Read a plane with its PSF and noise, and put it on the report."""
    everything = (slice(0, stack.axes.size("Y")), slice(0, stack.axes.size("X")))
    image = _prepared(reader.image(plane, everything), job.finer or Finer(), psf, report)
    report.planes.append(
        {
            "hdu": image.meta["hdu"],
            "size": list(image.shape),
            "masked": int(image.mask.sum()),
            "noise": image.meta["noise_source"],
            "pixel_scale": image.pixel_scale,
        }
    )
    require_signal(image, max_fill=job.max_fill)
    return image


def _one(
    image: Image, plane: Plane, job: Job, hooks: Hooks, finer: FinerStack, run: str, parent: str
) -> dict[str, Any]:
    """Compute a plane and keep it, with what is told of it."""
    finer_job = job
    if job.finer is not None and job.finer.flux_mode == "auto":  # grey levels stay what they are on the finer grid
        finer_job = replace(job, finer=replace(job.finer, flux_mode="sb"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        result = _run(image, finer_job, plane_seed(job.seed, image), hooks)
    for entry in caught:
        warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    known = [entry.message for entry in caught if isinstance(entry.message, GencosmoWarning)]
    told = {
        "chi2": result.chi2,
        "flux_mode": result.meta.get("flux_mode"),
        "words": _words(job, result, run, parent),
        "warnings": [(entry.code, entry.message) for entry in known],
    }
    finer.put(plane, result, told)
    return told


def _prepared(image: Image, asked: Finer, psf: NDArray[np.float32] | None, report: FileReport) -> Image:
    """With the PSF and the noise that the user names; a stack brings neither."""
    if psf is None:
        raise InputError(
            f"no psf: {report.path} brings none", code="no_psf", hint="give --psf FILE, or gaussian:2.5 (pixels)"
        )
    image = image.replace(psf=psf)
    if image.ivar is not None:
        return image
    if asked.noise is None:
        hint = (
            "--noise estimate, --noise NUMBER (standard deviation of a pixel), --gain and --read-noise, or --ivar FILE"
        )
        raise InputError(f"no noise: {report.path} brings none", code="no_noise", hint=hint)
    if not asked.noise > 0:
        raise UsageError(f"noise is {asked.noise:g}, expected a positive standard deviation")
    meta = dict(image.meta) | {"noise_source": f"{asked.noise:g} for every pixel"}
    return image.replace(ivar=np.where(image.mask, np.float32(0), np.float32(asked.noise**-2)), meta=meta)


def _run(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        result = OPS[job.op](image, job, seed, hooks)
    for entry in caught:
        told: Any = entry.message
        if job.strict and isinstance(told, GencosmoWarning) and told.code in STRICT:
            raise InputError(told.message, code=told.code, hint="leave --strict out to accept it")
        warnings.warn_explicit(told, entry.category, entry.filename, entry.lineno)
    return result


def _words(job: Job, result: Result, run: str, parent: str) -> dict[str, str]:
    from gencosmo.io.provenance import package_version

    return {
        "GCMVERS": package_version(),
        "GCMOP": job.op,
        "GCMMODEL": str(result.provenance.get("prior", "")),
        "GCMHASH": str(result.provenance.get("prior_hash", "")),
        "GCMSEED": str(job.seed),
        "GCMSAMP": str(job.samples),
        "GCMTARG": "scene",
        "GCMRUN": run,
        "GCMPARNT": parent,
        "GCMDATE": job.write.date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }
