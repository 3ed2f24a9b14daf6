"""A filled image back to FITS: the input's own bytes, with only the filled pixels changed.

Every HDU that is not touched is copied byte for byte. In the science HDU, the noise plane and the mask plane
only the filled pixels change, in the stored type of that plane: integers stay integers (a filled pixel is
rounded to the nearest step; its spread is in GCM_STD), so that all other pixels are the input's bit for bit.
With `floating`, and where every pixel is an estimate (denoising), an integer image is written as float32 or float64,
whichever holds all its values exactly.

A tile-compressed plane that changes is written tile-compressed without loss (GZIP_2): compressing it again with
loss would change pixels that nobody asked to change. Planes are made when their turn to be written comes, so that
one at a time is in memory. Noise and mask planes in files that a survey names after the image are written beside the
output (`partners`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.io.added import added_planes
from gencosmo.io.atomic import check_output, write_all_atomic
from gencosmo.io.build import sealed
from gencosmo.io.changes import Change, noise_change, part_changes, quality_change, science_change
from gencosmo.io.compress import COMPRESSIONS
from gencosmo.io.earlier import earlier_plane, plane_version
from gencosmo.io.filled import Filled
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, PlaneRef
from gencosmo.io.partners import Partner, partners_of, same_content
from gencosmo.io.patch import history_of, packing_of, rewritten, warn_coarse
from gencosmo.io.pixels import is_byte_mask, load
from gencosmo.io.provenance import provenance_hdu, read_provenance

__all__ = ["DQ_MODES", "WriteOptions", "copy_file", "write_filled"]

DQ_MODES = ("keep", "jwst", "none")

Chunk = bytes | memoryview
Make = Callable[[], Iterable[Chunk]]


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
    """Write an (unpacked) copy of the file, and of its survey companions beside it, in one step."""
    check_output(out, overwrite=overwrite, inputs=[file.path])
    partners = partners_of(file, out)
    _write_together(file, partners, {}, out, (piece for hdu in file.hdus for piece in file.pieces(hdu)), overwrite)


def write_filled(file: FitsFile, done: Sequence[Filled], out: str, options: WriteOptions | None = None) -> None:
    """Write the file with the filled planes to `out`.

    Parameters
    ----------
    file : FitsFile
        The open input; never written to.
    done : sequence of Filled
        One entry per science plane that has filled pixels.
    out : str
        Output path; appears whole or not at all, with its companions.
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
    partners = partners_of(file, out)
    edits = _Edits(file, {id(partner.file): partner for partner in partners}, options)
    added: list[Make] = []
    taken: set[int] = set()
    for items in _by_hdu(done):
        science = items[0].layout.science
        edits.plan(items)
        version = plane_version(file, science, taken)
        taken.add(version)
        added.append(partial(added_planes, file, items, version, packed=options.compress in ("gzip", "rice")))
        edits.replaced |= _earlier(file, science, samples=items[0].samples is not None)
    if _is_indexed(file):
        _warn("byte addresses of the archive no longer hold: INDEX is dropped, JSON is copied", "archive")
    rows = [*read_provenance(file), *(dict(item.provenance) for item in done)]
    added.append(lambda: provenance_hdu(rows))
    chunks = _chunks(file, edits.of(file), edits.replaced, added)
    _write_together(file, partners, {id(p.file): edits.of(p.file) for p in partners}, out, chunks, options.overwrite)


def _by_hdu(done: Sequence[Filled]) -> list[list[Filled]]:
    groups: dict[int, list[Filled]] = {}
    for item in done:
        groups.setdefault(item.layout.science.index, []).append(item)
    return list(groups.values())


def _earlier(file: FitsFile, science: Hdu, *, samples: bool) -> set[int]:
    """The planes of an earlier run that new ones take the place of, by HDU number."""
    found = {name: earlier_plane(file, science, name) for name in ("GCM_FILL", "GCM_STD", "GCM_FLAG", "GCM_SAMP")}
    if found["GCM_SAMP"] is not None and not samples:
        _warn("the samples of the earlier run are dropped: they do not know the new pixels", "samples")
    return {hdu.index for hdu in found.values() if hdu is not None}


def _write_together(
    file: FitsFile,
    partners: Sequence[Partner],
    edits: Mapping[int, Mapping[int, Make]],
    out: str,
    chunks: Iterable[Chunk],
    overwrite: bool,
) -> None:
    outputs: list[tuple[str, Iterable[Chunk]]] = []
    shared = []
    for partner in partners:
        changed = edits.get(id(partner.file), {})
        if not changed and same_content(partner.file, partner.out):
            continue  # several images share it, or it is there from another run
        name = os.path.basename(partner.out)
        told = "with the filled pixels" if changed else "as it is"
        _warn(f"{name} is written beside the output, {told}", "companion")
        check_output(partner.out, overwrite=overwrite, inputs=[file.path, *(o.path for o in file.companions)])
        shared += [] if changed else [partner.out]
        outputs.append((partner.out, _chunks(partner.file, changed, set(), ())))
    write_all_atomic([*outputs, (out, chunks)], overwrite=overwrite, shared=shared)


def _chunks(file: FitsFile, edited: Mapping[int, Make], replaced: set[int], added: Sequence[Make]) -> Iterator[Chunk]:
    indexed = _is_indexed(file)
    for hdu in file.hdus:
        if hdu.index in edited:
            yield from edited[hdu.index]()
        elif added and indexed and hdu.index == 0:
            cards = hdu.cards.copy()
            cards.remove(*_ADDRESSES)
            yield from sealed(cards, b"")
        elif not added or not (hdu.index in replaced or hdu.name == "GCM_PROV" or (indexed and hdu.name == "INDEX")):
            yield from file.pieces(hdu)
    for make in added:
        yield from make()


_ADDRESSES = ("INDXADDR", "INDXSIZE", "JSONADDR", "JSONSIZE")


def _is_indexed(file: FitsFile) -> bool:
    """Say whether the primary header tells at which bytes other HDUs lie (lsst.images): not true after a change."""
    return file.hdus[0].kind == "empty" and any(key in file.primary for key in _ADDRESSES)


class _Edits:
    """The HDUs that change, in the file itself and in its companions."""

    def __init__(self, file: FitsFile, partners: Mapping[int, Partner], options: WriteOptions) -> None:
        self.file, self.partners, self.options = file, partners, options
        self.replaced: set[int] = set()
        self._made: dict[tuple[int, int], Make] = {}

    def of(self, file: FitsFile) -> dict[int, Make]:
        """The edits of one file, by HDU number."""
        return {index: make for (key, index), make in self._made.items() if key == id(file)}

    def plan(self, items: list[Filled]) -> None:
        """Plan all that changes because these planes of one HDU were filled."""
        if not any(item.count for item in items):
            return
        layout, options = items[0].layout, self.options
        science = PlaneRef(self.file, layout.science)
        self._tell(items)
        floats = options.floating or items[0].everywhere
        wide = floats and load(self.file, layout.science, plane=layout.plane).is_integer
        self._add(science, items, science_change(science, wide=wide), history_of(_told(items)))
        if layout.noise is not None and self._own(layout, layout.noise):
            self._add(layout.noise, items, noise_change(layout.noise_kind))
        parts = [ref for ref in layout.parts if self._own(layout, ref)]
        for ref, change in zip(parts, part_changes(parts), strict=True):
            self._add(ref, items, change)
        planes = layout.planes
        can_flag = planes is not None and planes.estimated is not None and not planes.codes and options.dq != "none"
        if layout.dq is not None and planes is not None and can_flag and self._own(layout, layout.dq):
            self._add(layout.dq, items, quality_change(planes, clear=options.dq == "jwst"))

    def _add(self, ref: PlaneRef, items: list[Filled], change: Change, history: str = "") -> None:
        make = partial(_changed, ref, items, change, self.options, history)
        self._made[id(ref.file), ref.hdu.index] = make

    def _own(self, layout: Layout, ref: PlaneRef) -> bool:
        """Say whether a plane lies in a file that is written and has a pixel for each science pixel."""
        if ref.file is not self.file and id(ref.file) not in self.partners:
            return False
        long, science = ([n for n in hdu.shape if n > 1] for hdu in (ref.hdu, layout.science))
        return long == science or (layout.plane is None and is_byte_mask(ref.hdu, layout.science))

    def _tell(self, items: list[Filled]) -> None:
        """Say what a user may not expect of the output."""
        layout, options = items[0].layout, self.options
        hdu = layout.science
        pixels = load(self.file, hdu, plane=layout.plane)
        if pixels.is_integer and not (options.floating or items[0].everywhere):
            warn_coarse(pixels, items[0].std)
        packing = packing_of(hdu, pixels.stored, options.compress)
        if options.compress == "auto" and packing == "gzip":
            was = hdu.cards.text("ZCMPTYPE", "tile")
            _warn(f"HDU {hdu.index} came {was}-compressed and is written GZIP_2, without loss", "lossless")
        elif packing == "rice" and not pixels.is_integer:
            _warn(f"HDU {hdu.index} is compressed with loss as asked: all its pixels are rounded", "lossy")
        for word, ref in (("noise", layout.noise), ("mask", layout.dq)):
            if ref is not None and ref.file is not self.file and id(ref.file) not in self.partners:
                name = os.path.basename(ref.file.path)
                _warn(f"the {word} plane in {name} stays as it is; see GCM_STD and GCM_FILL in the output", "companion")


def _told(items: Sequence[Filled]) -> dict[str, str]:
    """Provenance of the planes of one HDU in one: the filled pixels of all."""
    return dict(items[0].provenance) | {"GCMNFILL": str(sum(item.count for item in items))}


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=5)


def _changed(
    ref: PlaneRef, items: Sequence[Filled], change: Change, options: WriteOptions, history: str
) -> Iterable[Chunk]:
    """Header and data of an HDU with the filled pixels; a cube plane by plane."""
    file, hdu = ref.file, ref.hdu
    single = items[0].layout.plane is None
    of_plane: dict[int | None, Filled] = {item.layout.plane: item for item in items}
    numbers = [None] if single else range(hdu.planes)
    first = change(load(file, hdu, plane=numbers[0]), numbers[0], of_plane.get(numbers[0]))
    if first is None:
        return file.pieces(hdu)
    stored = None
    if not single:
        changed = (change(load(file, hdu, plane=k), k, of_plane.get(k)) for k in numbers)
        stored = (pixels.stored for pixels in changed if pixels is not None)
    return rewritten(hdu, first, stored, date=options.date, compress=options.compress, history=history)
