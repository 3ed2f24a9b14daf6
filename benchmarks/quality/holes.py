"""Hole patterns for the comparison, drawn apart from the training's: those that `gencosmo.validate` hides as well."""

from __future__ import annotations

from gencosmo.tasks.hiding import PATTERNS, Pattern

__all__ = ["PATTERNS", "Pattern"]
