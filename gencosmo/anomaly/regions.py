"""Connected regions of an anomaly map, measured."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError

__all__ = ["Region", "find_regions"]

Float = NDArray[np.float32]
EDGE = 4
"""Regions this close to the edge of the image, in pixels, are flagged."""
NEAR = 2
"""Regions with a masked pixel this close are flagged."""


@dataclass(frozen=True, eq=False)
class Region:
    """One region of one channel; bounds are inclusive, positions 0-based with whole numbers at pixel centres.

    Attributes
    ----------
    row, col : float
        Centre, weighted by the deviations.
    box : (int, int, int, int)
        First and last row, first and last column.
    area : int
    peak : float
        Largest deviation, signed.
    peak_at : (int, int)
    mass : float
        Sum of the deviations over the square root of the area, signed.
    major, minor, angle : float
        Root mean square sizes (pixels) and the direction of the long axis from the columns towards the rows (degrees).
    edge, near_masked : bool
    pixels : ndarray of bool
        The region within `box`.
    """

    row: float
    col: float
    box: tuple[int, int, int, int]
    area: int
    peak: float
    peak_at: tuple[int, int]
    mass: float
    major: float
    minor: float
    angle: float
    edge: bool
    near_masked: bool
    pixels: NDArray[np.bool_]


def find_regions(anomaly_map: Float, mask: NDArray[np.bool_], threshold: float, least_pixels: int) -> list[Region]:
    """Regions beyond a threshold, either sign, by photutils (8-connected), the most significant first.

    Parameters
    ----------
    anomaly_map : ndarray (H, W)
    mask : ndarray of bool (H, W)
        Masked pixels, for the flags.
    threshold : float
        Deviation that every pixel of a region exceeds.
    least_pixels : int

    Raises
    ------
    UsageError
        When photutils is not installed.
    """
    try:
        segmentation = importlib.import_module("photutils.segmentation")
    except ImportError:
        text = "finding regions needs the package photutils"
        raise UsageError(text, code="extra", hint="pip install 'gencosmo[anomaly]'") from None
    size = np.abs(anomaly_map)
    if not (size > threshold).any():
        return []
    found = segmentation.SegmentationImage(_labels(segmentation, size, threshold, least_pixels))
    regions = [_measure(anomaly_map, mask, found.data, segment) for segment in found.segments]
    return sorted(regions, key=lambda region: -abs(region.peak))


def _labels(segmentation: object, size: Float, threshold: float, least_pixels: int) -> NDArray[np.int32]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # photutils warns where nothing is found
        found = segmentation.detect_sources(size, threshold, least_pixels)  # type: ignore[attr-defined]
    if found is None:
        return np.zeros(size.shape, np.int32)
    return np.asarray(found.data, np.int32)


def _measure(anomaly_map: Float, mask: NDArray[np.bool_], labels: NDArray[np.int32], segment: object) -> Region:
    rows, cols = segment.slices  # type: ignore[attr-defined]
    inside = labels[rows, cols] == segment.label  # type: ignore[attr-defined]
    deviations = np.where(inside, anomaly_map[rows, cols], 0.0).astype(np.float64)
    weights = np.abs(deviations)
    at = np.unravel_index(int(weights.argmax()), weights.shape)
    r, c = np.indices(inside.shape)
    total = weights.sum()
    row, col = (weights * r).sum() / total, (weights * c).sum() / total
    dr, dc = r - row, c - col
    # a pixel is not a point: its own extent keeps one-pixel regions from having size 0
    cov = np.array([[(weights * dc * dc).sum(), (weights * dc * dr).sum()], [0.0, (weights * dr * dr).sum()]]) / total
    cov[1, 0] = cov[0, 1]
    values, axes = np.linalg.eigh(cov + np.eye(2) / 12)
    height, width = anomaly_map.shape
    box = (rows.start, rows.stop - 1, cols.start, cols.stop - 1)
    near = mask[max(0, rows.start - NEAR) : rows.stop + NEAR, max(0, cols.start - NEAR) : cols.stop + NEAR]
    return Region(
        row=float(row + rows.start),
        col=float(col + cols.start),
        box=box,
        area=int(inside.sum()),
        peak=float(deviations[at]),
        peak_at=(int(at[0]) + rows.start, int(at[1]) + cols.start),
        mass=float(deviations.sum() / np.sqrt(inside.sum())),
        major=float(np.sqrt(values[1])),
        minor=float(np.sqrt(values[0])),
        angle=float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180),
        edge=box[0] < EDGE or box[2] < EDGE or box[1] >= height - EDGE or box[3] >= width - EDGE,
        near_masked=bool(near.any()),
        pixels=inside,
    )
