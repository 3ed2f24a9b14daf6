"""More images to train on than the development collection holds: more_sky.toml, more_micro.toml; a person fetches them.

A file lies at FOLDER/<owner>+<name>/<path in the repository>. Only files with the listed sha256 are packed; what is
missing or different is named and counted.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.quality.planes import micro_planes
from gencosmo.scaling import measure_scaling
from gencosmo.training.pack import MIN_SIDE, MIN_VALUES, Frame

HERE = Path(__file__).parent
TABLES = {kind: HERE / f"more_{kind}.toml" for kind in ("sky", "micro")}
"""Tables by kind of image."""


@dataclass(frozen=True)
class Listed:
    """One image of a table.

    Attributes
    ----------
    group : str
        Data set; images of one specimen, movie, field or laboratory series share it.
    repository, path, commit, sha256 : str
        Where the file lies on GitHub (``owner/name``) and what it holds.
    licence, modality : str
    planes : tuple of int
        Planes to take, counted as `micro_planes` yields them, or in the HDU of a FITS file; empty for all.
    hdu : int
        Of a FITS file.
    crop : tuple of int
        y0, y1, x0, x1 in pixels; empty for all of the plane.
    step : int
        2 takes one colour of a raw frame behind a colour mosaic.
    low : float
        Values below it are bad: dead pixels, holes in saturated stars.
    """

    group: str
    repository: str
    path: str
    commit: str
    sha256: str
    licence: str
    modality: str = ""
    planes: tuple[int, ...] = ()
    hdu: int = 0
    crop: tuple[int, ...] = ()
    step: int = 1
    low: float = -inf

    def place(self, folder: Path) -> Path:
        """Where the file lies under `folder`."""
        return folder / self.repository.replace("/", "+") / self.path

    def fault(self, folder: Path) -> str:
        """Why the file cannot be used; empty when it can."""
        path = self.place(folder)
        if not path.is_file():
            return f"{path.relative_to(folder)} is missing"
        found = sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            return f"{path.relative_to(folder)} has sha256 {found[:12]}..., the table says {self.sha256[:12]}..."
        return ""

    def frames(self, folder: Path) -> Iterator[Frame]:
        """The chosen planes as network flux, NaN = bad."""
        path = self.place(folder)
        is_fits = any(suffix in (".fits", ".fit", ".fts") for suffix in path.suffixes)
        y0, y1, x0, x1 = self.crop or (0, None, 0, None)
        for index, whole in enumerate(fits_planes(path, self.hdu) if is_fits else micro_planes(path)):
            plane = whole[y0 : y1 : self.step, x0 : x1 : self.step]
            good = np.isfinite(plane) & (plane >= self.low)
            if (self.planes and index not in self.planes) or min(plane.shape) < MIN_SIDE or good.mean() < 0.5:
                continue
            if np.unique(plane[good]).size >= MIN_VALUES:
                flux = measure_scaling(np.where(good, plane, 0), good).to_flux(plane)
                yield Frame(np.where(good, flux, np.nan).astype(np.float32), self.group)


def fits_planes(path: Path, hdu: int) -> Iterator[np.ndarray]:
    """2-D planes of one HDU as float32, NaN = bad."""
    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
        warnings.simplefilter("ignore")
        data = np.asarray(hdus[hdu].data, dtype=np.float32)
    yield from data.reshape(-1, *data.shape[-2:])


def listed(table: Path) -> list[Listed]:
    """Images of a table, in its order."""
    rows = tomllib.loads(table.read_text())["image"]
    return [Listed(**{word: tuple(v) if isinstance(v, list) else v for word, v in row.items()}) for row in rows]


def more_frames(folder: Path, table: Path) -> tuple[list[Frame], list[str]]:
    """Frames of the files that are there and unchanged, and one line for each that is not."""
    kept: list[Frame] = []
    faults: list[str] = []
    for image in listed(table):
        fault = image.fault(folder)
        if fault:
            faults.append(fault)
        else:
            kept += image.frames(folder)
    return kept, faults
