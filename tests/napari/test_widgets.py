"""The windows without a screen: manifest, choices, a run to its layers, errors in words, stopping."""

import os
import threading
import time

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
npe2 = pytest.importorskip("npe2", reason="the extra napari is not installed")
pytest.importorskip("magicgui", reason="the extra napari is not installed")
try:
    from qtpy.QtWidgets import QApplication
except Exception as error:  # qtpy without any Qt has errors of its own
    pytest.skip(f"no Qt: {type(error).__name__}", allow_module_level=True)

from gencosmo.errors import Cancelled, InputError  # noqa: E402
from gencosmo.napari import widgets  # noqa: E402
from tests.house import PACKAGE  # noqa: E402

from .stand_in import Image, Viewer  # noqa: E402

SIZE = (16, 18)


@pytest.fixture(scope="module")
def application():
    return QApplication.instance() or QApplication([])


def wait(widget, application, seconds=60):
    stop = time.monotonic() + seconds
    while not widget.idle:
        assert time.monotonic() < stop
        application.processEvents()
        time.sleep(0.01)


def made(factory, work=None):
    widget = factory(Viewer(SIZE))
    if work is not None:
        widget.work = work
    return widget


def test_the_manifest_is_valid_and_its_commands_exist():
    path = PACKAGE / "napari" / "napari.yaml"
    manifest = npe2.PluginManifest.from_file(path)
    manifest.validate_imports()
    commands = {one.id: one.python_name for one in manifest.contributions.commands}
    assert len(commands) == 3 and {one.command for one in manifest.contributions.widgets} == set(commands)
    for name in commands.values():
        assert name.startswith("gencosmo.napari.widgets:") and callable(getattr(widgets, name.partition(":")[2]))


def test_choices_are_the_viewer_s_layers(application):
    widget = made(widgets.inpaint_widget)
    assert widget.image.choices == ("cells",) and widget.mask.choices == ("dust",) and widget.prior.value == "cells"
    widget.viewer.layers.append(Image("more", np.ones(SIZE)))
    widget.reset_choices()
    assert widget.image.choices == ("cells", "more")
    assert made(widgets.score_widget).mask.choices == (widgets.NONE, "dust")


def test_a_run_gets_what_was_chosen_and_adds_its_layers(application):
    seen = {}

    def work(picture, mask, *, progress, cancel, **words):
        seen.update(words, picture=picture, mask=mask, thread=threading.current_thread())
        progress(1, 2)
        return [(picture.data[picture.shown], {"name": "a"}, "image"), (np.ones(SIZE, int), {"name": "b"}, "labels")]

    widget = made(widgets.inpaint_widget, work)
    widget.asked["samples"].value = 4
    widget.run()
    assert not widget.button.enabled and widget.stop.enabled
    wait(widget, application)
    assert seen["picture"].shown == (2,) and seen["samples"] == 4 and seen["mask"].sum() == 4
    assert seen["thread"] is not threading.main_thread()
    assert [(kind, words["name"]) for kind, _, words in widget.viewer.added] == [("image", "a"), ("labels", "b")]
    assert widget.told.value == "done" and widget.button.enabled and not widget.stop.enabled


def test_noise_of_zero_is_read_off_the_image_and_all_planes_are_all(application):
    seen = {}
    widget = made(
        widgets.super_resolve_widget, lambda picture, mask, **words: seen.update(words, picture=picture) or []
    )
    widget.planes.value = "all"
    widget.run()
    wait(widget, application)
    assert "noise" not in seen and seen["picture"].shown is None and seen["factor"] == 2
    widget.asked["noise"].value = 3.0
    widget.run()
    wait(widget, application)
    assert seen["noise"] == 3.0


def test_errors_come_as_words(application):
    def broken(*_, **__):
        raise InputError("the image is odd", code="odd", hint="mend it")

    widget = made(widgets.score_widget, broken)
    widget.run()
    wait(widget, application)
    assert widget.told.value == "the image is odd\nmend it" and widget.viewer.added == []
    widget.work = lambda *_, **__: 1 // 0
    widget.run()
    wait(widget, application)
    assert widget.told.value.startswith("ZeroDivisionError")
    del widget.viewer.layers[0].affine  # a kind of layer that nobody has seen yet
    widget.run()
    assert widget.idle and widget.told.value.startswith("AttributeError")
    empty = made(widgets.inpaint_widget)
    empty.viewer.layers.clear()
    empty.reset_choices()
    empty.run()
    assert empty.idle and "no image layer is chosen" in empty.told.value


def test_work_can_be_stopped(application):
    def endless(picture, mask, *, progress, cancel, **words):
        while not cancel.wait(0.01):
            progress(1, 10)
        raise Cancelled("stopped")

    widget = made(widgets.score_widget, endless)
    widget.run()
    widget.run()  # a second press while it works does nothing
    widget.cancel()
    wait(widget, application)
    assert widget.told.value == "stopped" and widget.button.enabled
