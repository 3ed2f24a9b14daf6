"""The words of OME-Zarr (NGFF 0.4 and 0.5): multiscales, labels, and where they stand in a group's attributes."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError
from gencosmo.io.stack import Details

__all__ = ["VERSIONS", "attributes_of_image", "check_version", "edit_attributes", "multiscales", "show_channels"]

VERSIONS = {"0.4": 2, "0.5": 3}
"""NGFF versions that are written, with their Zarr formats."""
_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


def check_version(version: str) -> str:
    """Return the version, or raise `UsageError`."""
    if version not in VERSIONS:
        raise UsageError(f"OME-Zarr {version!r} is not written", code="ngff", hint=f"expected {', '.join(VERSIONS)}")
    return version


def multiscales(
    letters: str, sizes: Sequence[tuple[int, int]], details: Details, *, version: str, name: str
) -> dict[str, Any]:
    """Return one entry of multiscales for arrays `0`, `1`, ... of these sizes (H, W)."""
    units = {"T": "second" if details.time_step else None, "Z": details.z, "Y": details.y, "X": details.x}
    axes: list[dict[str, str]] = []
    for letter in letters:
        row = {"name": letter.lower(), "type": _KINDS[letter]}
        if units.get(letter) is not None:
            row["unit"] = "second" if letter == "T" else "micrometer"
        axes.append(row)
    own = {"T": details.time_step or 1.0, "Z": details.z or 1.0, "Y": details.y or 1.0, "X": details.x or 1.0}
    sets = []
    for number, (height, width) in enumerate(sizes):
        by = {"Y": sizes[0][0] / height, "X": sizes[0][1] / width}
        # halved sizes are rounded up at odd edges; the step between pixels is the power of two all the same
        steps = {axis: float(2 ** round(_log2(ratio))) for axis, ratio in by.items()}
        scale = [own.get(letter, 1.0) * steps.get(letter, 1.0) for letter in letters]
        shift = [own.get(letter, 0.0) * (steps.get(letter, 1.0) - 1) / 2 for letter in letters]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if number:
            transforms.append({"type": "translation", "translation": shift})
        sets.append({"path": str(number), "coordinateTransformations": transforms})
    entry: dict[str, Any] = {"name": name, "axes": axes, "datasets": sets, "type": "mean"}
    return {"version": version, **entry} if version == "0.4" else entry


def _log2(value: float) -> float:
    import math

    return math.log2(max(value, 1.0))


def attributes_of_image(
    entry: Mapping[str, Any], version: str, *, label: bool = False, kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the attributes of an image's group: `kept` are words of the input that stay true."""
    words: dict[str, Any] = copy.deepcopy(dict(kept or {}))
    words["multiscales"] = [dict(entry)]
    if label:
        words["image-label"] = {"source": {"image": "../../"}} | ({"version": version} if version == "0.4" else {})
    return words if version == "0.4" else {"ome": {"version": version, **words}}


def show_channels(folder: str, version: str, names: Sequence[str], channels: Sequence[NDArray[Any]]) -> None:
    """Write names of channels, and the range of values in which viewers show each, to a group's attributes."""
    rows = [
        {"label": name, "color": "FFFFFF", "active": True, "window": _window(values)}
        for name, values in zip(names, channels, strict=True)
    ]
    edit_attributes(folder, lambda own: (own if version == "0.4" else own["ome"]).update(omero={"channels": rows}))


def _window(values: NDArray[Any]) -> dict[str, float]:
    """All but the darkest and the brightest pixel of a thousand, within the range of the type or of the values."""
    seen = values[np.isfinite(values)].astype(np.float64)
    seen = seen if seen.size else np.zeros(1)
    start, end = np.quantile(seen, (0.001, 0.999))
    least, most = float(seen.min()), float(seen.max())
    if values.dtype.kind in "iu":
        least, most = float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)
    return {"min": least, "max": most, "start": float(start), "end": float(end)}


def edit_attributes(folder: str, change: Any) -> None:
    """Change the attributes of a group or array on disk by ``change(attributes)``, in place, and leave the rest."""
    for name in ("zarr.json", ".zattrs"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) or (name == ".zattrs" and os.path.isfile(os.path.join(folder, ".zgroup"))):
            words: dict[str, Any] = {}
            if os.path.isfile(path):
                with open(path, encoding="utf-8") as file:
                    words = json.load(file)
            change(words.setdefault("attributes", {}) if name == "zarr.json" else words)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(words, file, indent=2)
            return
