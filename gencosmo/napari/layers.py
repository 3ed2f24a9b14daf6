"""From layers to layers: what the widgets do, without a window.

Every function takes what a layer holds and returns layers as napari's plugins do: (data, words, kind).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gencosmo
from gencosmo.errors import UsageError
from gencosmo.flags import bits
from gencosmo.image import Image, as_image
from gencosmo.operators.profiles import gaussian_psf
from gencosmo.result import Result

__all__ = ["Picture", "inpaint_layers", "score_layers", "super_resolve_layers"]

Layer = tuple[NDArray[Any], dict[str, Any], str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image layer: `data` (..., H, W), with `rgb` (..., H, W, 3); `shown`: the leading indices of the plane in view,
    None to work on all. Of its axes but colour: `scale` and `translate`, and in `more` what else has a value for each
    (units, axis labels).
    """

    data: NDArray[Any]
    name: str = "image"
    rgb: bool = False
    scale: tuple[float, ...] = ()
    shown: tuple[int, ...] | None = None
    translate: tuple[float, ...] = ()
    more: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, ...]:
        """Shape without colour."""
        return self.data.shape[:-1] if self.rgb else self.data.shape

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the axes before rows and columns."""
        return self.size[:-2]

    @property
    def chosen(self) -> list[tuple[int, ...]]:
        """Indices of the planes to work on."""
        if self.shown is not None:
            return [tuple(min(n, size - 1) for n, size in zip(self.shown, self.leading, strict=True))]
        return [tuple(index) for index in np.ndindex(*self.leading)]

    @property
    def words(self) -> dict[str, Any]:
        """What a new layer over the chosen planes has in common with this one."""
        axes = len(self.size)
        places = {"scale": self.scale or (1.0,) * axes, "translate": self.translate or (0.0,) * axes, **self.more}
        return {name: tuple(values[-2:] if self.shown is not None else values) for name, values in places.items()}

    def images(self, mask: NDArray[np.bool_] | None) -> Iterator[Image]:
        """The chosen planes, colours as channels; `mask` of the layer's size or of one plane."""
        for index in self.chosen:
            plane = np.asarray(self.data[index])
            plane = np.moveaxis(plane, -1, 0) if self.rgb else plane
            own = None if mask is None else mask if mask.ndim == 2 else mask[index]
            yield as_image(plane, own)

    def stacked(self, planes: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Planes (H, W) or (3, H, W) as the data of a new layer."""
        moved = [np.moveaxis(plane, 0, -1) if plane.ndim == 3 else plane for plane in planes]
        if self.shown is not None:
            return moved[0]
        return np.stack(moved).reshape(*self.leading, *moved[0].shape)


def inpaint_layers(
    picture: Picture, mask: NDArray[np.bool_], *, prior: Any = "cells", samples: int = 0, seed: int = 0, **hooks: Any
) -> list[Layer]:
    """Fill masked pixels: the result, its spread, and labels of what was filled.

    Parameters
    ----------
    picture : Picture
    mask : bool ndarray
        True = fill; of the picture's size or of one plane.
    prior, samples, seed
        As for `gencosmo.inpaint`; so are `progress` and `cancel` among `hooks`.
    """
    found = [
        gencosmo.inpaint(image, prior=prior, samples=samples, seed=seed, **hooks) for image in picture.images(mask)
    ]
    kind = np.dtype(picture.data.dtype)
    means = [_as_stored(result.mean, kind) if picture.rgb else result.mean for result in found]
    return [
        (picture.stacked(means), _named(picture, "filled", rgb=picture.rgb), "image"),
        _spread(picture, found),
        (np.asarray(_stacked_labels(picture, [_fill(result) for result in found])), _named(picture, "fill"), "labels"),
    ]


def super_resolve_layers(
    picture: Picture,
    mask: NDArray[np.bool_] | None,
    *,
    fwhm: float,
    factor: int = 2,
    noise: float | None = None,
    prior: Any = "cells",
    samples: int = 8,
    seed: int = 0,
    **hooks: Any,
) -> list[Layer]:
    """Bring planes to a finer grid: the mean, its spread, and the prior's share of every pixel.

    Parameters
    ----------
    picture : Picture
        Without colour.
    mask : bool ndarray or None
        True = not to be believed.
    fwhm : float
        Width at half maximum of the Gaussian PSF, in pixels of the picture.
    factor : int
    noise : float, optional
        Standard deviation of a pixel; default: photon noise read off the picture.
    prior, samples, seed
        As for `gencosmo.super_resolve`; so are `progress` and `cancel` among `hooks`.

    Raises
    ------
    UsageError
        For a colour picture.
    """
    if picture.rgb:
        raise UsageError("colour pictures are not super-resolved", hint="split the channels first")
    found = []
    for image in picture.images(mask):
        known = _with_noise(image, noise).replace(psf=np.asarray(gaussian_psf(fwhm), np.float32))
        found.append(
            gencosmo.super_resolve(known, factor, prior=prior, samples=samples, seed=seed, flux_mode="sb", **hooks)
        )
    words = _finer(picture, factor)
    shares = [result.prior_share for result in found if result.prior_share is not None]
    spread, data = _spread(picture, found), picture.stacked([result.mean for result in found])
    layers: list[Layer] = [(data, {**_named(picture, "finer"), **words}, "image")]
    layers.append((spread[0], {**spread[1], **words}, "image"))
    share = {**_named(picture, "prior's share"), **words, "contrast_limits": (0.0, 1.0), "visible": False}
    return [*layers, (picture.stacked(shares), share, "image")]


def score_layers(
    picture: Picture,
    mask: NDArray[np.bool_] | None,
    *,
    threshold: float = 5.0,
    prior: Any = "cells",
    seed: int = 0,
    **hooks: Any,
) -> list[Layer]:
    """Find what does not belong: the map of deviations, the prediction's spread, and labels of regions beyond it.

    Parameters
    ----------
    picture : Picture
    mask : bool ndarray or None
        True = not to be scored.
    threshold : float
        Deviation of the regions, in sigmas.
    prior, seed
        As for `gencosmo.score`; so are `progress` and `cancel` among `hooks`.
    """
    from scipy.ndimage import label

    found = [gencosmo.score(image, prior=prior, seed=seed, **hooks) for image in picture.images(mask)]
    maps = [_strongest(result.anomaly_map) for result in found if result.anomaly_map is not None]
    regions = [label(np.abs(one) > threshold, structure=np.ones((3, 3)))[0].astype(np.int32) for one in maps]
    words = {**_named(picture, "deviation"), "colormap": "bwr", "contrast_limits": (-8.0, 8.0), "blending": "additive"}
    return [
        (picture.stacked(maps), words, "image"),
        _spread(picture, found),
        (np.asarray(picture.stacked(regions)), _named(picture, "regions"), "labels"),
    ]


def _named(picture: Picture, word: str, **more: Any) -> dict[str, Any]:
    return {"name": f"{picture.name} {word}", **picture.words, **more}


def _spread(picture: Picture, found: Sequence[Result]) -> Layer:
    data = picture.stacked([_strongest(result.std) for result in found])
    return data, {**_named(picture, "std"), "colormap": "inferno", "visible": False}, "image"


def _strongest(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of colours the value that is largest in size; a plane as it is."""
    if values.ndim == 2:
        return values
    at = np.abs(values).argmax(0)
    return np.asarray(np.take_along_axis(values, at[None], 0)[0])


def _fill(result: Result) -> NDArray[np.uint8]:
    """1 filled, + 2 in a hole too large, + 4 out of the prior's domain, as in files."""
    filled = np.zeros(result.mean.shape, np.bool_) if result.filled is None else result.filled
    codes = filled.astype(np.uint8)
    if result.flags is not None:
        for name, value in (("HOLE_TOO_LARGE", 2), ("OUT_OF_DOMAIN", 4)):
            codes[filled & ((result.flags & np.uint32(bits(name))) != 0)] |= np.uint8(value)
    merged: NDArray[np.uint8] = codes if codes.ndim == 2 else np.bitwise_or.reduce(codes, axis=0)
    return merged


def _stacked_labels(picture: Picture, planes: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
    return picture.stacked(list(planes))


def _as_stored(values: NDArray[np.float32], kind: np.dtype[Any]) -> NDArray[Any]:
    """Colours of whole numbers stay whole: napari shows floats from 0 to 1 only."""
    if kind.kind == "f":
        return values
    info = np.iinfo(kind)
    return np.clip(np.rint(values), info.min, info.max).astype(kind)


def _with_noise(image: Image, noise: float | None) -> Image:
    if noise is not None:
        if not noise > 0:
            raise UsageError(f"noise is {noise:g}, expected a positive standard deviation")
        return image.replace(ivar=np.where(image.mask, np.float32(0), np.float32(noise**-2)))
    return gencosmo.with_noise(image, gencosmo.estimate_noise(image))


def _finer(picture: Picture, factor: int) -> dict[str, Any]:
    """Scale and place of finer pixels: the centre of the first lies left of the coarse one's."""
    words = picture.words
    scale, place = words["scale"], words["translate"]
    fine = (*scale[:-2], *(step / factor for step in scale[-2:]))
    moved = (at + (step / factor - step) / 2 for at, step in zip(place[-2:], scale[-2:], strict=True))
    return {"scale": fine, "translate": (*place[:-2], *moved)}
