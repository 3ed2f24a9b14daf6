"""Noise and mask files that a survey names after the image: an output gets its own, beside it.

Only names that the survey gives are known, so what the user named with `--ivar`, `--weight` or `--mask` stays where it
is, and so does a partner when the output's name is not one of that survey.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256

from gencosmo.errors import GencosmoError
from gencosmo.io.atomic import check_output
from gencosmo.io.hdus import FitsFile, open_fits

__all__ = ["Partner", "check_partners", "partners_of", "same_content"]


@dataclass(frozen=True)
class Partner:
    """A companion of the input and where its counterpart is written."""

    file: FitsFile
    out: str


def partners_of(file: FitsFile, out: str) -> list[Partner]:
    """Return the companions that are written beside an output of this name."""
    found = []
    for other in file.companions:
        name = None if other.partner_name is None else other.partner_name(out)
        taken = name is not None and os.path.abspath(name) == os.path.abspath(out)
        if name is not None and not taken and not _is_input(name, file):
            found.append(Partner(other, name))
    return found


def check_partners(file: FitsFile, out: str, *, overwrite: bool) -> None:
    """Raise as `check_output` when a partner of an output cannot be written; an equal copy that is there may stay."""
    for partner in partners_of(file, out):
        if not same_content(partner.file, partner.out):
            check_output(partner.out, overwrite=overwrite)


def _is_input(path: str, file: FitsFile) -> bool:
    """An output in the folder of its input may have the partner's own name: that stays."""
    inputs = [file.path, *(other.path for other in file.companions)]
    return os.path.exists(path) and any(os.path.samefile(path, name) for name in inputs)


def same_content(file: FitsFile, path: str) -> bool:
    """Say whether a file is there and holds the same HDUs, byte for byte, whatever its packing."""
    if not os.path.exists(path):
        return False
    try:
        with open_fits(path, file.limits) as other:
            return _digest(other) == _digest(file)
    except GencosmoError:
        return False


def _digest(file: FitsFile) -> str:
    digest = sha256()
    for hdu in file.hdus:
        for piece in file.pieces(hdu):
            digest.update(piece)
    return digest.hexdigest()
