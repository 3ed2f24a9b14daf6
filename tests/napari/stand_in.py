"""A viewer and its layers without napari: what the widgets use of them."""

from types import SimpleNamespace

import numpy as np


class Layer:
    """Data on a grid of its own: ``world = scale * index + translate``."""

    rgb = multiscale = False

    def __init__(self, name, data, *, scale=None, translate=None):
        self.name, self.data = name, data
        self.ndim = data.ndim
        self.scale = np.ones(self.ndim) if scale is None else np.array(scale, float)
        self.translate = np.zeros(self.ndim) if translate is None else np.array(translate, float)
        self.affine, self.rotate, self.shear = np.eye(self.ndim + 1), np.eye(self.ndim), np.zeros(self.ndim)
        self.units, self.axis_labels = ("um",) * self.ndim, tuple("tzyx"[-self.ndim :])

    def data_to_world(self, place):
        return tuple(np.asarray(place)[-self.ndim :] * self.scale + self.translate)

    def world_to_data(self, place):
        padded = np.concatenate([np.zeros(max(0, self.ndim - len(place))), np.asarray(place)])
        return (padded[-self.ndim :] - self.translate) / self.scale


class Image(Layer):
    pass


class Labels(Layer):
    pass


class Viewer:
    """Three planes of cells, of which the last is in view, and a mask for all of them."""

    def __init__(self, size):
        mask = np.zeros(size, int)
        mask[4:6, 4:6] = 1
        cells = Image("cells", np.ones((3, *size), np.float32), scale=(2, 0.5, 0.5))
        self.layers = [cells, Labels("dust", mask, scale=(0.5, 0.5))]
        self.dims = SimpleNamespace(point=(4.2, 0, 0), ndim=3, displayed=(1, 2))
        self.added = []

    def add_image(self, data, **words):
        self.added.append(("image", data, words))

    def add_labels(self, data, **words):
        self.added.append(("labels", data, words))
