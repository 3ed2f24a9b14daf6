"""Stacks as `batch` sees them: planes, or blocks of large planes; results wait on disk until the output is made.

The hidden folder `.NAME.RUN.part` beside the output is the state of a run. It goes when the output is there or the run
fails; a run that is stopped or killed leaves it, and the same run with `resume` goes on from it.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import NamedTuple

import numpy as np

from gencosmo.errors import Cancelled, InputError, UsageError
from gencosmo.image import Image, require_signal
from gencosmo.io.axes import Plane
from gencosmo.io.blocks import Block, blocks_of
from gencosmo.io.estimates import Estimates
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.registry import named_format
from gencosmo.io.repairs import Repairs
from gencosmo.io.session import Fingerprint
from gencosmo.io.stack import Stack
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from gencosmo.io.stack_write import Output, check_sides, read_rows, write_output
from gencosmo.io.storage import check_place, storage_errors
from gencosmo.photon import PhotonNoise
from gencosmo.result import Result
from gencosmo.scaling import measure_scaling, sample_rows

__all__ = ["StackSession", "Unit", "open_session"]


class Unit(NamedTuple):
    """A plane and one of its blocks."""

    plane: Plane
    block: Block


@dataclass(frozen=True)
class _Survey:
    """What is known of a large plane before its blocks are computed."""

    hash: str
    scaling: tuple[float, float]
    masked: tuple[int, ...]
    """Of each block."""


def open_session(path: str, options: ReadOptions) -> StackSession:
    """Open a TIFF, OME-Zarr, PNG or JPEG file, or what bioio reads.

    Raises
    ------
    InputError, UsageError
    """
    axes = options.axes if isinstance(options, StackRead) else None
    stack = open_stack(path, axes=axes, image=options.hdu, limit=options.limits.pixels)
    try:
        stack.check_size(whole=False)
        return StackSession(stack, options)
    except BaseException:
        stack.close()
        raise


class StackSession:
    """An open stack; see `gencosmo.io.session.Session`."""

    quiet = True

    def __init__(self, stack: Stack, options: ReadOptions) -> None:
        self.path, self.profile = stack.path, stack.kind
        self.stack, self._find = stack, bool(options.find)
        self._reader = StackReader(stack, options)
        self._blocks = blocks_of(*stack.axes.inside[3:])
        self._surveys: dict[Plane, _Survey] = {}
        self._found: dict[Plane, int] = {}
        self._output: Output | None = None

    def __enter__(self) -> StackSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self.stack.close()
        stopped = kind is not None and (issubclass(kind, Cancelled) or not issubclass(kind, Exception))
        if self._output is not None and not stopped:
            self._output.repairs.remove()

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the file or the folder."""
        return self.stack.fingerprint

    @property
    def companions(self) -> Sequence[Fingerprint]:
        """Of the mask and the noise image."""
        return [one.stack.fingerprint for one in self._reader.companions]

    def laws(self) -> dict[int, PhotonNoise]:
        """Return the law of noise of each channel that is worked on, empty without a camera."""
        camera = self._reader.camera
        return {} if camera is None or camera.camera.std is not None else {c: camera.law(c) for c in camera.channels}

    def units(self) -> Sequence[Unit]:
        """Every block of every plane that is worked on."""
        return [Unit(plane, block) for plane in self._reader.planes for block in self._blocks]

    def label(self, unit: Unit) -> str:
        """Plane, and where the block begins."""
        rows, cols = unit.block.core
        return str(unit.plane) + (f" rows {rows.start}- cols {cols.start}-" if len(self._blocks) > 1 else "")

    def check_output(self, out: str, options: WriteOptions) -> None:
        """Raise when the output cannot be written, or its ending names no format with axes."""
        row = named_format(out)
        if row is None or row.name not in ("tiff", "zarr"):
            raise UsageError(
                f"{out}: the output of {self.profile} is TIFF or OME-Zarr", code="format", hint="name it .ome.tif"
            )
        if options.compress == "rice":
            raise UsageError("rice is a compression of FITS", hint="expected auto, none or gzip")
        check_place(
            out, overwrite=options.overwrite, inputs=[self.path, *(c.stack.path for c in self._reader.companions)]
        )

    def begin(self, out: str, options: WriteOptions, run: str, *, resume: bool, everywhere: bool = False) -> None:
        """Make the folder of results; without `resume` what an earlier run left is deleted."""
        if everywhere:  # planes that are not worked on are written too
            self.stack.require(list(self.stack.axes.planes()))
        layers = [layer for layer, told in self._sides(options).items() if told]
        check_sides(out, layers, overwrite=options.overwrite, run=(self.fingerprint.sha256(), run))
        place, name = os.path.split(os.path.abspath(out.rstrip("/" + os.sep)))
        state = sha256(f"{run}:{self.fingerprint.sha256()}".encode()).hexdigest()[:16]
        folder = os.path.join(place, f".{name}.{state}.part")
        with storage_errors(out):
            for stale in glob.glob(os.path.join(glob.escape(place), f".{glob.escape(name)}.*.part")):
                if os.path.isdir(stale) and not (resume and stale == folder):
                    shutil.rmtree(stale)
            os.makedirs(folder, exist_ok=True)
        make = Estimates if everywhere else Repairs
        repairs = make(folder, self.stack.axes.size("X"), self._blocks, samples=options.samples)
        several = self._sides(options)["flags"]
        self._output = Output(os.path.join(place, name), options, self.stack, self._reader.planes, repairs, several)
        self._output.remember({"GCMPARNT": self.fingerprint.sha256(), "GCMRUN": run})

    def _sides(self, options: WriteOptions) -> dict[str, bool]:
        """What lies beside the output, when there is something to fill."""
        causes = self._find or self._reader.saturation is not None
        return {"std": True, "fill": True, "flags": causes, "samples": options.samples}

    def pending(self, unit: Unit) -> bool:
        """Whether a block is neither done nor, in a large plane, without masked pixels."""
        if self._output is not None and self._output.repairs.has(unit.plane, unit.block):
            return False
        if self._output is not None and self._output.repairs.everywhere:
            return True
        return len(self._blocks) == 1 or self._find or self._survey(unit.plane).masked[unit.block.number] > 0

    def read(self, unit: Unit) -> Image:
        """Read a block with its margin; `meta["core"]` is the part that counts, `meta["scaling"]` the plane's."""
        image = self._reader.image(unit.plane, unit.block.seen)
        if len(self._blocks) == 1:
            return image
        survey = self._survey(unit.plane)
        core = (slice(None), *unit.block.inner)
        return image.replace(meta=dict(image.meta) | {"core": core, "scaling": (survey.scaling,)})

    def densest(self, unit: Unit) -> Unit:
        """The block of the unit's plane with the most masked pixels, the first of these."""
        if len(self._blocks) == 1:
            return unit
        masked = self._survey(unit.plane).masked
        return Unit(unit.plane, self._blocks[masked.index(max(masked))])

    def check(self, unit: Unit, image: Image, max_fill: float) -> None:
        """As `gencosmo.image.require_signal`, for the whole plane."""
        if len(self._blocks) == 1:
            require_signal(image, max_fill=max_fill)
            return
        pixels = self.stack.axes.pixels
        masked = sum(self._survey(unit.plane).masked)
        if self._find:
            self._found[unit.plane] = self._found.get(unit.plane, 0) + int(image.mask[image.meta["core"]].sum())
            masked = max(masked, self._found[unit.plane])
        if masked > max_fill * pixels:
            raise InputError(
                f"{100 * masked / pixels:.1f} % of pixels of {unit.plane} masked, limit {100 * max_fill:g} %: "
                "an inpainting from so little data would be the prior alone",
                code="nothing_observed",
                hint="True or non-zero means bad; where that is right, raise max_fill (--max-fill)",
            )

    def plane_hash(self, unit: Unit) -> str | None:
        """Of stored values and flags, for a plane in several blocks."""
        return None if len(self._blocks) == 1 else self._survey(unit.plane).hash

    def name(self, unit: Unit) -> str:
        """The plane."""
        return str(unit.plane).replace(" ", "")

    def keep(self, unit: Unit, image: Image, result: Result, provenance: Mapping[str, str]) -> int:
        """Write the filled pixels of the block's core to disk."""
        assert self._output is not None
        self._output.remember(provenance)
        return self._output.repairs.put(unit.plane, unit.block, image, result)

    def finish(self) -> int:
        """Make the output."""
        assert self._output is not None
        return write_output(self._output)

    def finished(self, out: str, parent: str, run: str) -> bool:
        """By its provenance, or by equal content."""
        rows = read_rows(out)
        if rows:
            return rows[-1].get("GCMPARNT") == parent and rows[-1].get("GCMRUN") == run
        with open_stack(out, limit=self.stack.limit) as other:
            return other.fingerprint.sha256() == parent

    def _survey(self, plane: Plane) -> _Survey:
        if plane not in self._surveys:
            self._surveys[plane] = self._look(plane)
        return self._surveys[plane]

    def _look(self, plane: Plane) -> _Survey:
        """Read a large plane once, block by block: hash, masked pixels, and the rows on which it is measured."""
        height, width = self.stack.axes.inside[3:]
        digest, masked = sha256(f"{height}x{width}".encode()), []
        low, high = np.inf, -np.inf
        for block in self._blocks:
            raw = self.stack.read(plane, block.core)
            flags = self._reader.flags(raw, plane, block.core)
            digest.update(raw.tobytes())
            digest.update(flags.tobytes())
            masked.append(int(np.count_nonzero(flags)))
            seen = raw[flags == 0]
            if seen.size:
                low, high = min(low, float(seen.min())), max(high, float(seen.max()))
        if low > high:
            raise InputError(f"all pixels of {plane} are masked", code="nothing_observed")
        if low == high:
            raise InputError(f"all observed pixels have the value {low:g}", code="no_signal")
        return _Survey(digest.hexdigest(), self._scaling(plane, height, width), tuple(masked))

    def _scaling(self, plane: Plane, height: int, width: int) -> tuple[float, float]:
        rows = sample_rows(height, width)
        rows = np.arange(height) if rows is None else rows
        groups = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        strips = [
            self._reader.image(plane, (slice(int(part[0]), int(part[-1]) + 1), slice(0, width)), finders=False)
            for part in groups
        ]
        data = np.concatenate([strip.data[0] for strip in strips])
        good = ~np.concatenate([strip.mask[0] for strip in strips])
        ivar = None
        if all(strip.ivar is not None for strip in strips):
            ivar = np.concatenate([strip.ivar[0] for strip in strips if strip.ivar is not None])
        scaling = measure_scaling(data, good, ivar)
        return scaling.background, scaling.noise
