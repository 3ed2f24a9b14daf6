"""`gencosmo info`: what is installed: priors, file layouts, mask flags; or the card of one prior."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gencosmo.flags import documentation_table

__all__ = ["card_lines", "card_words", "info_lines", "info_words"]


def info_words() -> dict[str, Any]:
    """Return versions, priors and layouts in plain words."""
    from gencosmo.io.profiles import PROFILES
    from gencosmo.io.provenance import package_version
    from gencosmo.io.registry import FORMATS
    from gencosmo.priors.cards import shipped_names

    return {
        "version": package_version(),
        "priors": shipped_names(),
        "profiles": {name: profile.about for name, profile in PROFILES.items()},
        "formats": {name: list(row.endings) for name, row in FORMATS.items()},
    }


def card_words(prior: str) -> dict[str, Any]:
    """Return the card of a prior.

    Raises
    ------
    PriorError
        When there is none of that name.
    """
    from gencosmo.priors.cards import Card, card_path

    return asdict(Card.read(card_path(prior)))


def card_lines(words: dict[str, Any]) -> list[str]:
    """Return a card as lines to read: what it is, what it was made of, how good it is on frames it has not seen."""
    training, domain = words["training"], words["domain"]
    low, high = words["pixel_scale"]
    shape = ", ".join(f"{key} {'-'.join(map(str, value))}" for key, value in words["shape"].items())
    lines = [
        f"{words['name']}: {words['description']}",
        f"licence: {words['licence']}",
        f"weights: sha256 {words['weights_sha256']}",
        f"network: {shape}",
        f"meant for: {low:g} to {high:g} arcsec (micrometres) per pixel, holes up to {words['largest_hole']} px",
        "training:",
        *(f"  {key}: {_short(value)}" for key, value in training.items()),
    ]
    if domain:
        lines.append("looks of a frame that are accepted without a warning:")
        lines += [f"  {name}: {ends[0]:.2f} to {ends[1]:.2f}" for name, ends in domain.items()]
    return [*lines, *_validation_lines(words["validation"])]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_short(item)}" for key, item in value.items() if key != "training")
    return str(value)


COLUMNS = {
    "excess": "excess", "raw": "raw rms", "sources": "sources", "worst": "worst", "coverage68": "1 std",
    "coverage95": "1.96 std", "interval68": "int 68", "interval95": "int 95",
}  # fmt: skip
"""Figures of a card's table, and their heads."""


def _validation_lines(validation: dict[str, Any]) -> list[str]:
    """The table of frames that no training has seen."""
    if not validation:
        return ["validation: none in this card; `gencosmo validate IMAGE` tells how good it is on your own"]
    lines = [f"validation ({validation['crops']} crops of {', '.join(validation['groups'])}):"]
    lines.append(f"  {validation['what']}")
    lines.append(f"  {'holes':24}{'crops':>6}" + "".join(f"{head:>10}" for head in COLUMNS.values()))
    for row in validation["table"]:
        name = row["holes"] if row["images"] == "sky" else f"{row['images']}, {row['holes']}"
        figures = "".join(f"{'-' if row[key] is None else format(row[key], '.3f'):>10}" for key in COLUMNS)
        lines.append(f"  {name:24}{row['crops']:6}{figures}")
    return lines


def info_lines(words: dict[str, Any]) -> list[str]:
    """Return it as lines to read."""
    lines = [
        f"gencosmo {words['version']}",
        f"priors: {', '.join(words['priors']) or 'none'}",
        "file layouts (--profile):",
    ]
    lines += [f"  {name:10} {about}" for name, about in words["profiles"].items()]
    lines += ["formats: " + ", ".join(ending for row in words["formats"].values() for ending in row)]
    return [*lines, "mask flags:", *("  " + line for line in documentation_table().splitlines())]
