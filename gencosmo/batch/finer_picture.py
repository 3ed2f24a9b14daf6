"""A picture of a super-resolved image: the image, the mean, its spread, the prior's share, and the residual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gencosmo.image import Image
from gencosmo.io.png import write_png
from gencosmo.report import display_limits, rows_go_up
from gencosmo.result import Result

__all__ = ["FinerPictures"]

PANEL = 384
"""Longest side of a panel (screen pixels), unless the fine grid has more."""
MOST = 1024
"""Fine pixels per side beyond which the picture shows the middle only."""
GAP = 6


class FinerPictures:
    """Writes one picture per science plane; the second one of a file is NAME-2.png.

    From left to right: the image; the mean, with the same limits; the spread; the prior's share, black for none and
    white for all; the residual, from -3 (black) to 3 (white) standard deviations of the noise.
    """

    def __init__(self, path: str, *, overwrite: bool) -> None:
        self._path, self._overwrite, self._number = path, overwrite, 0

    def __call__(self, image: Image, result: Result) -> None:
        """Write the picture of one plane."""
        self._number += 1
        path = self._path if self._number == 1 else f"{self._path[:-4]}-{self._number}.png"
        write_png(_panels(image, result), path, overwrite=self._overwrite)


def _panels(image: Image, result: Result) -> NDArray[np.uint8]:
    scale = result.meta["scale"]
    area = scale[0] * scale[1] if result.meta["flux_mode"] == "sum" else 1
    limits = display_limits(image.data[0], ~image.mask[0])

    def first(array: NDArray[np.float32] | None, like: NDArray[np.float32] = result.mean) -> NDArray[np.float64]:
        values = np.zeros_like(like) if array is None else array
        return np.asarray(values if values.ndim == 2 else values[0], np.float64)

    std, mean = first(result.std), first(result.mean)
    noise = np.sqrt(1 / np.maximum(image.ivar[0], 1e-30)) if image.ivar is not None else np.ones(image.shape[1:])
    rest = np.where(image.mask[0], 0.0, first(result.residual, image.data[0]) / noise)
    coarse = [limits.scale(image.data[0]), np.clip(rest / 6 + 0.5, 0, 1)]
    wide = [_enlarged(panel, scale) for panel in coarse]
    row = [wide[0], limits.scale(mean * area), np.clip(std / max(np.percentile(std, 99.5), 1e-30), 0, 1)]
    row += [np.clip(first(result.prior_share), 0, 1), wide[1]]
    zoom = max(1, PANEL // max(mean.shape))
    step = -1 if rows_go_up(image) else 1
    shown = [_enlarged(_middle(panel)[::step], (zoom, zoom)) for panel in row]
    gap = np.full((shown[0].shape[0], GAP), 0.5)
    whole = np.concatenate([part for panel in shown for part in (panel, gap)][:-1], axis=1)
    return np.asarray(255 * whole, np.uint8)


def _enlarged(panel: NDArray[np.float64], factor: tuple[int, int]) -> NDArray[np.float64]:
    return panel.repeat(factor[0], axis=0).repeat(factor[1], axis=1)


def _middle(panel: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, cols = (max(0, (n - MOST) // 2) for n in panel.shape)
    return panel[rows : rows + MOST, cols : cols + MOST]
