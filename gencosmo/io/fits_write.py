"""A filled image back to FITS: the input's own bytes, with only the filled pixels changed.

Every HDU that is not touched is copied byte for byte. In the science HDU, the noise plane and the mask plane
only the filled pixels change, in the stored type of that plane: integers stay integers (a filled pixel is
rounded to the nearest step; its spread is in GCM_STD), so that all other pixels are the input's bit for bit.
With `floating` an integer image is written as float32 or float64, whichever holds all its values exactly.

A tile-compressed plane that changes is written tile-compressed without loss (GZIP_2): compressing it again with
loss would change pixels that nobody asked to change. Planes are made when their turn to be written comes, so that
one at a time is in memory.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.io.atomic import check_output, write_atomic
from gencosmo.io.build import flag_cards, image_parts, sealed
from gencosmo.io.cards import Value
from gencosmo.io.compress import COMPRESSIONS, compressed_hdu
from gencosmo.io.filled import Filled
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import PlaneRef
from gencosmo.io.noise import to_kind, variance_shares
from gencosmo.io.patch import as_floating, flag_estimated, packing_of, patched, rewritten, warn_coarse
from gencosmo.io.pixels import Pixels, load
from gencosmo.io.provenance import provenance_hdu, read_provenance

__all__ = ["DQ_MODES", "WriteOptions", "copy_file", "write_filled"]

DQ_MODES = ("keep", "jwst", "none")

Make = Callable[[], list[bytes]]


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    `dq`: `keep` the cause bits and set the survey's "estimated" bit, `jwst` also clears DO_NOT_USE, `none`
    leaves the mask plane alone. `floating`: integers become floats. `samples`: write them as GCM_SAMP.
    `date`: instead of now. `compress`: `auto` writes a changed plane that came tile-compressed as GZIP_2, without
    loss; `none` and `gzip` do so for none or all; `rice` compresses floats with loss, and says so.
    """

    overwrite: bool = False
    dq: str = "keep"
    floating: bool = False
    samples: bool = False
    date: str | None = None
    compress: str = "auto"

    def __post_init__(self) -> None:
        if self.compress not in COMPRESSIONS:
            raise UsageError(f"compression {self.compress!r} is not known", hint=f"expected {', '.join(COMPRESSIONS)}")
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
        added.append(partial(_new_planes, item, versions[number - 1] if distinct else number, options.compress))
    if _is_indexed(file):
        _warn("byte addresses of the archive no longer hold: INDEX is dropped, JSON is copied", "archive")
    rows = [*read_provenance(file), *(dict(item.provenance) for item in done)]
    added.append(lambda: provenance_hdu(rows))
    write_atomic(out, _chunks(file, edited, added), overwrite=options.overwrite)


def _chunks(file: FitsFile, edited: Mapping[int, Make], added: Sequence[Make]) -> Iterator[bytes | memoryview]:
    indexed = _is_indexed(file)
    for hdu in file.hdus:
        if hdu.index in edited:
            yield from edited[hdu.index]()
        elif indexed and hdu.index == 0:
            cards = hdu.cards.copy()
            cards.remove(*_ADDRESSES)
            yield from sealed(cards, b"")
        elif not (hdu.name.startswith("GCM_") or (indexed and hdu.name == "INDEX")):
            raw = file.raw(hdu)
            yield raw
            # Some writers leave the last block short; an HDU that follows needs it whole.
            yield b"\0" * (hdu.stop - hdu.start - len(raw))
    for make in added:
        yield from make()


_ADDRESSES = ("INDXADDR", "INDXSIZE", "JSONADDR", "JSONSIZE")


def _is_indexed(file: FitsFile) -> bool:
    """Say whether the primary header tells at which bytes other HDUs lie (lsst.images): not true after a change."""
    return file.hdus[0].kind == "empty" and any(key in file.primary for key in _ADDRESSES)


def _plan_edits(file: FitsFile, item: Filled, options: WriteOptions, edited: dict[int, Make]) -> None:
    if not item.count:
        return
    layout = item.layout
    science = load(file, layout.science)
    if science.is_integer and not options.floating:
        warn_coarse(science, item.std)
    _tell(file, item, options)
    edited[layout.science.index] = partial(_science, file, item, options)
    if layout.noise is not None and _own(file, layout.noise, item):
        edited[layout.noise.hdu.index] = partial(_noise, file, item, layout.noise, options)
    parts = [ref for ref in layout.parts if _own(file, ref, item)]
    shares = variance_shares([load(file, ref.hdu) for ref in parts], item.where) if parts else []
    for ref, share in zip(parts, shares, strict=True):
        edited[ref.hdu.index] = partial(_part, file, item, ref, share, options)
    if layout.dq is not None and options.dq != "none" and _own(file, layout.dq, item):
        edited[layout.dq.hdu.index] = partial(_quality, file, item, layout.dq, options)


def _tell(file: FitsFile, item: Filled, options: WriteOptions) -> None:
    """Say what a user may not expect of the output."""
    hdu = item.layout.science
    packing = packing_of(hdu, load(file, hdu).stored, options.compress)
    if options.compress == "auto" and packing == "gzip":
        was = hdu.cards.text("ZCMPTYPE", "tile")
        _warn(f"HDU {hdu.index} came {was}-compressed and is written GZIP_2, without loss", "lossless")
    elif packing == "rice" and not load(file, hdu).is_integer:
        _warn(f"HDU {hdu.index} is compressed with loss as asked: all its pixels are rounded", "lossy")
    for word, ref in (("noise", item.layout.noise), ("mask", item.layout.dq)):
        if ref is not None and ref.file is not file:
            name = os.path.basename(ref.file.path)
            _warn(f"the {word} plane in {name} stays as it is; see GCM_STD and GCM_FILL in the output", "companion")


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=5)


def _own(file: FitsFile, ref: PlaneRef, item: Filled) -> bool:
    """Say whether a plane lies in the file that is written and has a pixel for each science pixel."""
    if ref.file is not file:
        return False
    plane = load(ref.file, ref.hdu)
    return plane.planes().shape == item.where.shape or plane.is_byte_mask(item.where.shape)


def _science(file: FitsFile, item: Filled, options: WriteOptions) -> list[bytes]:
    pixels = load(file, item.layout.science)
    if pixels.is_integer and options.floating:
        pixels = as_floating(pixels)
    changed = patched(pixels, item.where, pixels.encode(item.mean.astype(np.float64)))
    return _rewritten(item.layout.science, changed, options, item.provenance)


def _noise(file: FitsFile, item: Filled, ref: PlaneRef, options: WriteOptions) -> list[bytes]:
    plane = load(file, ref.hdu)
    values = to_kind(item.std.astype(np.float64), item.layout.noise_kind)
    return _rewritten(ref.hdu, patched(plane, item.where, plane.encode(values)), options)


def _part(file: FitsFile, item: Filled, ref: PlaneRef, share: float, options: WriteOptions) -> list[bytes]:
    plane = load(file, ref.hdu)
    values = to_kind(item.std.astype(np.float64), "variance") * share
    return _rewritten(ref.hdu, patched(plane, item.where, plane.encode(values)), options)


def _quality(file: FitsFile, item: Filled, ref: PlaneRef, options: WriteOptions) -> list[bytes]:
    plane = load(file, ref.hdu)
    planes = item.layout.planes
    flagged = None if planes is None else flag_estimated(plane, item.where, planes, clear=options.dq == "jwst")
    return [bytes(file.raw(ref.hdu))] if flagged is None else _rewritten(ref.hdu, flagged, options)


def _rewritten(
    hdu: Hdu, changed: Pixels, options: WriteOptions, provenance: Mapping[str, str] | None = None
) -> list[bytes]:
    return rewritten(hdu, changed, date=options.date, compress=options.compress, provenance=provenance)


def _new_planes(item: Filled, version: int, compress: str) -> list[bytes]:
    """GCM_FILL (1 filled, + 2 hole too large, + 4 prior out of its domain), GCM_STD, and when there are some
    GCM_FLAG (causes that finders gave) and GCM_SAMP.
    """
    name = item.layout.science.name or str(item.layout.science.index)
    of: dict[str, tuple[Value, str]] = {"GCMOF": (name[:40], "HDU that this plane describes")}
    words = of | {"GCMTARG": (item.target, "what the spread is of: frame or scene")}
    if item.unit and item.unit.isascii() and len(item.unit) < 60:
        words["BUNIT"] = (item.unit, "")
    rows: list[tuple[str, NDArray[Any], dict[str, tuple[Value, str]]]] = [
        ("GCM_FILL", item.spread(item.kinds), of),
        ("GCM_STD", item.spread(item.std), words),
    ]
    if item.causes is not None:
        rows.append(("GCM_FLAG", item.spread(item.causes), of | flag_cards()))
    if item.samples is not None:
        rows.append(("GCM_SAMP", item.samples, words))
    chunks = []
    for label, array, more in rows:
        cards, stored = image_parts(array, label, version=version, more=more)
        packed = compress in ("gzip", "rice")  # these planes are never rounded
        chunks += compressed_hdu(cards, stored, "gzip") if packed else sealed(cards, stored.tobytes())
    return chunks
