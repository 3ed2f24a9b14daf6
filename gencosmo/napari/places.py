"""Where layers lie: the plane in view, and the pixels of an image that a mask layer covers.

Layers of a viewer share a world, each with a scale and a place of its own: a mask that was drawn on another grid, or on
the world itself, is brought to the pixels of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.napari.layers import Picture

__all__ = ["mask_of", "picture_of"]

Double = NDArray[np.float64]


def picture_of(viewer: Any, layer: Any, *, whole: bool) -> Picture:
    """Return an image layer as a picture; of a pyramid, full size.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    whole : bool
        All planes, and not the one in view.

    Raises
    ------
    UsageError
        A layer that is turned or sheared, or rows and columns that are not what is shown.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    rgb = bool(layer.rgb)
    axes = data.ndim - rgb
    if not (np.allclose(np.asarray(layer.affine), np.eye(axes + 1)) and _straight(layer, axes)):
        raise UsageError(f"{layer.name} is turned, sheared or has an affine of its own", hint="reset its transform")
    shown = None
    if not whole:
        hidden = set(range(viewer.dims.ndim - 2, viewer.dims.ndim)) - set(viewer.dims.displayed)
        if hidden:
            raise UsageError("rows and columns are not what is shown", hint="turn the axes back, or take all planes")
        here = np.rint(np.asarray(layer.world_to_data(viewer.dims.point))).astype(int)
        shown = tuple(int(np.clip(n, 0, size - 1)) for n, size in zip(here, data.shape[: axes - 2], strict=False))
    more = {name: tuple(getattr(layer, name)) for name in ("units", "axis_labels")}
    scale, translate = (tuple(float(x) for x in values) for values in (layer.scale, layer.translate))
    return Picture(data, layer.name, rgb, scale, shown, translate, more)


def _straight(layer: Any, axes: int) -> bool:
    return np.allclose(np.asarray(layer.rotate), np.eye(axes)) and not np.asarray(layer.shear).any()


def mask_of(layer: Any, image: Any, picture: Picture) -> NDArray[np.bool_]:
    """Return which pixels of a picture a labels or a shapes layer marks: of its size, or of one plane for all.

    Parameters
    ----------
    layer : napari.layers.Labels or napari.layers.Shapes
    image : napari.layers.Image
        The layer of the picture.
    picture : Picture

    Raises
    ------
    InputError
        `shape_mismatch`, or `no_mask` when nothing is marked.
    """
    marked = _drawn(layer, image, picture) if hasattr(layer, "to_labels") else _painted(layer, image, picture)
    if not marked.any():
        raise InputError(f"{layer.name} marks no pixel", code="no_mask", hint="paint over what is to be filled")
    if marked.ndim == 2:
        return marked
    marked = np.broadcast_to(marked, picture.size)
    if picture.shown is not None and not marked[picture.shown].any():
        raise InputError(f"{layer.name} marks no pixel of the plane in view", code="no_mask", hint="or take all planes")
    return marked


def _drawn(layer: Any, image: Any, picture: Picture) -> NDArray[np.bool_]:
    """Shapes with their corners moved to the pixels of the image, filled there."""
    axes = min(layer.ndim, len(picture.size))
    corners = [
        np.array([np.asarray(image.world_to_data(layer.data_to_world(corner)))[-axes:] for corner in shape])
        for shape in layer.data
    ]
    if not corners:
        return np.zeros(picture.size[-2:], np.bool_)
    for shape in corners:
        shape[:, :-2] = np.rint(shape[:, :-2])  # a shape lies in one plane
    moved = type(layer)(corners, ndim=axes, shape_type=layer.shape_type)
    return np.asarray(np.asarray(moved.to_labels(labels_shape=picture.size[-axes:])) != 0)


def _painted(layer: Any, image: Any, picture: Picture) -> NDArray[np.bool_]:
    """Labels as they are where they lie on the pixels of the image, else those nearest to each pixel."""
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data) != 0
    axes = data.ndim
    matrix, start = _steps(image, layer, len(picture.size), axes)
    if axes > len(picture.size) or axes < 2:
        raise _mismatch(layer, data.shape, picture)
    if np.allclose(matrix, np.eye(axes), atol=1e-6) and np.allclose(start, 0, atol=1e-3):
        if data.shape != picture.size[-axes:]:
            raise _mismatch(layer, data.shape, picture)
        return np.asarray(data)
    from scipy.ndimage import affine_transform

    size = picture.size[-axes:]
    return np.asarray(affine_transform(data.astype(np.uint8), matrix, start, output_shape=size, order=0) != 0)


def _steps(image: Any, layer: Any, of_image: int, of_layer: int) -> tuple[Double, Double]:
    """How a layer's indices follow from the image's, over their last axes: ``layer = matrix @ image + start``."""

    def at(index: Double) -> Double:
        return np.asarray(layer.world_to_data(image.data_to_world(index)), dtype=np.float64)[-of_layer:]

    start = at(np.zeros(of_image))
    matrix = np.stack([at(unit) - start for unit in np.eye(of_image)[-of_layer:]], axis=1)
    return matrix, start


def _mismatch(layer: Any, shape: tuple[int, ...], picture: Picture) -> InputError:
    return InputError(
        f"mask {layer.name} has shape {shape}, image {picture.name} {picture.size}",
        code="shape_mismatch",
        hint="paint on a labels layer made for this image",
    )
