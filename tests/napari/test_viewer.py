"""The widgets in napari itself, without a window: its own layers in, its own layers out."""

import os
import time

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari", reason="napari is not installed")
pytest.importorskip("magicgui", reason="the extra napari is not installed")
try:
    from qtpy.QtWidgets import QApplication
except Exception as error:  # qtpy without any Qt has errors of its own
    pytest.skip(f"no Qt: {type(error).__name__}", allow_module_level=True)

from napari.components import ViewerModel

import gencosmo
from gencosmo.napari import widgets
from gencosmo.result import Result

from .test_layers import filling

SIZE = (40, 48)
PLACE = {"scale": (2, 0.5, 0.5), "translate": (0, 10, 20), "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}


@pytest.fixture(scope="module")
def application():
    return QApplication.instance() or QApplication([])


@pytest.fixture
def viewer(application, monkeypatch):
    """Three planes, the second in view; masks of all kinds, each over rows and columns 10 to 13."""
    monkeypatch.setattr(gencosmo, "inpaint", filling, raising=False)
    made = ViewerModel()
    made.add_image(np.random.default_rng(0).normal(100, 5, (3, *SIZE)).astype(np.float32), name="cells", **PLACE)
    hole = np.zeros(SIZE, int)
    hole[10:14, 10:14] = 1
    here = {name: values[1:] for name, values in PLACE.items()}
    made.add_labels(hole, name="dust", **here)
    box = np.array([[14.8, 24.8], [14.8, 26.7], [16.7, 26.7], [16.7, 24.8]])
    made.add_shapes([box], name="drawn on the world", units=("um",) * 2)
    made.add_shapes([np.insert(box, 0, 4.0, axis=1)], name="drawn in the third plane", units=("um",) * 3)
    made.dims.set_point(0, 2.1)
    return made


def ran(widget, application, **chosen):
    """The words of a run."""
    for name, value in chosen.items():
        getattr(widget, name).value = value
    widget.run()
    stop = time.monotonic() + 120
    while not widget.idle:
        assert time.monotonic() < stop
        application.processEvents()
        time.sleep(0.01)
    return widget.told.value


@pytest.mark.parametrize("planes", ["shown", "all"])
@pytest.mark.parametrize("mask", ["dust", "drawn on the world"])
def test_masks_are_where_they_are_seen_and_so_are_results(viewer, application, mask, planes):
    widget = widgets.inpaint_widget(viewer)
    assert widget.image.choices == ("cells",)
    assert widget.mask.choices == ("dust", "drawn on the world", "drawn in the third plane")
    assert ran(widget, application, mask=mask, planes=planes) == "done"
    filled, std, fill = (viewer.layers[f"cells {word}"] for word in ("filled", "std", "fill"))
    hole = np.zeros(SIZE, bool)
    hole[10:14, 10:14] = True
    plane = viewer.layers["cells"].data[1]
    got = filled.data if planes == "shown" else filled.data[1]
    assert np.array_equal(got, np.where(hole, np.float32(7.25), plane))
    assert np.array_equal(fill.data != 0, np.broadcast_to(hole, fill.data.shape))
    for layer in (filled, std, fill):
        assert layer.ndim == (2 if planes == "shown" else 3)
        assert tuple(layer.scale) == PLACE["scale"][-layer.ndim :]
        assert tuple(layer.translate) == PLACE["translate"][-layer.ndim :]
        assert layer.axis_labels == PLACE["axis_labels"][-layer.ndim :]
        assert layer.units == viewer.layers["cells"].units[-layer.ndim :]
    assert type(fill).__name__ == "Labels" and not std.visible


def test_a_shape_of_one_plane_fills_that_plane(viewer, application):
    widget = widgets.inpaint_widget(viewer)
    told = ran(widget, application, mask="drawn in the third plane", planes="shown")
    assert told.startswith("drawn in the third plane marks no pixel of the plane in view")
    assert ran(widget, application, planes="all") == "done"
    assert [int((plane != 0).sum()) for plane in viewer.layers["cells fill"].data] == [0, 0, 16]


def test_colours_and_pyramids(viewer, application):
    rng = np.random.default_rng(1)
    here = {name: PLACE[name][1:] for name in ("scale", "translate")}
    viewer.add_image(rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8), rgb=True, name="slide", **here)
    plane = rng.normal(10, 1, SIZE).astype(np.float32)
    viewer.add_image([plane, plane[::2, ::2]], multiscale=True, name="pyramid", **here)
    widget = widgets.inpaint_widget(viewer)
    for name, shape in (("slide", (*SIZE, 3)), ("pyramid", SIZE)):
        assert ran(widget, application, image=name, mask="dust") == "done"
        assert viewer.layers[f"{name} filled"].data.shape == shape and viewer.layers[f"{name} filled"].rgb == (
            name == "slide"
        )
        assert (viewer.layers[f"{name} fill"].data != 0).sum() == 16


def test_other_axes_in_view_are_refused_in_words(viewer, application):
    viewer.dims.order = (1, 0, 2)
    widget = widgets.inpaint_widget(viewer)
    assert ran(widget, application, mask="dust", planes="shown").startswith("rows and columns are not what is shown")
    assert ran(widget, application, planes="all") == "done"


def test_layers_of_the_other_two_widgets(viewer, application, monkeypatch):
    def twice(image, factor, *, prior, samples, seed, flux_mode, **hooks):
        big = np.kron(image.data, np.ones((1, factor, factor), np.float32)).astype(np.float32)
        parts = [image.restore(part) for part in (big, np.full_like(big, 2), np.full_like(big, 0.5))]
        return Result(parts[0], parts[1], prior_share=parts[2], target="scene")

    def found(image, *, prior, seed, **hooks):
        spots = np.where(np.indices(SIZE).sum(0)[None] == 9, np.float32(9), np.float32(0))
        return Result(
            image.restore(image.data), image.restore(np.ones_like(image.data)), anomaly_map=image.restore(spots)
        )

    monkeypatch.setattr(gencosmo, "super_resolve", twice, raising=False)
    monkeypatch.setattr(gencosmo, "score", found, raising=False)
    widget = widgets.super_resolve_widget(viewer)
    widget.asked["noise"].value = 5.0
    assert ran(widget, application, planes="all") == "done"
    finer = viewer.layers["cells finer"]
    assert finer.data.shape == (3, 80, 96) and tuple(finer.scale) == (2, 0.25, 0.25)
    assert tuple(finer.translate) == (0, 9.875, 19.875)
    assert np.allclose(finer.extent.world[:, 1:], viewer.layers["cells"].extent.world[:, 1:], atol=0.126)
    assert ran(widgets.score_widget(viewer), application) == "done"
    assert viewer.layers["cells regions"].data.max() == 1 and viewer.layers["cells deviation"].colormap.name == "bwr"


def test_napari_finds_the_plugin():
    from npe2 import PluginManager

    manager = PluginManager()
    manager.discover()
    titles = {one.display_name for one in manager.get_manifest("gencosmo").contributions.widgets}
    assert titles == {"Fill masked pixels", "Super-resolve", "Find what does not belong"}
