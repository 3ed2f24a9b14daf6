"""A filled image back to FITS: the input's own bytes, with only the filled pixels changed.

Every HDU that is not touched is copied byte for byte. In the science HDU, the noise plane and the mask plane
only the filled pixels change, in the stored type of that plane: integers stay integers (a filled pixel is
rounded to the nearest step; its spread is in GCM_STD), so that all other pixels are the input's bit for bit.
With `floating` an integer image is written as float32 or float64, whichever holds all its values exactly.

A tile-compressed plane that changes is written uncompressed: compressing it again with loss would change
pixels that nobody asked to change. Planes are made when their turn to be written comes, so that one at a time
is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gencosmo.errors import UsageError
from gencosmo.io.atomic import check_output, write_atomic
from gencosmo.io.build import image_hdu
from gencosmo.io.cards import Value
from gencosmo.io.filled import Filled
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import PlaneRef
from gencosmo.io.noise import to_kind
from gencosmo.io.patch import as_floating, flag_estimated, patched, rewritten, warn_coarse
from gencosmo.io.pixels import load
from gencosmo.io.provenance import provenance_hdu, read_provenance

__all__ = ["DQ_MODES", "WriteOptions", "copy_file", "write_filled"]

DQ_MODES = ("keep", "jwst", "none")

Make = Callable[[], list[bytes]]


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    `dq`: `keep` the cause bits and set the survey's "estimated" bit, `jwst` also clears DO_NOT_USE, `none`
    leaves the mask plane alone. `floating`: integers become floats. `samples`: write them as GCM_SAMP.
    `date`: instead of now.
    """

    overwrite: bool = False
    dq: str = "keep"
    floating: bool = False
    samples: bool = False
    date: str | None = None

    def __post_init__(self) -> None:
        if self.dq not in DQ_MODES:
            raise UsageError(f"dq mode {self.dq!r} is not known", hint=f"expected {', '.join(DQ_MODES)}")


def copy_file(file: FitsFile, out: str, *, overwrite: bool = False) -> None:
    """Write an (unpacked) copy of the file, in one step."""
    check_output(out, overwrite=overwrite, inputs=[file.path])
    write_atomic(out, (file.raw(hdu) for hdu in file.hdus), overwrite=overwrite)


def write_filled(file: FitsFile, done: Sequence[Filled], out: str, options: WriteOptions | None = None) -> None:
    """Write the file with the filled planes to `out`.

    Parameters
    ----------
    file : FitsFile
        The open input; never written to.
    done : sequence of Filled
        One entry per science plane that has filled pixels.
    out : str
        Output path; appears whole or not at all.
    options : WriteOptions, optional

    Raises
    ------
    UsageError
        `exists`, or `out` is an input.
    StorageError
        Disk full, folder not writable.
    """
    options = options or WriteOptions()
    check_output(out, overwrite=options.overwrite, inputs=[file.path, *(o.path for o in file.companions)])
    edited: dict[int, Make] = {}
    added: list[Make] = []
    versions = [item.layout.science.version for item in done]
    for number, item in enumerate(done, start=1):
        _plan_edits(file, item, options, edited)
        distinct = len(set(versions)) == len(done)
        added.append(partial(_new_planes, item, versions[number - 1] if distinct else number))
    rows = [*read_provenance(file), *(dict(item.provenance) for item in done)]
    added.append(lambda: provenance_hdu(rows))
    write_atomic(out, _chunks(file, edited, added), overwrite=options.overwrite)


def _chunks(file: FitsFile, edited: Mapping[int, Make], added: Sequence[Make]) -> Iterator[bytes | memoryview]:
    for hdu in file.hdus:
        if hdu.index in edited:
            yield from edited[hdu.index]()
        elif not hdu.name.startswith("GCM_"):  # of an earlier run; replaced
            raw = file.raw(hdu)
            yield raw
            # Some writers leave the last block short; an HDU that follows needs it whole.
            yield b"\0" * (hdu.stop - hdu.start - len(raw))
    for make in added:
        yield from make()


def _plan_edits(file: FitsFile, item: Filled, options: WriteOptions, edited: dict[int, Make]) -> None:
    if not item.count:
        return
    layout = item.layout
    if load(file, layout.science).is_integer and not options.floating:
        warn_coarse(load(file, layout.science), item.std)
    edited[layout.science.index] = partial(_science, file, item, options)
    if layout.noise is not None and _own(file, layout.noise, item):
        edited[layout.noise.hdu.index] = partial(_noise, file, item, layout.noise, options)
    if layout.dq is not None and options.dq != "none" and _own(file, layout.dq, item):
        edited[layout.dq.hdu.index] = partial(_quality, file, item, layout.dq, options)


def _own(file: FitsFile, ref: PlaneRef, item: Filled) -> bool:
    """Say whether a plane lies in the file that is written and has a pixel for each science pixel."""
    return ref.file is file and load(ref.file, ref.hdu).planes().shape == item.where.shape


def _science(file: FitsFile, item: Filled, options: WriteOptions) -> list[bytes]:
    pixels = load(file, item.layout.science)
    if pixels.is_integer and options.floating:
        pixels = as_floating(pixels)
    changed = patched(pixels, item.where, pixels.encode(item.mean.astype(np.float64)))
    return rewritten(item.layout.science, changed, date=options.date, provenance=item.provenance)


def _noise(file: FitsFile, item: Filled, ref: PlaneRef, options: WriteOptions) -> list[bytes]:
    plane = load(file, ref.hdu)
    values = to_kind(item.std.astype(np.float64), item.layout.noise_kind)
    return rewritten(ref.hdu, patched(plane, item.where, plane.encode(values)), date=options.date)


def _quality(file: FitsFile, item: Filled, ref: PlaneRef, options: WriteOptions) -> list[bytes]:
    plane = load(file, ref.hdu)
    planes = item.layout.planes
    flagged = None if planes is None else flag_estimated(plane, item.where, planes, clear=options.dq == "jwst")
    return [bytes(file.raw(ref.hdu))] if flagged is None else rewritten(ref.hdu, flagged, date=options.date)


def _new_planes(item: Filled, version: int) -> list[bytes]:
    """GCM_FILL (1 filled, + 2 hole too large, + 4 prior out of its domain), GCM_STD, GCM_SAMP when kept."""
    name = item.layout.science.name or str(item.layout.science.index)
    of: dict[str, tuple[Value, str]] = {"GCMOF": (name[:40], "HDU that this plane describes")}
    words = of | {"GCMTARG": (item.target, "what the spread is of: frame or scene")}
    if item.unit and item.unit.isascii() and len(item.unit) < 60:
        words["BUNIT"] = (item.unit, "")
    planes = image_hdu(item.spread(item.kinds), "GCM_FILL", version=version, more=of)
    planes += image_hdu(item.spread(item.std), "GCM_STD", version=version, more=words)
    if item.samples is not None:
        planes += image_hdu(item.samples, "GCM_SAMP", version=version, more=words)
    return planes
