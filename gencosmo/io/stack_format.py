"""Stacks as rows of the format table: `read` and `write` with plain arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from gencosmo.errors import InputError
from gencosmo.image import Image
from gencosmo.io.fits import ReadOptions
from gencosmo.io.hdus import Limits
from gencosmo.io.pixels import Section
from gencosmo.io.region import section_within
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from gencosmo.io.stack_result import write

__all__ = ["read", "read_stack", "write"]


def read(
    path: str,
    *,
    section: Section | None = None,
    max_pixels: int | None = None,
    t: int | None = None,
    z: int | None = None,
    **options: Any,
) -> Image:
    """Read the channels of one time and depth as (C, H, W); the arguments are those of `gencosmo.io.read`.

    Raises
    ------
    InputError
        `axes` when there are several times or depths and none is chosen.
    """
    limits = Limits() if max_pixels is None else Limits(pixels=max_pixels, unpacked=32 * max_pixels)
    times, depths = (None if t is None else (t,)), (None if z is None else (z,))
    return read_stack(path, StackRead(limits=limits, times=times, depths=depths, **options), section)


def read_stack(path: str, options: ReadOptions, section: Section | None = None) -> Image:
    """Read the channels of one time and depth as (C, H, W), with the options of a run.

    Raises
    ------
    InputError
        `axes` when there are several times or depths and none is chosen.
    """
    axes = options.axes if isinstance(options, StackRead) else None
    with open_stack(path, axes=axes, image=options.hdu, limit=options.limits.pixels) as stack:
        reader = StackReader(stack, options)
        try:
            return _joined(reader, section)
        finally:
            reader.close()


def _joined(reader: StackReader, section: Section | None) -> Image:
    stack, planes = reader.stack, reader.planes
    for word, option, chosen in (
        ("t", "times", {plane.t for plane in planes}),
        ("z", "depths", {plane.z for plane in planes}),
    ):
        if len(chosen) > 1:
            raise InputError(
                f"{stack.path} has {len(chosen)} planes along {word}, one image has one",
                code="axes",
                hint=f"choose one with --{option}, in Python {word}=; or fill the whole file",
            )
    height, width = stack.axes.inside[3:]
    part = section_within(section or (slice(None), slice(None)), height, width, stack.path)
    stack.check_size(whole=True, section=None if section is None else part)
    images = [reader.image(plane, part) for plane in planes]
    read = {"planes_read": tuple(tuple(plane) for plane in planes), "channel_names": stack.details.channel_names}
    first = images[0].replace(meta=dict(images[0].meta) | read)
    if len(images) == 1:
        return first
    noise = [image.ivar for image in images if image.ivar is not None]
    light = [image.background for image in images if image.background is not None]
    cameras = {(image.gain, image.read_noise) for image in images}
    laws = tuple(law for image in images for law in image.meta.get("laws", ()))
    told = {"rgb": stack.axes.samples > 1}
    return first.replace(
        background=np.concatenate([np.asarray(one, np.float32) for one in light]) if light else None,
        gain=first.gain if len(cameras) == 1 else None,
        read_noise=first.read_noise if len(cameras) == 1 else None,
        data=np.concatenate([image.data for image in images]),
        flags=np.concatenate([image.flags for image in images if image.flags is not None]),
        ivar=np.concatenate(noise) if noise else None,
        planar=False,
        meta=dict(first.meta) | told | ({"laws": laws} if laws else {}),
    )
