"""`gencosmo check`: what would be understood of a file, without running anything."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.batch import Job
from gencosmo.commands.console import note, print_error, print_json, print_warning
from gencosmo.errors import GencosmoError, GencosmoWarning, InputError, PartialFailure, PriorError, UsageError
from gencosmo.flags import count
from gencosmo.image import Image, require_signal
from gencosmo.io.atomic import check_output
from gencosmo.io.checksum import wrong_sums
from gencosmo.io.fits import prepare, read_plane, with_data
from gencosmo.io.hdus import open_fits
from gencosmo.io.noise import measured_noise
from gencosmo.io.registry import format_of
from gencosmo.io.stack_chosen import channel_labels
from gencosmo.io.stack_session import open_session as open_stack_session
from gencosmo.photon import PhotonNoise
from gencosmo.priors.cards import Card, card_path
from gencosmo.tasks.domain import judge_domain

__all__ = ["check_file", "check_lines", "run_check"]


def check_file(
    path: str, job: Job, *, strict: bool = False, noise_picture: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Read every science plane and return what was found, in plain words.

    Parameters
    ----------
    path : str
    job : Job
    strict : bool
        Refuse what is doubtful.
    noise_picture : str, optional
        PNG of the law of noise of each channel; of files with axes whose `job.read` has a camera.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    GencosmoError
        When the file cannot be used; with `strict` also when something about it is doubtful.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        card = _card(job.prior)
        stack = format_of(path).name != "fits"
        if noise_picture is not None and (not stack or getattr(job.read, "camera", None) is None):
            raise UsageError("--noise-picture shows what --noise found in a TIFF or OME-Zarr", hint="--noise estimate")
        found = _check_stack(path, job, card) if stack else _check_fits(path, job, card)
    laws = found.pop("laws", {})
    if noise_picture is not None:
        _draw_noise(noise_picture, path, laws, overwrite=overwrite)
    found["notes"] += [
        {"code": w.message.code, "message": w.message.message} for w in caught if isinstance(w.message, GencosmoWarning)
    ]
    found["notes"] = [dict(pairs) for pairs in dict.fromkeys(tuple(entry.items()) for entry in found["notes"])]
    codes = {entry["code"] for entry in found["notes"]}
    known = card is not None and not codes & {"out_of_domain", "hole_too_large"}
    found["prior"] = {"name": str(job.prior), "covers": known if card is not None else None}
    doubts = [entry for entry in found["notes"] if entry["code"] != "layout"]
    if strict and doubts:
        raise InputError(
            f"{path}: {doubts[0]['message']}", code=doubts[0]["code"], hint="leave --strict out to accept it"
        )
    return found


def _check_fits(path: str, job: Job, card: Card | None) -> dict[str, Any]:
    """What is in a FITS file."""
    with open_fits(path, job.read.limits) as file:
        layouts = prepare(file, job.read)
        found: dict[str, Any] = {
            "path": path,
            "profile": layouts[0].profile,
            "hdus": [hdu.describe() for hdu in file.hdus],
            "planes": [],
            "notes": [
                {"code": "checksum", "message": f"{word} of HDU {hdu.describe()} does not hold"}
                for hdu in file.hdus
                for word in wrong_sums(file, hdu)
            ],
        }
        for layout in with_data(file, layouts):
            image = read_plane(file, layout, job.read)
            require_signal(image, max_fill=job.max_fill)
            found["planes"].append(_plane(image))
            if card is not None:
                judge_domain(image, card)
            found["notes"] += [{"code": code, "message": text} for code, text in image.meta["doubts"]]
            found["notes"] += _doubts_of_numbers(found["planes"][-1])
            found["notes"] += [{"code": "layout", "message": text} for text in layout.notes]
        return found


def _check_stack(path: str, job: Job, card: Card | None) -> dict[str, Any]:
    """What is in a file with axes; of a large plane, block by block."""
    with open_stack_session(path, job.read) as session:
        stack, units = session.stack, session.units()
        found: dict[str, Any] = {
            "path": path,
            "profile": session.profile,
            "scale": "micrometres",
            "hdus": stack.describe(),
            "planes": [],
            "notes": [{"code": code, "message": text} for code, text in stack.details.doubts],
        }
        found["laws"] = session.laws()
        found["camera"] = {
            str(channel): {"gain": law.gain, "read_noise": law.read_noise, "offset": law.offset}
            for channel, law in found["laws"].items()
        }
        names = channel_labels(stack)
        found["channels"] = {str(n): name for n, name in enumerate(names) if name}
        for unit in units:
            image = session.read(unit)
            if image.mask.any():
                session.check(unit, image, job.max_fill)
            rows, cols = image.meta.get("core", (0, slice(None), slice(None)))[1:]
            seen = image.replace(
                data=image.data[:, rows, cols], flags=_part(image.flags, rows, cols), ivar=_part(image.ivar, rows, cols)
            )
            found["planes"].append(_plane(seen))
            if card is not None:
                judge_domain(seen, card)
        return found


def _draw_noise(picture: str, path: str, laws: dict[int, PhotonNoise], *, overwrite: bool) -> None:
    from gencosmo.report import noise_picture

    drawn = [law for law in laws.values() if law.points is not None]
    if not drawn:
        raise UsageError("--noise-picture shows a fit, and nothing was fitted", hint="--noise estimate")
    noise_picture(picture, drawn, title=os.path.basename(path), overwrite=overwrite)
    note(f"picture: {picture}")


def _part(array: NDArray[Any] | None, rows: slice, cols: slice) -> Any:
    return None if array is None else np.ascontiguousarray(array[:, rows, cols])


def run_check(
    paths: list[str],
    job: Job,
    *,
    as_json: bool,
    strict: bool,
    noise_picture: str | None = None,
    overwrite: bool = False,
) -> None:
    """Check files and print the findings; one that fails does not keep the others from being told.

    Raises
    ------
    GencosmoError
        The error of a single file; `PartialFailure` when some of many are not usable.
    """
    if noise_picture is not None:
        if len(paths) > 1:
            raise UsageError(f"--noise-picture is of one file, {len(paths)} are given")
        check_output(noise_picture, overwrite=overwrite, inputs=paths)
    failed: dict[str, GencosmoError] = {}
    words: list[dict[str, Any]] = []
    for path in paths:
        try:
            found = check_file(path, job, strict=strict, noise_picture=noise_picture, overwrite=overwrite)
        except GencosmoError as error:
            if len(paths) == 1:
                raise
            failed[path] = error
            print_error(error, where=path)
            words.append({"path": path, "error": error.as_dict()})
            continue
        words.append(found)
        if as_json:
            continue
        print("\n".join(check_lines(found)))
        for entry in found["notes"]:
            print_warning(entry["code"], entry["message"])
    if as_json:
        print_json(words[0] if len(paths) == 1 else {"files": words, "failed": len(failed)})
    if failed:
        raise PartialFailure(f"{len(failed)} of {len(paths)} files are not usable", failures=failed)


def _plane(image: Image) -> dict[str, Any]:
    mask = image.mask
    holes, largest = _holes(mask)
    noise = measured_noise(image.data, ~mask)
    claimed = None
    if image.ivar is not None:
        known = image.ivar[(image.ivar > 0) & ~mask]
        claimed = float(1 / np.sqrt(np.median(known))) if known.size else None
    return {
        "hdu": image.meta["hdu"],
        "plane": image.meta.get("plane"),
        "size": list(image.shape),
        "masked": int(mask.sum()),
        "share": float(mask.mean()),
        "holes": holes,
        "largest_hole": largest,
        "flags": {} if image.flags is None else count(image.flags),
        "mask_planes": dict(image.meta["planes"]),
        "noise_plane": image.meta["noise_source"],
        "noise_claimed": claimed,
        "noise_measured": noise,
        "pixel_scale": image.pixel_scale,
        "unit": image.unit,
        "found": dict(image.meta.get("found", {})),
        "megabytes": round(image.data.size * _BYTES_A_PIXEL / 1e6, 1),
    }


_BYTES_A_PIXEL = 12 + 8 + 52
"""Image with noise and flags, result, and the planes of the canvas; the network's windows come on top."""


def _doubts_of_numbers(plane: dict[str, Any]) -> list[dict[str, str]]:
    """Noise that the pixels contradict, and memory that this machine does not have."""
    doubts = []
    claimed, measured = plane["noise_claimed"], plane["noise_measured"]
    if claimed and measured and not 1 / 3 < measured / claimed < 3:
        text = f"the noise plane says {claimed:.4g}, neighbouring pixels say {measured:.4g}"
        doubts.append({"code": "noise_mismatch", "message": text})
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    if plane["megabytes"] > 0.8 * memory:
        text = f"needs about {plane['megabytes']:.0f} MB, this machine has {memory:.0f} MB: cut it into sections"
        doubts.append({"code": "memory", "message": text})
    if plane["pixel_scale"] is None:
        text = "the pixel scale is not known, so it cannot be compared with the prior's card"
        doubts.append({"code": "layout", "message": text})
    return doubts


def _holes(mask: NDArray[np.bool_]) -> tuple[int, list[int]]:
    """Number of connected holes, and height and width of the largest one's box."""
    from scipy.ndimage import find_objects, label

    total, largest = 0, [0, 0]
    for channel in mask:
        marks, number = label(channel, structure=np.ones((3, 3)))
        total += int(number)
        for rows, cols in find_objects(marks):
            box = [rows.stop - rows.start, cols.stop - cols.start]
            largest = max(largest, box, key=lambda pair: pair[0] * pair[1])
    return total, largest


def _card(prior: Any) -> Card | None:
    """The card of the prior; None, with a warning, when there is none: the file can be checked without."""
    try:
        return Card.read(card_path(prior))
    except PriorError as error:
        warnings.warn(GencosmoWarning(error.message, code=error.code), stacklevel=2)
        return None


def check_lines(found: dict[str, Any]) -> list[str]:
    """Return the findings as lines to read; of a cube or stack the first plane at length, others in a line each."""
    word = "HDU " if "scale" not in found else ""
    lines = [f"{found['path']}: profile {found['profile']}", *(f"  {word}{text}" for text in found["hdus"])]
    named = found.get("channels", {})
    lines += [
        f"camera, channel {' '.join(filter(None, (n, named.get(n))))}: {_electrons(law)}, offset {law['offset']:.4g}"
        for n, law in found.get("camera", {}).items()
    ]
    told: set[str] = set()
    stack = "scale" in found
    for plane in found["planes"]:
        number = plane["plane"]
        if stack and told:
            lines.append(f"plane {plane['hdu']}: {_to_fill(plane)}{_causes(plane)}; {_noises(plane)}")
        elif number is not None and plane["hdu"] in told:
            lines.append(f"  plane {number + 1}: {_to_fill(plane)}; noise measured {plane['noise_measured']:.4g}")
        else:
            lines += _plane_lines(plane, found.get("scale", "arcsec"))
        told.add(plane["hdu"])
    covers = {None: "is not installed", True: "covers this file", False: "was not validated for this file"}
    lines.append(f"prior {found['prior']['name']} {covers[found['prior']['covers']]}")
    return lines


def _electrons(law: dict[str, float]) -> str:
    if not np.isfinite(law["gain"]):
        return f"noise {law['read_noise']:.4g} at every level"
    return f"{law['gain']:.4g} electrons per unit, read noise {law['read_noise']:.4g} electrons"


def _plane_lines(plane: dict[str, Any], unit: str) -> list[str]:
    size = "x".join(map(str, plane["size"][0 if plane["plane"] is None else 1 :]))
    what = f"science HDU {plane['hdu']}" if unit == "arcsec" else f"plane {plane['hdu']}"
    what += "" if plane["plane"] is None else f" plane {plane['plane'] + 1}"
    lines = [f"{what}: {size} px, unit {plane['unit'] or 'not given'}"]
    scale = plane["pixel_scale"]
    lines.append(f"  pixel scale: {'unknown' if scale is None else f'{scale:.4g} {unit}'}")
    lines.append(f"  to fill: {_to_fill(plane)}")
    lines += [f"    {name}: {number}" for name, number in plane["flags"].items()]
    if plane["found"]:
        lines.append("  finders: " + ", ".join(f"{name} {number}" for name, number in plane["found"].items()))
    if plane["mask_planes"]:
        words = ", ".join(f"{name} {number}" for name, number in plane["mask_planes"].items())
        lines.append(f"  mask planes of the file: {words}")
    claimed = plane["noise_claimed"]
    word = "" if plane["noise_plane"].endswith((")", "every pixel")) else "plane "  # of a camera
    told = "none" if claimed is None else f"{plane['noise_plane']}, median {claimed:.4g}"
    lines.append(f"  noise: {word}{told}; measured from neighbours {plane['noise_measured']:.4g}")
    lines.append(f"  memory: about {plane['megabytes']} MB while it runs, and the windows of the prior")
    return lines


def _causes(plane: dict[str, Any]) -> str:
    causes = [f"{name} {number}" for name, number in plane["flags"].items()]
    return f" ({', '.join(causes)})" if causes else ""


def _noises(plane: dict[str, Any]) -> str:
    claimed = "" if plane["noise_claimed"] is None else f"told {plane['noise_claimed']:.4g}, "
    return f"noise {claimed}measured {plane['noise_measured']:.4g}"


def _to_fill(plane: dict[str, Any]) -> str:
    box = "x".join(map(str, plane["largest_hole"]))
    return f"{plane['masked']} px ({100 * plane['share']:.3g} %) in {plane['holes']} holes, largest {box}"
