"""Classical fillers behind one signature: `fill(flux, mask) -> filled`, flux (H, W) float32, mask True = to fill.

With their own defaults, and tuned: the settings of `tuned.toml` did best on the training groups, kind by kind of hole
(``python -m benchmarks.quality.tune_rivals`` finds them).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def biharmonic(flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """scikit-image `inpaint_biharmonic`, regions split (its own advice for many holes)."""
    from skimage.restoration import inpaint_biharmonic

    low, high = float(flux[~mask].min()), float(flux[~mask].max())
    scale = max(high - low, 1e-6)
    filled = inpaint_biharmonic((flux.astype(np.float64) - low) / scale, mask, split_into_regions=True)
    return np.asarray(filled * scale + low, dtype=np.float32)


def navier_stokes(flux: np.ndarray, mask: np.ndarray, radius: float = 3) -> np.ndarray:
    """OpenCV `INPAINT_NS`."""
    import cv2

    return np.asarray(cv2.inpaint(flux.astype(np.float32), mask.astype(np.uint8), radius, cv2.INPAINT_NS))


def astropy_interpolation(flux: np.ndarray, mask: np.ndarray, width: float = 1.0) -> np.ndarray:
    """astropy `interpolate_replace_nans`, Gaussian kernel of `width` pixels, doubled until no hole is left."""
    from astropy.convolution import Gaussian2DKernel, interpolate_replace_nans

    filled = np.where(mask, np.nan, flux)
    for stddev in width * np.array((1.0, 2.0, 4.0, 8.0, 16.0)):
        if not np.isnan(filled).any():
            break
        filled = interpolate_replace_nans(filled, Gaussian2DKernel(stddev), boundary="extend")
    return np.asarray(np.where(np.isnan(filled), np.median(flux[~mask]), filled), dtype=np.float32)


def maskfill_smooth(flux: np.ndarray, mask: np.ndarray, size: int = 3, smooth: bool = True) -> np.ndarray:
    """maskfill (van Dokkum & Pasha 2024)."""
    from maskfill import maskfill

    options = {"size": size, "smooth": smooth, "writesteps": False, "verbose": False}
    filled, _ = maskfill(flux.astype(np.float64), mask.astype(np.int16), **options)
    return np.asarray(filled, dtype=np.float32)


RIVALS: dict[str, Fill] = {
    "maskfill": maskfill_smooth,
    "astropy": astropy_interpolation,
    "opencv-ns": navier_stokes,
    "biharmonic": biharmonic,
}
"""With their own defaults."""

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "maskfill": [{"size": size, "smooth": smooth} for size in (3, 5, 7, 9) for smooth in (True, False)],
    "astropy": [{"width": width} for width in (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)],
    "opencv-ns": [{"radius": radius} for radius in (1, 2, 3, 5, 8)],
    "biharmonic": [{}],
}
"""What tuning tries."""

TUNED = Path(__file__).parent / "tuned.toml"


def rivals(kind: str, *, tuned: bool) -> dict[str, Fill]:
    """The rivals for one kind of hole."""
    if not tuned:
        return RIVALS
    table = tomllib.loads(TUNED.read_text())[kind]
    return {name: partial(fill, **table.get(name, {})) for name, fill in RIVALS.items()}
