"""A calibration as one safetensors file: arrays, and JSON in the header. Nothing in it can run."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Calibration, Fitted
from gencosmo.anomaly.density import Density
from gencosmo.anomaly.likeness import Likeness
from gencosmo.anomaly.memory import Memory
from gencosmo.anomaly.widths import Widths
from gencosmo.errors import FormatError, InputError, StorageError, UsageError

__all__ = ["load_calibration", "save_calibration"]

KIND = "gencosmo anomaly detector"
VERSION = 8
WIDTHS = ("edges", "freedom", "scale")


def save_calibration(path: str, calibration: Calibration, options: dict[str, Any], *, overwrite: bool = False) -> None:
    """Write a calibration and the options it belongs to; the file appears whole or not at all.

    Raises
    ------
    UsageError
        `exists`.
    StorageError
    """
    from safetensors.numpy import save

    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{path} exists", code="exists", hint="give overwrite=True")
    arrays: dict[str, NDArray[Any]] = {
        "combined": calibration.combined,
        "peaks": calibration.peaks,
        "nuisance_centre": calibration.nuisance_centre,
        "nuisance_spread": calibration.nuisance_spread,
    }
    if calibration.widths is not None:
        arrays |= {f"widths.{name}": getattr(calibration.widths, name) for name in WIDTHS}
    for view, fitted in calibration.densities.items():
        arrays[f"normal.{view}"] = calibration.normal[view]
        for k, density in enumerate(fitted):
            arrays |= {f"{view}.{k}.{name}": values for name, values in density.arrays().items()}
    header = {"kind": KIND, "version": VERSION, "views": list(calibration.densities), "options": options}
    blob = save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, {"gencosmo": json.dumps(header)})
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.abspath(path)), delete=False) as file:
            file.write(blob)
        os.replace(file.name, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def load_calibration(path: str) -> tuple[Calibration, dict[str, Any]]:
    """Read a calibration and its options.

    Raises
    ------
    InputError, FormatError
        When there is no such file, or it is not one of these.
    """
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise InputError(f"no such file: {path}", code="not_found")
    try:
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get("gencosmo", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"{path} is not a safetensors file: {error}") from None
    if header.get("kind") != KIND or header.get("version") != VERSION:
        raise FormatError(f"{path} is not a detector of this version", hint="fit and save it again")
    densities, normal = {}, {}
    for view in header["views"]:
        folds = sorted({int(name.split(".")[1]) for name in arrays if name.startswith(f"{view}.")})
        densities[view] = [_fitted(arrays, f"{view}.{k}.") for k in folds]
        normal[view] = arrays[f"normal.{view}"]
    widths = Widths(*(arrays[f"widths.{name}"] for name in WIDTHS)) if "widths.edges" in arrays else None
    centre, spread = arrays["nuisance_centre"], arrays["nuisance_spread"]
    return Calibration(densities, normal, arrays["combined"], arrays["peaks"], centre, spread, widths), header[
        "options"
    ]


def _fitted(arrays: dict[str, NDArray[Any]], prefix: str) -> Fitted:
    """What was fitted to one fold, from the arrays whose names begin so."""
    own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
    if "bank" in own:
        return Memory(**own)
    return Density(**own) if "slopes" in own else Likeness.of_arrays(own)
