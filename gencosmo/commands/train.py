"""`gencosmo train`: a prior from packed tiles or from files, in one command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from gencosmo.commands.console import note, print_json, print_warning, stop_on_signal
from gencosmo.commands.sources import Sources, read_sources
from gencosmo.errors import UsageError
from gencosmo.training.run import Plan, train

__all__ = ["parse_scale", "run_train"]


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
    sources = read_sources(inputs, group)
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
