"""FITS to `Image`: one science plane with its noise and its mask, in native float32.

Byte order, BSCALE, BLANK, survey masks and noise words end here; above, there are `ivar` and
`gencosmo.flags`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.finders import find_defects
from gencosmo.flags import FILL_BITS, bits, count
from gencosmo.image import Image, shape_text
from gencosmo.io.camera import Camera
from gencosmo.io.cards import Cards
from gencosmo.io.companion import open_companion
from gencosmo.io.decode import decode_together, recall
from gencosmo.io.earlier import earlier_plane
from gencosmo.io.hdus import FitsFile, Limits, open_fits
from gencosmo.io.layout import NOISE_KINDS, Layout, PlaneRef
from gencosmo.io.noise import check_range, read_noise, restore_exact
from gencosmo.io.pixels import Pixels, Section, is_byte_mask, load, load_beside, remember_decoded
from gencosmo.io.profiles import layouts_of
from gencosmo.io.wcs import origin_of, pixel_scale, wcs_notes
from gencosmo.ops.ingest import ingest

__all__ = ["ReadOptions", "prepare", "read_fits", "read_plane", "whole_layouts", "with_data"]


@dataclass(frozen=True)
class ReadOptions:
    """How to understand a file; every field has a default that needs no thought.

    `hdu`: number, NAME or NAME,VERSION, or "all". `mask`, `ivar`, `weight`: `FILE` or `FILE[HDU]` instead of
    what the profile finds (`mask`: in addition). `weight_type`: what `weight` holds, one of std (rms),
    variance, ivar, weight. `mask_planes`: names of the survey's planes to fill instead of the profile's
    choice. `grow`: pixels to widen a flag by, `{"SATURATED": 3}`. `find`: finders for defects that no mask names
    (`gencosmo.finders`); they run before flags are widened. `camera`: the noise of every pixel, instead of a noise
    image.
    """

    hdu: str | int | None = None
    profile: str = "auto"
    mask: str | None = None
    ivar: str | None = None
    weight: str | None = None
    weight_type: str = "weight"
    mask_planes: tuple[str, ...] | None = None
    grow: Mapping[str, int] = field(default_factory=dict)
    find: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    camera: Camera | None = None

    def beyond_fits(self) -> str:
        """Return the names of the options that are set and mean nothing for FITS, for messages."""
        return ""


def read_fits(path: str, options: ReadOptions | None = None, section: Section | None = None) -> Image:
    """Read one science image (the first, or the one of `options.hdu`) with its noise and mask.

    `section`: only these rows and columns, in pixels of the image.

    Raises
    ------
    InputError, UsageError
        See the error table of the documentation; nothing is decoded before its size was checked.
    """
    options = options or ReadOptions()
    with open_fits(path, options.limits) as file:
        layout = whole_layouts(file, options)[0]
        return read_plane(file, layout, options, section)


def prepare(file: FitsFile, options: ReadOptions) -> list[Layout]:
    """Return the science planes to read; of a cube every plane on its own, so that one at a time is in memory."""
    return [plane for layout in whole_layouts(file, options) for plane in layout.each_plane()]


def with_data(file: FitsFile, layouts: Sequence[Layout]) -> list[Layout]:
    """Leave out the planes of cubes that hold no value at all, and say so; they stay as they are.

    Raises
    ------
    InputError
        `no_signal` when no plane is left.
    """
    kept: list[Layout] = []
    empty: list[Layout] = []
    for layout in layouts:
        pixels = None if layout.plane is None else load(file, layout.science, plane=layout.plane)
        (kept if pixels is None or pixels.has_values() else empty).append(layout)
    if not kept:
        raise InputError(f"no plane of HDU {layouts[0].science.describe()} has a finite pixel", code="no_signal")
    if empty:
        shown = ", ".join(str((layout.plane or 0) + 1) for layout in empty[:10]) + (", ..." if len(empty) > 10 else "")
        text = f"{len(empty)} of {len(layouts)} planes have no finite pixel and stay as they are: {shown}"
        warnings.warn(GencosmoWarning(text, code="empty_planes"), stacklevel=2)
    return kept


def whole_layouts(file: FitsFile, options: ReadOptions) -> list[Layout]:
    """Return the science images to read, with the planes of other files that the user named put in."""
    if beyond := options.beyond_fits():
        raise UsageError(f"{beyond} means nothing for a FITS file", hint="it is for TIFF, OME-Zarr, PNG, JPEG")
    if options.camera is not None and (options.ivar or options.weight):
        raise UsageError("a noise image and a camera's noise are both given", hint="a pixel has one noise: name one")
    profile = options.profile
    if profile == "auto" and options.weight and not options.ivar:
        profile = "weight" if not _has_planes(file) else "auto"
    layouts = layouts_of(file, profile=profile, hdu=options.hdu)
    if options.ivar and options.weight:
        raise UsageError("--ivar and --weight are both given", hint="a pixel has one noise: name one of them")
    kind = {"rms": "std", "var": "variance"}.get(options.weight_type, options.weight_type)
    if kind not in NOISE_KINDS:
        raise UsageError(
            f"weight type {options.weight_type!r} is not known",
            hint=f"expected rms, {', '.join(NOISE_KINDS)}",
        )
    for layout in layouts if options.mask else ():
        open_companion(file, options.mask or "", like=layout.science)  # so that it is open, or refused, by now
    other = options.ivar or options.weight
    if other is None:
        return layouts
    return [
        replace(
            layout,
            noise=open_companion(file, other, like=layout.science),
            noise_kind="ivar" if options.ivar else kind,
        )
        for layout in layouts
    ]


def _has_planes(file: FitsFile) -> bool:
    return any(layout.dq or layout.noise for layout in layouts_of(file))


def read_plane(file: FitsFile, layout: Layout, options: ReadOptions, section: Section | None = None) -> Image:
    """Read one science plane of an open file; see `read_fits`.

    `meta` of the image tells `path`, `hdu`, `profile`, `counts` (pixels by flag), `planes` (pixels by survey
    plane), `noise_source`, `found` (by finders), `notes`, and `doubts` about the WCS as (code, text).
    """
    if section is None and layout.plane is None:
        _decode_ahead(file, layout)
    pixels = load(file, layout.science, section, layout.plane)
    planes = pixels.planes()
    beyond = _warn_masked(planes, pixels.bscale, pixels.bzero)
    marks, survey = _read_mask(layout, options, planes.shape, section)
    noise = None
    source = "none"
    if layout.noise is not None:
        noise, zeroed, source = read_noise(layout, planes, pixels, section)
        marks = _join(marks, zeroed)
    if options.mask is not None:
        ref = open_companion(file, options.mask, like=layout.science)
        marks = _join(marks, _user_mask(ref, planes.shape, section, layout))
    marks = _join(marks, _filled_before(file, layout, planes.shape, section))
    data, ivar, flags = ingest(
        planes,
        bscale=pixels.bscale,
        bzero=pixels.bzero,
        blank=pixels.blank,
        noise=noise,
        noise_kind=source if source in ("std", "variance") else "ivar",
        dq=marks,
    )
    if noise is None:
        ivar = None
    else:
        check_range(noise, source, ivar)
        restore_exact(layout, noise, ivar, flags)
        _distrust(flags)
    if np.bitwise_and.reduce(flags, axis=None) & bits("NO_DATA"):
        text = "no pixel is within 3.4e38, the range of float32" if beyond else "image has no finite pixel"
        raise InputError(text, code="no_signal", hint="give the image in other units" if beyond else "")
    image = _assemble(file, layout, pixels, data, ivar, flags, {"planes": survey, "noise_source": source})
    if options.find:
        image = find_defects(image, options.find, saturation=_saturation(pixels.cards, file.primary))
    if section is not None:
        row, col = image.origin
        image = image.replace(origin=(row + (section[0].start or 0), col + (section[1].start or 0)))
    image = _grown(image, options.grow) if options.grow or options.find else image
    if options.camera is None:
        return image
    from gencosmo.io.fits_noise import with_camera  # photon statistics bring SciPy

    return with_camera(image, options.camera)


def _distrust(flags: NDArray[np.uint32]) -> None:
    """Flag pixels of unknown noise as BAD: as good as no value; where a cause is named, that one stands alone."""
    if np.bitwise_or.reduce(flags, axis=None) & bits("NO_NOISE"):
        marked = flags != 0
        some = flags[marked]
        some[(some & np.uint32(bits("NO_NOISE") | FILL_BITS)) == bits("NO_NOISE")] |= np.uint32(bits("BAD"))
        flags[marked] = some


def _assemble(
    file: FitsFile,
    layout: Layout,
    pixels: Pixels,
    data: NDArray[np.float32],
    ivar: NDArray[np.float32] | None,
    flags: NDArray[np.uint32],
    meta: dict[str, Any],
) -> Image:
    cards = pixels.cards
    doubts = [] if layout.plane else wcs_notes(cards)  # the planes of a cube share a header
    words = {
        "path": file.path,
        "hdu": layout.science.index,
        "plane": layout.plane,
        "profile": layout.profile,
        "counts": count(flags),
        "notes": (*layout.notes, *(text for _, text in doubts)),
        "doubts": tuple(doubts),
    }
    gain = _positive(cards, file.primary, ("GAIN", "EGAIN", "CCDGAIN", "GAINA"))
    return Image(
        data=data,
        ivar=ivar,
        flags=flags,
        pixel_scale=pixel_scale(cards) or pixel_scale(file.primary),
        unit=cards.text("BUNIT") or None,
        wcs=_header(pixels.cards),
        origin=origin_of(cards),
        gain=gain,
        read_noise=_positive(cards, file.primary, ("RDNOISE", "READNOIS", "RON", "RDNOISEA")),
        planar=len(pixels.stored.shape) == 2,
        meta=words | meta,
    )


def _header(cards: Cards) -> Any:
    """The header as an astropy object, for users; what astropy thinks of odd cards is not passed on."""
    from astropy.io.fits import Header

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Header.fromstring(cards.tobytes())


def _positive(cards: Cards, primary: Cards, keys: tuple[str, ...]) -> float | None:
    """Return the first of these cards that is a positive number; a card that is none of that is passed
    over.
    """
    for header in (cards, primary):
        for key in keys:
            value = header.get(key)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                return float(value)
    return None


def _read_mask(
    layout: Layout, options: ReadOptions, shape: tuple[int, ...], section: Section | None
) -> tuple[NDArray[np.uint32] | None, dict[str, int]]:
    if layout.dq is None or layout.planes is None:
        if options.mask_planes is not None:
            raise UsageError(
                f"--mask-planes {','.join(options.mask_planes)}: the file has no mask plane",
                code="mask_planes",
            )
        return None, {}
    values = _mask_values(layout, layout.dq, section)
    chosen = layout.planes if options.mask_planes is None else layout.planes.choose(options.mask_planes)
    return _fit("mask", chosen.translate(values), shape), chosen.counts(values)


def _mask_values(layout: Layout, ref: PlaneRef, section: Section | None) -> NDArray[np.int64]:
    if is_byte_mask(ref.hdu, layout.science):
        values = load(ref.file, ref.hdu).mask_values(layout.science.shape)
        return values if section is None else values[(..., *section)]
    return load_beside(layout, ref, "mask", section).integers()


def _user_mask(ref: PlaneRef, shape: tuple[int, ...], section: Section | None, layout: Layout) -> NDArray[np.uint32]:
    plane = load_beside(layout, ref, "mask", section)
    stored = plane.planes()
    bad = stored * plane.bscale + plane.bzero != 0 if plane.bzero or plane.bscale != 1 else stored != 0
    return _fit("mask", np.where(bad, np.uint32(bits("USER")), np.uint32(0)), shape)


def _filled_before(
    file: FitsFile, layout: Layout, shape: tuple[int, ...], section: Section | None
) -> NDArray[np.uint32] | None:
    """FILLED where an earlier run put an estimate: told, and taken as it is."""
    hdu = earlier_plane(file, layout.science, "GCM_FILL")
    if hdu is None or hdu.planes not in (1, layout.science.planes):
        return None
    filled = load(file, hdu, section, layout.plane).planes()
    return np.where(filled > 0, np.uint32(bits("FILLED")), np.uint32(0)) if filled.shape == shape else None


def _decode_ahead(file: FitsFile, layout: Layout) -> None:
    """Decode the compressed planes of one image side by side, and keep them at hand."""
    refs = [PlaneRef(file, layout.science), *(ref for ref in (layout.noise, layout.dq) if ref is not None)]
    for other in {id(ref.file): ref.file for ref in refs}.values():
        wanted = {ref.hdu.index: ref.hdu for ref in refs if ref.file is other and not recall(other, ref.hdu, None)}
        for index, (stored, cards) in decode_together(other, wanted.values()).items():
            remember_decoded(other, wanted[index], stored, cards)


def _fit(name: str, plane: NDArray[np.uint32], shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Give one plane to every channel of a cube; refuse any other difference in shape."""
    if plane.shape == shape:
        return plane
    if plane.shape[0] == 1 and plane.shape[1:] == shape[1:]:
        return np.repeat(plane, shape[0], axis=0)
    raise InputError(shape_text(name, plane.shape, shape), code="shape_mismatch")


def _join(left: NDArray[np.uint32] | None, right: NDArray[np.uint32] | None) -> NDArray[np.uint32] | None:
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _warn_masked(planes: NDArray[Any], bscale: float, bzero: float) -> int:
    """Warn of pixels that `ingest` masks though they are no NaN; the number of those that only float32 cannot hold."""
    infinite = beyond = 0
    if planes.dtype.kind == "f":
        infinite = int(np.count_nonzero(np.isinf(planes)))
    kind: Any = np.finfo(planes.dtype) if planes.dtype.kind == "f" else np.iinfo(planes.dtype)
    most = (float(np.finfo(np.float32).max) - abs(bzero)) / max(abs(bscale), 1e-300)
    if float(kind.max) > most:
        beyond = int(np.count_nonzero(np.abs(planes) > most)) - infinite
    if infinite:
        warnings.warn(GencosmoWarning(f"{infinite} infinite pixels treated as masked", code="non_finite"), stacklevel=4)
    if beyond:
        text = f"{beyond} pixels beyond 3.4e38, the range of float32, treated as masked"
        warnings.warn(GencosmoWarning(text, code="non_finite"), stacklevel=4)
    return beyond


def _saturation(cards: Cards, primary: Cards) -> float | None:
    return _positive(cards, primary, ("SATURATE", "SATURATA", "SATLEVEL", "MAXLIN"))


def _grown(image: Image, grow: Mapping[str, int]) -> Image:
    """Widen flags by a disc of the given radius, and count again."""
    assert image.flags is not None
    flags = image.flags.copy()
    for name, radius in grow.items():
        bit = np.uint32(bits(name))
        if not 0 <= radius <= 64:
            raise UsageError(f"--grow {name}={radius} is not between 0 and 64 pixels")
        if not bit & np.uint32(FILL_BITS):
            raise UsageError(f"--grow {name}: pixels with this flag are not filled")
        if radius == 0:
            continue
        from scipy.ndimage import distance_transform_edt

        for channel in flags:
            hit = (channel & bit) != 0
            if hit.any():
                channel[distance_transform_edt(~hit) <= radius] |= bit
    return image.replace(flags=flags, meta=dict(image.meta) | {"counts": count(flags)})
