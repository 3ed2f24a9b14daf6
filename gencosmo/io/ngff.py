"""The words of OME-Zarr (NGFF 0.4 and 0.5): multiscales, labels, and where they stand in a group's attributes."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError
from gencosmo.io.stack import Details

__all__ = [
    "VERSIONS",
    "Step",
    "attributes_of_image",
    "check_version",
    "edit_attributes",
    "multiscales",
    "show_channels",
    "steps_of_details",
    "steps_of_image",
]

VERSIONS = {"0.4": 2, "0.5": 3}
"""NGFF versions that are written, with their Zarr formats."""
_SHOWN = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


def check_version(version: str) -> str:
    """Return the version, or raise `UsageError`."""
    if version not in VERSIONS:
        raise UsageError(f"OME-Zarr {version!r} is not written", code="ngff", hint=f"expected {', '.join(VERSIONS)}")
    return version


class Step(NamedTuple):
    """One axis of an image: pixel `n` lies at ``scale * n + shift``, in `unit`."""

    scale: float = 1.0
    shift: float = 0.0
    unit: str | None = None


def steps_of_details(details: Details) -> dict[str, Step]:
    """Return the steps of axes whose sizes are known."""
    sizes = {"Z": details.z, "Y": details.y, "X": details.x}
    steps = {letter: Step(size, 0.0, "micrometer") for letter, size in sizes.items() if size is not None}
    return steps if not details.time_step else {**steps, "T": Step(details.time_step, 0.0, "second")}


def steps_of_image(scales: Mapping[str, Any], letters: str) -> dict[str, Step]:
    """Return the steps that an entry of multiscales gives to the axes of its full size, absurd ones too."""
    size, shift = np.ones(len(letters)), np.zeros(len(letters))
    for row in (scales["datasets"][0], scales):  # the transformations of all levels come after those of a level
        for step in row.get("coordinateTransformations") or []:
            if not isinstance(step, dict):
                continue
            for word in ("scale", "translation"):
                told = step.get(word)
                if isinstance(told, list):
                    numbers = _numbers(told, len(letters))
                    size, shift = (size * numbers, shift * numbers) if word == "scale" else (size, shift + numbers)
    rows = scales.get("axes") or []
    units = [row.get("unit") if isinstance(row, dict) else None for row in rows] or [None] * len(letters)
    return {
        letter: Step(float(one), float(start) if math.isfinite(start) else 0.0, str(unit) if unit else None)
        for letter, one, start, unit in zip(letters, size, shift, units, strict=False)
        if letter in _KINDS
    }


def _numbers(told: Sequence[Any], count: int) -> NDArray[np.float64]:
    """What a transformation says of each axis; nothing, when it has another number of them."""
    numbers = [float(v) if isinstance(v, (int, float)) else math.nan for v in told]
    return np.array(numbers if len(told) == count else [math.nan] * count)


def multiscales(
    letters: str, sizes: Sequence[tuple[int, int]], steps: Mapping[str, Step], *, version: str, name: str
) -> dict[str, Any]:
    """Return one entry of multiscales for arrays `0`, `1`, ... of these sizes (H, W)."""
    own = [steps.get(letter, Step()) for letter in letters]
    axes: list[dict[str, str]] = [
        {"name": letter.lower(), "type": _KINDS[letter]} | ({"unit": step.unit} if step.unit else {})
        for letter, step in zip(letters, own, strict=True)
    ]
    sets = []
    for number, (height, width) in enumerate(sizes):
        by = {"Y": sizes[0][0] / height, "X": sizes[0][1] / width}
        # halved sizes are rounded up at odd edges; the step between pixels is the power of two all the same
        wider = [float(2 ** round(_log2(by.get(letter, 1.0)))) for letter in letters]
        scale = [step.scale * times for step, times in zip(own, wider, strict=True)]
        shift = [step.shift + step.scale * (times - 1) / 2 for step, times in zip(own, wider, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if number or any(shift):
            transforms.append({"type": "translation", "translation": shift})
        sets.append({"path": str(number), "coordinateTransformations": transforms})
    entry: dict[str, Any] = {"name": name, "axes": axes, "datasets": sets, "type": "mean"}
    return {"version": version, **entry} if version == "0.4" else entry


def _log2(value: float) -> float:
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


def show_channels(folder: str, version: str, details: Details, channels: Sequence[NDArray[Any]]) -> None:
    """Write names and colours of channels, and the range of values in which viewers show each, to a group's attributes.

    Channels without a colour are white when there is one, and else get different ones: in white they hide each other.
    """
    count = len(channels)
    names = details.channel_names if len(details.channel_names) == count else tuple(str(n) for n in range(count))
    told = details.channel_colors if len(details.channel_colors) == count else ("",) * count
    other = ("FFFFFF",) if count == 1 else _SHOWN
    rows = [
        {"label": name, "color": color or other[n % len(other)], "active": True, "window": _window(values)}
        for n, (name, color, values) in enumerate(zip(names, told, channels, strict=True))
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
