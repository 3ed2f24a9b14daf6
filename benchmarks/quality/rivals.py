"""Classical fillers behind one signature: `fill(flux, mask) -> filled`, flux (H, W) float32, mask True = to fill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def biharmonic(flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """scikit-image `inpaint_biharmonic`, regions split (its own advice for many holes)."""
    from skimage.restoration import inpaint_biharmonic

    low, high = float(flux[~mask].min()), float(flux[~mask].max())
    scale = max(high - low, 1e-6)
    filled = inpaint_biharmonic((flux.astype(np.float64) - low) / scale, mask, split_into_regions=True)
    return np.asarray(filled * scale + low, dtype=np.float32)


def navier_stokes(flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """OpenCV `INPAINT_NS`, radius 3."""
    import cv2

    return np.asarray(cv2.inpaint(flux.astype(np.float32), mask.astype(np.uint8), 3, cv2.INPAINT_NS))


def astropy_interpolation(flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """astropy `interpolate_replace_nans`, Gaussian kernel of 1 pixel, repeated until no hole is left."""
    from astropy.convolution import Gaussian2DKernel, interpolate_replace_nans

    filled = np.where(mask, np.nan, flux)
    for stddev in (1.0, 2.0, 4.0, 8.0, 16.0):
        if not np.isnan(filled).any():
            break
        filled = interpolate_replace_nans(filled, Gaussian2DKernel(stddev), boundary="extend")
    return np.asarray(np.where(np.isnan(filled), np.median(flux[~mask]), filled), dtype=np.float32)


def maskfill_smooth(flux: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """maskfill (van Dokkum & Pasha 2024) with its defaults."""
    from maskfill import maskfill

    filled, _ = maskfill(flux.astype(np.float64), mask.astype(np.int16), writesteps=False, verbose=False)
    return np.asarray(filled, dtype=np.float32)


RIVALS: dict[str, Fill] = {
    "maskfill": maskfill_smooth,
    "astropy": astropy_interpolation,
    "opencv-ns": navier_stokes,
    "biharmonic": biharmonic,
}
