"""The output of a stack as values: the input's own, with the filled pixels exchanged; what every writer reads from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Plane, Section
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.levels import encode
from gencosmo.io.repairs import Repairs
from gencosmo.io.stack import Stack, warn

__all__ = ["LAYERS", "TAG", "Output"]

TAG = 65427
"""TIFF tag, from the range for private use, that holds provenance as JSON."""
LAYERS = (("std", np.float32), ("fill", np.uint8), ("flags", np.uint16))
"""What is written besides the image."""
_OF_A_PLANE = ("GCMPSEED", "GCMOF", "GCMNFILL")


@dataclass
class Output:
    """An output in the making: where, how, of what, and the filled pixels."""

    path: str
    options: WriteOptions
    stack: Stack
    planes: list[Plane]
    repairs: Repairs
    causes: bool = False
    """Whether finders or a saturation level gave causes, so that flags are written."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored type: the input's; with `floating`, and of estimates of every pixel, the float that holds them all."""
        own = self.stack.dtype
        if own.kind == "f" or not (self.options.floating or self.repairs.everywhere):
            return own
        return np.dtype(np.float32 if own.itemsize <= 2 else np.float64)

    @property
    def everything(self) -> Section:
        """All rows and columns."""
        height, width = self.stack.axes.inside[3:]
        return slice(0, height), slice(0, width)

    @property
    def layers(self) -> list[tuple[str, Any]]:
        """Those of `LAYERS` that say something: flags only when they tell more than who masked, and of estimates of
        every pixel, fill and flags only when some were masked.
        """
        told = {"std", "fill", "flags"} if self.causes else {"std", "fill"}
        if self.repairs.everywhere and not any(self.changes(plane) for plane in self.planes):
            told = {"std"}
        return [row for row in LAYERS if row[0] in told]

    @property
    def drawn(self) -> int:
        """Posterior samples that are written."""
        return self.repairs.drawn() if self.options.samples else 0

    def changes(self, plane: Plane) -> bool:
        """Whether a plane has filled pixels."""
        return next(self.repairs.spots(plane), None) is not None

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return values (H, W) of a plane of the output."""
        section = section or self.everything
        if self.repairs.everywhere and plane in self.planes:
            return self.repairs.layer("mean", self.dtype, plane, section)
        return self.paint(self.stack.read(plane, section), plane, section)

    def sample(self, number: int, plane: Plane, section: Section) -> NDArray[Any]:
        """Return a posterior sample (H, W) of a plane, float32; a plane that was not worked on is the input's."""
        return self.repairs.sample(number, self.stack.read(plane, section), plane, section)

    def paint(self, stored: NDArray[Any], plane: Plane, section: Section) -> NDArray[Any]:
        """Return stored values with the filled pixels exchanged; a copy."""
        out = np.array(stored, self.dtype)
        for row, col, spot in self.repairs.inside(plane, section):
            out[row, col] = encode(spot.mean, self.dtype)
        return out

    def words(self, count: int) -> dict[str, str]:
        """Return provenance of the run."""
        path = os.path.join(self.repairs.folder, "provenance.json")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return {**json.load(file), "GCMNFILL": str(count)}

    def remember(self, words: Mapping[str, str]) -> None:
        """Keep provenance with the results, so that a run that goes on later has it; the first that is whole stays."""
        path = os.path.join(self.repairs.folder, "provenance.json")
        if "GCMVERS" in self.words(0):
            return
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            json.dump({key: text for key, text in words.items() if key not in _OF_A_PLANE}, file)
        os.replace(f"{path}.tmp", path)

    def tell(self) -> None:
        """Say what rounding did."""
        if self.dtype.kind == "f":
            return
        info = np.iinfo(self.dtype)
        beyond, spreads = 0, []
        for plane in self.planes:
            for spot in self.repairs.spots(plane):
                beyond += int(np.count_nonzero((spot.mean < info.min - 0.5) | (spot.mean > info.max + 0.5)))
                spreads.append(float(np.median(spot.std)))
        spread = float(np.median(spreads)) if spreads else 0.0
        text = f"filled pixels are rounded to {self.dtype}, spread {spread:.2g}"
        if 0 < spread < 1:
            warn(f"{text}: consider --float", "coarse_integers")
        else:
            warn(f"{text}; --float keeps fractions", "rounded")
        if beyond:
            warn(f"{beyond} filled pixels lay beyond the range of {self.dtype} and are at its end", "clipped")
