"""A new file on the finer grid: the mean with its header, spread, prior share, residual, and how it was made.

The input's other HDUs are not copied: masks, weights, PSFs and tables of another grid would lie about this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.io.atomic import check_output, write_atomic
from gencosmo.io.build import empty_primary, image_parts, sealed
from gencosmo.io.cards import Cards, Value
from gencosmo.io.finer import finer_cards
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout
from gencosmo.io.pixels import load
from gencosmo.io.provenance import provenance_hdu, read_provenance
from gencosmo.result import Result

__all__ = ["FinerPlane", "keep_finer", "write_finer"]

_STRUCTURE = (
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "NAXIS",
    "PCOUNT",
    "GCOUNT",
    "GROUPS",
    "EXTEND",
    "EXTNAME",
    "EXTVER",
    "EXTLEVEL",
)


@dataclass(frozen=True)
class FinerPlane:
    """One science plane on the finer grid: its header and its images by HDU name, `SCI` first."""

    cards: Cards
    name: str
    version: int
    images: Mapping[str, NDArray[Any]]
    words: Mapping[str, tuple[Value, str]] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)


def keep_finer(
    file: FitsFile, layout: Layout, result: Result, provenance: Mapping[str, str], *, samples: bool = False
) -> FinerPlane:
    """Take from a result what its file needs.

    Raises
    ------
    InputError
        `non_finite`: that is never written; and as `gencosmo.io.finer.finer_cards`.
    """
    images: dict[str, NDArray[Any]] = {"SCI": result.mean, "GCM_STD": result.std}
    for name, array in (("GCM_PRSH", result.prior_share), ("GCM_RES", result.residual)):
        if array is not None:
            images[name] = array
    if samples and result.samples is not None:
        images["GCM_SAMP"] = result.samples
    broken = [name for name, array in images.items() if not np.isfinite(array).all()]
    if broken:
        raise InputError(
            f"{', '.join(broken)} came out non-finite; nothing is written",
            code="non_finite",
            hint="look for absurd values in the image (gencosmo check)",
        )
    scale, mode = result.meta["scale"], result.meta["flux_mode"]
    cards = finer_cards(load(file, layout.science).cards, scale, mode)
    words: dict[str, tuple[Value, str]] = {"GCMTARG": (result.target, "noise-free scene behind the image")}
    if result.chi2 is not None:
        words["GCMCHI2"] = (float(f"{result.chi2:.6g}"), "mean of GCM_RES^2 ivar over good input pixels")
    return FinerPlane(cards, layout.science.name or "SCI", layout.science.version, images, words, dict(provenance))


def write_finer(file: FitsFile, planes: Sequence[FinerPlane], out: str, *, overwrite: bool = False) -> None:
    """Write the planes to a new file, whole or not at all.

    Raises
    ------
    UsageError
        `exists`, or `out` is an input.
    StorageError
        Disk full, folder not writable.
    """
    check_output(out, overwrite=overwrite, inputs=[file.path, *(o.path for o in file.companions)])
    write_atomic(out, _chunks(file, planes), overwrite=overwrite)


def _chunks(file: FitsFile, planes: Sequence[FinerPlane]) -> Iterator[bytes]:
    yield from empty_primary()
    for number, plane in enumerate(planes, start=1):
        for name, array in plane.images.items():
            science = name == "SCI"
            extension, stored = image_parts(array, plane.name if science else name, version=number, more=plane.words)
            if science:
                extension = _with(extension, plane.cards)
                words = plane.provenance
                extension.add_history(
                    f"gencosmo {words.get('GCMVERS', '')} super-resolve: prior {words.get('GCMMODEL', '')}, "
                    f"samples {words.get('GCMSAMP', '')}, seed {words.get('GCMSEED', '')}"
                )
            elif name != "GCM_RES":
                extension = _with(extension, _grid_only(plane.cards))
            yield from sealed(extension, stored.tobytes())
    rows = [*read_provenance(file), *(dict(plane.provenance) for plane in planes)]
    yield from provenance_hdu(rows)


def _with(extension: Cards, cards: Cards) -> Cards:
    """An extension's own cards, then those of the science header that do not say how pixels are stored."""
    taken = set(extension)
    kept = cards.filtered(lambda key: not (key in _STRUCTURE or key in taken or key.startswith("NAXIS")))
    return Cards(extension.raw() + kept.raw())


def _grid_only(cards: Cards) -> Cards:
    """Where the pixels lie: coordinates and the unit, without history."""
    words = ("CTYPE", "CRPIX", "CRVAL", "CDELT", "CUNIT", "CROTA", "CD1_", "CD2_", "PC1_", "PC2_", "PV", "A_", "B_",
             "AP_", "BP_", "LTV", "LTM", "RADESYS", "EQUINOX", "LONPOLE", "LATPOLE", "WAT", "GCM", "BUNIT")  # fmt: skip
    return cards.filtered(lambda key: key.startswith(words))
