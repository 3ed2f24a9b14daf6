"""`gencosmo score`: images in; catalogues, regions, maps and pictures out."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from gencosmo.commands.console import note, print_error, print_json, print_warning, progress_display, stop_on_signal
from gencosmo.errors import Cancelled, GencosmoError, GencosmoWarning, InputError, PartialFailure, UsageError
from gencosmo.image import Image
from gencosmo.io import write as write_image
from gencosmo.io.atomic import check_output, write_atomic
from gencosmo.io.axes import Section
from gencosmo.io.build import empty_primary, image_hdu
from gencosmo.io.catalog import ENDINGS, catalog, check_catalog, sky_cards, write_catalog, write_regions
from gencosmo.io.fits import ReadOptions, read_fits
from gencosmo.io.registry import format_of, named_format
from gencosmo.io.stack_format import read_stack
from gencosmo.result import Result
from gencosmo.strips import explanation_strips, told_p
from gencosmo.tasks.anomaly import score
from gencosmo.tasks.detector import AnomalyDetector
from gencosmo.tasks.few import Later

__all__ = ["Outputs", "Scoring", "detector_of", "images_in", "run_score"]


@dataclass(frozen=True)
class Outputs:
    """What to write, and where."""

    folder: str
    catalog: str = "ecsv"
    regions: bool = False
    maps: bool = False
    report: bool = False
    threshold: float = 5.0
    least_pixels: int = 1
    rate: float = 0.05
    overwrite: bool = False

    def paths(self, name: str) -> dict[str, str]:
        """Outputs of one input by kind."""
        wanted = {"catalog": f".{self.catalog}" if self.catalog != "none" else ""}
        named = named_format(name)
        maps = ".map.fits" if named is None or named.name == "fits" else ".map.ome.tif"
        wanted |= {"regions": ".reg" * self.regions, "map": maps * self.maps, "report": ".png" * self.report}
        return {kind: os.path.join(self.folder, name + ending) for kind, ending in wanted.items() if ending}


@dataclass(frozen=True)
class Scoring:
    """How to score: options of the command line."""

    prior: str = "sky-small"
    target: str = "frame"
    tile: int = 64
    seed: int = 0
    device: str = "auto"
    normals: str | None = None
    detector: str | None = None
    save: str | None = None
    region: Section | None = None
    """Rows and columns of the inputs that are scored; default: all."""
    resume: bool = False
    """Passes are kept until the outputs are there, and those that a stopped run made are not made again."""


def images_in(folder: str) -> list[str]:
    """Files of a folder that may be images, in order of their names.

    Raises
    ------
    InputError
        When it is no folder, or holds none.
    """
    from gencosmo.io.registry import FORMATS

    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder", code="not_found")
    endings = tuple(ending for row in FORMATS.values() for ending in row.endings)
    found = sorted(name for name in os.listdir(folder) if name.lower().endswith((*endings, ".gz")))
    if not found:
        raise InputError(f"{folder} holds no image", code="not_found", hint=f"known endings: {', '.join(endings)}")
    return [os.path.join(folder, name) for name in found]


def detector_of(scoring: Scoring, read: ReadOptions, *, overwrite: bool = False) -> AnomalyDetector | None:
    """The detector that the options ask for: loaded, fitted on a folder of normals, or none.

    Normals are read as the inputs are; a mask or a noise image that was given for these is none of theirs.
    """
    if scoring.detector and scoring.normals:
        raise UsageError("--detector and --normals are two ways to say the same", hint="give one of them")
    if scoring.save and not scoring.normals:
        raise UsageError("--save-detector needs --normals: nothing was fitted")
    if scoring.detector:
        prior = scoring.prior if scoring.prior.endswith(".json") else None
        return AnomalyDetector.load(scoring.detector, prior=prior, device=scoring.device)
    if not scoring.normals:
        return None
    if scoring.save:
        check_output(scoring.save, overwrite=overwrite)  # before minutes of fitting
    detector = new_detector(scoring)
    paths = images_in(scoring.normals)
    note(f"fitting on {len(paths)} normal images")
    own = replace(read, mask=None, ivar=None, weight=None)
    detector.fit([Later(_read(path, own, None).shape, partial(_quiet, path, own), path) for path in paths])
    if scoring.save:
        detector.save(scoring.save, overwrite=overwrite)
    return detector


def new_detector(scoring: Scoring) -> AnomalyDetector:
    """A detector with these options, not fitted."""
    target = cast(Any, scoring.target)  # the detector refuses anything else
    return AnomalyDetector(scoring.prior, target=target, tile=scoring.tile, seed=scoring.seed, device=scoring.device)


def run_score(
    inputs: list[str],
    outputs: Outputs,
    scoring: Scoring,
    read: ReadOptions,
    *,
    as_json: bool = False,
    progress: str = "auto",
) -> None:
    """Score each input and write what was asked for.

    Raises
    ------
    GencosmoError
        The error of a single input; `PartialFailure` when some of many failed.
    """
    if f".{outputs.catalog}" not in ENDINGS and outputs.catalog != "none":
        raise UsageError(f"--catalog {outputs.catalog}: expected one of {', '.join(e[1:] for e in ENDINGS)}, none")
    if outputs.catalog != "none":
        check_catalog(f".{outputs.catalog}")
    names = [os.path.basename(path) for path in inputs]
    if len(set(names)) < len(names):
        raise UsageError("two inputs have the same name", hint="run them into different folders")
    if scoring.resume and (scoring.detector or scoring.normals):
        raise UsageError(
            "--resume keeps the passes of the map, and a detector looks at more", hint="leave --resume out"
        )
    os.makedirs(outputs.folder, exist_ok=True)
    detector = detector_of(scoring, read, overwrite=outputs.overwrite)
    reports, failed = [], {}
    with stop_on_signal() as cancel:
        for path in inputs:
            if cancel.is_set():
                raise Cancelled("stopped; finished outputs are kept")
            try:
                with progress_display(progress, os.path.basename(path)) as show:
                    reports.append(_one(path, outputs, scoring, detector, read, (show, cancel)))
            except Cancelled:
                raise
            except GencosmoError as error:
                if len(inputs) == 1:
                    raise
                failed[path] = error
                print_error(error, where=path)
    if as_json:
        print_json({"files": reports, "failed": len(failed)})
    if failed:
        raise PartialFailure(f"{len(failed)} of {len(inputs)} files failed: {', '.join(failed)}", failures=failed)


def _one(
    path: str, outputs: Outputs, scoring: Scoring, detector: AnomalyDetector | None, read: ReadOptions, hooks: Any
) -> dict[str, Any]:
    paths = outputs.paths(os.path.basename(path))
    for target in paths.values():
        check_output(target, overwrite=outputs.overwrite, inputs=[path])
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        image = _read(path, read, scoring.region)
        with _asked(path, image, outputs, scoring) as prior:
            result = score(
                image, prior=prior, detector=detector, target=cast(Any, scoring.target), tile=scoring.tile,
                seed=scoring.seed, device=scoring.device, progress=hooks[0], cancel=hooks[1],
            )  # fmt: skip
    for entry in caught:
        if isinstance(entry.message, GencosmoWarning):
            print_warning(entry.message.code, f"{path}: {entry.message.message}")
    origin = (0, 0) if scoring.region is None else (scoring.region[0].start, scoring.region[1].start)
    table = catalog(
        result, threshold=outputs.threshold, least_pixels=outputs.least_pixels, rate=outputs.rate, file=path,
        origin=origin,
    )  # fmt: skip
    _write(paths, result, table, os.path.basename(path), overwrite=outputs.overwrite)
    kind = result.meta["p_value_kind"]
    seconds = time.perf_counter() - start
    p = told_p(float("nan") if result.p_value is None else result.p_value)
    note(f"{path}: {len(table)} detections, {p} ({kind}), {seconds:.1f} s -> {outputs.folder}")
    return {
        "path": path,
        "outputs": paths,
        "detections": len(table),
        "anomaly_score": result.anomaly_score,
        "p_value": result.p_value,
        "p_value_kind": kind,
        "seconds": round(seconds, 3),
    }


def _asked(path: str, image: Image, outputs: Outputs, scoring: Scoring) -> AbstractContextManager[Any]:
    """The prior, with a memory on disk when the run is to be resumed."""
    if not scoring.resume:
        return nullcontext(scoring.prior)
    from gencosmo.anomaly.bottleneck import narrowed
    from gencosmo.batch.remembered import Remembering
    from gencosmo.priors import load_prior

    denoiser = narrowed(load_prior(scoring.prior, scoring.device), image.shape[1:])
    return Remembering(cast(Any, denoiser), os.path.join(outputs.folder, f".{os.path.basename(path)}.part"))


def _read(path: str, options: ReadOptions, region: Section | None) -> Image:
    """With the options of the command line."""
    reads = read_fits if format_of(path).name == "fits" else read_stack
    return reads(path, options, region)


def _quiet(path: str, options: ReadOptions) -> Image:
    """The same once more: warnings were given when the file was read for the first time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        return _read(path, options, None)


def _write(paths: dict[str, str], result: Result, table: Any, title: str, *, overwrite: bool) -> None:
    if "catalog" in paths:
        write_catalog(table, paths["catalog"], overwrite=overwrite)
    if "regions" in paths:
        write_regions(table, paths["regions"], overwrite=overwrite)
    if "map" in paths and paths["map"].endswith(".tif"):
        assert result.anomaly_map is not None
        image: Image = result.meta["image"]
        shown = image.replace(data=result.anomaly_map.reshape(image.shape), ivar=None, flags=None, background=None)
        write_image(paths["map"], shown, overwrite=overwrite)
    elif "map" in paths:
        assert result.anomaly_map is not None
        row, col = table.meta["origin"]
        cut = {"LTV1": (float(-col), "column 0 of the file"), "LTV2": (float(-row), "row 0 of the file")}
        more = sky_cards(result.meta["image"], (row, col)) | (cut if (row, col) != (0, 0) else {})
        planes = ((result.anomaly_map, "GCM_ANOM"), (result.mean, "GCM_PRED"))
        parts = [*empty_primary(), *(part for plane, name in planes for part in image_hdu(plane, name, more=more))]
        write_atomic(paths["map"], parts, overwrite=overwrite)
    if "report" in paths:
        explanation_strips(paths["report"], result, table, title=title, overwrite=overwrite)
