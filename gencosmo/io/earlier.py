"""Planes that an earlier run left in a file: they are found again, and kept where a new run changes nothing.

A GCM_* plane says by its card GCMOF which HDU it describes (its name, or its number), by EXTVER which version of it.
"""

from __future__ import annotations

from gencosmo.io.hdus import FitsFile, Hdu

__all__ = ["earlier_plane", "plane_label", "plane_version"]

_PLANES = ("GCM_FILL", "GCM_STD", "GCM_FLAG", "GCM_SAMP")


def plane_label(science: Hdu) -> str:
    """Return what GCMOF says of planes that describe this HDU."""
    return (science.name or str(science.index))[:40]


def earlier_plane(file: FitsFile, science: Hdu, name: str) -> Hdu | None:
    """Return the GCM_* image of an earlier run that describes a science HDU; None when there is none."""
    named = [hdu for hdu in _ours(file) if hdu.name == name and hdu.cards.text("GCMOF") == plane_label(science)]
    if len(named) > 1:
        named = [hdu for hdu in named if hdu.cards.get("GCMOFV", hdu.version) == science.version]
    return named[0] if len(named) == 1 else None


def plane_version(file: FitsFile, science: Hdu, taken: set[int]) -> int:
    """Return the EXTVER for the planes of a science HDU: that of an earlier run, its own, or the next that is free."""
    before = earlier_plane(file, science, "GCM_FILL")
    others = {hdu.version for hdu in _ours(file) if hdu.cards.text("GCMOF") != plane_label(science)} | taken
    version = science.version if before is None else before.version
    while version in others:
        version += 1
    return version


def _ours(file: FitsFile) -> list[Hdu]:
    return [hdu for hdu in file.hdus if hdu.name in _PLANES and hdu.is_image]
