"""`gencosmo info`: what is installed: priors, file layouts, mask flags; or the card of one prior."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gencosmo.flags import documentation_table

__all__ = ["card_words", "info_lines", "info_words"]


def info_words() -> dict[str, Any]:
    """Return versions, priors and layouts in plain words."""
    from gencosmo.batch.one import package_version
    from gencosmo.io.profiles import PROFILES
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
