"""Planes in view and masks on grids of their own, with layers that only know their scale and their place."""

from types import SimpleNamespace

import numpy as np
import pytest

from gencosmo.errors import InputError, UsageError
from gencosmo.napari.places import mask_of, picture_of

from .stand_in import Image, Labels, Viewer

SIZE = (20, 24)


def one_hole(size=SIZE):
    mask = np.zeros(size, bool)
    mask[3:6, 4:8] = True
    return mask


def cells(*leading, **words):
    layer = Image("cells", np.ones((*leading, *SIZE), np.float32), **words)
    viewer = SimpleNamespace(dims=SimpleNamespace(ndim=layer.ndim, point=(0.0,) * layer.ndim, displayed=(0, 1)))
    return layer, picture_of(viewer, layer, whole=True)


def test_the_plane_in_view_is_told_by_the_world_and_not_by_the_slider():
    viewer = Viewer(SIZE)
    layer = viewer.layers[0]
    picture = picture_of(viewer, layer, whole=False)
    assert picture.shown == (2,), "4.2 units, planes are 2 apart"
    assert picture.words == {
        "scale": (0.5, 0.5), "translate": (0, 0), "units": ("um", "um"), "axis_labels": ("y", "x")
    }  # fmt: skip
    assert picture_of(viewer, layer, whole=True).words["scale"] == (2, 0.5, 0.5)
    viewer.dims.point = (99.0, 0, 0)
    assert picture_of(viewer, layer, whole=False).shown == (2,)
    viewer.dims.displayed = (0, 2)
    with pytest.raises(UsageError, match="rows and columns are not what is shown"):
        picture_of(viewer, layer, whole=False)
    assert picture_of(viewer, layer, whole=True).shown is None


def test_turned_layers_are_refused():
    for name, value in (("rotate", [[0, 1], [-1, 0]]), ("shear", [0.1]), ("affine", np.diag([2, 1, 1]))):
        layer, _ = cells()
        setattr(layer, name, np.array(value))
        with pytest.raises(UsageError, match="turned, sheared or has an affine"):
            picture_of(SimpleNamespace(), layer, whole=True)


@pytest.mark.parametrize("leading", [(), (2,)])
def test_labels_on_the_same_grid_are_taken_as_they_are(leading):
    layer, picture = cells(*leading)
    assert np.array_equal(mask_of(Labels("dust", 3 * one_hole()), layer, picture), one_hole())
    for_each = np.zeros((*leading, *SIZE), int)
    for_each[..., 5, 5] = 9
    assert mask_of(Labels("dust", for_each), layer, picture).sum() == np.prod(leading, dtype=int)
    with pytest.raises(InputError, match=r"mask dust has shape \(24, 20\), image cells") as caught:
        mask_of(Labels("dust", one_hole().T), layer, picture)
    assert caught.value.code == "shape_mismatch"
    with pytest.raises(InputError, match="dust marks no pixel"):
        mask_of(Labels("dust", np.zeros(SIZE, int)), layer, picture)


def test_labels_of_some_leading_axes_serve_all_others():
    layer, picture = cells(2, 3)
    mask = np.zeros((3, *SIZE), int)
    mask[1, 2, 2] = 1
    got = mask_of(Labels("dust", mask), layer, picture)
    assert got.shape == (2, 3, *SIZE) and got.sum() == 2 and got[:, 1, 2, 2].all()


def test_labels_on_another_grid_are_brought_to_the_pixels():
    """Painted at half the resolution, over a part of the image."""
    layer, picture = cells(scale=(0.5, 0.5), translate=(10, 20))
    coarse = np.zeros((4, 5), int)
    coarse[1:3, 1:4] = 7
    got = mask_of(Labels("dust", coarse, translate=(10.25, 20.25)), layer, picture)
    assert got.shape == SIZE and np.array_equal(np.argwhere(got).min(0), (2, 2)) and got.sum() == 4 * 6
    with pytest.raises(InputError, match="marks no pixel"):
        mask_of(Labels("dust", coarse), layer, picture)


def test_a_mask_of_another_plane_is_told():
    viewer = Viewer(SIZE)
    layer = viewer.layers[0]
    mask = np.zeros((3, *SIZE), int)
    mask[0, 5, 5] = 1
    labels = Labels("dust", mask, scale=(2, 0.5, 0.5))
    with pytest.raises(InputError, match="no pixel of the plane in view"):
        mask_of(labels, layer, picture_of(viewer, layer, whole=False))
    assert mask_of(labels, layer, picture_of(viewer, layer, whole=True)).sum() == 1
