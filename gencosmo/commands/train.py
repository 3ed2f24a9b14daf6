"""`gencosmo train`: a prior from packed tiles or from files, in one command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape, glob, has_magic
from typing import Any

from gencosmo.commands.console import note, print_json, print_warning, stop_on_signal
from gencosmo.commands.pack import frames_of_file
from gencosmo.errors import GencosmoError, InputError, UsageError
from gencosmo.io.registry import FORMATS
from gencosmo.training.pack import Frame, read_packed
from gencosmo.training.run import Plan, train

__all__ = ["Sources", "find_files", "parse_scale", "run_train"]

COMPANIONS = (
    "mask",
    "weight",
    "wht",
    "psf",
    "segm",
    "invvar",
    "ivar",
    "sigma",
    "rms",
    "_ood_",
    "_oow_",
    "flag",
    "badpix",
)
"""Words in the names of files that stand beside images; in a folder or a pattern those are left out."""


@dataclass(frozen=True)
class Sources:
    """What was found: frames, the pixel scales that files told, and files left out with the reason."""

    frames: list[Frame]
    scales: list[float]
    left_out: dict[str, str]


def find_files(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files behind the inputs, each once and in order, and companions that were left out.

    A folder stands for all its files of a known ending, a pattern with `*` for what it matches; a file that is named
    is taken as it is.

    Raises
    ------
    InputError
        When an input names nothing.
    """
    endings = (".npz", *(ending for row in FORMATS.values() for ending in row.endings))
    files: list[str] = []
    beside: list[str] = []
    for name in inputs:
        if os.path.isdir(name):
            inside = glob(os.path.join(escape(name), "**", "*"), recursive=True)
            found = sorted(path for path in inside if path.lower().endswith(endings))
        elif has_magic(name) and not os.path.exists(name):
            found = sorted(path for path in glob(name, recursive=True) if os.path.isfile(path))
        else:
            files.append(name)
            continue
        if not found:
            raise InputError(f"{name}: no file of {', '.join(endings)}", code="not_found")
        for path in found:
            base = os.path.basename(path).lower()
            (beside if any(word in base for word in COMPANIONS) else files).append(path)
    return list(dict.fromkeys(files)), beside


def parse_scale(text: str | None) -> tuple[float, float] | None:
    """Read `0.2` or `0.1,0.4` as a range of pixel scales.

    Raises
    ------
    UsageError
    """
    if text is None:
        return None
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(value > 0 for value in values) or values[0] > values[-1]:
        raise UsageError(f"--pixel-scale {text!r} is not a scale or LOW,HIGH", hint="for example 0.2 or 0.1,0.4")
    return values[0], values[-1]


def _read(inputs: Sequence[str], group: str) -> Sources:
    """Frames of all inputs; a file that cannot be used is left out, unless it is the only one."""
    files, beside = find_files(inputs)
    frames: list[Frame] = []
    scales: list[float] = []
    left_out = dict.fromkeys(beside, "stands beside an image; name it to take it")
    for path in files:
        try:
            if path.endswith(".npz"):
                frames += read_packed([path])
                continue
            found = list(frames_of_file(path, group))
        except GencosmoError as error:
            if len(files) == 1:
                raise
            left_out[path] = error.message
            continue
        frames += [frame for frame, _ in found]
        scales += [scale for _, scale in found if scale is not None]
        if not found:
            left_out[path] = "no plane with both sides >= 16 pixels, half of its pixels good, and tones"
    if not frames:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(left_out.items())[:3])
        raise InputError(f"no frame to train on ({reasons})", code="empty_pack", hint="give images or packed files")
    return Sources(frames, scales, left_out)


def run_train(inputs: Sequence[str], out: str, group: str, plan: Plan, *, as_json: bool) -> None:
    """Read, train, write, and tell.

    Raises
    ------
    GencosmoError
        What `gencosmo.training.train` raises, and InputError when no file is usable.
    """
    if os.path.basename(out) in ("", ".", "..") or os.path.isdir(out):
        raise UsageError(f"--out {out} is a folder, expected FOLDER/NAME", hint="the prior's name comes last")
    if os.path.exists(f"{out}.json") and not plan.overwrite:
        raise UsageError(f"{out}.json exists", code="exists", hint="choose another name, or --overwrite")
    sources = _read(inputs, group)
    for path, why in sources.left_out.items():
        print_warning("left_out", f"{path}: {why}")
    with stop_on_signal() as cancel:
        card = train(sources.frames, out, plan, report=note, cancel=cancel, scales=sources.scales)
    note(f"wrote {card}; use it with --prior {card}")
    if as_json:
        print_json(_summary(card, sources))


def _summary(card_file: Any, sources: Sources) -> dict[str, Any]:
    from gencosmo.priors.cards import Card

    card = Card.read(card_file)
    return {
        "card": str(card_file),
        "weights_sha256": card.weights_sha256,
        "frames": len(sources.frames),
        "left_out": sources.left_out,
        "training": dict(card.training),
    }
