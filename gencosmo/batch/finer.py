"""One FITS file onto a finer grid: every science plane through `super_resolve`, into a new file."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.batch.job import OPS, FileReport, Finer, Hooks, Job, plane_seed
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import count
from gencosmo.image import Image, require_signal
from gencosmo.io import read
from gencosmo.io.atomic import check_output
from gencosmo.io.companion import split_path
from gencosmo.io.finer_write import FinerPlane, keep_finer, write_finer
from gencosmo.io.fits import prepare, read_plane
from gencosmo.io.hdus import FitsFile, open_fits
from gencosmo.io.layout import Layout
from gencosmo.io.provenance import read_provenance
from gencosmo.operators.profiles import airy_psf, gaussian_psf, moffat_psf
from gencosmo.tasks.fluxes import flux_mode_of

__all__ = ["load_psf", "run_finer"]

PROFILES = {"gaussian": (gaussian_psf, 1, 1), "moffat": (moffat_psf, 1, 2), "airy": (airy_psf, 3, 3)}
"""Profile functions, and how few and how many numbers they take."""
STRICT = ("out_of_domain", "hole_too_large", "psf_off_centre", "psf_undersampled", "solve_residual", "misfit")


def load_psf(text: str) -> NDArray[np.float32]:
    """PSF of a file (any format that is read) or of a profile, with unit sum.

    Raises
    ------
    UsageError
        `bad_psf`: a profile with the wrong numbers.
    InputError
        A file that cannot be read, or whose pixels do not sum to something positive.
    """
    word, _, numbers = text.partition(":")
    if word.lower() in PROFILES and not os.path.exists(text):
        made, least, most = PROFILES[word.lower()]
        try:
            values = [float(n) for n in numbers.split(",")]
        except ValueError:
            values = []
        if not least <= len(values) <= most:
            raise UsageError(
                f"psf {text!r} is not a profile",
                code="bad_psf",
                hint="gaussian:FWHM, moffat:FWHM,BETA (pixels of the image), or airy:WAVELENGTH,APERTURE,PIXEL",
            )
        profile: Any = made
        return np.asarray(profile(*values), np.float32)
    path, hdu = split_path(text)
    image = read(path, hdu=hdu)
    total = image.data.sum((-2, -1), dtype=np.float64)
    if image.mask.any() or not (total > 0).all():
        raise InputError(f"psf {text} has {int(image.mask.sum())} bad pixels and sums to {total}", code="bad_psf")
    psf: NDArray[np.float32] = (image.data / total[:, None, None]).astype(np.float32)
    if psf.shape[0] == 1:
        psf = psf[0]
    return psf


def run_finer(path_in: str, path_out: str, job: Job, hooks: Hooks, *, resume: bool, dry_run: bool) -> FileReport:
    """Super-resolve a FITS file; the output holds mean, spread, prior share and residual of each plane, nothing else.

    Raises
    ------
    GencosmoError
        Nothing is written then.
    """
    report = FileReport(path_in, path_out)
    start = time.perf_counter()
    psf = None if job.finer is None or job.finer.psf is None else load_psf(job.finer.psf)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        with open_fits(path_in, job.read.limits) as file:
            layouts = prepare(file, job.read)
            report.profile = layouts[0].profile
            run = _digest(job, file, psf)
            if resume and os.path.exists(path_out):
                _check_finished(file, report, run)
            else:
                check_output(path_out, overwrite=job.write.overwrite, inputs=[path_in])
                done = [_run_plane(file, layout, report, job, hooks, psf, run, dry_run) for layout in layouts]
                if not dry_run:
                    write_finer(file, [d for d in done if d], path_out, overwrite=job.write.overwrite)
                    report.status = "done"
    told = [entry.message for entry in caught if isinstance(entry.message, GencosmoWarning)]
    report.warnings = [{"code": entry.code, "message": entry.message} for entry in told]
    report.seconds = time.perf_counter() - start
    return report


def _digest(job: Job, file: FitsFile, psf: NDArray[np.float32] | None) -> str:
    from hashlib import sha256

    return job.digest(other.source for other in file.companions) + (
        "" if psf is None else sha256(psf.tobytes()).hexdigest()[:8]
    )


def _run_plane(
    file: FitsFile,
    layout: Layout,
    report: FileReport,
    job: Job,
    hooks: Hooks,
    psf: NDArray[np.float32] | None,
    run: str,
    dry_run: bool,
) -> FinerPlane | None:
    if hooks.cancel is not None and hooks.cancel.is_set():
        raise Cancelled(f"stopped before {report.path} was finished")
    image = _with_noise(read_plane(file, layout, job.read), job.finer or Finer())
    image = image if psf is None else image.replace(psf=psf)
    report.planes.append(_describe(image))
    if image.psf is None:
        raise InputError(
            f"no psf: {report.path} brings none", code="no_psf", hint="give --psf FILE, or for example moffat:3.2,2.5"
        )
    mode = flux_mode_of(image.unit, (job.finer or Finer()).flux_mode)
    if image.unit is None and (job.finer or Finer()).flux_mode == "auto":
        warnings.warn(
            GencosmoWarning(f"no BUNIT: values count as flux per pixel ({mode})", code="flux_mode"), stacklevel=2
        )
    require_signal(image, max_fill=job.max_fill)
    if dry_run:
        return None
    seed = plane_seed(job.seed, image)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        result = OPS[job.op](image, job, seed, hooks)
    for entry in caught:
        told = entry.message
        if job.strict and isinstance(told, GencosmoWarning) and told.code in STRICT:
            raise InputError(told.message, code=told.code, hint="leave --strict out to accept it")
        warnings.warn_explicit(told, entry.category, entry.filename, entry.lineno)
    report.planes[-1] |= {"chi2": result.chi2, "flux_mode": mode}
    report.filled += int(result.mean.size)
    if hooks.on_plane is not None:
        hooks.on_plane(image, result)
    return keep_finer(
        file, layout, result, _provenance(file, layout, job, seed, result.provenance, run), samples=job.write.samples
    )


def _with_noise(image: Image, asked: Finer) -> Image:
    """The noise that the user names, where the file brings none."""
    if asked.noise is None or image.ivar is not None:
        return image
    if not asked.noise > 0:
        raise UsageError(f"noise is {asked.noise:g}, expected a positive standard deviation")
    return image.replace(ivar=np.where(image.mask, np.float32(0), np.float32(asked.noise**-2)))


def _describe(image: Image) -> dict[str, Any]:
    return {
        "hdu": image.meta["hdu"],
        "size": list(image.shape),
        "masked": int(image.mask.sum()),
        "flags": {} if image.flags is None else count(image.flags),
        "noise": image.meta["noise_source"],
        "pixel_scale": image.pixel_scale,
        "unit": image.unit,
    }


def _provenance(file: FitsFile, layout: Layout, job: Job, seed: int, known: Any, run: str) -> dict[str, str]:
    from gencosmo.io.provenance import package_version

    return {
        "GCMVERS": package_version(),
        "GCMOP": job.op,
        "GCMMODEL": str(known["prior"]),
        "GCMHASH": str(known["prior_hash"]),
        "GCMSEED": str(job.seed),
        "GCMPSEED": str(seed),
        "GCMSAMP": str(job.samples),
        "GCMSTEP": str(known["steps"]),
        "GCMTARG": "scene",
        "GCMRUN": run,
        "GCMPARNT": file.source.sha256(),
        "GCMOF": layout.science.name or str(layout.science.index),
        "GCMDATE": job.write.date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }


def _check_finished(file: FitsFile, report: FileReport, run: str) -> None:
    with open_fits(report.out, replace(file.limits)) as output:
        rows = read_provenance(output)
    if not rows or rows[-1].get("GCMPARNT") != file.source.sha256() or rows[-1].get("GCMRUN") != run:
        raise UsageError(
            f"{report.out} exists and is not this job's output for {report.path}",
            code="exists",
            hint="it comes from another input or other options; --overwrite replaces it",
        )
    report.status = "skipped"
