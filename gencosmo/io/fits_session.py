"""FITS as `batch` sees it: every science plane, and of a cube every plane of it, is a unit.

Results wait in memory as filled pixels only; those of every pixel (denoising) on disk.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import TracebackType

from gencosmo.errors import GencosmoWarning
from gencosmo.image import Image, require_signal
from gencosmo.io.atomic import check_output
from gencosmo.io.filled import Filled, keep_filled
from gencosmo.io.fits import ReadOptions, prepare, read_plane, with_data
from gencosmo.io.fits_write import WriteOptions, copy_file, write_filled
from gencosmo.io.hdus import FitsFile, open_fits
from gencosmo.io.layout import Layout
from gencosmo.io.partners import check_partners
from gencosmo.io.provenance import read_provenance
from gencosmo.io.session import Fingerprint
from gencosmo.result import Result

__all__ = ["FitsSession", "open_session"]


def open_session(path: str, options: ReadOptions) -> FitsSession:
    """Open a FITS file and find its science planes.

    Raises
    ------
    InputError, UsageError
        See `gencosmo.io.fits`; also when options are given that mean nothing for FITS.
    """
    return FitsSession(open_fits(path, options.limits), options)


class FitsSession:
    """An open FITS file; see `gencosmo.io.session.Session`."""

    def __init__(self, file: FitsFile, options: ReadOptions) -> None:
        self.path = file.path
        self._file, self._read = file, options
        try:
            self._layouts = prepare(file, options)
        except BaseException:
            file.__exit__(None, None, None)
            raise
        self.profile = self._layouts[0].profile
        self.quiet = any(layout.plane is not None for layout in self._layouts)
        self._done: list[Filled] = []
        self._out, self._write, self._everywhere = "", WriteOptions(), False

    def __enter__(self) -> FitsSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the file as it lies on disk."""
        return self._file.source

    @property
    def companions(self) -> Sequence[Fingerprint]:
        """Of mask and noise files that are open by now."""
        return [other.source for other in self._file.companions]

    def units(self) -> Sequence[Layout]:
        """Science planes; those of a cube that hold no value are left out."""
        return with_data(self._file, self._layouts)

    def label(self, unit: Layout) -> str:
        """HDU number, name, and plane of a cube."""
        return unit.label

    def check_output(self, out: str, options: WriteOptions) -> None:
        """See `gencosmo.io.atomic.check_output`; also for the companions that are written beside it."""
        check_output(out, overwrite=options.overwrite, inputs=[self.path])
        check_partners(self._file, out, overwrite=options.overwrite)

    def begin(self, out: str, options: WriteOptions, run: str, *, resume: bool, everywhere: bool = False) -> None:
        """Nothing is prepared: results wait in memory, or without a name on the disk of the output."""
        self._out, self._write, self._everywhere = out, options, everywhere
        if everywhere and any(row.get("GCMOP") == "denoise" for row in read_provenance(self._file)):
            text = f"{self.path} was denoised before: what it has of noise is the spread of an estimate"
            warnings.warn(GencosmoWarning(text, code="denoised"), stacklevel=2)

    def pending(self, unit: Layout) -> bool:
        """A plane is always computed."""
        return True

    def read(self, unit: Layout) -> Image:
        """See `gencosmo.io.fits.read_plane`."""
        return read_plane(self._file, unit, self._read)

    def densest(self, unit: Layout) -> Layout:
        """The unit itself: planes are not cut."""
        return unit

    def check(self, unit: Layout, image: Image, max_fill: float) -> None:
        """See `gencosmo.image.require_signal`."""
        require_signal(image, max_fill=max_fill)

    def plane_hash(self, unit: Layout) -> str | None:
        """None: a unit is a whole plane."""
        return None

    def name(self, unit: Layout) -> str:
        """HDU name, or its number."""
        return unit.science.name or str(unit.science.index)

    def keep(self, unit: Layout, image: Image, result: Result, provenance: Mapping[str, str]) -> int:
        """See `gencosmo.io.filled.keep_filled`."""
        folder = os.path.dirname(os.path.abspath(self._out))
        kept = keep_filled(
            unit, image, result, provenance,
            samples=self._write.samples, everywhere=self._everywhere, folder=folder,
        )  # fmt: skip
        self._done.append(kept)
        return kept.count

    def finish(self) -> int:
        """Write the file with the filled planes, or a copy of it."""
        if self._done:
            write_filled(self._file, self._done, self._out, self._write)
        else:
            copy_file(self._file, self._out, overwrite=self._write.overwrite)
        return sum(item.count for item in self._done)

    def finished(self, out: str, parent: str, run: str) -> bool:
        """By the last row of its GCM_PROV, or by equal content."""
        with open_fits(out, self._read.limits) as output:
            rows = read_provenance(output)
            if rows:
                return rows[-1].get("GCMPARNT") == parent and rows[-1].get("GCMRUN") == run
            return _content(output) == _content(self._file)


def _content(file: FitsFile) -> str:
    digest = sha256()
    for hdu in file.hdus:
        digest.update(file.raw(hdu))
    return digest.hexdigest()
