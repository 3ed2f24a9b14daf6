"""The three windows. Work runs in a thread of its own; what it says comes through a queue that a timer empties."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container, FloatSpinBox, Label, ProgressBar, PushButton, SpinBox
from qtpy.QtCore import QTimer

import gencosmo
from gencosmo.errors import Cancelled, GencosmoError, GencosmoWarning, UsageError
from gencosmo.napari.layers import Layer, Picture, inpaint_layers, score_layers, super_resolve_layers
from gencosmo.napari.places import mask_of, picture_of

__all__ = ["TaskWidget", "inpaint_widget", "score_widget", "super_resolve_widget"]

NONE = "(none)"
POLL = 50
"""Milliseconds between looks at the queue."""

Work = Callable[..., list[Layer]]


class TaskWidget(Container[Any]):
    """Layers to choose, options, and a button.

    Parameters
    ----------
    viewer : napari.Viewer
    work : callable
        ``(picture, mask, prior=, seed=, progress=, cancel=, **options)`` to layers.
    options : dict of str to widget
        Of this task; an option of 0 that is named in `unset` is left out.
    needs_mask : bool
    unset : tuple of str
    """

    def __init__(
        self, viewer: Any, work: Work, options: dict[str, Any], *, needs_mask: bool, unset: tuple[str, ...] = ()
    ) -> None:
        self.viewer, self.work, self.asked, self.unset = viewer, work, options, unset
        self.needs_mask = needs_mask
        self.image = ComboBox(label="image", choices=lambda _: self._names("Image"))
        self.mask = ComboBox(label="mask", choices=lambda _: self._masks())
        self.planes = ComboBox(label="planes", choices=["shown", "all"], value="shown")
        self.prior = ComboBox(label="prior", choices=gencosmo.list_priors(), value="cells")
        self.seed = SpinBox(label="seed", value=0, max=2**31 - 1)
        self.button, self.stop = PushButton(text="Run"), PushButton(text="Stop", enabled=False)
        self.bar, self.told = ProgressBar(value=0, max=1000, label=""), Label(value="")
        parts = [self.image, self.mask, self.planes, *options.values(), self.prior, self.seed, self.button, self.stop]
        super().__init__(widgets=[*parts, self.bar, self.told], labels=True)
        self.button.clicked.connect(self.run)
        self.stop.clicked.connect(self.cancel)
        for name in ("inserted", "removed"):
            event = getattr(getattr(viewer.layers, "events", None), name, None)
            if event is not None:
                event.connect(lambda *_: self.reset_choices())
        self._messages: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._cancel = threading.Event()
        self._timer = QTimer(self.native)
        self._timer.timeout.connect(self._look)

    def _names(self, *kinds: str) -> list[str]:
        return [layer.name for layer in self.viewer.layers if type(layer).__name__ in kinds]

    def _masks(self) -> list[str]:
        return [*([] if self.needs_mask else [NONE]), *self._names("Labels", "Shapes")]

    def _layer(self, name: str | None, what: str) -> Any:
        found = next((layer for layer in self.viewer.layers if layer.name == name), None)
        if found is None:
            raise UsageError(f"no {what} layer is chosen", hint=f"open an image, and add a {what} layer")
        return found

    @property
    def idle(self) -> bool:
        """Whether no work is under way."""
        return not self._timer.isActive()

    def picture(self) -> Picture:
        """Return the chosen image layer, the plane in view or all of it."""
        return picture_of(self.viewer, self._layer(self.image.value, "image"), whole=self.planes.value == "all")

    def run(self) -> None:
        """Start the work; results are added to the viewer when it ends."""
        if not self.idle:
            return
        try:
            picture = self.picture()
            chosen = self.mask.value
            bare = chosen in (None, NONE) and not self.needs_mask
            image = self._layer(self.image.value, "image")
            mask = None if bare else mask_of(self._layer(chosen, "mask"), image, picture)
        except Exception as error:  # of layers there are many kinds, and none may take the viewer down
            self._tell(error)
            return
        words = {name: part.value for name, part in self.asked.items()}
        words = {name: value for name, value in words.items() if not (name in self.unset and value == 0)}
        words |= {"prior": self.prior.value, "seed": self.seed.value}
        self._cancel.clear()
        self.button.enabled, self.stop.enabled, self.told.value = False, True, "working"
        self._timer.start(POLL)
        threading.Thread(target=self._work, args=(picture, mask, words), daemon=True).start()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._cancel.set()

    def _work(self, picture: Picture, mask: Any, words: dict[str, Any]) -> None:
        def progress(done: int, total: int) -> None:
            self._messages.put(("progress", 1000 * done // max(1, total)))

        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", GencosmoWarning)
                layers = self.work(picture, mask, progress=progress, cancel=self._cancel, **words)
            told = dict.fromkeys(str(one.message) for one in caught if isinstance(one.message, GencosmoWarning))
            self._messages.put(("done", (layers, list(told))))
        except Exception as error:  # whatever it is, the window says it
            self._messages.put(("failed", error))

    def _look(self) -> None:
        """Empty the queue; the only place where the viewer changes."""
        while not self._messages.empty():
            word, content = self._messages.get()
            if word == "progress":
                self.bar.value = content
                continue
            self._timer.stop()
            self.button.enabled, self.stop.enabled, self.bar.value = True, False, 0
            if word == "failed":
                self._tell(content)
                continue
            layers, told = content
            for data, attributes, kind in layers:
                getattr(self.viewer, f"add_{kind}")(data, **attributes)
            self.told.value = "\n".join(["done", *told])

    def _tell(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self.told.value = "stopped"
        elif isinstance(error, GencosmoError):
            self.told.value = error.message + (f"\n{error.hint}" if error.hint else "")
        else:
            self.told.value = f"{type(error).__name__}: {error}"


def inpaint_widget(napari_viewer: Any) -> TaskWidget:
    """Fill what a labels or shapes layer marks."""
    options = {"samples": SpinBox(label="samples", value=0, max=256)}
    return TaskWidget(napari_viewer, inpaint_layers, options, needs_mask=True)


def super_resolve_widget(napari_viewer: Any) -> TaskWidget:
    """A finer grid through a Gaussian PSF; without a number for the noise it is read off the image."""
    options = {
        "fwhm": FloatSpinBox(label="PSF width (px)", value=2.5, min=0.5, max=30, step=0.1),
        "factor": SpinBox(label="finer by", value=2, min=1, max=8),
        "noise": FloatSpinBox(label="noise (0: from image)", value=0, min=0, max=1e9),
        "samples": SpinBox(label="samples", value=8, max=256),
    }
    return TaskWidget(napari_viewer, super_resolve_layers, options, needs_mask=False, unset=("noise",))


def score_widget(napari_viewer: Any) -> TaskWidget:
    """What does not belong, by regions beyond a threshold."""
    options = {"threshold": FloatSpinBox(label="threshold (sigmas)", value=5, min=1, max=100)}
    return TaskWidget(napari_viewer, score_layers, options, needs_mask=False)
